"""Keyed stages whose groups lie where their documents are: on the worker that owns their logical partition.

A worker holds the groups of all its partitions in one :class:`~fluxion_flow.core.stages.group_fold.Fold`. The step that
runs the stages adds documents to them at once; the state's own step (:mod:`~fluxion_flow.runtime.keyed`) is told that
there is a change, emits and writes. This is safe because no document of an epoch is read before the epoch before it is
complete, its snapshots included: a snapshot never holds what came behind it. What belongs to another worker, or to a
partition whose stored state has not been read yet, goes there as a partial result.
"""

from __future__ import annotations

import threading
from collections.abc import Sequence
from typing import Any

from ..core.program import Program
from ..core.stages.group_fold import Fold
from ..core.stages.shapes import Keyed
from ..policy.model import StreamingErrorPolicy
from .items import Completed, Partial, Shares, Touched, to_part
from .run import Run
from .steps import StageStep

MANY = 2000
"""Keys of a partition that may change before its owner is told again within an epoch."""


class Folds:
    """The groups of a keyed step on every worker of this process, for one run."""

    def __init__(self, run: Run, stage: Keyed, partitions: int) -> None:
        self._run = run
        self._stage = stage
        self._partitions = partitions
        self._made: dict[int, tuple[Any, Fold]] = {}

    def __call__(self) -> Fold:
        """The groups of this worker; none at first, also where a dataflow is run a second time."""
        seat = self._run.workers.current()
        ident = threading.get_ident()
        made = self._made.get(ident)
        if made is None or made[0] is not seat:
            made = self._made[ident] = (seat, self._stage.fold(self._partitions))
        return made[1]


class FoldStep(StageStep):
    """A program that ends in a keyed stage: documents go into its groups. ``eager``: its owners hear of each batch."""

    def __init__(
        self,
        run: Run,
        program: Program,
        names: Sequence[str],
        policies: Sequence[StreamingErrorPolicy],
        folds: Folds,
        *,
        eager: bool,
    ) -> None:
        super().__init__(run, program, names, policies)
        self._folds = folds
        self._eager = eager

    def __call__(self, items: list[Any]) -> list[Any]:
        out: list[Any] = []
        fold = self._folds()
        last: Shares | None = None
        for item in super().__call__(items):
            if item.__class__ is Shares:
                fold.take(item.rows)
                last = item
            elif item.__class__ is Completed:
                self._tell(fold, last, out)
                last = None
                out += [to_part(str(number), item) for number in range(len(fold.homes))]
            else:
                out.append(item)
        self._tell(fold, last, out)
        return out

    def _tell(self, fold: Fold, last: Shares | None, out: list[Any]) -> None:
        """Tell the partitions what has changed; what is not held here goes to where it is."""
        if last is None:
            return
        for number, home in enumerate(fold.homes):
            if home.attached and home.changed:
                home.timestamp = max(home.timestamp, last.timestamp)
                if self._eager or not home.awake or len(home.changed) > MANY:
                    home.awake = True
                    out.append(to_part(str(number), Touched()))
        for number, groups in fold.leaving():
            out.append(to_part(str(number), Partial(groups, last.origin, last.position, last.timestamp)))
