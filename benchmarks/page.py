"""The page docs/benchmarks.md, from docs/benchmarks/results.json and soak.json: the same text for the same figures."""

# ruff: noqa: E501 - prose, a sentence a line

from __future__ import annotations

import json
import re
from pathlib import Path
from statistics import median
from typing import Any

import scaling

HEAD = """# Benchmarks

How fast a definition is beside what people would write by hand, how near to the limit, and that it stays so. This page is
written by `make bench` from what it measured (`docs/benchmarks/results.json`); nothing here is typed in.

Both sides of a comparison run on the same machine, by turns, several rounds. A ratio is that of one round; the page shows
the median and the range of the rounds. The outputs of both sides are compared before any time counts. Rivals are written
as their documentation teaches: `benchmarks/rivals`, `benchmarks/kafka_sides`. Quix Streams and Faust have environments of
their own, made by the benchmark, because their requirements would constrain ours.
"""


def text(folder: Path) -> str:
    """The page as Markdown."""
    results = json.loads((folder / "results.json").read_text(encoding="utf-8"))
    soak_file = folder / "soak.json"
    lines = [HEAD, *_machine(results), *_rows(results), *_limits(results)]
    if soak_file.exists():
        lines += _soak(json.loads(soak_file.read_text(encoding="utf-8")))
    lines += scaling.section(results)
    lines += [
        "## Doing it again",
        "",
        "`make bench` measures everything and writes this page; `BENCH_ARGS=--quick` looks whether everything works, "
        "`BENCH_ARGS=--long` takes 10,000,000 documents for memory. It needs the extra `bench`, and for Kafka Java and Maven. "
        "`python benchmarks/soak_endurance.py --minutes 30 --write docs/benchmarks/soak.json` is the soak.",
        "",
    ]
    return "\n".join(lines)


THREE = (
    (
        "files → match+set+project → files",
        "Bytewax by hand, orjson",
        "from file to file {:.1f} times as fast as Bytewax by hand with orjson",
    ),
    ("Kafka → stages → Kafka, acks=all", "Bytewax by hand, orjson", "from topic to topic in Kafka {:.1f} times"),
    (
        "tumbling window, 1,000 keys",
        "Bytewax's fold_window, tuned",
        "in windows {:.1f} times as fast as its `fold_window`, tuned",
    ),
)
"""The rows whose medians stand in the README, with their words."""
_README = re.compile(r"(<!-- benchmarks -->\n).*?(<!-- end -->)", re.DOTALL)


def in_readme(readme: str, folder: Path) -> str:
    """The README's text with the three numbers of the results. Raises ``StopIteration`` where one was not measured."""
    results = json.loads((folder / "results.json").read_text(encoding="utf-8"))
    rows = [row for bench in results["benches"] for row in bench["rows"]]
    said = [
        words.format(next(row["median"] for row in rows if (row["job"], row["beside"]) == (job, beside)))
        for job, beside, words in THREE
    ]
    line = f"Measured side by side: {', '.join(said)} ([how, and where the limits are](docs/benchmarks.md))."
    return _README.sub(lambda match: f"{match[1]}{line}\n{match[2]}", readme)


def write(folder: Path) -> None:
    """Write the page beside ``folder``, its plots into it, and its three numbers into the README."""
    (folder.parent / "benchmarks.md").write_text(text(folder), encoding="utf-8")
    readme = folder.parents[1] / "README.md"
    readme.write_text(in_readme(readme.read_text(encoding="utf-8"), folder), encoding="utf-8")
    from plots import write_plots

    write_plots(folder)


def _machine(results: dict[str, Any]) -> list[str]:
    machine = results["machine"]
    versions = ", ".join(f"{name} {version}" for name, version in machine["versions"].items())
    load = f"{machine['load']}" + (f" before and {machine['load_after']} after" if "load_after" in machine else "")
    quick = (
        "**These figures are of a quick look (`--quick`): small jobs, one round. They are no measurements to go by.** "
    )
    return [
        f"{quick if results['quick'] else ''}Measured {machine['date']} on {machine['cpu']}, {machine['cores']} cores, {machine['memory_gib']} GiB, load {load}; "
        f"{machine['python']} on {machine['system']}; {versions}.",
        "",
    ]


