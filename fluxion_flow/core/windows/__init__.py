"""Window functions of ``$setWindowFields``: what a document gets from the documents around it.

One file a family, loaded when the first window function is built. Accumulators work over windows too: see
:mod:`fluxion_flow.core.windows.accumulate`.
"""

from .accumulate import RowError, over_frames
from .frames import Frames, Window, frames_of, parse_window
from .registry import Partition, WindowFunction, all_window_functions, build_window_function, window_function

__all__ = [
    "Frames",
    "Partition",
    "RowError",
    "Window",
    "WindowFunction",
    "all_window_functions",
    "build_window_function",
    "frames_of",
    "over_frames",
    "parse_window",
    "window_function",
]
