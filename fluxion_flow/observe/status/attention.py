"""What of a status needs a look: the page and ``fluxion top`` say the same."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any, Literal

Level = Literal["trouble", "look"]

OLD_CHECKPOINT = 120.0
"""Seconds after which a checkpoint is called old."""

GROWN = 1.5
"""A lag is said to grow when it is so many times what it was a minute ago, and :data:`NOTABLE` at least."""

NOTABLE = 1000.0
MINUTE = 60.0
MOST = 0.5
"""Share of the workers' time from which on a step is said to be what takes it."""


def attention(status: Mapping[str, Any]) -> list[dict[str, str]]:
    """What needs a look, the worst first: ``level`` (``trouble`` or ``look``) and ``text``. Empty: all is well."""
    found: list[tuple[Level, str]] = []
    for process in status["processes"]:
        name = f"process {process['process']}: " if len(status["processes"]) > 1 else ""
        if process["state"] in ("failing", "no answer") or not process["live"]:
            found.append(("trouble", f"{name}{process['why']}"))
    found += [("trouble", _alert(alert)) for alert in status["alerts"]]
    for breaker in status["breakers"]:
        if breaker["state"] != "closed":
            found.append(("trouble", f"{breaker['step']}: circuit breaker {breaker['name']!r} is {breaker['state']}"))
    for step in (status["source"], *status["stages"], *status["sinks"]):
        found += _step(step, status)
    ages = [p["checkpoint"]["age"] for p in status["processes"] if p["checkpoint"] and p["checkpoint"]["age"]]
    if ages and max(ages) > OLD_CHECKPOINT:
        found.append(("look", f"the last checkpoint is {max(ages):,.0f} s old"))
    found += _lag(status)
    found.sort(key=lambda each: each[0] != "trouble")
    return [{"level": level, "text": text} for level, text in found]


def attended(status: Mapping[str, Any]) -> dict[str, Any]:
    """The status with what needs a look in it."""
    return {**status, "attention": attention(status)}


def _alert(alert: Mapping[str, Any]) -> str:
    return f"alert {alert['alert']}: {alert['measure']} is {alert['value']:,.6g}, above {alert['above']:,.6g}"


def _step(step: Mapping[str, Any], status: Mapping[str, Any]) -> list[tuple[Level, str]]:
    rates, name = step["rates"], step["name"]
    found: list[tuple[Level, str]] = []
    if rates["retries"] > 0:
        found.append(("trouble", f"{name} is tried again and again{_why(name, status['failures'])}"))
    elif rates["failures"] > rates["dead_letters"] + rates["skipped"] and name == "source":
        found.append(("trouble", f"{name} fails again and again{_why(name, status['failures'])}"))
    if rates["dead_letters"] > 0:
        found.append(("look", f"{name}: {_per_second(rates['dead_letters'])} go to the dead letters"))
    if rates["skipped"] > 0:
        found.append(("look", f"{name}: {_per_second(rates['skipped'])} are skipped"))
    return found


def _why(step: str, failures: Sequence[Mapping[str, Any]]) -> str:
    last = next((failure for failure in failures if failure["step"] == step), None)
    return "" if last is None else f": {last['class']}: {last['text']}"


def _per_second(rate: float) -> str:
    return f"{rate:,.1f} documents a second" if rate < 10 else f"{rate:,.0f} documents a second"


def _lag(status: Mapping[str, Any]) -> list[tuple[Level, str]]:
    history, unit = status["history"], status["lag"]["unit"]
    times, lags = history["time"], history["lag"]
    if not times or times[-1] - times[0] < MINUTE / 2:
        return []
    before = next(lag for at, lag in zip(times, lags, strict=True) if at >= times[-1] - MINUTE)
    now = lags[-1]
    if now >= NOTABLE and now > before * GROWN:
        what = f"{now:,.0f} {unit}".strip()
        return [("look", f"the lag grows: {what} now, {before:,.0f} a minute ago{_slowest(status)}")]
    return []


def _slowest(status: Mapping[str, Any]) -> str:
    """The step that the workers spend most of their time in, when it is most of it."""
    workers = sum(len(process["workers"]) for process in status["processes"]) or 1
    step = max((*status["stages"], *status["sinks"]), key=lambda each: each["busy"], default=None)
    share = step["busy"] / workers if step is not None else 0.0
    if step is None or share < MOST:
        return ""
    batch = f", {step['seconds']:.2g} s a batch" if "delivered" in step and step["seconds"] is not None else ""
    return f"; {step['name']} takes {min(share, 1.0):.0%} of the time{batch}"
