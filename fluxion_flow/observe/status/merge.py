"""The statuses of several processes of one run as one: numbers are added, what belongs to a process stays apart."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from typing import Any

KEPT = 20
"""Failures and dead letters of all processes that are shown."""

Status = dict[str, Any]


def merged(statuses: Sequence[Mapping[str, Any]]) -> Status:
    """One status of several. Raises :class:`ValueError` when there is none, or when they are of different pipelines."""
    if not statuses:
        raise ValueError("there is no status to show")
    first, *others = statuses
    names = {status["pipeline"] for status in statuses}
    if len(names) > 1:
        raise ValueError(f"these are different pipelines: {', '.join(sorted(names))}; ask for one at a time")
    if not others:
        return dict(first)
    return {
        **first,
        "time": max(status["time"] for status in statuses),
        "processes": sorted(
            (process for status in statuses for process in status["processes"]), key=lambda each: each["process"]
        ),
        "totals": _added(status["totals"] for status in statuses),
        "rates": _added(status["rates"] for status in statuses),
        "source": _by_name("name", [[status["source"]] for status in statuses])[0],
        "stages": _by_name("name", [status["stages"] for status in statuses]),
        "sinks": _by_name("name", [status["sinks"] for status in statuses]),
        "lag": {
            "unit": first["lag"]["unit"],
            "total": sum(status["lag"]["total"] for status in statuses),
            "partitions": {name: lag for status in statuses for name, lag in status["lag"]["partitions"].items()},
        },
        "state": _by_name("step", [status["state"] for status in statuses]),
        "watermarks": _watermarks(statuses),
        "breakers": [breaker for status in statuses for breaker in status["breakers"]],
        "enrichments": _enrichments(statuses),
        "failures": _newest("last", [_alike([status["failures"] for status in statuses])]),
        "letters": _newest("time", [status["letters"] for status in statuses]),
        "alerts": [alert for status in statuses for alert in status["alerts"]],
        "history": _history([status["history"] for status in statuses]),
    }


def _added(parts: Iterable[Mapping[str, float]]) -> dict[str, float]:
    found: dict[str, float] = {}
    for part in parts:
        for name, value in part.items():
            found[name] = found.get(name, 0.0) + value
    return found


def _by_name(key: str, lists: Sequence[Sequence[Mapping[str, Any]]]) -> list[dict[str, Any]]:
    """Entries of the same name as one; numbers add up, but a mean time is the mean of those that have one."""
    found: dict[str, dict[str, Any]] = {}
    means: dict[str, list[float]] = {}
    for entry in (entry for entries in lists for entry in entries):
        if entry.get("seconds") is not None and "delivered" in entry:
            means.setdefault(entry[key], []).append(entry["seconds"])
        known = found.get(entry[key])
        found[entry[key]] = dict(entry) if known is None else _joined(known, entry)
    for name, seconds in means.items():
        found[name]["seconds"] = sum(seconds) / len(seconds)
    return list(found.values())


def _joined(one: Mapping[str, Any], other: Mapping[str, Any]) -> dict[str, Any]:
    joined: dict[str, Any] = {}
    for name in one:
        a, b = one[name], other.get(name)
        if isinstance(a, Mapping) and isinstance(b, Mapping):
            joined[name] = _added([a, b])
        elif isinstance(a, (int, float)) and isinstance(b, (int, float)):
            joined[name] = a + b
        else:
            joined[name] = a if a is not None else b
    return joined


def _watermarks(statuses: Sequence[Mapping[str, Any]]) -> list[dict[str, Any]]:
    found: dict[str, dict[str, Any]] = {}
    for mark in (mark for status in statuses for mark in status["watermarks"]):
        known = found.get(mark["step"])
        if known is None or mark["at"] < known["at"]:
            found[mark["step"]] = {**mark, "lag": max(mark["lag"], known["lag"] if known else mark["lag"])}
    return list(found.values())


def _enrichments(statuses: Sequence[Mapping[str, Any]]) -> list[dict[str, Any]]:
    found: dict[tuple[str, str], dict[str, Any]] = {}
    for entry in (entry for status in statuses for entry in status["enrichments"]):
        key = (entry["operator"], entry["connection"])
        known = found.get(key)
        found[key] = dict(entry) if known is None else _joined(known, entry)
    return list(found.values())


def _alike(lists: Sequence[Sequence[Mapping[str, Any]]]) -> list[dict[str, Any]]:
    """Failures of the same step, class and text as one."""
    found: dict[tuple[str, str, str], dict[str, Any]] = {}
    for failure in (failure for failures in lists for failure in failures):
        key = (failure["step"], failure["class"], failure["text"])
        known = found.get(key)
        found[key] = dict(failure)
        if known is not None:
            newer = max(known, failure, key=lambda one: one["last"])
            first = min(known["first"], failure["first"])
            found[key] = {**newer, "count": known["count"] + failure["count"], "first": first}
    return list(found.values())


def _newest(key: str, lists: Sequence[Sequence[Mapping[str, Any]]]) -> list[dict[str, Any]]:
    entries = [dict(entry) for each in lists for entry in each]
    return sorted(entries, key=lambda entry: entry[key], reverse=True)[:KEPT]


def _history(histories: Sequence[Mapping[str, Sequence[float]]]) -> dict[str, list[float]]:
    """Curves of several processes added up, second by second; each second counts a process's last sample."""
    seconds = sorted({int(at) for history in histories for at in history["time"]})
    names = [name for name in histories[0] if name != "time"]
    found: dict[str, list[float]] = {"time": [float(second) for second in seconds]}
    for name in names:
        rows = [dict(zip(map(int, history["time"]), history[name], strict=True)) for history in histories]
        sums, last = [], [0.0] * len(rows)
        for second in seconds:
            last = [row.get(second, before) for row, before in zip(rows, last, strict=True)]
            sums.append(round(sum(last), 2))
        found[name] = sums
    return found
