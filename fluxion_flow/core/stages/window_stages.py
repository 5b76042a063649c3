"""$tumblingWindow, $hoppingWindow and $sessionWindow: a pipeline over the documents of each window of event time."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from ...errors import Where, did_you_mean
from ..event_time.spans import HoppingSpans, SessionSpans, Spans
from ..expressions.nodes import Const, Node
from ..expressions.parse import Parser
from ..values import from_millis
from .evaluate import Columns
from .inner import parse_inner
from .registry import stage
from .windowed import DEFAULT_LATENESS, Early, WindowStage

UNITS = {
    "ms": 1,
    "millisecond": 1,
    "second": 1_000,
    "minute": 60_000,
    "hour": 3_600_000,
    "day": 86_400_000,
    "week": 604_800_000,
}
"""The units of a window's spans, in milliseconds. Atlas Stream Processing has all but ``week`` and ``millisecond``."""

STREAMING = "any source; a window's documents leave when the watermark of every source partition has passed its end"
_COMMON = (
    *("boundary", "offset", "partitionBy", "allowedLateness", "idleTimeout"),
    *("onLate", "emit", "streamMeta"),
)


def parse_span(spec: Any, where: Where, parser: Parser, *, size: str = "size", zero: bool = False) -> int | None:
    """Milliseconds of ``{size, unit}``; with ``zero``, also of a plain 0. ``None`` with a problem reported.

    The size is a whole number above 0; one that is called otherwise than ``size`` may be negative.
    """
    if zero and spec == 0 and not isinstance(spec, bool):
        return 0
    if not isinstance(spec, Mapping):
        parser.problems.add(where, f"takes {{{size}, unit}}, got {spec!r}", f"such as {{{size}: 5, unit: minute}}")
        return None
    given = parser.arguments(spec, where, (size, "unit"))
    if given is None:
        return None
    amount, unit = given[size], given["unit"]
    good = isinstance(amount, (int, float)) and not isinstance(amount, bool) and amount == amount // 1
    if not good or abs(amount) > 10**12 or (amount <= 0 if size == "size" and not (zero and amount == 0) else False):
        least = "a whole number" if size != "size" else "a whole number of at least " + ("0" if zero else "1")
        parser.problems.add(where / size, f"takes {least}, got {amount!r}")
        good = False
    if unit not in UNITS:
        hint = did_you_mean(str(unit), UNITS) or "use " + ", ".join(UNITS)
        parser.problems.add(where / "unit", f"unknown unit of time {unit!r}", hint)
        good = False
    return int(amount) * UNITS[unit] if good else None


def choice(given: Mapping[str, Any], name: str, known: tuple[str, ...], where: Where, parser: Parser) -> str:
    """The option ``name``, one of ``known``; the first of them is the default."""
    value = given.get(name, known[0])
    if value in known:
        return str(value)
    listed = ", ".join(map(repr, known[:-1])) + f" or {known[-1]!r}"
    parser.problems.add(where / name, f"takes {listed}, got {value!r}", did_you_mean(str(value), known))
    return known[0]


def _late(given: Mapping[str, Any], length: int, where: Where, parser: Parser) -> tuple[str, int]:
    """What happens to late documents, and how long corrections are made."""
    spec, place = given.get("onLate", "dead_letter"), where / "onLate"
    if isinstance(spec, Mapping) or spec == "update":
        if "gap" in given:
            what = "a session that was sent cannot be corrected: a late document may join it to another"
            parser.problems.add(place, what, "use 'dead_letter' or 'drop', and a larger allowedLateness")
            return "dead_letter", 0
        if spec == "update":
            return "dead_letter", length
        update = parser.arguments(spec, place, ("update",))
        span = None if update is None else parse_span(update["update"], place / "update", parser)
        return "dead_letter", span or 0
    return choice({"onLate": spec}, "onLate", ("dead_letter", "drop", "update"), where, parser), 0


