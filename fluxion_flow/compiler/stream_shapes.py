"""Which stages a source can finish: what an open stream runs otherwise, and what it refuses, with what to do."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from ..core.stages import Keyed, Stage, Whole
from ..core.stages.in_order import InOrder
from ..core.stages.limit import Slice
from ..core.stages.look_back import look_back
from ..core.stages.set_window_fields import SetWindowFields
from ..core.stages.shapes import check_windows
from ..core.stages.windowed import WindowStage
from ..errors import Problems, Where


def in_stream(stages: Sequence[Stage], time_field: Any, problems: Problems) -> list[Stage]:
    """The stages as an open stream runs them: $setWindowFields in the order of event time, where it looks back only."""
    found: list[Stage] = []
    for stage in stages:
        made: Stage | None = stage
        if isinstance(stage, SetWindowFields):
            made = look_back(stage, time_field, problems)
        if made is not None:
            found.append(made)
    return found


def check_shapes(stages: Sequence[Stage], bounded: bool, emit: str, source: str, problems: Problems) -> None:
    """Report the stages that this source can never finish."""
    if not bounded and emit == "final":
        hint = "use 'update', which sends each changed group after every batch"
        problems.add(
            Where.at("config", "emit"), f"'final' needs a source that completes, and source {source!r} never does", hint
        )
    check_windows(stages, problems)
    updating: Stage | None = None
    window: WindowStage | InOrder | None = None
    for stage in stages:
        if isinstance(stage, (WindowStage, InOrder)):
            window = stage
        elif isinstance(window, InOrder) and isinstance(stage, (Keyed, Whole)) and orders(stage):
            what = f"depends on the order of documents, which {window.name} keeps by key only"
            problems.add(stage.where, what, "use accumulators that do not, or a window stage")
        elif window is not None and isinstance(stage, (Keyed, Whole)) and (window.early or window.corrects):
            what = f"stands behind {window.name}, which sends early or corrected results of the same window again"
            problems.add(stage.where, what, "only per-document stages may follow; leave out emit and onLate: update")
        elif window is not None and isinstance(stage, Keyed) and stage.ordered and not bounded:
            what = f"keeps its documents by the window that they came of, and windows of source {source!r} never end"
            problems.add(stage.where, what, "use accumulators that do not depend on the order of documents")
        if isinstance(stage, Whole) and not bounded and not isinstance(stage, Slice):
            problems.add(
                stage.where,
                f"needs every document, but source {source!r} never completes",
                f"{stage.name.lstrip('$')} inside a window, or use a bounded source",
            )
        elif updating is not None and isinstance(stage, (Keyed, Whole)):
            problems.add(
                stage.where,
                f"stands behind {updating.name}, which sends the same key again whenever it changes",
                "only per-document stages may follow; use a bounded source with emit: final",
            )
        elif isinstance(stage, Keyed) and emit == "update":
            updating = stage


def orders(stage: Keyed | Whole) -> bool:
    """Whether a stage's result depends on the order of its input."""
    return isinstance(stage, Whole) or stage.ordered
