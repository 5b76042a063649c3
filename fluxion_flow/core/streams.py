"""The further streams of a pipeline: how their partitions are called, and what their documents go through first.

A partition of a further stream is called ``<stream>/<partition>``, so that its documents, positions and dead letters
can be told from those of the pipeline's own source wherever they are.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Any

from ..errors import Problems, Where
from .event_time.time_field import EventTime, parse_event_time
from .resources import Resources, Stream

if TYPE_CHECKING:
    from .stages.shapes import Stage

Document = dict[str, Any]


@dataclass(frozen=True)
class StreamInput:
    """The documents of a further stream for an offline run.

    ``documents``: those of one partition, named ``"0"``, or a mapping of partitions to theirs; ``time_field``: their
    event time (default: ``_ts``); ``stages``: per-document stages that they go through before they are joined.
    """

    documents: Iterable[Document] | Mapping[str, Sequence[Document]]
    time_field: Any = None
    stages: Sequence[Mapping[str, Any]] = ()

    @property
    def partitions(self) -> Mapping[str, Sequence[Document]]:
        """The documents by partition."""
        return self.documents if isinstance(self.documents, Mapping) else {"0": list(self.documents)}


@dataclass(frozen=True)
class PreparedStream:
    """The checked stages of a further stream, and its event time."""

    stages: tuple[Stage, ...]
    event_time: EventTime | None


def partition_of(stream: str, partition: str) -> str:
    """What a partition of a further stream is called in the pipeline."""
    return f"{stream}/{partition}"


def is_of(stream: str, partition: str) -> bool:
    """Whether a partition is one of a further stream's."""
    return partition.startswith(f"{stream}/")


def ambiguous(streams: Iterable[str], partitions: Iterable[str]) -> str | None:
    """What is wrong with the names of the source's own partitions beside further streams; ``None``: nothing."""
    names = list(partitions)
    for stream in streams:
        for name in names:
            if is_of(stream, name):
                return (
                    f"partition {name!r} of the source is called as those of stream {stream!r} are; rename the stream"
                )
    return None


def joined_streams(stages: Sequence[Stage]) -> list[tuple[Where, str]]:
    """The further streams that stages read, each with the stage's place."""
    from .stages.stream_join import StreamJoin

    return [(stage.where, stage.stream) for stage in stages if isinstance(stage, StreamJoin)]


def check_streams(stages: Sequence[Stage], streams: Iterable[str], where: Where, problems: Problems) -> None:
    """Report the streams that no stage reads, and those that more than one does.

    Where something else is wrong, the stage that reads a stream may be missing for that, so nothing is said.
    """
    clear = not problems
    read: dict[str, Where] = {}
    for place, name in joined_streams(stages):
        if name in read:
            problems.add(place / "from", f"stream {name!r} is read by {read[name]} already", "give each its own stream")
        read.setdefault(name, place)
    for name in streams:
        if name not in read and clear:
            problems.add(
                where / name, "no stage reads the stream", "join it with $streamJoin or $lookup, or leave it out"
            )


def prepare_stream(
    stream: Stream, where: Where, problems: Problems, resources: Resources, time_where: Where
) -> PreparedStream:
    """Check what a further stream goes through before it is joined.

    ``where`` is its place, such as ``streams.payments``; ``time_where`` is the place of its time field. What is wrong
    goes to ``problems``.
    """
    from .stages.registry import parse_stages
    from .stages.shapes import PerDocument

    own = replace(resources, streams={}, time_field=stream.time_field)
    stages = parse_stages(stream.stages, where / "stages", problems, own)
    for stage in stages:
        if not isinstance(stage, PerDocument):
            what = "only per-document stages may stand in front of a join"
            problems.add(stage.where, what, "put it behind the join, or into a pipeline of its own")
    event_time = parse_event_time(stream.time_field, time_where, problems, own)
    return PreparedStream(tuple(stages), event_time)
