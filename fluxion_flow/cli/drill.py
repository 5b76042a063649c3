"""``fluxion drill``: failures on purpose, against a copy of a pipeline whose source and sinks are mocked."""

from __future__ import annotations

import json
from collections import Counter
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Any

import click

from .failures import FAILED, json_option, print_json, redacted

if TYPE_CHECKING:
    from ..testing import FlowResult, FlowTester

DOCUMENTS = 60


@dataclass
class Exercise:
    """One exercise: what was done to the pipeline, what came of it, and whether nothing was lost."""

    name: str
    done: str
    came: str
    ok: bool

    @property
    def verdict(self) -> str:
        return "ok" if self.ok else "LOST"


@click.command("drill")
@click.argument("target")
@click.option("--input", "input_", metavar="FILE", help="JSON Lines to run; unless given, the start of its own source.")
@click.option(
    "-n", "--limit", type=click.IntRange(min=4), default=DOCUMENTS, show_default=True, help="Documents to use."
)
@json_option
@click.pass_context
def command(ctx: click.Context, target: str, input_: str | None, limit: int, as_json: bool) -> None:
    """Drill failures on a copy of a pipeline, and report what its policies make of them.

    The stages, error policies and settings are the pipeline's own; its source, sinks and dead-letter sinks are mocked,
    and waits are cut short: nothing real is touched. The exercises: a read and a write that fail (retries), records and
    documents that nobody can take (dead letters), a sink that is down (breaker), and a kill -9 (resume). In each,
    every document must be delivered, dead-lettered or skipped by policy, or be delivered by the next run.

    \b
    Exit codes: 0 nothing was lost; 1 something was, or the documents cannot be run; 2 the pipeline is wrong
    """
    from ..testing import FlowTester
    from . import loading
    from .verify import documents_of

    plan = loading.plan(target)
    documents = documents_of(plan, input_, limit)
    tester = FlowTester(replace(plan.definition, listeners=()))
    plain = tester.run(_source(documents), batch_size=5)
    exercises = [
        _transient(tester, documents, plain),
        _poison(tester, documents, plain),
        _down(tester, documents, plain),
        _killed(tester, documents, plain),
    ]
    ok = all(exercise.ok for exercise in exercises)
    if as_json:
        rows = [{"exercise": e.name, "done": e.done, "came": redacted(e.came), "ok": e.ok} for e in exercises]
        print_json({"ok": ok, "documents": len(documents), "exercises": rows})
    else:
        from .tables import print_rows

        click.echo(f"{plan.definition.name}: {len(documents)} documents, {_outcome(plain)} when nothing fails")
        print_rows(
            ("exercise", "done to it", "nothing lost", "what came of it"),
            [(e.name, e.done, e.verdict, e.came) for e in exercises],
        )
    ctx.exit(0 if ok else FAILED)


def _source(documents: list[Any]) -> dict[str, list[Any]]:
    half = len(documents) // 2
    return {"00000": documents[:half], "00001": documents[half:]}


def _transient(tester: FlowTester, documents: list[Any], plain: FlowResult) -> Exercise:
    from ..testing import SinkRules

    name = tester.definition.sink_names()[0]
    result = tester.run(_source(documents), batch_size=5, fail_reads=[2], sinks={name: SinkRules(fail_writes=(1,))})
    came = _outcome(result)
    if result.error:
        came = f"the run ends, as its policy says: {result.error}; the next run resumes"
    return Exercise(
        "retries", "one read and one write fail once", came, bool(result.error) or _accounted(result, plain)
    )


def _poison(tester: FlowTester, documents: list[Any], plain: FlowResult) -> Exercise:
    from ..testing.mocks import RAW

    source = _source(documents)
    source["00000"] = [{RAW: "{poison"}, *source["00000"]]
    result = tester.run(source, batch_size=5)
    steps = Counter(letter["operatorName"] for letter in result.dead_letters)
    told = ", ".join(f"{count} at {step}" for step, count in steps.items())
    came = f"{_outcome(result)}{f' ({told})' if told else ''}"
    ok = _accounted(result, plain, extra=1)
    if result.error:
        came, ok = f"the run ends, as its policy says, and the next one ends there too: {result.error}", True
    return Exercise("dead letters", "a record that is no JSON", came, ok)


def _down(tester: FlowTester, documents: list[Any], plain: FlowResult) -> Exercise:
    from ..testing import SinkRules

    name = tester.definition.sink_names()[0]
    result = tester.run(_source(documents), batch_size=5, sinks={name: SinkRules(fail=15)})
    heard = result.listener.told("on_breaker")
    states = [told["after"] for told in heard if told["before"] != told["after"]]
    came = _outcome(result) + (f"; breaker: {' → '.join(states)}" if states else "; no breaker was asked or opened")
    ok = _accounted(result, plain)
    if result.error:
        came, ok = f"the run ends, as its policy says: {result.error}; the next run resumes", True
    return Exercise("breaker", f"sink {name!r} fails 15 writes", came, ok)


def _killed(tester: FlowTester, documents: list[Any], plain: FlowResult) -> Exercise:
    third = max(len(documents) // 3, 1)
    result = tester.run(_source(documents), batch_size=5, crash_after=[third, third])
    same = {name: _bag(found) for name, found in result.outputs.items()} == {
        name: _bag(found) for name, found in plain.outputs.items()
    }
    if tester.definition.config.emit == "update" or not same:
        same = {name: _last(found) for name, found in result.outputs.items()} == {
            name: _last(found) for name, found in plain.outputs.items()
        }
    came = "the output is that of an undisturbed run" if same else "the output differs from an undisturbed run"
    return Exercise("kill and resume", f"{result.crashes} times kill -9", came, same and not result.error)


def _accounted(result: FlowResult, plain: FlowResult, extra: int = 0) -> bool:
    """Whether what an undisturbed run delivers was delivered, or is a dead letter, or was skipped by policy."""
    lost = sum(map(len, plain.outputs.values())) - sum(map(len, result.outputs.values()))
    given_up = result.counters["dead_lettered"] + result.counters["skipped"]
    before = plain.counters["dead_lettered"] + plain.counters["skipped"]
    return given_up - before >= extra and lost <= (given_up - before - extra) * max(len(result.outputs), 1)


def _outcome(result: FlowResult) -> str:
    if result.error:
        return f"the run ends: {result.error}"
    counts = {name: number for name, number in result.counters.items() if number and name not in ("read", "failures")}
    return ", ".join(f"{name.replace('_', '-')} {number}" for name, number in counts.items()) or "nothing delivered"


def _bag(documents: list[Any]) -> Counter[str]:
    return Counter(json.dumps(document, sort_keys=True, default=str) for document in documents)


def _last(documents: list[Any]) -> Counter[str]:
    """The last document of every ``_id``."""
    return _bag(list({json.dumps(d.get("_id"), default=str): d for d in documents}.values()))
