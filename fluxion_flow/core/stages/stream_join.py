"""$streamJoin: join documents with those of another stream that happened about the same time; $lookup into a stream."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from ...errors import Where, did_you_mean
from ..environment import Environment
from ..event_time.clock import Clock
from ..expressions.nodes import Const, Node
from ..expressions.parse import Parser
from ..expressions.paths import set_path
from ..streams import is_of
from .collections import field_path
from .evaluate import Columns
from .in_order import InOrder, Waiting
from .inner import InnerPipeline, parse_inner
from .joined import JoinedDocuments
from .registry import stage
from .shapes import Document
from .window_stages import choice, parse_span
from .windowed import DEFAULT_LATENESS, Divided

CHANCE = ("$rand", "$sampleRate", "$sample", "$$NOW", "$meta")
"""What depends on the record at hand, or on the moment: there is none where documents of two streams meet."""


@dataclass(frozen=True, eq=False)
class StreamJoin(InOrder):
    """The right side is ``stream``, the left the pipeline's own. Times are milliseconds.

    A document on the left at ``t`` has those on the right with an equal key from ``t - before`` to ``t + after``, both
    included; with ``latest`` the last of them. ``before`` may be ``None`` then: however old. Null keys equal nothing.
    """

    stream: str = ""
    by_right: Columns | None = None
    before: int | None = None
    after: int = 0
    latest: bool = False
    inner: bool = False
    into: tuple[str, ...] = ()
    pipeline: InnerPipeline | None = None

    def memory(self) -> Waiting:
        return JoinedDocuments(self)

    def side(self, partition: str) -> int:
        return int(is_of(self.stream, partition))

    def keys(self, side: int) -> Columns | None:
        return self.by_right if side else self.by_value

    def divide(self, documents: Sequence[Document], clock: Clock, env: Environment) -> Divided:
        divided = super().divide(documents, clock, env)
        side = self.side(env.partition)
        if side or self.inner:
            divided.windows.pop((side, 0, None), None)
        return divided

    def answer(self, document: Document, found: list[Document], env: Environment) -> list[Document]:
        """The document with what was found for it.

        Raises :class:`~fluxion_flow.core.program.DocumentError` where the pipeline does.
        """
        if self.pipeline is not None:
            found = self.pipeline.run(found, env)
        return [] if self.inner and not found else [set_path(document, self.into, found)]

    @property
    def keeps_every_key(self) -> bool:
        """Whether no key is ever forgotten, of which there may be any number."""
        return self.before is None

    @property
    def fingerprint(self) -> dict[str, Any]:
        keys = {name: self.spec[name] for name in ("localField", "foreignField", "on") if name in self.spec}
        return {"stage": self.name, "from": self.stream, **keys, "before": self.before, "after": self.after}


@stage(
    "$streamJoin",
    shape="in order of event time",
    streaming="any source, with another stream; documents leave when the watermark of both has passed `after`",
    examples=[],
)
def stream_join(spec: Any, where: Where, parser: Parser) -> StreamJoin | None:
    """Add an array of the documents of another stream that are equal and happened about the same time, under ``as``.

    ``from`` names a stream of the pipeline. Equal are ``localField`` and ``foreignField``, or the values of ``on:
    {local, foreign}``, expressions over the document and over the other stream's; values count as they stand, null and
    missing equal nothing. ``within: {before, after}``, each ``{size, unit}`` or 0, is how long before and after the
    document the others may have happened, in event time, both bounds included.

    ``type``: ``left`` (the default: a document without others has an empty array) or ``inner`` (it is dropped).
    ``pipeline``: stages over the documents found, which are in the order of their event times. ``allowedLateness``
    (``{size, unit}`` or 0) is how long older documents of either stream are waited for; ``onLate`` (``dead_letter`` or
    ``drop``) is what happens to those that come later. Documents come out in the order of their event times.
    Fluxion: of our own, after the interval joins of Flink and Kafka Streams.
    """
    optional = ("localField", "foreignField", "on", "type", *_OPTIONAL)
    return _parsed(spec, where, parser, ("from", "within", "as"), optional)


def lookup_in_stream(spec: Mapping[str, Any], where: Where, parser: Parser) -> StreamJoin | None:
    """``$lookup`` whose ``from`` is a stream."""
    required = ("from", "localField", "foreignField", "as")
    return _parsed(spec, where, parser, required, ("within", *_OPTIONAL), latest=True)


_OPTIONAL = ("pipeline", "allowedLateness", "onLate")


def _parsed(
    spec: Any, where: Where, parser: Parser, required: Sequence[str], optional: Sequence[str], *, latest: bool = False
) -> StreamJoin | None:
    problems = parser.problems
    before = len(problems.found)
    if parser.depth:
        problems.add(where, "a join of streams cannot stand inside another stage", "put it into the main pipeline")
        return None
    given = spec if isinstance(spec, Mapping) else parser.arguments(spec, where, required, optional)
    if given is None:
        return None
    parser.check_names(given, [*required, *optional], required, where)
    stream = _stream(given["from"], where / "from", parser) if "from" in given else ""
    local, foreign = _keys(given, where, parser, latest)
    within = _within(given, where, parser, latest)
    into = field_path(given["as"], where / "as", parser) if "as" in given else ()
    kind = choice(given, "type", ("left", "inner"), where, parser)
    pipeline = None
    if "pipeline" in given:
        pipeline = parse_inner(given["pipeline"], where / "pipeline", parser, "a join of streams")
        text = repr(given["pipeline"])
        for name in CHANCE:
            if f"'{name}'" in text:
                what = f"{name} has no meaning for documents of two streams"
                problems.add(where / "pipeline", what, "use it before the join, or behind it")
    lateness: int | None = DEFAULT_LATENESS
    if "allowedLateness" in given:
        lateness = parse_span(given["allowedLateness"], where / "allowedLateness", parser, zero=True)
    on_late = choice(given, "onLate", ("dead_letter", "drop"), where, parser)
    if len(problems.found) > before or lateness is None or local is None or foreign is None:
        return None
    return StreamJoin(
        where,
        Columns((local,), where / "on"),
        given,
        lateness,
        on_late,
        stream,
        Columns((foreign,), where / "on"),
        *within,
        latest,
        kind == "inner",
        into,
        pipeline,
    )


def _stream(name: Any, where: Where, parser: Parser) -> str:
    known = parser.resources.streams
    if isinstance(name, str) and name in known:
        return name
    if not isinstance(name, str) or not name:
        parser.problems.add(where, f"takes the name of a stream, got {name!r}")
    else:
        listed = f"known are {', '.join(known)}" if known else "describe it under streams, beside the source"
        parser.problems.add(where, f"unknown stream {name!r}", did_you_mean(name, known) or listed)
    return ""


def _keys(given: Mapping[str, Any], where: Where, parser: Parser, latest: bool) -> tuple[Node | None, Node | None]:
    """The keys of both sides; ``None`` after reporting problems."""
    fields = [name for name in ("localField", "foreignField") if name in given]
    if "on" in given:
        for name in fields:
            parser.problems.add(where / name, "given beside on", "keep one of the two")
        on = parser.arguments(given["on"], where / "on", ("local", "foreign"))
        if on is None:
            return None, None
        sides = [parser.expression(on[name], where / "on" / name) for name in ("local", "foreign")]
        for name, node in zip(("local", "foreign"), sides, strict=True):
            if isinstance(node, Const):
                hint = "name a field, such as '$orderId'"
                parser.problems.add(where / "on" / name, "is the same for all documents", hint)
        return sides[0], sides[1]
    if not fields and not latest:
        hint = "give localField and foreignField, or on: {local, foreign}"
        parser.problems.add(where, "needs a condition of the join", hint)
    found: list[Node | None] = []
    for name in ("localField", "foreignField"):
        if name not in given:
            if fields and not latest:
                parser.problems.add(where / name, "required argument is missing", "give localField and foreignField")
            found.append(None)
            continue
        path = field_path(given[name], where / name, parser)
        found.append(parser.expression(f"${given[name]}", where / name) if path else None)
    return found[0], found[1]


def _within(given: Mapping[str, Any], where: Where, parser: Parser, latest: bool) -> tuple[int | None, int]:
    """How far before and after a document others are looked for; ``None``: however far."""
    if "within" not in given:
        return None, 0
    place = where / "within"
    within = parser.arguments(
        given["within"], place, ("before",) if latest else (), () if latest else ("before", "after")
    )
    if within is None:
        return None, 0
    if not within:
        parser.problems.add(place, "takes before, after, or both", "such as {after: {size: 1, unit: hour}}")
    spans = {name: parse_span(within[name], place / name, parser, zero=True) or 0 for name in within}
    return spans.get("before", 0), spans.get("after", 0)