def _early(given: Mapping[str, Any], where: Where, parser: Parser) -> Early | None:
    if "emit" not in given:
        return None
    place = where / "emit"
    emit = parser.arguments(given["emit"], place, ("every",))
    if emit is None:
        return None
    every, place = emit["every"], place / "every"
    if not isinstance(every, Mapping) or len(every) != 1 or next(iter(every)) not in ("count", "interval"):
        what = f"takes {{count}} or {{interval: {{size, unit}}}}, got {every!r}"
        parser.problems.add(place, what, "such as {count: 1000}")
        return None
    if "interval" in every:
        span = parse_span(every["interval"], place / "interval", parser)
        return None if span is None else Early(interval=span)
    count = every["count"]
    if not isinstance(count, int) or isinstance(count, bool) or count < 1:
        parser.problems.add(place / "count", f"takes a whole number of at least 1, got {count!r}")
        return None
    return Early(count=count)


def _partition_by(given: Mapping[str, Any], where: Where, parser: Parser) -> Node | None:
    if "partitionBy" not in given:
        return None
    node = parser.expression(given["partitionBy"], where / "partitionBy")
    return None if isinstance(node, Const) else node


def _stage(
    given: Mapping[str, Any], spans: Spans, length: int, before: int, where: Where, parser: Parser
) -> WindowStage | None:
    """The stage, when nothing was wrong since there were ``before`` problems."""
    processing = choice(given, "boundary", ("eventTime", "processingTime"), where, parser) == "processingTime"
    if processing:
        for name in ("allowedLateness", "idleTimeout", "onLate"):
            if name in given:
                what = "has no meaning with boundary: processingTime, where no document is late"
                parser.problems.add(where / name, what, "leave it out")
    lateness = 0 if processing else DEFAULT_LATENESS
    if "allowedLateness" in given:
        lateness = parse_span(given["allowedLateness"], where / "allowedLateness", parser, zero=True) or 0
    idle = parse_span(given["idleTimeout"], where / "idleTimeout", parser, zero=True) if "idleTimeout" in given else 0
    on_late, corrects = _late(given, length, where, parser)
    early = _early(given, where, parser)
    partition_by = _partition_by(given, where, parser)
    meta = given.get("streamMeta", bool(early or corrects))
    if not isinstance(meta, bool):
        parser.problems.add(where / "streamMeta", f"takes true or false, got {meta!r}")
    inner = parse_inner(given["pipeline"], where / "pipeline", parser)
    if len(parser.problems.found) > before:
        return None
    return WindowStage(
        where,
        spans,
        inner,
        partition_by,
        lateness,
        given,
        on_late,
        corrects,
        idle or None,
        processing,
        early,
        bool(meta or early or corrects),
        None if partition_by is None else Columns((partition_by,), where / "partitionBy"),
    )


def _standing(spec: Any, where: Where, parser: Parser, required: tuple[str, ...], optional: tuple[str, ...]) -> Any:
    """The options, checked by name; ``None`` where one is missing, or where the stage stands inside another."""
    if parser.depth:
        parser.problems.add(where, "a window stage cannot stand inside another stage", "put it into the main pipeline")
        return None
    if isinstance(spec, Mapping):
        parser.check_names(spec, [*required, *optional], required, where)
        return spec if all(name in spec for name in required) else None
    return parser.arguments(spec, where, required, optional)


def _offset(given: Mapping[str, Any], where: Where, parser: Parser) -> int:
    if "offset" not in given:
        return 0
    return parse_span(given["offset"], where / "offset", parser, size="offsetFromUtc") or 0


def moment(second: int) -> Any:
    """A moment for examples: so many seconds after the epoch."""
    return from_millis(second * 1000)


@stage(
    "$tumblingWindow",
    shape="windowed",
    streaming=STREAMING,
    examples=[
        (
            [{"_ts": moment(1), "v": 2}, {"_ts": moment(12), "v": 5}, {"_ts": moment(9), "v": 4}],
            {
                "interval": {"size": 10, "unit": "second"},
                "pipeline": [
                    {"$group": {"_id": {"$meta": "stream.window.start"}, "total": {"$sum": "$v"}, "n": {"$count": {}}}}
                ],
            },
            [{"_id": moment(0), "total": 6, "n": 2}, {"_id": moment(10), "total": 5, "n": 1}],
        )
    ],
)
def tumbling_window(spec: Any, where: Where, parser: Parser) -> WindowStage | None:
    """Run ``pipeline`` over the documents of each ``interval`` of time; each document is in exactly one.

    Options: ``interval``, ``offset: {offsetFromUtc, unit}``, ``allowedLateness`` and ``idleTimeout`` (each ``{size,
    unit}``, or 0), ``boundary`` (``eventTime`` or ``processingTime``), ``partitionBy`` (windows for each value of an
    expression), ``onLate``, ``emit`` and ``streamMeta``. ``{$meta: "stream.window.start"}`` and ``end`` are the
    window's bounds. Fluxion: as in Atlas Stream Processing, which has no partitionBy, onLate and emit.
    """
    before = len(parser.problems.found)
    given = _standing(spec, where, parser, ("interval", "pipeline"), _COMMON)
    if given is None:
        return None
    size = parse_span(given["interval"], where / "interval", parser) or 1
    offset = _offset(given, where, parser)
    return _stage(given, HoppingSpans(size, size, offset % size), size, before, where, parser)


