"""The plots of the page, as SVG: the same file for the same figures."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import matplotlib as mpl
import scaling
from matplotlib import pyplot as plt

mpl.use("svg")
mpl.rcParams.update({"svg.hashsalt": "fluxion-flow", "svg.fonttype": "none", "font.size": 9, "axes.grid": True})
mpl.rcParams.update({"grid.alpha": 0.3, "axes.axisbelow": True, "axes.spines.top": False, "axes.spines.right": False})
REACHED, MISSED, TARGET = "#2a7f62", "#c0532f", "#333333"


def write_plots(folder: Path) -> None:
    """ratios.svg, scaling.svg, and soak.svg where there is a soak."""
    results = json.loads((folder / "results.json").read_text(encoding="utf-8"))
    _save(_ratios(results), folder / "ratios.svg")
    if (given := scaling.measured(results)) is not None:
        _save(_scaling(given), folder / "scaling.svg")
    soak = folder / "soak.json"
    if soak.exists():
        _save(_soak(json.loads(soak.read_text(encoding="utf-8"))), folder / "soak.svg")


def _save(figure: Any, path: Path) -> None:
    figure.savefig(path, metadata={"Date": None}, bbox_inches="tight")
    plt.close(figure)


def _ratios(results: dict[str, Any]) -> Any:
    rows = [row for bench in results["benches"] for row in bench["rows"]]
    at_least, at_most = ([row for row in rows if row["at_least"] is side] for side in (True, False))
    figure, axes = plt.subplots(
        2, 1, figsize=(9, 1.6 + 0.3 * len(rows)), height_ratios=[max(len(at_least), 1), max(len(at_most), 1)]
    )
    for axis, part, title in (
        (axes[0], at_least, "times as fast as the other side (right of the mark: reached)"),
        (axes[1], at_most, "of what the other side takes; start-up: seconds more (left of the mark: reached)"),
    ):
        for place, row in enumerate(reversed(part)):
            color = REACHED if row["reached"] else MISSED
            axis.barh(place, row["median"], color=color, height=0.6)
            axis.plot([row["low"], row["high"]], [place, place], color=TARGET, linewidth=1)
            axis.plot([row["target"]] * 2, [place - 0.42, place + 0.42], color=TARGET, linewidth=2.5)
        axis.set_yticks(range(len(part)), [f"{row['job']} | {row['beside']}" for row in reversed(part)])
        axis.set_title(title, fontsize=9, loc="left")
    if at_least:
        axes[0].set_xscale("log")
        axes[0].xaxis.set_major_formatter(lambda value, _: f"{value:g}")
    figure.tight_layout()
    return figure


def _scaling(given: scaling.Measured) -> Any:
    figure, axis = plt.subplots(figsize=(7, 4))
    workers = [1, 2, 5, 10, 20, 50, 100, 200, 500, 1000]
    found = [scaling.scaled(each, given) for each in workers]
    axis.loglog(workers, [one.stateless for one in found], marker="o", label="topic to topic, partitions enough")
    bounded = [min(one.stateless, scaling.PARTITIONS / given.stateless) for one in found]
    axis.loglog(workers, bounded, linestyle="--", label=f"topic to topic, {scaling.PARTITIONS} partitions")
    axis.loglog(workers, [one.keyed for one in found], marker="s", label="$\\$$group, file to file")
    axis.axhline(given.broker, color=TARGET, linestyle=":", label="one broker like the measured one")
    axis.set_xlabel("workers")
    axis.set_ylabel("documents a second")
    axis.legend(fontsize=8)
    return figure


def _soak(soak: dict[str, Any]) -> Any:
    figure, axes = plt.subplots(3, 1, figsize=(9, 8), sharex=True)
    for axis, what, title in (
        (axes[0], "documents_per_second", "documents a second, by the clock"),
        (axes[1], "documents_per_cpu_second", "documents a second of processor time"),
        (axes[2], "mebibytes", "resident memory, MiB"),
    ):
        for name, rows in soak["each_minute"].items():
            axis.plot(range(1, len(rows) + 1), [row[what] for row in rows], marker=".", label=name)
        for event in soak["events"]:
            broker = event["what"].startswith("broker")
            axis.axvline(
                event["minute"], color=MISSED if broker else TARGET, alpha=0.6 if broker else 0.15, linewidth=1
            )
        axis.set_ylim(bottom=0)
        axis.set_title(title, fontsize=9, loc="left")
    axes[0].legend(fontsize=8)
    axes[2].set_xlabel("minute (red: the broker restarts; grey: the copying pipeline is killed)")
    figure.tight_layout()
    return figure
