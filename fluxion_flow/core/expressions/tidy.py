"""Reads that are used once go to where they are used, as one would write them by hand.

Only for the speculative tier: there a line that raises has no place in the definition to name, because the general tier
does the document again, and documents never change, so that a read may come later. It may not come behind a line that
has an effect: a group that has taken in a part of a document, whose other part is not there, would be given it twice.
"""

from __future__ import annotations

import re
from collections import Counter
from itertools import accumulate

from ..rows import FIELD

_STRING = re.compile(r"""('(?:[^'\\]|\\.)*'|"(?:[^"\\]|\\.)*")""")
_NAME = re.compile(r"\b[a-z]\d+\b")
_ASSIGNED = re.compile(r"( *)([a-z]\d+) = (.+)")
_KEY = r"""\[(?:'(?:[^'\\]|\\.)*'|"(?:[^"\\]|\\.)*")\]"""
_READ = re.compile(rf"([a-z]\d*)(?:\.{FIELD}\d+(?:{_KEY})*|(?:{_KEY})+)")
_UNUSED = re.compile(r"\(([a-z]\d+) := ")
_PURE = re.compile(r"(?:[a-z]\d+|[\d.]+|''|\b(?:if|else|and|or|not|None|True|False)\b|[-+*/<>=!() ])+")
_MADE = re.compile(r" *(?:append\(|[a-z]\d+ = \{).*")
_LOCAL = re.compile(r"(?:[a-z]\d* = )+[^=].*")
_FLOW = re.compile(r"(?:(?:if|elif|for|while|except) .*?:|else:|try:|finally:)")
_LEAVES = re.compile(r"(?:raise|continue|break|pass)\b.*")
_COMPARED = re.compile(r"([a-z]\d+) (?:[<>]=?|==|!=) -?[\d.]+")


def tidied(lines: list[str]) -> tuple[list[str], list[int]]:
    """The lines of a function's body with single-use reads moved, and the index that each line had before."""
    uses: Counter[str] = Counter()
    assigned: Counter[str] = Counter()
    last_use: dict[str, int] = {}
    for i, line in enumerate(lines):
        found = _ASSIGNED.fullmatch(line)
        if found:
            assigned[found[2]] += 1
        names = _NAME.findall(_STRING.sub("''", line))
        uses.update(names)
        last_use.update(dict.fromkeys(names, i))
    lines = [_UNUSED.sub(lambda name: "(" if uses[name[1]] == 1 else name[0], line) for line in lines]
    once = {name for name in uses if uses[name] == 2 and assigned[name] == 1}
    ends = _loop_ends(lines)
    effects = [0, *accumulate(map(_has_effect, lines))]
    held: dict[str, str] = {}
    kept: list[str] = []
    origins: list[int] = []
    for i, line in enumerate(lines):
        line = _filled(line, held)
        found = _ASSIGNED.fullmatch(line)
        if (
            found
            and found[2] in once
            and (
                _is_next(found, lines, i)
                or (
                    i < last_use[found[2]] < ends[i]
                    and effects[i] == effects[last_use[found[2]]]
                    and _may_move(found[3], assigned, lines[last_use[found[2]]])
                )
            )
            and not _is_deferred(lines[last_use[found[2]]])
        ):
            held[found[2]] = found[3] if found[3][0] == "{" or _READ.fullmatch(found[3]) else f"({found[3]})"
        else:
            kept.append(line)
            origins.append(i)
    return kept, origins


def _filled(line: str, held: dict[str, str]) -> str:
    """The line with what is held in the place of its names; text in quotes is left alone."""
    if not held:
        return line
    parts = _STRING.split(line)
    for i in range(0, len(parts), 2):
        parts[i] = _NAME.sub(lambda name: held.pop(name[0], name[0]), parts[i])
    return "".join(parts)


def _may_move(code: str, assigned: Counter[str], to: str) -> bool:
    """Whether code means the same in the line ``to`` later on: a read of a document, or a comparison with a number.

    Their name must be settled. Where a document is made, with which nothing is done yet, also what is computed.
    """
    found = _READ.fullmatch(code) or _COMPARED.fullmatch(code)
    if found is not None:
        return assigned[found[1]] <= 1
    bare = _STRING.sub("''", code)
    return bool(_MADE.match(to) and _PURE.fullmatch(bare)) and all(assigned[n] <= 1 for n in _NAME.findall(bare))


def _has_effect(line: str) -> bool:
    """Whether a line may do more than set a local, or decide which line comes next."""
    code = _STRING.sub("''", line).strip()
    while flow := _FLOW.match(code):
        code = code[flow.end() :].lstrip()
    return bool(code) and not code.startswith("#") and not _LOCAL.match(code) and not _LEAVES.match(code)


def _is_next(found: re.Match[str], lines: list[str], i: int) -> bool:
    """Whether an object is made for the line behind it alone."""
    return found[3][:1] == "{" and i + 1 < len(lines) and lines[i + 1] == f"{found[1]}append({found[2]})"


def _loop_ends(lines: list[str]) -> list[int]:
    """For each line the first one behind it that is not run as often: outside its block, or the head of a loop."""
    ends = [len(lines)] * len(lines)
    open_lines: list[tuple[int, int]] = []  # indentation and index of lines whose end is to come
    for i, line in enumerate(lines):
        code = line.lstrip()
        indent = len(line) - len(code)
        loop = code.startswith(("for ", "while "))
        while open_lines and (loop or open_lines[-1][0] > indent):
            ends[open_lines.pop()[1]] = i
        open_lines.append((indent, i))
    return ends


def _is_deferred(line: str) -> bool:
    """Whether names in a line are read later or more often than the line is reached."""
    return " for " in line or "lambda" in line
