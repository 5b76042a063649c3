"""Reads that are used once go to where they are used, as one would write them by hand.

Only for the speculative tier: there a line that raises has no place in the definition to name, because the general tier
does the document again, and documents never change, so that a read may come later.
"""

from __future__ import annotations

import re
from collections import Counter

_STRING = re.compile(r"""('(?:[^'\\]|\\.)*'|"(?:[^"\\]|\\.)*")""")
_NAME = re.compile(r"\b[a-z]\d+\b")
_ASSIGNED = re.compile(r"( *)([a-z]\d+) = (.+)")
_READ = re.compile(r"""([a-z]\d*)(?:\[(?:'(?:[^'\\]|\\.)*'|"(?:[^"\\]|\\.)*")\])+""")
_COMPARED = re.compile(r"([a-z]\d+) (?:[<>]=?|==|!=) -?[\d.]+")


def tidied(lines: list[str]) -> tuple[list[str], list[int]]:
    """The lines of a function's body with single-use reads moved, and the index that each line had before."""
    uses: Counter[str] = Counter()
    assigned: Counter[str] = Counter()
    for line in lines:
        found = _ASSIGNED.fullmatch(line)
        if found:
            assigned[found[2]] += 1
        uses.update(_NAME.findall(_STRING.sub("''", line)))
    once = {name for name in uses if uses[name] == 2 and assigned[name] == 1}
    held: dict[str, str] = {}
    kept: list[str] = []
    origins: list[int] = []
    for i, line in enumerate(lines):
        line = _filled(line, held)
        found = _ASSIGNED.fullmatch(line)
        if (
            found
            and found[2] in once
            and (_is_next(found, lines, i) or (_may_move(found[3], assigned) and _is_in_reach(found[2], lines, i)))
        ):
            held[found[2]] = found[3]
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


def _may_move(code: str, assigned: Counter[str]) -> bool:
    """Whether code means the same later on: a read of a document, or a comparison with a number, of a settled name."""
    found = _READ.fullmatch(code) or _COMPARED.fullmatch(code)
    return found is not None and assigned[found[1]] <= 1


def _is_next(found: re.Match[str], lines: list[str], i: int) -> bool:
    """Whether an object is made for the line behind it alone."""
    return found[3][:1] == "{" and i + 1 < len(lines) and lines[i + 1] == f"{found[1]}append({found[2]})"


def _is_in_reach(name: str, lines: list[str], start: int) -> bool:
    """Whether the use of a name follows in the same loop, so that it is not read more often than before, and is no
    target of an assignment."""
    indent = len(lines[start]) - len(lines[start].lstrip())
    for line in lines[start + 1 :]:
        if len(line) - len(line.lstrip()) < indent or line.lstrip().startswith(("for ", "while ")):
            return False
        if name in _NAME.findall(_STRING.sub("''", line)):
            return " for " not in line and "lambda" not in line
    return False
