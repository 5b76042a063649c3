"""Answers that are kept for a while: the least recently used leave first, empty ones and failures sooner."""

from __future__ import annotations

from collections.abc import Callable, Hashable

from cachetools import TLRUCache

from fluxion_flow.core.outside import Answer
from fluxion_flow.enrich.settings import CacheSettings


class AnswerCache:
    """Answers by question. A failure is kept only where ``negative_ttl`` says how long. ``clock`` gives seconds."""

    def __init__(self, settings: CacheSettings, clock: Callable[[], float]) -> None:
        self._settings = settings
        self._kept: TLRUCache[Hashable, Answer] = TLRUCache(settings.entries, self._until, timer=clock)

    def _until(self, key: Hashable, answer: Answer, now: float) -> float:
        settings = self._settings
        nothing = answer.error is not None or answer.value is None or answer.value == []
        ttl = settings.ttl if not nothing or settings.negative_ttl is None else settings.negative_ttl
        return now + ttl

    def get(self, key: Hashable) -> Answer | None:
        return self._kept.get(key)

    def put(self, key: Hashable, answer: Answer) -> None:
        if answer.error is None or self._settings.negative_ttl is not None:
            self._kept[key] = answer
