"""$limit and $skip on an open stream: documents are counted as they arrive, by one part."""

from __future__ import annotations

from typing import Any

from bytewax.operators import StatefulBatchLogic

from ..connect.spi import Batch
from ..core.stages.limit import Slice
from .items import Completed, Completion
from .run import part_of

STATE_VERSION = 1


class SliceLogicStep:
    """Builds the counter."""

    def __init__(self, step: str, stage: Slice) -> None:
        self.step = step
        self.stage = stage

    def __call__(self, resume: Any) -> SliceLogic:
        return SliceLogic(self, resume)


class SliceLogic(StatefulBatchLogic[Any, Any, Any]):
    """Passes the documents on whose number, from 0, lies in the slice."""

    def __init__(self, step: SliceLogicStep, resume: Any) -> None:
        self._step = step
        self._count = 0 if resume is None else int(resume["count"])
        self._completion = Completion()

    def on_batch(self, values: list[Any]) -> tuple[list[Any], bool]:
        out: list[Any] = []
        stage = self._step.stage
        for _, item in values:
            if item.__class__ is Batch:
                size, seen = len(item.documents), self._count
                self._count += size
                start = max(stage.start - seen, 0)
                stop = size if stage.stop is None else min(stage.stop - seen, size)
                if start < stop:
                    out.append(part_of(item, range(start, stop)))
            elif item.__class__ is Completed and self._completion.heard(item):
                out.append(Completed(self._step.step, "0", 1))
        return out, StatefulBatchLogic.RETAIN

    def snapshot(self) -> Any:
        return {"v": STATE_VERSION, "count": self._count}
