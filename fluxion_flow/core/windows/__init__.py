"""Window functions of ``$setWindowFields``: what a document gets from the documents around it.

One file a family; importing this package registers all of them. Accumulators work over windows too: see
:mod:`fluxion_flow.core.windows.accumulate`.
"""

from . import change, correlation, filling, neighbours, ranks, scaling, smoothing
from .accumulate import RowError, over_frames
from .frames import Frames, Window, frames_of, parse_window
from .registry import WINDOW_FUNCTIONS, Partition, WindowFunction, build_window_function, window_function

__all__ = [
    "WINDOW_FUNCTIONS",
    "Frames",
    "Partition",
    "RowError",
    "Window",
    "WindowFunction",
    "build_window_function",
    "change",
    "correlation",
    "filling",
    "frames_of",
    "neighbours",
    "over_frames",
    "parse_window",
    "ranks",
    "scaling",
    "smoothing",
    "window_function",
]
