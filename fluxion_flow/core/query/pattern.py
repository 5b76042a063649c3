"""Regular expressions as MongoDB writes them (Perl's kind), compiled by Python's ``re``.

What the two spell differently is rewritten: named groups, POSIX classes, ``\\Q…\\E``, ``\\x{…}``, ``\\h``, ``\\z``; and
``\\w \\d \\s \\b`` mean ASCII only, unless the pattern begins with ``(*UCP)``. MongoDB: $regex, "Perl Compatible
Regular Expressions".
"""

from __future__ import annotations

import re
from collections.abc import Callable
from typing import Final

OPTIONS: Final[dict[str, int]] = {"i": re.IGNORECASE, "m": re.MULTILINE, "s": re.DOTALL, "x": re.VERBOSE, "u": 0}
"""The letters of ``$options`` and the flags they stand for; text is Unicode anyway."""

_POSIX: Final = {
    "alpha": "A-Za-z", "digit": "0-9", "alnum": "A-Za-z0-9", "upper": "A-Z", "lower": "a-z", "space": r"\t-\r ",
    "blank": r" \t", "punct": r"!-/:-@\[-`{-~", "xdigit": "0-9A-Fa-f", "word": "A-Za-z0-9_", "cntrl": r"\x00-\x1f\x7f",
    "print": " -~", "graph": "!-~",
}  # fmt: skip

_ASCII: Final = {"d": "0-9", "w": "A-Za-z0-9_", "s": r"\t-\r "}

_TOKEN: Final = re.compile(
    r"""
    \\Q(?P<quoted>.*?)(?:\\E|\Z)
    | \\x\{(?P<hex>[0-9A-Fa-f]+)\}
    | \\k(?:<(?P<k1>\w+)>|\{(?P<k2>\w+)\}|'(?P<k3>\w+)')
    | \\g\{?(?P<number>\d+)\}?
    | \\(?P<escaped>.)
    | \(\?(?P<flags>[imsx]*(?:-[imsx]+)?)\)
    | \(\?(?:<|')(?P<group>[A-Za-z_]\w*)(?:>|')
    | \[:(?P<not>\^?)(?P<posix>[a-z]+):\]
    | (?P<open>\[\^?\]?)
    | (?P<close>\])
    | (?P<other>.)
    """,
    re.VERBOSE | re.DOTALL,
)


def compile_pattern(pattern: str, options: str = "") -> re.Pattern[str]:
    """Compile a Perl-style pattern with options out of ``imsxu``.

    Raises ``ValueError``, saying what is wrong, for a pattern that cannot be compiled.
    """
    flags = sum(flag for letter, flag in OPTIONS.items() if letter in options)
    unicode = False
    while pattern.startswith(("(*UTF8)", "(*UTF)", "(*UCP)")):
        unicode = unicode or pattern.startswith("(*UCP)")
        pattern = pattern[pattern.index(")") + 1 :]
    try:
        return re.compile(_python(pattern, unicode), flags)
    except (re.error, OverflowError, RecursionError) as error:
        raise ValueError(str(error)) from None


def _python(pattern: str, unicode: bool) -> str:
    written: list[str] = []
    inside = False
    scopes: list[list[str]] = [[]]  # per open group: the flags switched on in it, each written as a group of its own
    for token in _TOKEN.finditer(pattern):
        kind, text = token.lastgroup or "", token.group()
        if inside:
            inside = kind != "close"
            text = _in_class(token, kind, unicode)
        elif kind == "open":
            inside = True
        elif kind == "flags":
            scopes[-1].append(f"(?{token['flags']}:")
            text = scopes[-1][-1] if token["flags"] else ""
            if not text:
                scopes[-1].pop()
        elif text in ("|", ")"):
            closed = ")" * len(scopes[-1])
            if text == ")" and len(scopes) > 1:
                scopes.pop()
                text = closed + text
            elif text == "|":
                text = closed + text + "".join(scopes[-1])
        elif kind in _REWRITE:
            text = _REWRITE[kind](token, unicode)
        if text.startswith("(") and kind in ("other", "group"):
            scopes.append([])
        written.append(text)
    return "".join(written) + ")" * len(scopes[0])


def _in_class(token: re.Match[str], kind: str, unicode: bool) -> str:
    """A token within ``[…]``."""
    text = token.group()
    if kind == "escaped":
        letter = token["escaped"]
        if letter in _UNSUPPORTED:
            raise ValueError(f"\\{letter} is not supported")
        if letter == "h":
            return r" \t"
        return _ASCII.get(letter, text) if not unicode else text
    if kind == "posix":
        if token["posix"] not in _POSIX or token["not"]:
            raise ValueError(f"the class {text} is not supported")
        return _POSIX[token["posix"]]
    if kind in ("hex", "quoted"):
        return _REWRITE[kind](token, unicode)
    if kind in ("open", "other") and text[0] in "[&~|":
        return "\\" + text
    return text


def _escaped(token: re.Match[str], unicode: bool) -> str:
    """A letter after a backslash, outside of ``[…]``."""
    letter = token["escaped"]
    if letter in _UNSUPPORTED:
        raise ValueError(f"\\{letter} is not supported")
    if not unicode and letter in "dwsDWSbB":
        return rf"(?a:\{letter})"
    return _ESCAPES.get(letter, token.group())


_UNSUPPORTED: Final = "pPX"

_ESCAPES: Final = {
    "R": r"(?:\r\n|[\n-\r\x85\u2028\u2029])", "h": r"[ \t]", "H": r"[^ \t]", "N": r"[^\n]", "z": r"\Z",
    "Z": r"(?=\n?\Z)", "e": r"\x1b", "E": "",
}  # fmt: skip

_REWRITE: Final[dict[str, Callable[[re.Match[str], bool], str]]] = {
    "escaped": _escaped,
    "quoted": lambda token, unicode: re.escape(token["quoted"]),
    "hex": lambda token, unicode: re.escape(chr(int(token["hex"], 16))),
    "k1": lambda token, unicode: f"(?P={token['k1']})",
    "k2": lambda token, unicode: f"(?P={token['k2']})",
    "k3": lambda token, unicode: f"(?P={token['k3']})",
    "number": lambda token, unicode: f"(?:\\{token['number']})",
    "group": lambda token, unicode: f"(?P<{token['group']}>",
}
