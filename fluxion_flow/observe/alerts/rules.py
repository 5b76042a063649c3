"""What an alert watches: a measure of the run, a threshold, and for how long it must be passed."""

from __future__ import annotations

from collections import deque
from dataclasses import dataclass
from typing import Literal

Status = Literal["firing", "resolved"]

GAUGES = {
    "lag": "what the source partitions of this process hold, in the connector's unit",
    "checkpoint_age": "seconds since a checkpoint was complete everywhere",
    "watermark_lag": "seconds that the watermark is behind the clock",
    "queue": "documents that sinks have accepted and that are not yet durable",
    "open_breakers": "circuit breakers that are open",
}
COUNTS = {
    "failures": "attempts that failed",
    "retries": "attempts that were made again",
    "dead_letters": "documents that were sent to a dead-letter sink",
    "skipped": "documents that were dropped by a skipping policy",
    "late": "documents that came behind the watermark",
}
MEASURES = {**GAUGES, **{name: f"{what}, in the span of `within`" for name, what in COUNTS.items()}}
"""What can be watched, in words. Gauges are looked at as they stand; counts over the last ``within`` seconds."""

SEVERITIES = ("critical", "error", "warning", "info")
"""PagerDuty's, for all targets."""


@dataclass(frozen=True)
class AlertRule:
    """Fires when ``when`` has been above ``above`` for ``for_seconds``; ends as soon as it is not any more.

    ``when`` is one of :data:`MEASURES`, ``within`` (seconds) the span that counts are taken over. ``name`` is what
    the alert is called, ``when`` unless given. ``severity`` is one of :data:`SEVERITIES`.

    Raises :class:`ValueError` for an unknown measure or severity, and for a span that is none.
    """

    when: str
    above: float
    for_seconds: float = 0.0
    within: float = 300.0
    name: str = ""
    severity: str = "error"

    def __post_init__(self) -> None:
        if self.when not in MEASURES:
            raise ValueError(f"unknown measure {self.when!r}; known are {', '.join(MEASURES)}")
        if self.severity not in SEVERITIES:
            raise ValueError(f"unknown severity {self.severity!r}; known are {', '.join(SEVERITIES)}")
        if self.for_seconds < 0 or self.within <= 0:
            raise ValueError("for_seconds must not be negative, and within must be more than 0")
        if not self.name:
            object.__setattr__(self, "name", self.when)


class RuleState:
    """One rule in one run: whether its threshold is passed, and since when. Times are by the monotonic clock."""

    def __init__(self, rule: AlertRule) -> None:
        self.rule = rule
        self.firing = False
        self.value = 0.0
        self.since: float | None = None
        """When the threshold was passed."""
        self._totals: deque[tuple[float, float]] = deque()

    def look(self, measured: float, now: float) -> Status | None:
        """Take note of what is measured at ``now``; the answer is what is to be told, if anything.

        ``measured`` is the value of a gauge, or the count since the run's start.
        """
        self.value = self._in_span(measured, now) if self.rule.when in COUNTS else measured
        if self.value > self.rule.above:
            self.since = now if self.since is None else self.since
            if not self.firing and now - self.since >= self.rule.for_seconds:
                self.firing = True
                return "firing"
            return None
        self.since = None
        return self.end()

    def end(self) -> Status | None:
        """The alert is over, if there was one."""
        was, self.firing = self.firing, False
        return "resolved" if was else None

    def _in_span(self, total: float, now: float) -> float:
        totals = self._totals
        if not totals:
            totals.append((now - 1e-9, 0.0))  # whatever has happened before the first look belongs to the first span
        totals.append((now, total))
        while len(totals) > 1 and totals[1][0] <= now - self.rule.within:
            totals.popleft()
        return total - totals[0][1]
