"""The event time of a document: an expression over it, the source's ``time_field``, as milliseconds.

Its value is a date, or what JSON has in its place: a text (``"2025-03-01T09:30:00Z"``, or any other that ``$toDate``
reads), or a number of milliseconds since 1970.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from datetime import datetime, timedelta
from decimal import Decimal
from functools import cached_property
from typing import Any

from ...errors import Problems, Where
from ..dates import parse_date
from ..environment import Environment
from ..expressions.compile import build
from ..expressions.emit import Doc, Emitter
from ..expressions.nodes import Const, Node
from ..expressions.parse import Parser
from ..resources import Resources
from ..values import EPOCH, EvaluationError, to_millis, type_name

DEFAULT = "$_ts"
"""Where the event time stands when a source names no ``time_field``. Atlas Stream Processing: ``_ts``."""

Document = dict[str, Any]


class EventTime:
    """The compiled expression. Milliseconds since the epoch, ``None`` for a document that has no time there."""

    def __init__(self, node: Node, spec: Any) -> None:
        self._node = node
        self.spec = spec

    @cached_property
    def _fast(self) -> Any:
        """For documents that all have a date there; raises for others."""
        e = Emitter(True)
        e.namespace.update(EPOCH=EPOCH, MILLISECOND=timedelta(milliseconds=1))
        e.line("out = []")
        e.line("append = out.append")
        e.open("for d in it:")
        e.set_document(Doc("d"))
        e.line(f"append(({e.value(self._node).code} - EPOCH) // MILLISECOND)")
        e.close()
        e.line("return out")
        return build("event_times", "it, env", e)

    @cached_property
    def _general(self) -> Any:
        e = Emitter(False)
        e.line("out = []")
        e.line("append = out.append")
        e.open("for d in it:")
        e.set_document(Doc("d"))
        with e.block("try:"):
            code = e.value(self._node).code
            e.line(f"append({e.bind(instant, 'instant')}({code}))")
        with e.block("except Exception:"):
            e.line("append(None)")
        e.close()
        e.line("return out")
        return build("event_times", "it, env", e)

    def times(self, documents: Sequence[Document], env: Environment) -> list[int | None]:
        """The event time of every document. Nothing is raised: whether one is needed, a later stage says."""
        try:
            found: list[int | None] = self._fast(env.start(documents, 0), env)
        except Exception:  # noqa: BLE001 - whatever it was, the general function says which document has none
            found = self._general(env.start(documents, 0), env)
        return found

    def missing(self, document: Document, env: Environment) -> EvaluationError:
        """Why a document has no event time."""
        try:
            value = self._value(document, env)
        except Exception as error:  # noqa: BLE001 - whatever the expression raised is the reason
            return EvaluationError(f"the event time {self.spec!r} cannot be computed: {error}")
        what = "a text that is no date" if isinstance(value, str) else f"no date but {type_name(value)}"
        return EvaluationError(f"the event time {self.spec!r} is {what}")

    def _value(self, document: Document, env: Environment) -> Any:
        e = Emitter(False)
        e.set_document(Doc("d"))
        e.line(f"return {e.value(self._node).code}")
        env.start((document,), 0)
        return build("event_time", "d, env", e)(document, env)


def instant(value: Any) -> int | None:
    """Milliseconds since the epoch of a date, a text or a number; ``None`` for what stands for no time."""
    kind = value.__class__
    if kind is datetime:
        return to_millis(value)
    if kind is int:
        return int(value)
    try:
        if kind is str:
            return to_millis(_date(value))
        if kind in (float, Decimal) and math.isfinite(value):
            return int(value)
    except (EvaluationError, ValueError, OverflowError):
        return None
    return None


def _date(text: str) -> datetime:
    """The date of a text; the usual form of JSON by a shorter way. Raises as :func:`parse_date` does."""
    if text[-1:] == "Z" and text[10:11] == "T" and len(text) in (20, 24):
        try:
            return datetime.fromisoformat(text[:-1] + "+00:00")
        except ValueError:
            pass
    return parse_date(text)


def parse_event_time(
    spec: Any, where: Where, problems: Problems, resources: Resources | None = None
) -> EventTime | None:
    """Check the expression of a ``time_field``; a plain text is the name of a field, ``None`` is :data:`DEFAULT`.

    Problems are reported, and the answer is then ``None``.
    """
    before = len(problems.found)
    given = DEFAULT if spec is None else spec
    if isinstance(given, str) and given and not given.startswith("$"):
        given = f"${given}"
    node = Parser(problems, resources).expression(given, where)
    if isinstance(node, Const) and node.value.__class__ is not datetime and len(problems.found) == before:
        problems.add(where, f"takes a field or an expression that gives a time, got {spec!r}", "such as '$at'")
    return EventTime(node, given) if len(problems.found) == before else None