def _rows(results: dict[str, Any]) -> list[str]:
    lines = [
        "## What was measured",
        "",
        "![Ratios and targets](benchmarks/ratios.svg)",
        "",
        "`≥`: how many times as fast we are. `≤`: what we take of what the other side takes.",
        "",
        "| job | beside | to reach | median (range) | | ours | theirs |",
        "| --- | --- | ---: | ---: | --- | ---: | ---: |",
    ]
    notes: list[str] = []
    for bench in results["benches"]:
        for row in bench["rows"]:
            if row["note"] and row["note"] not in notes:
                notes.append(row["note"])
            number = f" [{notes.index(row['note']) + 1}]" if row["note"] else ""
            unit = f" {row['unit']}" if row["unit"] else ""
            lines.append(
                f"| {row['job']}{number} | {row['beside']} | {'≥' if row['at_least'] else '≤'} {row['target']:g}{unit} | "
                f"**{row['median']:.2f}** ({row['low']:.2f} – {row['high']:.2f}) | "
                f"{'reached' if row['reached'] else 'not reached'} | {row['ours']} | {row['theirs']} |"
            )
    lines += ["", "How:", "", *(f"{number}. {note}" for number, note in enumerate(notes, 1)), ""]
    failures = [bench for bench in results["benches"] if bench["failure"]]
    if failures:
        lines += ["Not measured, or not all of it:", ""]
        lines += [f"- `{bench['bench']}`: {bench['failure'].splitlines()[0]}" for bench in failures]
        lines.append("")
    return lines


def _limits(results: dict[str, Any]) -> list[str]:
    """Why targets were not reached: the limit beside what was reached."""
    rows = [row for bench in results["benches"] for row in bench["rows"]]
    missed = [row for row in rows if not row["reached"]]
    lines = ["## Where the limits are", "", *_costs(rows)]
    if not missed:
        return [*lines, "All targets were reached.", ""]
    lines += [f"{len(missed)} of {len(rows)} targets were not reached:", ""]
    for row in missed:
        limit = _limit_of(row, rows)
        lines.append(
            f"- {row['job']}, beside {row['beside']}: {row['median']:.2f} instead of {row['target']:g}. {limit}".rstrip()
        )
    return [*lines, ""]


def _costs(rows: list[dict[str, Any]]) -> list[str]:
    """What the libraries below cost by themselves, beside what a document costs in all."""
    lines: list[str] = []
    flows = [row for row in rows if "decode_microseconds" in row["facts"]]
    if flows:
        facts = flows[0]["facts"]
        lines += [
            f"From file to file, an order of `{flows[0]['job']}` takes {facts['our_microseconds']:.2f} µs in all. To decode it into a "
            f"whole document with msgspec, and nothing else, takes {facts['decode_microseconds']:.2f} µs, on both sides of the "
            "comparison with the plain loop. Fewer fields than all are decoded where the stages need no more, and nothing is "
            "where DuckDB reads columns: it makes no Python objects.",
            "",
        ]
    kafka = [row for row in rows if "consume_microseconds" in row["facts"]]
    if kafka:
        facts = kafka[0]["facts"]
        lines += [
            f"From topic to topic, a message takes {facts['our_microseconds']:.2f} µs by the clock. The client library's binding alone "
            f"takes {facts['consume_microseconds']:.2f} µs of the calling thread to hand a message over and "
            f"{facts['produce_microseconds']:.2f} µs to take one; its own threads and the broker run on the same cores beside that. "
            "The bare loop does only this and JSON: it is the limit of a Python process on this library.",
            "",
        ]
    return lines


def _beside(row: dict[str, Any], rival: str, rows: list[dict[str, Any]]) -> dict[str, Any] | None:
    """The row of the same job beside the rival whose name begins so."""
    return next((one for one in rows if one["job"] == row["job"] and one["beside"].startswith(rival)), None)


