"""Tests of a pipeline as data: files ``*.flowtest.yaml`` beside a definition.

A file names its pipeline (or stands beside it: ``orders.flowtest.yaml`` tests ``orders.yaml``), a clock and a seed, and
holds tests: what the source gives, how sinks misbehave, and what is expected. See ``docs/cli.md``.
"""

from __future__ import annotations

import contextlib
import os
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from datetime import datetime
from pathlib import Path
from typing import Any

from fluxion_flow.connect.encoding import from_extended, to_extended
from fluxion_flow.dsl.files import read_data_file
from fluxion_flow.dsl.model import StreamingPipelineDefinition
from fluxion_flow.errors import FluxionError, PipelineError, Problem, Problems, Where, did_you_mean
from fluxion_flow.testing.compare import compare, differences
from fluxion_flow.testing.flow_tester import NOW, FlowResult, FlowTester
from fluxion_flow.testing.mocks import EnrichmentRule, SinkRules

SUFFIX = ".flowtest.yaml"
_FILE_KEYS = ("pipeline", "now", "seed", "env", "tests")
_TEST_KEYS = (
    *("name", "source", "streams", "batch_size", "workers", "sinks", "enrichments", "fail_reads", "crash_after"),
    *("now", "seed", "expect"),
)
_EXPECT_KEYS = ("output", "outputs", "ordered", "match", "dead_letters", "counters", "error")
_ANSWER_KEYS = ("when", "answer", "fail")
_SINK_KEYS = ("fail", "fail_writes", "reject")
LETTER_FIELDS = ("operatorName", "errInfo", "doc", "raw")
"""What ``--update`` writes of a dead letter."""


@dataclass(frozen=True)
class FlowTest:
    """One test of a file. ``index`` is its place in the file's list."""

    path: Path
    index: int
    name: str
    spec: Mapping[str, Any]
    file: Mapping[str, Any]

    def run(self) -> Verdict:
        """Run it. Raises :class:`PipelineError` when its pipeline cannot be used."""
        with _environment(self.file.get("env") or {}):
            now = self.spec.get("now", self.file.get("now")) or NOW
            tester = FlowTester(
                _definition(self.path, self.file.get("pipeline")),
                now=now,
                seed=self.spec.get("seed", self.file.get("seed")),
            )
            spec = self.spec
            rules = {name: _rules(given) for name, given in (spec.get("sinks") or {}).items()}
            unknown = [name for name in rules if name not in tester.definition.sink_names()]
            if unknown:
                known = tester.definition.sink_names()
                hint = did_you_mean(unknown[0], known) or f"there are {', '.join(known)}"
                where = Where.at("tests", self.index, "sinks", unknown[0])
                raise PipelineError([Problem(where, "the pipeline has no such sink", hint)])
            streams = tester.definition.streams
            for name in spec.get("streams") or {}:
                if name not in streams:
                    listed = f"there are {', '.join(streams)}" if streams else "there are none"
                    where = Where.at("tests", self.index, "streams", name)
                    hint = did_you_mean(name, streams) or listed
                    raise PipelineError([Problem(where, "the pipeline has no such stream", hint)])
            result = tester.run(
                from_extended(spec.get("source") or []),
                sinks=rules,
                batch_size=spec.get("batch_size", 100),
                workers=spec.get("workers", 1),
                fail_reads=spec.get("fail_reads") or (),
                crash_after=spec.get("crash_after") or (),
                streams=from_extended(dict(spec.get("streams") or {})),
                enrichments={
                    name: [EnrichmentRule(**from_extended(dict(rule))) for rule in _listed(rules)]
                    for name, rules in (spec.get("enrichments") or {}).items()
                },
            )
        return Verdict(self, result, judge(spec.get("expect") or {}, result, len(spec.get("crash_after") or ())))


@dataclass(frozen=True)
class Verdict:
    """What came of a test. ``wrong`` holds all differences, a line each; empty: it has passed."""

    test: FlowTest
    result: FlowResult
    wrong: list[str]

    def actual(self) -> dict[str, Any]:
        """What would have had to be expected, in the form of the test's own ``expect``."""
        expect = self.test.spec.get("expect") or {}
        result = self.result
        made: dict[str, Any] = {}
        if result.error:
            return {"error": result.error}
        if "outputs" in expect or len(result.outputs) > 1:
            made["outputs"] = {name: to_extended(documents) for name, documents in result.outputs.items()}
        else:
            made["output"] = to_extended(result.output)
        if "dead_letters" in expect or result.dead_letters:
            made["dead_letters"] = [
                to_extended({name: letter[name] for name in LETTER_FIELDS if name in letter})
                for letter in result.dead_letters
            ]
        if "counters" in expect:
            made["counters"] = {name: result.counters[name] for name in expect["counters"] if name in result.counters}
        return made


