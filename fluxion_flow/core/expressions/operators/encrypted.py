"""Operators on fields that a MongoDB server holds encrypted: recognised, and answered with what to use instead."""

from __future__ import annotations

from typing import Any

from ....errors import Where
from ..nodes import Const, Node
from ..parse import Parser
from ..registry import form


def _refused(where: Where, parser: Parser, instead: str) -> Node:
    parser.problems.add(where, "asks a MongoDB server about an encrypted field", f"use {instead} on the plain text")
    return Const(where, None)


@form("$encStrStartsWith", arity="{input, prefix}")
def enc_str_starts_with(spec: Any, where: Where, parser: Parser) -> Node:
    """Not supported: asks a server about an encrypted field, use $regexMatch. MongoDB: $encStrStartsWith."""
    return _refused(where, parser, "$regexMatch")


@form("$encStrEndsWith", arity="{input, suffix}")
def enc_str_ends_with(spec: Any, where: Where, parser: Parser) -> Node:
    """Not supported: asks a server about an encrypted field, use $regexMatch. MongoDB: $encStrEndsWith."""
    return _refused(where, parser, "$regexMatch")


@form("$encStrContains", arity="{input, substring}")
def enc_str_contains(spec: Any, where: Where, parser: Parser) -> Node:
    """Not supported: asks a server about an encrypted field, use $indexOfCP. MongoDB: $encStrContains."""
    return _refused(where, parser, "$indexOfCP")


@form("$encStrNormalizedEq", arity="{input, string}")
def enc_str_normalized_eq(spec: Any, where: Where, parser: Parser) -> Node:
    """Not supported: asks a server about an encrypted field, use $eq and $toLower. MongoDB: $encStrNormalizedEq."""
    return _refused(where, parser, "$eq and $toLower")
