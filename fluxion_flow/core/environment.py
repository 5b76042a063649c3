"""What generated code can ask of the run: the time, the place of the record at hand, random numbers made from it."""

from __future__ import annotations

import datetime
import hashlib
from collections.abc import Iterator, Mapping, Sequence
from typing import Any

from .context import StreamingContext
from .outside import Answers, Asker, AskFailed
from .values import MISSING, from_millis


class Environment:
    """The surroundings of one batch on its way through generated code.

    ``partition``, ``position`` and ``positions`` say where the batch's documents came from; ``$rand`` and
    ``$sampleRate`` are functions of them, so that a replay decides alike. ``timestamp`` (milliseconds since the epoch,
    UTC) is the value of ``$$NOW``, ``variables`` holds the values of other ``$$name``. ``changes[k]`` counts how many
    documents stage *k* of a program gave more (or fewer) than it got; ``surprises`` how many documents left the
    speculative tier. ``context`` is what functions of the user's own can read of the run. ``answers`` holds what the
    outside has answered for this batch; ``None`` where nobody can be asked.

    ``meta`` is what ``{$meta: path}`` reads. ``records`` holds, by source position, what is known of single records
    besides: it is looked up by the place of the document at hand, so it follows a document through any stages, and
    nobody pays for it who does not ask.
    """

    __slots__ = (
        "_draws", "_index", "_outer", "answers", "changes", "context", "documents", "iterator", "meta", "now",
        "partition", "position", "positions", "records", "seed", "surprises", "variables",
    )  # fmt: skip

    def __init__(
        self,
        *,
        partition: str = "",
        position: int = 0,
        positions: Sequence[int] = (),
        timestamp: int = 0,
        seed: int = 0,
        meta: Mapping[str, Any] | None = None,
        records: Mapping[int, Mapping[str, Any]] | None = None,
        variables: Mapping[str, Any] | None = None,
        context: StreamingContext | None = None,
        answers: Answers | None = None,
    ) -> None:
        self.context = context or StreamingContext("offline", "stages")
        self.answers = answers
        self.partition = partition
        self.position = position
        self.positions = positions
        self.now: datetime.datetime = from_millis(timestamp)
        self.seed = seed
        self.meta: Mapping[str, Any] = meta or {}
        self.records: Mapping[int, Mapping[str, Any]] = {} if records is None else records
        self.variables: Mapping[str, Any] = variables or {}
        self.changes: list[int] = []
        self.surprises = 0
        self.documents: Sequence[dict[str, Any]] = ()
        self.iterator: Iterator[dict[str, Any]] = iter(())
        self._index: int | None = None
        self._draws: dict[int, tuple[int, int]] = {}
        self._outer: Environment | None = None

    def within(self, variables: Mapping[str, Any] | None = None) -> Environment:
        """The surroundings of a pipeline that runs for the document at hand, with more ``$$name``.

        Its random numbers depend on the document's place, and are none of those that the document itself draws.
        """
        inner = Environment.__new__(Environment)
        inner.context = self.context
        inner.answers = self.answers
        inner.partition = f"{self.partition}/{self.place()}" if self.documents else self.partition + "/"
        inner.position, inner.positions = 0, ()
        inner.now, inner.seed, inner.meta, inner.records = self.now, self.seed, self.meta, self.records
        inner.variables = {**self.variables, **variables} if variables else self.variables
        inner.changes, inner.surprises = [], 0
        inner.documents, inner.iterator = (), iter(())
        inner._index, inner._draws = None, {}
        inner._outer = self
        return inner

    def start(
        self, documents: Sequence[dict[str, Any]], stages: int, rows: Sequence[Any] | None = None
    ) -> Iterator[dict[str, Any]]:
        """Begin a pass over a batch; the iterator that comes back knows how far the pass is.

        ``rows``: what the pass goes over in the place of the documents, one each.
        """
        self.documents = documents
        self.iterator = iter(documents if rows is None else rows)
        self.changes = [0] * stages
        self._index = None
        self._draws = {}
        return self.iterator

    def index(self) -> int:
        """The index, in the batch, of the document at hand."""
        if self._index is not None:
            return self._index
        return len(self.documents) - self.iterator.__length_hint__() - 1  # type: ignore[attr-defined, no-any-return]

    def at(self, index: int | None) -> None:
        """Say which document is at hand, where no iterator tells."""
        if index != self._index:
            self._draws = {}
        self._index = index

    def again(self) -> None:
        """The document at hand is done anew: random numbers start over."""
        self._draws = {}
        self.surprises += 1

    def place(self) -> int:
        """The source position of the document at hand."""
        index = self.index()
        return self.positions[index] if self.positions else self.position + index

    def random(self, site: int, seed: Any = None) -> float:
        """A number in [0, 1) that depends on the seed, the record's place and ``site``, nothing else."""
        place = self.place()
        last, draw = self._draws.get(site, (place, -1))
        draw = draw + 1 if last == place else 0
        self._draws[site] = (place, draw)
        text = f"{self.seed if seed is None else seed}|{self.partition}|{place}|{site}|{draw}"
        return int.from_bytes(hashlib.blake2b(text.encode(), digest_size=7).digest(), "big") / (1 << 56)

    @property
    def nested(self) -> bool:
        """Whether a pipeline within a stage runs, for a document outside."""
        return self._outer is not None

    def ask(self, asker: Asker, values: tuple[Any, ...]) -> Any:
        """The answer of the outside to a question of the document at hand.

        Raises :class:`~fluxion_flow.core.outside.Asked` when there is none yet, the error that the answer is, and
        :class:`~fluxion_flow.core.outside.AskFailed` where nobody can be asked.
        """
        if self.answers is None:
            raise AskFailed(f"{asker.title}: nobody can be asked here")
        return self.answers.ask(asker, values, self)

    def metadata(self, path: tuple[str, ...]) -> Any:
        """The value of ``{$meta: path}``; ``MISSING`` where the run has none.

        ``stream.source`` is what the batch knows of its source, and with it what is known of the record that the
        document at hand came from; ``stream.source.position`` is that record's position.
        """
        if self._outer is not None:
            return self._outer.metadata(path)
        value = _at(self.meta, path)
        if path[:2] != _SOURCE[: len(path)] or not _at(self.meta, _SOURCE):
            return value
        if len(path) > 2:
            if value is not MISSING:
                return value
            if path == _POSITION:
                return self.place()
            return _at(self.records.get(self.place(), MISSING), path[2:])
        source = {**_at(self.meta, _SOURCE), "position": self.place(), **self.records.get(self.place(), {})}
        return source if len(path) == 2 else {**value, "source": source}


_SOURCE = ("stream", "source")
_POSITION = (*_SOURCE, "position")


def _at(value: Any, path: tuple[str, ...]) -> Any:
    for part in path:
        if not isinstance(value, Mapping) or part not in value:
            return MISSING
        value = value[part]
    return value
