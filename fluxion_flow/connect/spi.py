"""The Connect SPI: what a source and a sink are, in plain Python.

A connector's author subclasses these classes and names no Bytewax type. The runtime turns a source into a Bytewax
input (one Bytewax partition per source partition) and drives a sink's writers so that everything written in an epoch
is durable before the epoch's checkpoint completes.
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

Document = dict[str, Any]
Cursor = Any
"""A position in a source partition or a sink: JSON-like plain data (dict, list, str, int, float, bool, None)."""


@dataclass(slots=True)
class Reject:
    """A record that could not be decoded: its raw bytes, where it stood, and why."""

    raw: bytes
    position: int
    error: str


@dataclass(slots=True)
class Batch:
    """A micro-batch: the documents that one read of a source partition returned, in order.

    ``partition`` names the source partition; names sort in the order in which an offline run would read them.
    ``position`` is the place of the first record in it (a byte, an offset, an index: whatever the source counts in);
    ``positions`` the place of every document where the source knows it cheaply, else empty.
    ``timestamp`` is the broker's or fetch time of the batch in milliseconds since the epoch: it must be the same when
    the batch is read again, because ``$$NOW`` is taken from it. ``meta["source"]`` says what else is known of where
    the records came from (a topic, a path), ``meta["records"]`` what is known of single records: a mapping from
    positions, those of rejects too, to mappings (a key, headers). ``{$meta: "stream.source.…"}`` and dead letters show
    both; the inner mappings may be made when they are asked for. ``cursor``, set by the runtime for a transactional
    sink, is the position of the last record behind the batch; ``None`` otherwise. ``clock``, set by the runtime, is the
    event time of the documents. In a source's batch :class:`~fluxion_flow.core.rows.Rows` may stand for ``documents``,
    where the reader was told which fields are needed; a sink's batch has a list, unless it ``takes_records``.
    """

    documents: list[Document]
    partition: str = ""
    position: int = 0
    positions: Sequence[int] = ()
    timestamp: int = 0
    rejects: list[Reject] = field(default_factory=list)
    meta: Mapping[str, Any] = field(default_factory=dict)
    cursor: Cursor | None = None
    clock: Any = None


class SourceReader(ABC):
    """Reads one partition of a source, from a cursor onwards."""

    @abstractmethod
    def read(self, max_documents: int) -> Batch | None:
        """The next records, at most ``max_documents``. ``None``: complete, nothing will ever follow.

        A batch without documents: nothing yet, ask again later. May raise: the source's error policy decides; a
        later ``read`` must then go on from the same place.
        """

    @property
    @abstractmethod
    def cursor(self) -> Cursor:
        """The position of the *next* read, as plain data with the connector's own version number in it."""

    def needs(self, fields: Sequence[str]) -> None:  # noqa: B027
        """A hint, before the first read: of most documents only these top-level fields are going to be read.

        A reader may then decode only them at first, and give its documents as :class:`~fluxion_flow.core.rows.Rows`,
        which make whole documents when asked to. Which records are rejects does not change. Default: all is decoded.
        """

    def lag(self) -> float | None:
        """How far behind the newest record, in the source's unit (records, bytes, seconds); ``None``: unknown."""
        return None

    def committed(self, cursor: Cursor) -> None:  # noqa: B027
        """Everything before ``cursor`` is durable downstream. Called after the checkpoint that holds it completed."""

    def close(self) -> None:  # noqa: B027
        """Let go of files, sockets and threads. Called once."""


class StreamingSource(ABC):
    """A place documents come from (Fluxion Connect: ``StreamingSource``)."""

    bounded: bool = False
    """Whether every partition completes some day."""

    replays: bool = True
    """Whether what was read can be read again from a cursor. Without it a crash loses what was not yet delivered."""

    poll_interval: float = 0.05
    """Seconds to wait after an empty read."""

    first_wait: float | None = None
    """Seconds to wait after the first empty read, where asking costs little; after each further one twice as long, up
    to ``poll_interval``. ``None``: ``poll_interval`` at once."""

    lag_unit: str = ""
    """What :meth:`SourceReader.lag` counts in, such as ``records``; people read it."""

    @abstractmethod
    def partitions(self) -> list[str]:
        """Names of all partitions, the same on every worker; they sort in the order of an offline run."""

    @abstractmethod
    def open(self, partition: str, cursor: Cursor | None) -> SourceReader:
        """A reader of ``partition`` that starts at ``cursor``, or at the configured start when it is ``None``."""

    def probe(self) -> str:
        """Try whether it can be read, and say what there is. Changes nothing: no offset is committed.

        Lists the partitions and reads one record of the first, unless a source can tell otherwise. Raises what the
        source raises, and :class:`NotImplementedError` where trying would change something.
        """
        names = self.partitions()
        if names:
            reader = self.open(names[0], None)
            try:
                reader.read(1)
            finally:
                reader.close()
        return f"{len(names)} partition{'' if len(names) == 1 else 's'}"


