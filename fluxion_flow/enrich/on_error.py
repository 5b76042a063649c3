"""``onError``: what a document gets where its question has no answer."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from fluxion_flow.core.expressions.nodes import Const, Node
from fluxion_flow.core.expressions.parse import Parser
from fluxion_flow.errors import Where, did_you_mean

ON_ERROR = ("onError", "on_error")
WORDS = ("fail", "null", "deadLetter", "dead_letter")


@dataclass(frozen=True)
class OnError:
    """``fallback``: the value in the place of an answer; ``dead_letters``: the document goes to the dead letters."""

    fallback: Node | None = None
    dead_letters: bool = False


def read_on_error(given: Mapping[str, Any], where: Where, parser: Parser) -> OnError:
    """What ``onError`` (or ``on_error``) of a call says: ``fail`` (the stage's policy decides; the default), ``null``,
    ``{value: expression}``, or ``deadLetter``.
    """
    keys = [key for key in ("onError", "on_error") if key in given]
    if not keys:
        return OnError()
    key, value = keys[0], given[keys[0]]
    place = where / key
    if value is None or value == "null":
        return OnError(Const(place, None))
    if value == "fail":
        return OnError()
    if value in ("deadLetter", "dead_letter"):
        return OnError(dead_letters=True)
    if isinstance(value, Mapping) and set(value) == {"value"}:
        return OnError(parser.expression(value["value"], place / "value"))
    hint = did_you_mean(str(value), WORDS) or "give fail, null, deadLetter or {value: expression}"
    parser.problems.add(place, f"unknown way to handle an error: {value!r}", hint)
    return OnError()
