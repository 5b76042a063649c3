"""Time to live: keys that no record has touched for so long are forgotten, by the time of the records, not the clock.

A key lives until a record comes, more than ``ttl`` after the last one that it had; then it begins anew. Of keys that
do not come again the state goes once every source partition that was heard of is past that time. What happens depends
on the records alone, so a replay does the same, as long as the records of a key come from one source partition, as
those of a keyed topic do, and the times of a partition do not go back by more than ``ttl``.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from typing import Any


class Recency:
    """When each key of a part was last touched, in milliseconds of record time; ``ttl`` is in milliseconds, too."""

    def __init__(self, ttl: int, origins: dict[str, int] | None = None) -> None:
        self._ttl = ttl
        self._last: dict[Any, int] = {}
        """In the order of their last touch, so that the oldest come first."""
        self.origins: dict[str, int] = dict(origins or {})
        """The newest time of each source partition."""

    def touch(self, keys: Iterable[Any], timestamp: int, origin: str) -> tuple[list[Any], list[Any]]:
        """Records at ``timestamp`` touch ``keys``: the keys whose time was over, and those that have been touched
        more than ``ttl`` later already, for which these records come too late."""
        self.origins[origin] = max(timestamp, self.origins.get(origin, 0))
        over = self._expired(min(self.origins.values()) - self._ttl)
        late: list[Any] = []
        for key in keys:
            last = self._last.get(key)
            if last is not None:
                if timestamp < last - self._ttl:
                    late.append(key)
                    continue
                if timestamp > last + self._ttl:
                    over.append(key)
                del self._last[key]
            self._last[key] = timestamp if last is None else max(last, timestamp)
        return over, late

    def _expired(self, horizon: int) -> list[Any]:
        found: list[Any] = []
        for key, last in self._last.items():
            if last >= horizon:
                break
            found.append(key)
        for key in found:
            del self._last[key]
        return found

    def completed(self, origin: str) -> None:
        """A source partition gives no more records, and holds nothing back any more."""
        self.origins.pop(origin, None)

    def dump(self, keys: Iterable[Any]) -> list[int]:
        """The times of keys, in their order."""
        return [self._last.get(key, 0) for key in keys]

    def load(self, keys: Sequence[Any], times: Sequence[int], gone: Iterable[Any]) -> None:
        """Take over what was dumped for ``keys``; ``gone`` are those that have been forgotten since."""
        self._last.update(zip(keys, times, strict=True))
        for key in gone:
            self._last.pop(key, None)

    def loaded(self) -> None:
        """All has been taken over: put the keys in the order of their times."""
        self._last = dict(sorted(self._last.items(), key=lambda item: item[1]))