def _limit_of(row: dict[str, Any], rows: list[dict[str, Any]]) -> str:
    """What the limit of a missed row was measured to be."""
    if row["job"].startswith("Kafka → stages"):
        loop = _beside(row, "bare loop", rows)
        if loop is None:
            return ""
        if row is loop:
            return "This is what batches, positions, policies and metrics cost beside a loop that has none of them."
        facts, most = row["facts"], row["facts"]["their_microseconds"] / loop["facts"]["their_microseconds"]
        if most < row["median"]:
            binding = facts["consume_microseconds"] + facts["produce_microseconds"]
            return (
                f"The bare loop is {most:.2f} times as fast as {row['beside']}, we are faster than both. Of our "
                f"{facts['our_microseconds']:.2f} µs the client library's binding alone takes {binding:.2f}; its threads and the "
                "broker run on the same cores."
            )
        return (
            f"The bare loop, which does nothing else, is {most:.2f} times as fast as {row['beside']}: with this client library, "
            "and the broker on the same cores, nobody is faster."
        )
    if row["job"].startswith("files") and "two processes" not in row["job"]:
        return _limit_of_files(row, rows)
    if "base_mebibytes" in row["facts"]:
        facts = row["facts"]
        return (
            f"Over {facts['base_documents']:,.0f} documents, when all modules are loaded, it is {facts['base_mebibytes']:.0f} MiB "
            f"beside {facts['their_base_mebibytes']:.0f}; the rest came with the documents."
        )
    if "a checkpoint every second" in row["job"]:
        spent = row["facts"]["microseconds"]
        return (
            f"Pickling the keys that have changed, and writing them, takes {spent * (row['median'] - 1):.2f} µs an event, of a job "
            f"that takes {spent:.2f}."
        )
    if "more_processor_seconds" in row["facts"]:
        return f"In processor time it is {row['facts']['more_processor_seconds']:.2f} s more: what is imported and compiled."
    if row["low"] <= row["target"] <= row["high"]:
        return "The rounds lie on both sides of the target."
    return ""


def _limit_of_files(row: dict[str, Any], rows: list[dict[str, Any]]) -> str:
    """The limit of a flow from file to file: what the rival's other rivals reach, and what parts of the work cost."""
    facts = row["facts"]
    theirs = facts["our_microseconds"] * row["median"]
    if row["beside"].startswith("decode and re-encode"):
        most = theirs / facts["decode_microseconds"]
        return (
            f"The loop takes {theirs:.2f} µs an order, {facts['decode_microseconds']:.2f} of them to decode it: nobody who "
            f"decodes whole orders is more than {most:.2f} times as fast."
        )
    if row["beside"].startswith("the same compiled code"):
        return (
            f"A run adds {facts['our_microseconds'] - theirs:.2f} µs an order: batches, places, policies, the state's steps, "
            "delivery, and what each run has to begin and end."
        )
    of = "the same compiled code" if row["beside"].startswith("best plain") else "best plain"
    other = _beside(row, of, rows)
    if other is None:
        return ""
    most = row["median"] / other["median"]
    if row["beside"].startswith("best plain"):
        return (
            f"The same compiled code without Bytewax reaches {most:.2f} of the loop, which checks no types and adds doubles "
            "as they come; the rest is what a run adds."
        )
    if row["beside"].startswith("DuckDB"):
        return f"The best plain Python loop reaches {most:.2f} of DuckDB, which makes no objects of documents."
    return f"The best plain loop, without an engine, is {most:.2f} times as fast as {row['beside']}."


def _soak(soak: dict[str, Any]) -> list[str]:
    verdict = soak["verdict"]
    wrong = {what: number for what, number in verdict.items() if number and what != "windows_still_open"}
    lines = [
        "## Endurance",
        "",
        f"{soak['minutes']:g} minutes on a real broker, at {soak['rate']:,} messages a second: {soak['messages']:,} messages, "
        f"{soak['poison']:,} of them poison. A pipeline from topic to topic, in transactions, was killed {soak['kills']} times "
        f"with SIGKILL; one with tumbling windows lived all the time; the broker was restarted {soak['broker_restarts']} times, "
        "every other time with SIGKILL. Measured "
        f"{soak['machine']['date']}, load {soak['machine']['load']} at the end.",
        "",
        "Nothing was lost, and nothing repeated: every order came once, every closed window held what its orders give, every "
        "poison message was a dead letter of each pipeline once."
        if not wrong
        else f"Not as it must be: {', '.join(f'{what} {number}' for what, number in wrong.items())}.",
        "",
        "![Each minute of the soak](benchmarks/soak.svg)",
        "",
        "| pipeline | documents a CPU second, first third | last third | MiB, first third | last third |",
        "| --- | ---: | ---: | ---: | ---: |",
    ]
    for name, rows in soak["each_minute"].items():
        third = max(len(rows) // 3, 1)
        cells = []
        for what in ("documents_per_cpu_second", "mebibytes"):
            for part in (rows[:third], rows[-third:]):
                known = [row[what] for row in part if row[what] is not None]
                cells.append(f"{median(known):,.0f}" if known else "–")
        lines.append(f"| {name} | {' | '.join(cells)} |")
    return [*lines, ""]