@stage(
    "$hoppingWindow",
    shape="windowed",
    streaming=STREAMING,
    examples=[
        (
            [{"_ts": moment(1), "v": 2}, {"_ts": moment(12), "v": 5}],
            {
                "interval": {"size": 10, "unit": "second"},
                "hopSize": {"size": 5, "unit": "second"},
                "pipeline": [{"$group": {"_id": {"$meta": "stream.window.end"}, "total": {"$sum": "$v"}}}],
            },
            [
                {"_id": moment(5), "total": 2},
                {"_id": moment(10), "total": 2},
                {"_id": moment(15), "total": 5},
                {"_id": moment(20), "total": 5},
            ],
        )
    ],
)
def hopping_window(spec: Any, where: Where, parser: Parser) -> WindowStage | None:
    """Run ``pipeline`` over the documents of windows of ``interval`` that begin every ``hopSize``.

    Windows overlap where the hop is shorter than the interval; where it is longer, documents in between belong to none.
    The other options are those of $tumblingWindow. Fluxion: as in Atlas Stream Processing, which has no partitionBy,
    onLate and emit.
    """
    before = len(parser.problems.found)
    given = _standing(spec, where, parser, ("interval", "hopSize", "pipeline"), _COMMON)
    if given is None:
        return None
    size = parse_span(given["interval"], where / "interval", parser) or 1
    hop = parse_span(given["hopSize"], where / "hopSize", parser) or size
    if size > 10_000 * hop:
        parser.problems.add(
            where / "hopSize", f"puts every document into {size // hop} windows", "make the hops longer"
        )
    offset = _offset(given, where, parser)
    return _stage(given, HoppingSpans(size, hop, offset % hop), size, before, where, parser)


@stage(
    "$sessionWindow",
    shape="windowed",
    streaming=STREAMING,
    examples=[
        (
            [
                {"_ts": moment(1), "u": "a"},
                {"_ts": moment(4), "u": "b"},
                {"_ts": moment(5), "u": "a"},
                {"_ts": moment(30), "u": "a"},
            ],
            {
                "partitionBy": "$u",
                "gap": {"size": 10, "unit": "second"},
                "pipeline": [{"$group": {"_id": "$u", "clicks": {"$count": {}}}}],
                "streamMeta": True,
            },
            [
                {
                    "_id": "b",
                    "clicks": 1,
                    "_stream_meta": {"window": {"start": moment(4), "end": moment(14), "partition": "b"}},
                },
                {
                    "_id": "a",
                    "clicks": 2,
                    "_stream_meta": {"window": {"start": moment(1), "end": moment(15), "partition": "a"}},
                },
                {
                    "_id": "a",
                    "clicks": 1,
                    "_stream_meta": {"window": {"start": moment(30), "end": moment(40), "partition": "a"}},
                },
            ],
        )
    ],
)
def session_window(spec: Any, where: Where, parser: Parser) -> WindowStage | None:
    """Run ``pipeline`` over each session: documents of one ``partitionBy`` that follow each other within ``gap``.

    A session begins with its first document and ends ``gap`` after its last. A document is late when it is older than
    the watermark of its source partition. The other options are those of $tumblingWindow, without ``offset``.
    Fluxion: as in Atlas Stream Processing, which has no onLate and emit.
    """
    optional = tuple(name for name in _COMMON if name not in ("partitionBy", "offset"))
    before = len(parser.problems.found)
    given = _standing(spec, where, parser, ("partitionBy", "gap", "pipeline"), optional)
    if given is None:
        return None
    gap = parse_span(given["gap"], where / "gap", parser) or 1
    return _stage(given, SessionSpans(gap), gap, before, where, parser)