def judge(expect: Mapping[str, Any], result: FlowResult, crashes: int = 0) -> list[str]:
    """Everything in which a result is not what is expected."""
    wrong: list[str] = []
    error = expect.get("error")
    if error is None and result.error:
        wrong.append(f"error: not expected, got {result.error}")
    elif error is not None and error not in result.error:
        wrong.append(f"error: expected {error!r} in it, got {result.error!r}" if result.error else "error: none came")
    if result.crashes < crashes:
        wrong.append(f"crash_after: {crashes} crashes, but the source was at its end after {result.crashes}")
    ordered, subset = expect.get("ordered", True), expect.get("match") == "subset"
    wanted = dict(expect.get("outputs") or {})
    if "output" in expect:
        wanted[next(iter(result.outputs))] = expect["output"]
    for name, documents in wanted.items():
        path = "output" if "output" in expect else f"outputs.{name}"
        got = result.outputs.get(name)
        if got is None:
            wrong.append(f"{path}: the pipeline has no such sink; there are {', '.join(result.outputs)}")
        else:
            wrong += compare(from_extended(list(documents or [])), got, path, ordered=ordered, subset=subset)
    if "dead_letters" in expect or (result.dead_letters and error is None):
        letters = from_extended([_nested(letter) for letter in expect.get("dead_letters") or []])
        got_letters = from_extended(result.dead_letters)
        wrong += _letters(letters, got_letters)
    wrong += differences(dict(expect.get("counters") or {}), result.counters, "counters", subset=True)
    return wrong


def _letters(expected: list[Any], got: list[Any]) -> list[str]:
    lines = compare(expected, got, "dead_letters", ordered=False, subset=True)
    known = {"operatorName", "errInfo", "doc", "raw"}
    short = [{name: value for name, value in letter.items() if name in known} for letter in got]
    return lines if not lines else compare(expected, short, "dead_letters", ordered=False, subset=True)


def _nested(letter: Mapping[str, Any]) -> dict[str, Any]:
    """``{"errInfo.type": "X"}`` as ``{"errInfo": {"type": "X"}}``."""
    made: dict[str, Any] = {}
    for name, value in letter.items():
        *outer, last = name.split(".")
        place = made
        for part in outer:
            place = place.setdefault(part, {})
        place[last] = value
    return made


def find_files(places: list[str]) -> list[Path]:
    """The test files at places: files, and directories with everything below, in order, each once.

    Raises :class:`PipelineError` for a place that does not exist.
    """
    found: dict[Path, None] = {}
    problems = Problems()
    for place in map(Path, places):
        if place.is_dir():
            hidden = (path for path in sorted(place.rglob(f"*{SUFFIX}")))
            found.update((path, None) for path in hidden if not any(p.startswith(".") for p in path.parts[1:]))
        elif place.is_file():
            found[place] = None
        else:
            problems.add(Where.at(str(place)), "there is no such file or directory", f"name a *{SUFFIX}")
    problems.raise_if_any()
    return list(found)


def read_tests(path: Path) -> list[FlowTest]:
    """The tests of a file. Raises :class:`PipelineError` with every problem of it."""
    where = Where.at(str(path))
    data = read_data_file(path)
    problems = Problems()
    if not isinstance(data, Mapping):
        raise PipelineError([Problem(where, "must be a mapping with tests", "see docs/cli.md")])
    _keys(data, _FILE_KEYS, where, problems)
    if not isinstance(data.get("now", NOW), datetime):
        problems.add(where / "now", "must be a time", "such as 2026-01-01T00:00:00Z")
    tests = data.get("tests")
    if not isinstance(tests, list) or not tests:
        problems.add(where / "tests", "must be a list of tests", "such as [{name: ..., source: [...], expect: {...}}]")
        tests = []
    for index, test in enumerate(tests):
        _check(test, where / "tests" / index, problems)
    problems.raise_if_any()
    return [FlowTest(path, i, str(t.get("name", f"test {i + 1}")), t, data) for i, t in enumerate(tests)]


def _check_records(source: Any, where: Where, problems: Problems) -> None:
    """What a source gives: a list of documents, or a mapping of partitions to them."""
    for name, records in source.items() if isinstance(source, Mapping) else [("", source)]:
        place = where / name if name else where
        if not isinstance(records, list):
            problems.add(place, "must be a list of documents", "or a mapping of partitions to lists")
            continue
        for number, record in enumerate(records):
            inner = record if isinstance(record, list) else [record]
            if not all(isinstance(each, Mapping) for each in inner):
                problems.add(place / number, "must be a document", 'a record that is none: {$raw: "text"}')


