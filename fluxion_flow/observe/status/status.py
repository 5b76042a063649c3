"""The status of one process of a run, as plain data: what the page, ``fluxion top`` and ``/status.json`` show."""

from __future__ import annotations

import os
import socket
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from ...connect.secrets import redact
from .history import History, Sample
from .journal import Journal
from .numbers import BY_STEP, LETTERS_STEP, Numbers

VERSION = 1
"""Of the status as JSON."""


@dataclass(frozen=True)
class Facts:
    """What does not change during a run.

    ``process`` is this process's number of ``processes``, ``workers`` how many workers each has. ``graph`` is the
    pipeline: ``source``, ``steps`` and ``sinks``, each with a title and the names of its stages. ``lag_unit`` is what
    the source counts its lag in. ``store`` is the checkpoint store that is held, if any.
    """

    pipeline: str
    version: str
    graph: Mapping[str, Any]
    guarantee: str = ""
    environment: str = ""
    labels: Mapping[str, str] = field(default_factory=dict)
    process: int = 0
    processes: int = 1
    workers: int = 1
    lag_unit: str = ""
    store: str = ""
    stalled_after: float = 300.0


class Status:
    """Makes the status of this process. ``silence()`` says for how long the slowest worker has made no progress.

    ``parts()`` is the number of source partitions that this process has, ``alerts()`` the alerts that fire.
    """

    def __init__(
        self,
        facts: Facts,
        numbers: Numbers,
        journal: Journal,
        history: History,
        silence: Callable[[], float],
        parts: Callable[[], int],
        alerts: Callable[[], Sequence[Mapping[str, Any]]] = list,
    ) -> None:
        self.facts = facts
        self.history = history
        self._numbers = numbers
        self._journal = journal
        self._silence = silence
        self._parts = parts
        self._alerts = alerts

    def live(self) -> tuple[bool, str]:
        """Whether the workers make progress, and what is known of it."""
        silence = self._silence()
        if silence > self.facts.stalled_after:
            return False, f"a worker has made no progress for {silence:.0f} s"
        return True, "the workers make progress"

    def ready(self) -> tuple[bool, str]:
        """Whether this process is at work: all workers built, every source partition open, and not about to end."""
        journal, facts = self._journal, self.facts
        if journal.failed:
            return False, "the run fails"
        if len(journal.ended) >= facts.workers:
            return False, "the run has ended"
        if journal.draining:
            return False, "the run is draining"
        if len(journal.workers) < facts.workers:
            return False, f"{len(journal.workers)} of {facts.workers} workers are built"
        opened, parts = len(journal.opened), self._parts()
        if opened < parts:
            return False, f"{opened} of {parts} source partitions are open"
        return True, "at work"

    def state(self) -> str:
        """``starting``, ``running``, ``draining``, ``failing`` or ``ended``."""
        if self._journal.failed:
            return "failing"
        if len(self._journal.ended) >= self.facts.workers:
            return "ended"
        if self._journal.draining:
            return "draining"
        return "running" if self.ready()[0] else "starting"

    def to_dict(self) -> dict[str, Any]:
        """The status of this moment. Secrets are taken out of every text."""
        sample = self.history.sample()
        rate = self.history.rates(sample)
        facts, journal = self.facts, self._journal
        live, ready = self.live(), self.ready()
        sources = ("source", *facts.graph.get("streams", ()))
        return {
            "version": VERSION,
            "pipeline": facts.pipeline,
            "pipelineVersion": facts.version,
            "environment": redact(facts.environment),
            "labels": {name: redact(str(value)) for name, value in facts.labels.items()},
            "guarantee": facts.guarantee,
            "graph": facts.graph,
            "time": sample.wall,
            "processes": [
                {
                    "process": facts.process,
                    "of": facts.processes,
                    "host": socket.gethostname(),
                    "pid": os.getpid(),
                    "started": journal.started,
                    "workers": sorted(journal.workers),
                    "state": self.state(),
                    "live": live[0],
                    "ready": ready[0],
                    "why": journal.failed or (ready[1] if live[0] else live[1]),
                    "store": facts.store,
                    **self._checkpoints(sample, rate),
                }
            ],
            "totals": self._totals(sample),
            "rates": self._rates(rate),
            "source": {
                "name": "source",
                **{name: sum(sample.values.get(f"{name}|{step}", 0.0) for step in sources) for name in BY_STEP},
                "rates": {name: sum(rate(f"{name}|{step}") for step in sources) for name in BY_STEP},
            },
            "stages": self._stages(sample, rate),
            "sinks": self._sinks(sample, rate),
            "lag": {
                "unit": facts.lag_unit,
                "total": sample.values["lag"],
                "partitions": self._numbers.by("stream_lag", "partition"),
            },
            "state": self._keyed(),
            "watermarks": self._watermarks(),
            "breakers": self._breakers(),
            "enrichments": self._enrichments(),
            "failures": journal.failures(),
            "letters": journal.letters(),
            "alerts": list(self._alerts()),
            "history": self.history.series(),
        }

    def _totals(self, sample: Sample) -> dict[str, float]:
        names = ("fetched", "rejected", "delivered", *BY_STEP)
        return {name: sample.values.get(name, 0.0) for name in names}

    def _rates(self, rate: Callable[[str], float]) -> dict[str, float]:
        return {name: rate(name) for name in ("fetched", "rejected", "delivered", *BY_STEP)}

    def _checkpoints(self, sample: Sample, rate: Callable[[str], float]) -> dict[str, Any]:
        numbers = self._numbers
        ages = [value for _, value in numbers.values("stream_checkpoint_age_seconds")]
        made = [value for _, value in numbers.values("stream_checkpoint_timestamp_seconds")]
        return {
            "checkpoint": {
                "age": max(ages) if ages else None,
                "at": max(made) if made else None,
                "seconds": _mean("checkpoint", "", sample, rate),
            }
        }

    def _stages(self, sample: Sample, rate: Callable[[str], float]) -> list[dict[str, Any]]:
        """Every stage and keyed step of the graph, in order."""
        found = []
        for step in self.facts.graph["steps"]:
            for name in step["stages"]:
                values = {way: sample.values.get(f"{way}|{name}", 0.0) for way in ("in", "out", "seconds", *BY_STEP)}
                rates = {way: rate(f"{way}|{name}") for way in ("in", "out", *BY_STEP)}
                found.append({"name": name, **values, "rates": rates, "busy": rate(f"seconds|{name}")})
        return found

    def _sinks(self, sample: Sample, rate: Callable[[str], float]) -> list[dict[str, Any]]:
        queues = self._numbers.by("stream_queue_documents", "step")
        steps = [sink["name"] for sink in self.facts.graph["sinks"]]
        if f"delivered|{LETTERS_STEP}" in sample.values or self.facts.graph.get("deadLetters"):
            steps.append(LETTERS_STEP)
        return [
            {
                "name": step,
                "delivered": sample.values.get(f"delivered|{step}", 0.0),
                "rate": rate(f"delivered|{step}"),
                "queue": queues.get(step, 0.0),
                "seconds": _mean("delivery", step, sample, rate),
                "busy": rate(f"delivery_seconds|{step}"),
                **{name: sample.values.get(f"{name}|{step}", 0.0) for name in BY_STEP},
                "rates": {name: rate(f"{name}|{step}") for name in BY_STEP},
            }
            for step in steps
        ]

    def _keyed(self) -> list[dict[str, Any]]:
        keys = self._numbers.by("stream_state_size_keys", "step")
        size = self._numbers.by("stream_state_size_bytes", "step")
        return [{"step": step, "keys": keys[step], "bytes": size.get(step, 0.0)} for step in keys]

    def _watermarks(self) -> list[dict[str, Any]]:
        lags: dict[str, float] = {}
        for labels, value in self._numbers.values("stream_watermark_lag_seconds"):
            lags[labels["step"]] = max(value, lags.get(labels["step"], value))
        marks: dict[str, float] = {}
        for labels, value in self._numbers.values("stream_watermark_timestamp_seconds"):
            marks[labels["step"]] = min(value, marks.get(labels["step"], value))
        return [{"step": step, "at": at, "lag": lags.get(step, 0.0)} for step, at in marks.items()]

    def _breakers(self) -> list[dict[str, Any]]:
        return [
            {"step": labels["step"], "name": labels["breaker"], "state": labels["state"], "worker": labels["worker"]}
            for labels, value in self._numbers.values("stream_breaker_state")
            if value == 1.0
        ]

    def _enrichments(self) -> list[dict[str, Any]]:
        calls = self._numbers.by("stream_enrich_total", "operator", "connection", "outcome", "cached")
        found: dict[tuple[str, str], dict[str, Any]] = {}
        for (operator, connection, outcome, cached), number in calls.items():
            entry = found.setdefault(
                (operator, connection), {"operator": operator, "connection": connection, "cached": 0.0, "outcomes": {}}
            )
            entry["outcomes"][outcome] = entry["outcomes"].get(outcome, 0.0) + number
            entry["cached"] += number if cached == "true" else 0.0
        return list(found.values())


def _mean(kind: str, step: str, sample: Sample, rate: Callable[[str], float]) -> float | None:
    """Seconds that one took on average: of those of the last seconds, else of all; ``None`` when there was none."""
    count, spent = rate(f"{kind}_count|{step}"), rate(f"{kind}_seconds|{step}")
    if not count:
        count, spent = (sample.values.get(f"{kind}_{what}|{step}", 0.0) for what in ("count", "seconds"))
    return spent / count if count else None
