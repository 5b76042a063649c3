"""What every enrichment is to the engine: a target to be opened, settings, and how its questions are put."""

from __future__ import annotations

import threading
from abc import ABC, abstractmethod
from collections.abc import Hashable, Sequence
from dataclasses import dataclass
from typing import Any, Protocol

from fluxion_flow.core.outside import Asker
from fluxion_flow.enrich.settings import Settings
from fluxion_flow.errors import Problems, Where


class Client(Protocol):
    """An open connection to a target, for many calls at the same time, each on a thread of its own."""

    def close(self) -> None: ...


class Target(ABC):
    """Something that calls go to: the server or database of a connection. Opening it gives a client."""

    name: str
    """What it is called in metrics and messages."""

    @property
    @abstractmethod
    def key(self) -> Hashable:
        """Targets with equal keys share a client, a cache, and a rate limit."""

    @abstractmethod
    def open(self, settings: Settings) -> Client:
        """A client. Called on a thread of calls; raises :class:`EnrichError`."""

    def check(self, where: Where, problems: Problems) -> None:  # noqa: B027
        """Add what keeps it from being opened here, such as a secret without a value. Opens nothing."""


@dataclass(frozen=True, eq=False)
class Enrichment(Asker):
    """One operator at one place in a definition.

    ``name`` is the operator's (``$httpCall``); ``identity`` tells apart the operators that share a target and whose
    equal questions do not mean the same.
    """

    name: str
    where: Where
    site: int
    target: Target
    settings: Settings
    identity: Hashable = None
    dead_letters: bool = False
    """Whether documents without an answer go to the dead letters, whatever the stage's policy says."""

    @property
    def title(self) -> str:
        return f"{self.name} to '{self.target.name}'"

    @property
    def fails_to_dead_letters(self) -> bool:
        return self.dead_letters

    @property
    def recorded(self) -> bool:
        return self.settings.record

    def check(self, problems: Problems) -> None:
        self.target.check(self.where, problems)

    @property
    def merge(self) -> int:
        """How many questions one call may take; 1: each is a call of its own."""
        return 1

    def begin(self, memory: dict[Any, Any]) -> None:
        """A batch begins."""

    def near(self, what: Any, memory: dict[Any, Any]) -> Any:
        """The answer to a question that needs no call; :class:`LookupError` where it takes one.

        ``memory`` is what the operator keeps on one worker.
        """
        raise LookupError

    def perform(self, client: Any, what: Any) -> Any:
        """Put one question. Raises what went wrong, an :class:`EnrichError` if possible."""
        (found,) = self.perform_many(client, [what])
        return found

    def perform_many(self, client: Any, whats: Sequence[Any]) -> list[Any]:
        """Put several questions in one call."""
        raise NotImplementedError

    def facts(self) -> list[str]:
        """How the calls are made, in words."""
        s = self.settings
        parts = [f"up to {s.concurrency} at the same time"]
        if s.cache is not None and self.shared:
            parts.append(f"answers are kept for {s.cache.ttl:g} s")
        if s.policy.retries is not None and s.policy.retries.max_attempts != 1:
            attempts = s.policy.retries.max_attempts
            parts.append("retried for as long as it takes" if attempts is None else f"up to {attempts} attempts")
        if s.policy.breaker is not None:
            parts.append("behind a circuit breaker")
        if s.limit is not None:
            parts.append(f"at most {s.limit.limit} in {s.limit.period:g} s")
        replay = "a replay gives the recorded answers" if s.record else "a replay may be answered differently"
        return [f"{self.title}: {', '.join(parts)}; {replay}"]


class Tally:
    """What has happened between one operator and one target since it was told last. Safe to share between threads."""

    def __init__(self, connection: str, operator: str) -> None:
        self.connection = connection
        self.operator = operator
        self.at_hand = 0
        """Questions that took no call: from the cache, or with the call of an equal question."""
        self._calls: dict[str, tuple[int, float]] = {}
        self._lock = threading.Lock()

    def called(self, outcome: str, seconds: float) -> None:
        """A call has ended."""
        with self._lock:
            calls, total = self._calls.get(outcome, (0, 0.0))
            self._calls[outcome] = (calls + 1, total + seconds)

    def facts(self) -> list[dict[str, Any]]:
        """The facts of each ``on_enrich`` to be told."""
        who = {"operator": self.operator, "connection": self.connection}
        told = [
            {**who, "seconds": seconds, "outcome": outcome, "cached": False, "calls": calls}
            for outcome, (calls, seconds) in self._calls.items()
        ]
        if self.at_hand:
            told.append({**who, "seconds": 0.0, "outcome": "ok", "cached": True, "calls": self.at_hand})
        return told
