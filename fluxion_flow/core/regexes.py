"""Regular expressions as MongoDB takes them: PCRE patterns and options, made ready for Python, once each."""

from __future__ import annotations

import re
from functools import lru_cache
from typing import Any, Final

from .values import EvaluationError, type_name

_FLAGS: Final = {"i": re.IGNORECASE, "m": re.MULTILINE, "s": re.DOTALL, "x": re.VERBOSE, "u": re.NOFLAG if hasattr(re, "NOFLAG") else re.RegexFlag(0)}
_POSIX: Final = {
    "alpha": "a-zA-Z", "digit": "0-9", "alnum": "a-zA-Z0-9", "upper": "A-Z", "lower": "a-z", "space": r"\s",
    "blank": r" \t", "punct": r"!-/:-@\[-`{-~", "word": r"\w", "xdigit": "0-9A-Fa-f", "cntrl": r"\x00-\x1f\x7f",
    "print": r"\x20-\x7e", "graph": r"\x21-\x7e",
}  # fmt: skip
_ESCAPES: Final = {
    "h": r"[ \t\xa0]", "H": r"[^ \t\xa0]", "R": r"(?:\r\n|[\n\v\f\r\x85\u2028\u2029])", "N": r"[^\n]", "z": r"\Z",
    "Z": r"(?=\n?\Z)", "e": r"\x1b", "G": "",
}  # fmt: skip
_TOKEN: Final = re.compile(r"\\Q(.*?)(?:\\E|\Z)|\\x\{([0-9A-Fa-f]+)\}|\\(.)|\(\?<(?=[A-Za-z_])|\[\^?\]?", re.DOTALL)
_IN_CLASS: Final = re.compile(r"\[:(\^?)([a-z]+):\]|\\x\{([0-9A-Fa-f]+)\}|\\.|[^\]\\]", re.DOTALL)


@lru_cache(maxsize=1024)
def compile_regex(pattern: str, options: str = "") -> re.Pattern[str]:
    """A PCRE pattern with options (``i``, ``m``, ``s``, ``x``, ``u``) as a Python pattern that matches alike.

    ``\\d``, ``\\w``, ``\\s`` and ``\\b`` know ASCII only, as in PCRE. Raises :class:`EvaluationError` for a pattern that
    cannot be used and for any other option. MongoDB: $regex, $regexMatch.
    """
    flags = re.RegexFlag(0)
    for option in options:
        if option not in _FLAGS:
            raise EvaluationError(f"unknown option {option!r} of a regular expression; known are i, m, s, x, u")
        flags |= _FLAGS[option]
    if "\0" in pattern:
        raise EvaluationError("a regular expression cannot hold a null byte")
    if pattern.isascii() or not flags & re.IGNORECASE:
        flags |= re.ASCII
    try:
        return re.compile(_python_syntax(pattern), flags)
    except (re.error, OverflowError, RecursionError) as error:
        raise EvaluationError(f"the regular expression {pattern!r} cannot be used: {error}") from None


def regex_of(value: Any, options: Any = "") -> re.Pattern[str]:
    """The pattern of a regex value or of a string, with options given beside it (null: none).

    Raises :class:`EvaluationError` for any other type, and for options given twice.
    """
    if options is None:
        options = ""
    if not isinstance(options, str):
        raise EvaluationError(f"the options of a regular expression are a string, got {type_name(options)}")
    if isinstance(value, str):
        return compile_regex(value, options)
    if not isinstance(value, re.Pattern) or not isinstance(value.pattern, str):
        raise EvaluationError(f"a regular expression is a regex or a string, got {type_name(value)}")
    own = "".join(letter for letter in "imsx" if value.flags & _FLAGS[letter])
    if own and options:
        raise EvaluationError("options are given both in the regular expression and beside it; give them once")
    return compile_regex(value.pattern, own or options)


def _python_syntax(pattern: str) -> str:
    """The pattern with what Python writes differently: ``\\Q…\\E``, ``(?<name>``, ``[[:alpha:]]``, ``\\h``, ``\\z`` …"""
    out: list[str] = []
    at = 0
    while at < len(pattern):
        found = _TOKEN.search(pattern, at)
        if found is None:
            break
        out.append(pattern[at : found.start()])
        at = found.end()
        if found[1] is not None:
            out.append(re.escape(found[1]))
        elif found[2] is not None:
            out.append(_code_point(found[2]))
        elif found[3] is not None:
            out.append(_ESCAPES.get(found[3], found[0]))
        elif found[0] == "(?<":
            out.append("(?P<")
        else:
            at = _copy_class(pattern, found[0], at, out)
    out.append(pattern[at:])
    return "".join(out)


def _copy_class(pattern: str, opening: str, at: int, out: list[str]) -> int:
    out.append(opening.replace("]", r"\]"))
    while found := _IN_CLASS.match(pattern, at):
        at = found.end()
        if found[2] is not None:
            if found[1] or found[2] not in _POSIX:
                raise re.error(f"unsupported class {found[0]}")
            out.append(_POSIX[found[2]])
        elif found[3] is not None:
            out.append(_code_point(found[3]))
        elif found[0] == "[":
            out.append(r"\[")
        elif found[0] == r"\h":
            out.append(r" \t\xa0")
        else:
            out.append(found[0])
    return at


def _code_point(digits: str) -> str:
    return f"\\U{int(digits, 16):08x}"
