"""What kinds of values stand at the paths of some documents, so that the speculative tier can expect them.

A sample says nothing about other documents. Whatever is made of it stands behind a guard, and a value of another kind
sends its document to the general tier.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, Final

from ..values import MISSING
from .kinds import kind_of

ITEMS: Final = None
"""A part of a path that stands for every item of an array."""

SamplePath = tuple[str | None, ...]

MOST_ITEMS: Final = 8
"""Items of an array that are looked at."""


class Sample:
    """The kinds of values at paths of documents; what was once found is not forgotten when more documents come."""

    def __init__(self) -> None:
        self._documents: Sequence[Any] = ()
        self._kinds: dict[SamplePath, int] = {}

    def learn(self, documents: Sequence[Any]) -> bool:
        """Look at more documents; answers whether a path that was asked for holds kinds that were not known."""
        self._documents = documents
        before = dict(self._kinds)
        for path in before:
            self._kinds[path] |= self._found(path)
        return self._kinds != before

    def kinds(self, path: SamplePath) -> int:
        """The kinds found at a path, as bits of :mod:`kinds`; 0 where nothing is known."""
        if path not in self._kinds:
            self._kinds[path] = self._found(path)
        return self._kinds[path]

    def _found(self, path: SamplePath) -> int:
        found = 0
        for document in self._documents:
            for value in _at(document, path):
                found |= kind_of(value)
        return found


def _at(value: Any, path: SamplePath) -> list[Any]:
    """The values at a path; arrays are entered by :data:`ITEMS` alone."""
    values = [value]
    for part in path:
        below: list[Any] = []
        for item in values:
            if part is ITEMS:
                below += item[:MOST_ITEMS] if item.__class__ is list else [item]
            else:
                below.append(item.get(part, MISSING) if item.__class__ is dict else MISSING)
        values = below
    return values
