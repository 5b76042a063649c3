"""The numbers of one pipeline, read from the Prometheus series, so that the page and ``/metrics`` cannot disagree."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Mapping
from typing import Any

from ..series import Series

LETTERS_STEP = "dead_letter sink"
"""The step of the sink that dead letters go to: what it delivers are no results."""

COUNTERS = {
    "fetched": "stream_fetched_total",
    "rejected": "stream_rejected_total",
    "dead_letters": "stream_dead_letters_total",
    "skipped": "stream_skipped_total",
    "retries": "stream_retries_total",
    "failures": "stream_failures_total",
    "late": "stream_late_total",
}
BY_STEP = ("dead_letters", "skipped", "retries", "failures", "late")


class Numbers:
    """Reads what ``series`` knows of ``pipeline``."""

    def __init__(self, series: Series, pipeline: str) -> None:
        self._series = series
        self._pipeline = pipeline

    def values(self, metric: str) -> list[tuple[Mapping[str, str], float]]:
        """Labels and value of every series of a counter or a gauge."""
        return [
            (labels, value) for labels, value in self._series.values(metric) if labels["pipeline"] == self._pipeline
        ]

    def total(self, metric: str) -> float:
        return sum(value for _, value in self.values(metric))

    def by(self, metric: str, *names: str) -> dict[Any, float]:
        """The sums of a metric by labels: by one, or by tuples of several."""
        found: dict[Any, float] = defaultdict(float)
        for labels, value in self.values(metric):
            key = labels[names[0]] if len(names) == 1 else tuple(labels[name] for name in names)
            found[key] += value
        return dict(found)

    def spent(self, metric: str) -> dict[str, tuple[float, float]]:
        """Of a histogram, by step: how often, and the sum."""
        found: dict[str, tuple[float, float]] = {}
        for labels, count, total in self._series.sums(metric):
            if labels["pipeline"] == self._pipeline:
                step = labels.get("step", "")
                before = found.get(step, (0, 0.0))
                found[step] = (before[0] + count, before[1] + total)
        return found

    def counters(self) -> dict[str, float]:
        """Everything that only grows, flat: what :class:`~fluxion_flow.observe.status.history.History` keeps."""
        found = {name: self.total(metric) for name, metric in COUNTERS.items()}
        for name in BY_STEP:
            found |= {f"{name}|{step}": value for step, value in self.by(COUNTERS[name], "step").items()}
        delivered = self.by("stream_delivered_total", "step")
        found |= {f"delivered|{step}": value for step, value in delivered.items()}
        found["delivered"] = sum(value for step, value in delivered.items() if step != LETTERS_STEP)
        stages = self.by("stream_stage_documents_total", "stage", "direction")
        found |= {f"{direction}|{stage}": value for (stage, direction), value in stages.items()}
        seconds = self.by("stream_stage_seconds_total", "stage")
        found |= {f"seconds|{stage}": value for stage, value in seconds.items()}
        for kind, metric in (
            ("batch", "stream_batch_duration_seconds"),
            ("delivery", "stream_delivery_duration_seconds"),
            ("checkpoint", "stream_checkpoint_duration_seconds"),
        ):
            for step, (count, total) in self.spent(metric).items():
                found[f"{kind}_count|{step}"], found[f"{kind}_seconds|{step}"] = count, total
        found["lag"] = self.total("stream_lag")
        return found
