"""A status as ``fluxion top`` draws it."""

from __future__ import annotations

import re
from collections.abc import Mapping
from typing import Any

from rich.console import Group, RenderableType
from rich.table import Table
from rich.text import Text

from .failures import redacted

BARS = "▁▂▃▄▅▆▇█"
WIDTH = 40
STYLES = {"trouble": "bold red", "look": "yellow"}
SHOWN = 5
"""Failures, dead letters and partitions that are shown."""


def view(status: Mapping[str, Any]) -> Group:
    """Everything at a glance: what needs a look first, then numbers, stages, processes, the last failures."""
    parts: list[RenderableType] = [_title(status), *_attention(status), Text(), _numbers(status), Text()]
    parts.append(_steps(status))
    parts += [Text(), _processes(status)]
    if len(status["lag"]["partitions"]) > 1:
        parts += [Text(), _lag(status)]
    if status["failures"]:
        parts += [Text(), _failures(status)]
    if status["letters"]:
        parts += [Text(), _letters(status)]
    return Group(*parts)


def _title(status: Mapping[str, Any]) -> Text:
    trouble = any(one["level"] == "trouble" for one in status["attention"])
    states = {process["state"] for process in status["processes"]}
    verdict, style = "all is well", "bold green"
    if trouble:
        verdict, style = "in trouble", STYLES["trouble"]
    elif states & {"draining", "starting", "ended"}:
        verdict, style = ", ".join(sorted(states)), STYLES["look"]
    elif status["attention"]:
        verdict, style = "needs a look", STYLES["look"]
    about = [status["environment"], *(f"{name}={value}" for name, value in status["labels"].items())]
    text = Text.assemble((status["pipeline"], "bold"), "  ", (verdict, style))
    more = " · ".join([part for part in about if part] + ([status["guarantee"]] if status["guarantee"] else []))
    return text.append(f"  {more}", "dim") if more else text


def _attention(status: Mapping[str, Any]) -> list[Text]:
    return [Text(f"  {_line(one['text'])}", STYLES[one["level"]]) for one in status["attention"]]


def _numbers(status: Mapping[str, Any]) -> Table:
    totals, rates, history = status["totals"], status["rates"], status["history"]
    table = Table.grid(padding=(0, 2))
    for kind in ("left", "right", "left", "left"):
        table.add_column(justify="right" if kind == "right" else "left", no_wrap=True)
    lag = status["lag"]
    ages = [one["checkpoint"]["age"] for one in status["processes"] if one["checkpoint"]]
    known = [age for age in ages if age is not None]
    given_up = f"{_count(totals['dead_letters'])} dead letters, {_count(totals['skipped'])} skipped"
    rows = [
        ("read", f"{_rate(rates['fetched'])} /s", f"{_count(totals['fetched'])} in all", history["fetched"]),
        ("delivered", f"{_rate(rates['delivered'])} /s", f"{_count(totals['delivered'])} in all", history["delivered"]),
        ("lag", _count(lag["total"]), f"{lag['unit'] or 'units of the source'} behind", history["lag"]),
        ("given up", f"{_rate(rates['dead_letters'] + rates['skipped'])} /s", given_up, history["dead_letters"]),
        ("retries", f"{_rate(rates['retries'])} /s", f"{_count(totals['retries'])} in all", history["retries"]),
        ("checkpoint", _span(max(known)) if known else "–", "old", []),
    ]
    for name, value, note, values in rows:
        table.add_row(Text(name, "dim"), value, Text(note, "dim"), Text(_curve(values), "blue"))
    return table


def _steps(status: Mapping[str, Any]) -> Table:
    table = _table("step", ">in /s", ">out /s", ">busy", ">dead letters", ">skipped", ">retries")
    source = _line(status["graph"]["source"]["title"])
    table.add_row(source, "", _rate(status["rates"]["fetched"]), "", *_bad(status["source"]))
    stages = {stage["name"]: stage for stage in status["stages"]}
    for step in status["graph"]["steps"]:
        for name in step["stages"]:
            stage = stages[name]
            rates = stage["rates"]
            table.add_row(_line(name), _rate(rates["in"]), _rate(rates["out"]), f"{stage['busy']:.0%}", *_bad(stage))
        for state in (one for one in status["state"] if one["step"] == step["id"]):
            keys = f"{step['id']}: {_count(state['keys'])} keys, {_bytes(state['bytes'])}"
            table.add_row(Text(keys, "dim"), "", "", "", "", "", "")
    for sink in status["sinks"]:
        table.add_row(_line(sink["name"]), _rate(sink["rate"]), "", "", *_bad(sink))
    return table


