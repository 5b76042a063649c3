"""$setWindowFields on an open stream: documents in the order of event time, with bounded windows that look back."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from ...errors import Problems
from ..date_units import MILLIS
from ..environment import Environment
from ..event_time.time_field import DEFAULT
from ..expressions.nodes import Const
from ..windows import WindowFunction
from ..windows.neighbours import Shift
from .evaluate import Columns
from .in_order import Entry, Followed, Following
from .set_window_fields import SetWindowFields

INSIDE = "use it inside a window stage, or a bounded source"


@dataclass(frozen=True, eq=False)
class LookBack(Following):
    """The state of a key is a list of ``[event time, document]``: those that later documents can look back to.

    ``documents`` is how many of the last ones are looked at, ``span`` how far back, in milliseconds.
    """

    stage: SetWindowFields | None = None
    documents: int = 0
    span: int = 0

    def follow(self, state: Any, entries: Sequence[Entry], env: Environment) -> tuple[list[Followed], Any]:
        stage = self.stage
        assert stage is not None
        before: list[list[Any]] = state or []
        moments = [moment for moment, _ in before] + [entry[0] for entry in entries]
        documents = [document for _, document in before] + [entry[4] for entry in entries]
        rows = stage.columns.rows(documents, env)
        found = stage.with_fields(documents, rows, list(range(len(documents))), len(before))
        first = max(len(documents) - self.documents, 0)
        if self.span:
            since = moments[-1] - self.span
            while first and moments[first - 1] >= since:
                first -= 1
        kept = [[moments[i], documents[i]] for i in range(first, len(documents))]
        return list(zip(entries, found, strict=True)), kept

    def expired(self, state: Any, watermark: int) -> bool:
        return not self.documents and (not state or state[-1][0] + self.span < watermark)

    @property
    def keeps_every_key(self) -> bool:
        """Whether no key is ever forgotten, of which there may be any number."""
        assert self.stage is not None
        return self.documents > 0 and not isinstance(self.stage.columns.nodes[0], Const)

    @property
    def fingerprint(self) -> dict[str, Any]:
        return {
            "stage": "$setWindowFields",
            **{k: self.spec[k] for k in ("partitionBy", "sortBy", "output") if k in self.spec},
        }


def look_back(stage: SetWindowFields, time_field: Any, problems: Problems) -> LookBack | None:
    """The stage as an open stream can run it; ``None``, with problems reported, where it cannot."""
    before = len(problems.found)
    wanted = str(DEFAULT if time_field is None else time_field).removeprefix("$")
    if stage.sort != ((tuple(wanted.split(".")), 1),) or not isinstance(time_field, (str, type(None))):
        what = "needs the documents in the order of event time on a source that never completes"
        name = wanted if isinstance(time_field, (str, type(None))) else "a field that time_field names"
        problems.add(stage.where / "sortBy", what, f"sort by {name}, ascending; or {INSIDE}")
    documents, span = 0, 0
    for path, function in stage.outputs:
        reach = _reach(function)
        if isinstance(reach, str):
            problems.add(stage.where / "output" / ".".join(path), reach, INSIDE)
        else:
            documents, span = max(documents, reach[0]), max(span, reach[1])
    if len(problems.found) > before:
        return None
    by_value = Columns((stage.columns.nodes[0],), stage.where / "partitionBy")
    return LookBack(stage.where, by_value, stage.spec, stage.lateness, "dead_letter", stage, documents, span)


def _reach(function: WindowFunction) -> tuple[int, int] | str:
    """How far back a function looks, in documents and in milliseconds; or why an open stream cannot run it."""
    if isinstance(function, Shift):
        return "looks at documents that are still to come" if function.by > 0 else (-function.by, 0)
    if function.window_use == "none":
        return "goes by all documents before it, of which a stream keeps no more than a window"
    window = function.window
    upper = 0 if window.upper == "current" else window.upper
    if upper is None or upper > 0:
        return "looks at documents that are still to come"
    lower = 0 if window.lower == "current" else window.lower
    if lower is None:
        return "goes by all documents before it, of which a stream keeps no more than a window"
    if window.kind == "documents":
        return int(-lower), 0
    if window.unit not in MILLIS:
        return "has a range whose length is not fixed"
    return 0, int(-lower * MILLIS[window.unit]) + 1
