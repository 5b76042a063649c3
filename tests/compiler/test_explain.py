"""Explanations, as whole texts."""

import json

import pytest
from bytewax.dataflow import Dataflow

from fluxion_flow import PipelineError, StreamingPipelineDefinition, env, pipeline, secret
from fluxion_flow.compiler.explain import explain, plan_of, policy_text
from fluxion_flow.compiler.explain_mermaid import as_mermaid
from fluxion_flow.compiler.explain_text import as_text
from fluxion_flow.compiler.plan import make_plan
from fluxion_flow.connect import registry
from fluxion_flow.connect.options import Option
from fluxion_flow.errors import Problems, Where
from fluxion_flow.policy.parse import parse_policy

LETTERS = {"type": "files", "path": "dead.jsonl"}


def explained(data, **options):
    definition = data if isinstance(data, StreamingPipelineDefinition) else StreamingPipelineDefinition.from_dict(data)
    return explain(make_plan(definition), **options)


@pytest.fixture
def totals():
    return {
        "name": "totals",
        "source": {"type": "files", "path": "orders.jsonl"},
        "stages": [
            {"$match": {"status": "PAID"}},
            {"$set": {"value": {"$multiply": ["$qty", "$price"]}}},
            {"$group": {"_id": "$customer", "total": {"$sum": "$value"}}},
        ],
        "sink": {"type": "files", "path": "totals.jsonl"},
    }


@pytest.fixture
def everything():
    return {
        "name": "everything",
        "source": {"type": "files", "path": "in.jsonl", "follow": True},
        "stages": [
            {"$match": {"a": {"$gt": 0}}},
            {"$unwind": "$items", "on_error": "skip_and_continue"},
            {"$group": {"_id": "$a", "n": {"$sum": 1}}, "name": "by-a"},
            {"$set": {"seen": True}},
        ],
        "sinks": [
            {"type": "files", "path": "many.jsonl", "when": {"n": {"$gt": 5}}},
            {"type": "stdio", "on_error": {"retry": 3, "then": {"dead_letter": {"type": "stdio"}}}},
        ],
        "on_error": {
            "retry": {"max_attempts": 5},
            "then": {"dead_letter": LETTERS},
            "budget": {"percent": 5, "within": "10m"},
        },
        "config": {"batch_size": 100, "labels": {"team": "a"}},
    }


def test_a_bounded_pipeline_in_full(totals):
    assert (
        as_text(explained(totals))
        == """\
pipeline totals

source      files (path: orders.jsonl)
            completes
stages_0_2  stages[0].$match, stages[1].$set, stages[2].$group
            one function over a batch, on every worker
            $group combines within the batch
group       stages[2].$group
            state by key in 16 partitions
            sends every document once, at completion
            kept in the checkpoint as 'group'
sink        files (path: totals.jsonl)
            one writer for all workers

on error    ends the run
guarantee   exactly once, with a checkpoint store (-r)
            the sink takes back what it wrote after the checkpoint
settings    batch_size: 500, emit: final; the others have their defaults"""
    )