def _bad(step: Mapping[str, Any]) -> list[Text]:
    names = ("dead_letters", "skipped", "retries")
    return [
        Text(_count(step[name]) if step[name] else "–", "yellow" if step["rates"].get(name, 0) > 0 else "")
        for name in names
    ]


def _processes(status: Mapping[str, Any]) -> Table:
    table = _table(">process", "state", ">workers", "runs for", ">checkpoint", "where")
    for one in status["processes"]:
        good = one["live"] and one["state"] == "running"
        state = one["state"] if one["live"] or one["state"] != "running" else "stalled"
        age = one["checkpoint"]["age"] if one["checkpoint"] else None
        table.add_row(
            str(one["process"]),
            Text(state, "green" if good else STYLES["look" if one["live"] else "trouble"]),
            str(len(one["workers"])),
            _span(status["time"] - one["started"]) if one["started"] else "–",
            _span(age),
            f"{one['host']}, pid {one['pid']}" if one["host"] else _line(one["why"]),
        )
    return table


def _lag(status: Mapping[str, Any]) -> Table:
    table = _table("partition", f">{status['lag']['unit'] or 'lag'}")
    rows = sorted(status["lag"]["partitions"].items(), key=lambda each: -each[1])
    for name, value in rows[:SHOWN]:
        table.add_row(_line(name), _count(value))
    if len(rows) > SHOWN:
        table.add_row(f"{len(rows) - SHOWN} more", _count(sum(value for _, value in rows[SHOWN:])))
    return table


def _failures(status: Mapping[str, Any]) -> Table:
    table = _table("failed", "step", "what", ">times", "then")
    for one in status["failures"][:SHOWN]:
        what = _line(f"{one['class']}: {one['text']}")
        table.add_row(
            _ago(status, one["last"]), one["step"], what, _count(one["count"]), one["decision"].replace("_", " ")
        )
    return table


def _letters(status: Mapping[str, Any]) -> Table:
    table = _table("dead letter", "step", "why", "record")
    for one in status["letters"][:SHOWN]:
        place = ", ".join(f"{name} {value}" for name, value in one["source"].items())
        table.add_row(_ago(status, one["time"]), one["step"], _line(one["reason"]), _line(place))
    return table


def _table(*heads: str) -> Table:
    table = Table(box=None, padding=(0, 2, 0, 0), header_style="dim", pad_edge=False)
    for head in heads:
        table.add_column(head.removeprefix(">"), justify="right" if head.startswith(">") else "left")
    return table


def _line(text: str) -> str:
    """Text of the run in one line, without secrets and without control characters."""
    return re.sub(r"[\x00-\x1f\x7f]+", " ", redacted(text))


def _curve(values: list[float]) -> str:
    shown = values[-WIDTH:]
    highest = max(shown, default=0.0)
    if highest <= 0:
        return BARS[0] * len(shown)
    return "".join(BARS[min(int(value / highest * (len(BARS) - 1) + 0.5), len(BARS) - 1)] for value in shown)


def _count(value: float) -> str:
    return f"{value:,.0f}"


def _rate(value: float) -> str:
    if value == 0:
        return "0"
    return "< 0.1" if value < 0.1 else f"{value:,.1f}" if value < 10 else f"{value:,.0f}"


def _span(seconds: float | None) -> str:
    if seconds is None:
        return "–"
    if seconds < 120:
        return f"{seconds:.1f} s" if seconds < 10 else f"{seconds:.0f} s"
    return f"{seconds / 60:.0f} min" if seconds < 7200 else f"{seconds / 3600:.1f} h"


def _ago(status: Mapping[str, Any], at: float) -> str:
    seconds = status["time"] - at
    return "now" if seconds < 1 else f"{_span(seconds)} ago"


def _bytes(value: float) -> str:
    for unit in ("B", "KB", "MB", "GB"):
        if value < 1000 or unit == "GB":
            break
        value /= 1000
    return f"{value:.1f} {unit}" if unit != "B" and value < 10 else f"{value:.0f} {unit}"