class DeliveryError(Exception):
    """Some documents of a write could not be delivered. ``errors`` maps their index in the batch to the reason."""

    def __init__(self, errors: Mapping[int, Exception]) -> None:
        self.errors = dict(errors)
        first = next(iter(self.errors.values()), None)
        super().__init__(f"{len(self.errors)} documents were not delivered, the first because: {first}")


class SinkWriter(ABC):
    """Writes batches to one part of a sink."""

    @abstractmethod
    def write(self, batch: Batch) -> None:
        """Accept a batch, in order. It need not be durable yet.

        Raises :class:`DeliveryError` where the system says which documents failed (the others count as accepted), or
        any other exception when nothing of the batch was accepted.
        """

    @abstractmethod
    def flush(self) -> None:
        """Return when everything accepted is durable. A flush that failed may be repeated.

        Raises :class:`DeliveryError` where only some documents failed: the others are durable then, and its indexes
        count the documents accepted since the last flush. Any other exception leaves everything in doubt.
        """

    @property
    def cursor(self) -> Cursor:
        """What :meth:`StreamingSink.open` needs after a crash to undo what was written after the last flush."""
        return None

    def close(self) -> None:  # noqa: B027
        """Let go of files, sockets and threads. Called once, after the last flush."""


class StreamingSink(ABC):
    """A place documents go to (Fluxion Connect: ``StreamingSink``)."""

    single_writer: bool = False
    """Whether the whole run must share one writer (a single file), instead of one writer a worker."""

    replays: bool = False
    """Whether reopening at a cursor undoes later writes, so that a crash repeats nothing (exactly once)."""

    keyed: bool = False
    """Whether writing a document twice leaves the same result as once (an upsert)."""

    takes_records: bool = False
    """Whether a batch may hold :class:`~fluxion_flow.core.rows.Rows` in the place of a list: documents that stages only
    let through, with the JSON texts that they came in, which :func:`~fluxion_flow.connect.encoding.encode_lines`
    writes as they are."""

    transactional: bool = False
    """Whether a write stores :attr:`Batch.cursor` with its documents in one atomic step, to be read back by
    :meth:`committed_cursors`: a stateless pipeline then delivers exactly once, because what the sink holds is not
    delivered again. A batch of which a document was refused is stored without its cursor."""

    wants_records: bool = False
    """Whether dead letters for this sink carry the record as it came (``raw``), also where it could be decoded."""

    owner: str = ""
    """Set by the runtime: the pipeline and the sink's name in it, under which a transactional sink keeps positions."""

    def committed_cursors(self) -> Mapping[str, Cursor]:
        """For a transactional sink: by source partition, the cursor stored with the last documents it committed."""
        return {}

    @abstractmethod
    def open(self, part: str, cursor: Cursor | None) -> SinkWriter:
        """A writer for ``part`` (``"0"`` when there is one writer); ``cursor`` is its last durable position."""

    def beside(self, name: str) -> StreamingSink:
        """A sink to the same place for another run of the pipeline, such as a replay, with ``name`` for its progress.

        It must not disturb what the pipeline's own run knows of its writers: a sink whose cursor is its own size
        writes beside (``out.<name>.jsonl``), one that keeps positions keeps them under another name. The names of
        replays begin with ``replay-``. Default: the sink itself.
        """
        return self

    def probe(self) -> str:
        """Try whether it could be written, and say what there is. Changes nothing: nothing is written or created.

        Raises what the sink raises, and :class:`NotImplementedError` where it cannot be told without changing anything.
        """
        raise NotImplementedError("the connector cannot be tried without writing")