def test_everything_at_once_in_full(everything):
    assert (
        as_text(explained(everything))
        == """\
pipeline everything

source              files (path: in.jsonl, follow: true)
                    never completes
                    on error: up to 5 attempts, then sends what cannot be decoded to the dead letters (files);
                      ends the run when 5 % in 600 s fail
stages_0_2          stages[0].$match, stages[1].$unwind, stages[2].$group
                    one function over a batch, on every worker
                    $group combines within the batch
                    on error in stages[1].$unwind: skips the whole batch; ends the run when 5 % in 600 s fail
by-a                stages[2].$group
                    state by key in 16 partitions
                    sends each changed document after every batch
                    kept in the checkpoint as 'by-a'
stages_3            stages[3].$set
                    one function over a batch, on every worker
sink files          files (path: many.jsonl)
                    when {"n": {"$gt": 5}}
                    one writer for all workers
                    exactly once: the sink takes back what it wrote after the checkpoint
sink stdio          stdio
                    one writer for all workers
                    at least once: what was written after the checkpoint is written again
                    on error: up to 3 attempts, then sends the whole batch to the dead letters (stdio); ends
                      the run when 5 % in 600 s fail
dead letters files  files (path: dead.jsonl)
                    one writer for all workers
                    exactly once
dead letters stdio  stdio
                    one writer for all workers
                    at least once

on error            up to 5 attempts, then sends the whole batch to the dead letters (files); ends the run
                      when 5 % in 600 s fail
guarantee           at least once, with a checkpoint store (-r)
                    what was written after the checkpoint is written again
                    stronger with a sink that takes back what it wrote (files), or one that writes by key
                    by-a sends a document again whenever it changes, and sinks files, stdio keep them all: the
                      last one of an _id counts
                    batches in which a document fails in stages[1].$unwind are left out, and nothing tells
                      which
                    documents that fail in source are left out, and the dead letters tell which
                    batches in which a document fails in stages[0].$match, stages[2].$group, stages[3].$set,
                      sinks.files, sinks.stdio are left out, and the dead letters tell which
settings            batch_size: 100, emit: update, labels: {team: a}; the others have their defaults
warnings            by-a: its state grows with every new key; nothing is ever forgotten
                    stages[0].$match and 5 more: one failing document takes its whole batch with it, up to 100
                      documents; set granularity: document"""
    )


def test_the_flowchart_in_full(everything):
    assert (
        as_mermaid(explained(everything))
        == """\
flowchart TD
  source[("source<br/>files<br/>path: in.jsonl<br/>never completes")]
  step0["stages[0].$match<br/>stages[1].$unwind<br/>stages[2].$group"]
  step1[["by-a<br/>state by key in 16 partitions<br/>sends each changed document after every batch"]]
  step2["stages[3].$set"]
  sink0[("sink files<br/>files<br/>path: many.jsonl")]
  sink1[("sink stdio<br/>stdio")]
  letters0[("dead letters<br/>files<br/>path: dead.jsonl")]
  letters1[("dead letters<br/>stdio")]
  source --> step0
  step0 --> step1
  step1 --> step2
  step2 -->|"when {#quot;n#quot;: {#quot;$gt#quot;: 5}}"| sink0
  step2 --> sink1
  source -.-> letters0
  step0 -.-> letters0
  step2 -.-> letters0
  sink0 -.-> letters0
  sink1 -.-> letters1"""
    )


def test_a_stage_that_needs_everything_is_its_own_step_with_a_warning(totals):
    totals["stages"] = [{"$set": {"a": 1}}, {"$sort": {"a": 1}}]
    found = explained(totals)
    assert [(step.id, step.kind, step.stages) for step in found.steps] == [
        ("stages_0", "fused", ("stages[0].$set",)),
        ("sort", "whole", ("stages[1].$sort",)),
    ]
    assert found.warnings == ("sort: all its documents are held in the memory of one worker",)


def test_a_step_that_is_found_by_its_order_has_a_warning(totals):
    totals["source"] = {"type": "memory", "documents": [{"a": 1}]}
    totals["sinks"] = [totals["sink"], {"type": "files", "path": "copy.jsonl"}]
    del totals["sink"]
    assert explained(totals).warnings == (
        "sink files-2: is found by its order among the files sinks; name it to keep its progress",
    )


def test_skipping_without_a_limit_has_a_warning(totals):
    totals["on_error"] = {"skip_and_continue": {}, "granularity": "document"}
    assert explained(totals).warnings == ("source and 4 more: skips without limit; set a budget",)


def test_the_data_is_json_and_says_the_same(everything):
    found = explained(everything)
    data = json.loads(json.dumps(found.to_dict()))
    assert list(data) == [
        *("name", "source", "steps", "sinks", "dead_letters", "on_error"),
        *("guarantee", "settings", "changed", "warnings", "streams"),
    ]
    assert data["steps"][1] == {
        "id": "by-a",
        "kind": "keyed",
        "stages": ["stages[2].$group"],
        "facts": ["state by key in 16 partitions", "sends each changed document after every batch"],
        "on_error": [],
        "state": "by-a",
        "dead_letters": [],
        "code": "",
    }
    assert data["sinks"][0]["when"] == {"n": {"$gt": 5}}
    assert data["settings"]["labels"] == {"team": "a"}


