"""Expected documents against those that came, and the differences in words: each with its path."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from typing import Any

from fluxion_flow.connect.encoding import to_extended
from fluxion_flow.core.values import MISSING


def differences(expected: Any, got: Any, path: str, *, subset: bool = False) -> list[str]:
    """What differs, a line each; empty: nothing. With ``subset``, fields that are not expected may be there.

    Numbers are equal by value (``1`` and ``1.0``), NaN equals NaN, true is no number.
    """
    if isinstance(expected, Mapping) and isinstance(got, Mapping):
        lines: list[str] = []
        for name, value in expected.items():
            lines += differences(value, got.get(name, MISSING), _join(path, name), subset=subset)
        if not subset:
            lines += [
                f"{_join(path, name)}: not expected, got {shown(got[name])}" for name in got if name not in expected
            ]
        return lines
    if isinstance(expected, list) and isinstance(got, list):
        lines = []
        for number, value in enumerate(expected):
            found = got[number] if number < len(got) else MISSING
            lines += differences(value, found, f"{path}[{number}]", subset=subset)
        extra = got[len(expected) :]
        return lines + [f"{path}[{n}]: not expected, got {shown(v)}" for n, v in enumerate(extra, len(expected))]
    if got is MISSING:
        return [f"{path}: expected {shown(expected)}, there is nothing"]
    return [] if _same(expected, got) else [f"{path}: expected {shown(expected)}, got {shown(got)}"]


def compare(
    expected: Sequence[Any], got: Sequence[Any], path: str, *, ordered: bool = True, subset: bool = False
) -> list[str]:
    """The differences of two lists of documents. Where the order does not matter, the most alike are compared."""
    if ordered:
        return differences(list(expected), list(got), path, subset=subset)
    left = list(enumerate(got))
    missing: list[tuple[int, Any]] = []
    for number, wanted in enumerate(expected):
        found = next((at for at in left if not differences(wanted, at[1], path, subset=subset)), None)
        if found is None:
            missing.append((number, wanted))
        else:
            left.remove(found)
    lines: list[str] = []
    for number, wanted in missing:
        place = f"{path}[{number}]"
        scored = [(len(differences(wanted, at[1], place, subset=subset)), at) for at in left]
        best = min(scored, key=lambda entry: entry[0], default=None)
        if best is not None and best[0] <= max(len(wanted) // 2, 1):
            lines += differences(wanted, best[1][1], place, subset=subset)
            left.remove(best[1])
        else:
            lines.append(f"{place}: expected {shown(wanted)}, no such document came")
    return lines + [f"{path}: not expected, got {shown(document)}" for _, document in left]


def shown(value: Any) -> str:
    """A value as JSON."""
    return json.dumps(to_extended(value), ensure_ascii=False, default=str)


def _same(expected: Any, got: Any) -> bool:
    if isinstance(expected, bool) or isinstance(got, bool):
        return expected is got
    if expected != expected:
        return bool(got != got)
    return bool(expected == got)


def _join(path: str, name: Any) -> str:
    return f"{path}.{name}" if path else str(name)