def _check(test: Any, where: Where, problems: Problems) -> None:
    if not isinstance(test, Mapping):
        problems.add(where, "must be a mapping", "such as {name: ..., source: [...], expect: {...}}")
        return
    _keys(test, _TEST_KEYS, where, problems)
    _check_records(test.get("source", []), where / "source", problems)
    streams = test.get("streams") or {}
    if isinstance(streams, Mapping):
        for name, given in streams.items():
            _check_records(given, where / "streams" / str(name), problems)
    else:
        problems.add(where / "streams", "must map names of streams to what they give", "such as {payments: [{...}]}")
    for name in ("batch_size", "workers"):
        if not isinstance(test.get(name, 1), int) or test.get(name, 1) < 1:
            problems.add(where / name, "must be a number from 1 up")
    for name in ("fail_reads", "crash_after"):
        if not isinstance(test.get(name) or [], list):
            problems.add(where / name, "must be a list of numbers", "such as [2]")
    for name, rules in (test.get("sinks") or {}).items():
        _keys(rules, _SINK_KEYS, where / "sinks" / str(name), problems)
    for name, answers in (test.get("enrichments") or {}).items():
        for number, rule in enumerate(_listed(answers)):
            _keys(rule, _ANSWER_KEYS, where / "enrichments" / str(name) / number, problems)
    expect = test.get("expect", {})
    if not isinstance(expect, Mapping):
        problems.add(where / "expect", "must be a mapping", "such as {output: [...]}")
        return
    _keys(expect, _EXPECT_KEYS, where / "expect", problems)
    if expect.get("match", "exact") not in ("exact", "subset"):
        problems.add(where / "expect" / "match", "must be exact or subset")


def _keys(data: Any, known: tuple[str, ...], where: Where, problems: Problems) -> None:
    if not isinstance(data, Mapping):
        problems.add(where, "must be a mapping", f"known keys are {', '.join(known)}")
        return
    for key in data:
        if key not in known:
            hint = did_you_mean(str(key), known) or f"known are {', '.join(known)}"
            problems.add(where / str(key), "unknown key", hint)


def _listed(given: Any) -> list[Any]:
    return given if isinstance(given, list) else [given]


def _rules(given: Mapping[str, Any]) -> SinkRules:
    reject = given.get("reject") or []
    refused = [reject] if isinstance(reject, Mapping) else reject
    return SinkRules(given.get("fail", 0), tuple(given.get("fail_writes") or ()), tuple(from_extended(list(refused))))


def _definition(path: Path, target: str | None) -> StreamingPipelineDefinition:
    """The pipeline of a test file: the definition that it names, or the one beside it."""
    if target is None:
        stem = path.name.removesuffix(SUFFIX)
        beside = [path.with_name(f"{stem}{suffix}") for suffix in (".yaml", ".yml", ".json")]
        found = next((file for file in beside if file.is_file()), None)
        if found is None:
            what = f"names no pipeline, and there is no {beside[0].name} beside it"
            raise PipelineError([Problem(Where.at(str(path)), what, "say pipeline: FILE")])
        return StreamingPipelineDefinition.from_file(found)
    if Path(target).suffix.lower() in (".yaml", ".yml", ".json"):
        return StreamingPipelineDefinition.from_file(path.parent / target)
    return _of_module(path, target)


def _of_module(path: Path, target: str) -> StreamingPipelineDefinition:
    """A definition, or a builder, that stands in a Python module: ``flows.orders:definition``."""
    import importlib

    module, _, name = target.partition(":")
    try:
        found: Any = getattr(importlib.import_module(module), name or "definition")
    except Exception as error:  # noqa: BLE001 - somebody's module may fail in any way
        what = f"pipeline {target!r} cannot be imported ({type(error).__name__}: {error})"
        raise PipelineError([Problem(Where.at(str(path)), what, "such as flows.orders:definition")]) from None
    if hasattr(found, "build"):
        found = found.build()
    if not isinstance(found, StreamingPipelineDefinition):
        what = f"pipeline {target!r} is a {type(found).__name__}, not a definition"
        raise PipelineError([Problem(Where.at(str(path)), what, "name a definition or a builder")])
    return found


@contextlib.contextmanager
def _environment(values: Mapping[str, Any]) -> Iterator[None]:
    before = {name: os.environ.get(name) for name in values}
    os.environ.update({name: str(value) for name, value in values.items()})
    try:
        yield
    finally:
        for name, value in before.items():
            if value is None:
                os.environ.pop(name, None)
            else:
                os.environ[name] = value


class TestFailed(FluxionError):
    """A test has not come out as expected: all differences, a line each."""

    __test__ = False
