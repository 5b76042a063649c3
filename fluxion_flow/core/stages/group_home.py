"""The place of one logical partition's groups among those of all that a worker holds in one dict."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from typing import Any

Entries = dict[Any, list[Any]]


class Home:
    """Which groups are a partition's own, and which of them have changed.

    An entry is ``[_id, state, …, marked, changed]``: whether its key is among the changed ones, and the list of these.
    """

    __slots__ = ("_stored", "attached", "awake", "changed", "entries", "keys", "stale", "timestamp")

    def __init__(self, entries: Entries, stored: Callable[[Iterable[Any], Entries], list[list[Any]]]) -> None:
        self.entries = entries
        self._stored = stored
        self.keys: list[Any] = []
        """In the order in which they were first seen."""
        self.changed: list[Any] = []
        """The keys whose groups have changed since this was last asked, once each."""
        self.attached = False
        """Whether the groups stay here; else they leave after each batch, as partial results."""
        self.awake = False
        """Whether the owner of the partition has been told, since it last wrote its state, that there is a change."""
        self.timestamp = 0
        """The newest time of the batches that have changed a group, in milliseconds."""
        self.stale = False
        """Whether ``keys`` holds keys that are gone."""

    def own(self) -> list[Any]:
        """The keys that are held."""
        if self.stale:
            self.keys = [key for key in dict.fromkeys(self.keys) if key in self.entries]
            self.stale = False
        return self.keys

    def adopt(self, keys: Sequence[Any], new: Sequence[Any]) -> None:
        """Entries ``[_id, state, …]`` have been put in for these keys, some of which are ``new``."""
        for key in keys:
            self.entries[key] += (False, self.changed)
        self.keys += new

    def stored(self, keys: Iterable[Any]) -> list[list[Any]]:
        """The entries as they are stored: ``[_id, state, …]``."""
        return self._stored(keys, self.entries)
