"""Digests of texts and binary data: $hash, $hexHash (MongoDB: $hash, $hexHash).

``xxh64`` is computed by the package ``xxhash`` of the extra ``fluxion-flow[hash]``.
"""

from __future__ import annotations

import hashlib
from collections.abc import Callable
from functools import partial
from importlib.util import find_spec
from typing import Any, Final

from ....errors import Where, did_you_mean
from ...values import EvaluationError, is_nullish, type_name
from .. import kinds
from ..nodes import Const, Node
from ..parse import Parser
from ..registry import form
from .applied import applied

Digest = Callable[[bytes], bytes]

INSTALL: Final = 'pip install "fluxion-flow[hash]"'


def _xxh64(data: bytes) -> bytes:
    import xxhash

    return xxhash.xxh64_digest(data)


_ALGORITHMS: Final[dict[str, Digest]] = {
    "md5": lambda data: hashlib.md5(data, usedforsecurity=False).digest(),
    "sha256": lambda data: hashlib.sha256(data).digest(),
    "xxh64": _xxh64,
}


def digest(name: str, algorithm: str, value: Any) -> bytes | None:
    """The digest of a text's UTF-8 bytes or of binary data; null of null and missing.

    Raises :class:`EvaluationError` for anything else.
    """
    if is_nullish(value):
        return None
    if isinstance(value, str):
        try:
            value = value.encode()
        except UnicodeEncodeError:
            raise EvaluationError(f"{name} takes valid Unicode, the string has a lone surrogate") from None
    if not isinstance(value, bytes):
        raise EvaluationError(f"{name} takes a string or binary data, got {type_name(value)}")
    return _ALGORITHMS[algorithm](value)


def hex_digest(name: str, algorithm: str, value: Any) -> str | None:
    """As :func:`digest`, in upper-case hexadecimal digits."""
    found = digest(name, algorithm, value)
    return None if found is None else found.hex().upper()


def _digest(
    spec: Any, where: Where, parser: Parser, name: str, function: Callable[[str, str, Any], Any], returns: int
) -> Node:
    given = parser.arguments(spec, where, ("input", "algorithm"))
    if given is None:
        return Const(where, None)
    value = parser.expression(given["input"], where / "input")
    algorithm, place = given["algorithm"], where / "algorithm"
    if not isinstance(algorithm, str) or algorithm not in _ALGORITHMS:
        close = did_you_mean(algorithm, _ALGORITHMS) if isinstance(algorithm, str) else ""
        parser.problems.add(place, f"unknown algorithm {algorithm!r}", close or f"known are {', '.join(_ALGORITHMS)}")
        return Const(where, None)
    if algorithm == "xxh64" and find_spec("xxhash") is None:
        parser.problems.add(place, "xxh64 needs the package xxhash", INSTALL)
        return Const(where, None)
    return applied(where, name, partial(function, name, algorithm), value, returns=returns | kinds.NULL)


@form(
    "$hash",
    arity="{input, algorithm}",
    examples=[
        (
            {"a": "abc"},
            {"$hash": {"input": "$a", "algorithm": "md5"}},
            bytes.fromhex("900150983cd24fb0d6963f7d28e17f72"),
        ),
        ({"a": "abc"}, {"$hash": {"input": "$a", "algorithm": "xxh64"}}, bytes.fromhex("44bc2cf5ad770999")),
        ({}, {"$hash": {"input": "$a", "algorithm": "sha256"}}, None),
        ({"a": 1}, {"$hash": {"input": "$a", "algorithm": "sha256"}}, EvaluationError),
    ],
)
def hash_(spec: Any, where: Where, parser: Parser) -> Node:
    """The digest of a string or of binary data as binary data, by md5, sha256 or xxh64.

    Null if null or missing. Raises for anything else. MongoDB: $hash.
    """
    return _digest(spec, where, parser, "$hash", digest, kinds.OTHER)


@form(
    "$hexHash",
    arity="{input, algorithm}",
    examples=[
        ({"a": "abc"}, {"$hexHash": {"input": "$a", "algorithm": "md5"}}, "900150983CD24FB0D6963F7D28E17F72"),
        ({"a": "abc"}, {"$hexHash": {"input": "$a", "algorithm": "xxh64"}}, "44BC2CF5AD770999"),
        ({}, {"$hexHash": {"input": "$a", "algorithm": "md5"}}, None),
    ],
)
def hex_hash(spec: Any, where: Where, parser: Parser) -> Node:
    """The digest of a string or of binary data in upper-case hexadecimal digits, by md5, sha256 or xxh64.

    Null if null or missing. Raises for anything else. MongoDB: $hexHash.
    """
    return _digest(spec, where, parser, "$hexHash", hex_digest, kinds.STRING)