def test_the_code_of_a_fused_step_is_its_generated_source(totals):
    text = as_text(explained(totals, code=True))
    assert text.count("-- stages_0_2 -------") == 1
    assert "# the speculative tier: documents of the common shape; a sample of them tells what else to expect\n" in text
    assert "# the general tier: every document; one that the other tier cannot take is done by this one\n" in text
    assert all(text.count(f"# stages[{i}].$") == 2 for i in range(3))


def test_a_plan_with_problems_is_not_explained(totals):
    totals["source"]["follow"] = True
    totals["stages"].append({"$sort": {"total": 1}})
    with pytest.raises(PipelineError) as raised:
        explained(totals)
    assert str(raised.value) == (
        "stages[3].$sort: needs every document, but source 'files' never completes; "
        "sort inside a window, or use a bounded source"
    )


@pytest.fixture
def broker(monkeypatch):
    from fluxion_connectors.memory import MemorySink, MemorySource

    options = (
        Option("topic", "string", "The topic."),
        Option("url", "string", "Where.", ""),
        Option("password", "string", "The password.", None, secret=True),
        Option("headers", "object", "Headers.", None),
    )
    connector = registry.Connector(
        "broker",
        "A broker",
        source=lambda **_: MemorySource([]),
        sink=lambda **_: MemorySink("broker"),
        source_options=options,
        sink_options=options,
    )
    monkeypatch.setitem(registry._registered, "broker", connector)


def test_no_secret_is_ever_shown(broker, monkeypatch):
    monkeypatch.setenv("BROKER_PASSWORD", "hunter2-from-env")
    monkeypatch.setenv("TOKEN", "hunter2-token")
    monkeypatch.setenv("TOPIC", "orders.v1")
    definition = (
        pipeline("quiet")
        .source("broker", topic=env("TOPIC"), password=secret("BROKER_PASSWORD"), headers={"auth": "hunter2-header"})
        .match({"token": secret("TOKEN")})
        .set({"token": secret("TOKEN")})
        .sink(
            "broker",
            topic="out",
            password="hunter2-written",
            url="http://me:hunter2-url@host/",
            when={"t": "hunter2-token"},
        )
        .on_error({"dead_letter": {"type": "broker", "topic": "dead", "password": "hunter2-dead"}})
        .build()
    )
    found = explained(definition, code=True)
    for text in (as_text(found), as_mermaid(found), json.dumps(found.to_dict())):
        assert "hunter2" not in text
    assert found.source.options == {"topic": {"$env": "TOPIC"}}
    assert found.sinks[0].options == {"topic": "out", "url": "http://me:***@host/"}


@pytest.mark.parametrize(
    ("spec", "text"),
    [
        ("fail_fast", "ends the run"),
        ("skip_and_continue", "skips the whole batch"),
        ({"skip_and_continue": {}, "granularity": "document"}, "skips the failing document"),
        ({"retry": 5}, "up to 5 attempts, then ends the run"),
        ({"retry": {"max_attempts": "unlimited"}}, "retries for as long as it takes"),
        (
            {"retry": {"max_attempts": "unlimited", "retry_on": ["OSError"]}, "then": "skip_and_continue"},
            "retries for as long as it takes; what it does not retry skips the whole batch",
        ),
        ({"retry": 2, "circuit_breaker": {}}, "up to 2 attempts, then ends the run; behind circuit breaker"),
        (
            {"dead_letter": LETTERS, "circuit_breaker": {"name": "db"}, "budget": {"failures": 9}},
            "sends the whole batch to the dead letters (files); behind circuit breaker 'db'; ends the run when 9 fail",
        ),
    ],
)
def test_policies_in_words(spec, text):
    problems = Problems()
    policy = parse_policy(spec, Where.at("on_error"), problems)
    assert list(problems) == []
    assert policy_text(policy, "files") == text


def test_a_dataflow_made_by_hand_has_no_plan():
    assert plan_of(Dataflow("by-hand")) is None
