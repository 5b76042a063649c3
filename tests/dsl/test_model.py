"""Definitions as data: what ``to_dict`` gives, ``from_dict`` and ``from_file`` read back; names, secrets, resources."""

import datetime
import json
import re
from decimal import Decimal

import pytest
import yaml
from bytewax.testing import TestingSink, TestingSource
from fluxion_connectors.memory import MemorySink, MemorySource
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from fluxion_flow import (
    PipelineError,
    StreamingErrorPolicy,
    StreamingMetricsListener,
    StreamingPipelineDefinition,
    StreamingRuntimeConfig,
    env,
    pipeline,
    secret,
)
from fluxion_flow.connect.secrets import Template
from fluxion_flow.dsl import SinkSpec, SourceSpec, StageSpec

UTC = datetime.timezone.utc


def answer_of(call):
    with pytest.raises(PipelineError) as caught:
        call()
    return str(caught.value).splitlines()


def tax(amount):
    return amount * 0.2


FULL = {
    "name": "orders-ltv",
    "source": {
        "type": "broker",
        "name": "orders",
        "topic": "${ORDERS_TOPIC:-orders}",
        "password": {"$secret": "BROKER_PASSWORD"},
        "filter": {"$date": "2024-05-01T00:00:00.000Z"},
        "on_error": {"retry": {"max_attempts": 5}},
    },
    "stages": [
        {"$match": {"status": "PAID", "at": {"$gte": {"$date": "2024-05-01T00:00:00.000Z"}}}},
        {
            "$set": {"total": {"$multiply": ["$price", {"$numberDecimal": "1.10"}]}, "literal": "$${x}"},
            "name": "totals",
            "on_error": {"dead_letter": {"type": "broker", "topic": "dead"}},
        },
        {"$group": {"_id": "$customer", "n": {"$count": {}}}},
    ],
    "sinks": [
        {"connection_ref": "main", "topic": "big", "when": {"total": {"$gt": 100}}},
        {"type": "broker", "name": "rest", "topic": "rest", "on_error": {"skip_and_continue": {}}},
    ],
    "on_error": {"dead_letter": {"connection_ref": "main", "topic": "dead"}, "granularity": "document"},
    "config": {
        "batch_size": 100,
        "emit": "final",
        "labels": {"team": "a"},
        "on_error": {"source": {"retry": {"max_attempts": 3}}, "stages": {"totals": {"skip_and_continue": {}}}},
    },
    "connections": {"main": {"type": "broker", "bootstrap_servers": {"$env": "BROKERS"}}},
    "collections": {"rates": [{"_id": 1, "from": {"$date": "2024-01-01T00:00:00.000Z"}}]},
    "functions": {"tax": "json:dumps"},
    "pipelines": {"clean@1": [{"$unset": "raw"}]},
}


@pytest.fixture
def environment(monkeypatch):
    monkeypatch.setenv("BROKER_PASSWORD", "s3cr3t-of-the-broker")
    monkeypatch.setenv("BROKERS", "b1:9092")


@pytest.mark.usefixtures("environment")
def test_to_dict_gives_what_from_dict_read():
    definition = StreamingPipelineDefinition.from_dict(FULL)
    assert definition.to_dict() == FULL
    assert StreamingPipelineDefinition.from_dict(definition.to_dict()) == definition
    assert definition.check() == []


@pytest.mark.usefixtures("environment")
@pytest.mark.parametrize("name", ["orders-ltv.json", "orders-ltv.yaml", "orders-ltv.yml"])
def test_files_hold_the_same_definition(tmp_path, name):
    path = tmp_path / name
    content = {key: value for key, value in FULL.items() if key != "name"}
    path.write_text(json.dumps(content) if name.endswith(".json") else yaml.safe_dump(content, sort_keys=False))
    assert StreamingPipelineDefinition.from_file(path) == StreamingPipelineDefinition.from_dict(FULL)


def test_a_file_without_a_name_is_called_like_the_file(tmp_path):
    path = tmp_path / "orders.v1 (new).yaml"
    path.write_text("source: {type: broker, topic: a}\nsink: {type: broker, topic: b}\n")
    assert StreamingPipelineDefinition.from_file(path).name == "orders-v1-new"


@pytest.mark.usefixtures("environment")
def test_what_is_read_is_python_values_and_references():
    definition = StreamingPipelineDefinition.from_dict(FULL)
    assert definition.source == SourceSpec(
        type="broker",
        name="orders",
        options={
            "topic": Template("${ORDERS_TOPIC:-orders}"),
            "password": secret("BROKER_PASSWORD"),
            "filter": datetime.datetime(2024, 5, 1, tzinfo=UTC),
        },
        on_error=StreamingErrorPolicy.retry(5),
    )
    assert definition.stages[1] == StageSpec(
        {"$set": {"total": {"$multiply": ["$price", Decimal("1.10")]}, "literal": "${x}"}},
        name="totals",
        on_error=StreamingErrorPolicy.dead_letter({"type": "broker", "topic": "dead"}),
    )
    assert definition.sinks[0] == SinkSpec(
        connection_ref="main", options={"topic": "big"}, when={"total": {"$gt": 100}}
    )
    assert definition.sink_names() == ("main", "rest")


def test_references_in_stages_have_values_when_they_are_asked_for(monkeypatch):
    monkeypatch.setenv("WANTED", "PAID")
    monkeypatch.setenv("SINCE", "2024-05-01T00:00:00Z")
    match = {
        "$match": {"status": "${WANTED}", "at": {"$gt": {"$date": "${SINCE}"}}, "$expr": {"$eq": ["$a", "$$ROOT.b"]}}
    }
    sink = {"type": "broker", "topic": "b", "when": {"status": {"$env": "WANTED"}}}
    definition = StreamingPipelineDefinition.from_dict(
        {"name": "a", "source": {"type": "broker", "topic": "a"}, "stages": [match], "sink": sink}
    )
    assert definition.to_dict()["stages"] == [match]
    assert definition.stage_specs() == [
        {
            "$match": {
                "status": "PAID",
                "at": {"$gt": datetime.datetime(2024, 5, 1, tzinfo=UTC)},
                "$expr": {"$eq": ["$a", "$$ROOT.b"]},
            }
        }
    ]
    assert definition.resolved().sinks[0].when == {"status": "PAID"}
    monkeypatch.delenv("WANTED")
    hint = "export it or write ${WANTED:-default}"
    assert answer_of(definition.stage_specs) == [
        f"stages[0].$match.status: environment variable WANTED is not set; {hint}"
    ]
    assert answer_of(definition.compile) == [
        f"sink.when.status: environment variable WANTED is not set; {hint}",
        f"stages[0].$match.status: environment variable WANTED is not set; {hint}",
    ]


def minimal(**parts):
    source, sink = SourceSpec("broker", {"topic": "a"}), SinkSpec("broker", {"topic": "b"})
    return StreamingPipelineDefinition(**{"name": "a", "source": source, "sinks": (sink,), **parts})


def test_a_definition_made_by_its_constructor_is_checked_by_check():
    assert minimal().check() == []
    broken = minimal(
        name="",
        source=SourceSpec(),
        stages=(StageSpec({"$mtach": {}}, name="x"), StageSpec({"$match": {}}, name="x")),
        sinks=(SinkSpec(object=MemorySink), SinkSpec("broker", when={"a": {"$gtt": 1}})),
        on_error=StreamingErrorPolicy.dead_letter({"type": "broker"}),
        listeners=("prometheus", StreamingMetricsListener),
    )
    assert [str(problem) for problem in broken.check()] == [
        "name: is missing; call the pipeline something, such as orders-ltv",
        "source: is missing; say where documents come from, such as {type: files, path: orders.jsonl}",
        "stages[0]: unknown stage '$mtach'; did you mean '$match'?",
        "stages[1].name: another stage is called 'x' too; give each a name of its own",
        "sinks[0]: must be a StreamingSink or a bytewax.outputs.Sink, got the class MemorySink; make an object of it",
        "sinks[1].topic: required by connector 'broker'",
        "sinks[1].when.a.$gtt: unknown query operator '$gtt'; did you mean '$gt'?",
        "on_error.dead_letter.topic: required by connector 'broker'",
        "listeners[0]: must be a StreamingMetricsListener, got a str",
        "listeners[1]: must be a StreamingMetricsListener, got the class StreamingMetricsListener",
    ]


def test_parts_are_copied_so_that_a_definition_stays():
    spec = {"$match": {"a": [1]}}
    stage = StageSpec(spec)
    spec["$match"]["a"].append(2)
    assert stage.spec == {"$match": {"a": [1]}}


def test_sinks_without_a_name_are_called_by_their_type_or_class():
    sinks = (
        SinkSpec("broker"),
        SinkSpec("broker"),
        SinkSpec("memory", name="broker-2"),
        SinkSpec(object=MemorySink()),
        SinkSpec("broker"),
    )
    assert minimal(sinks=sinks).sink_names() == ("broker", "broker-3", "broker-2", "MemorySink", "broker-4")


@pytest.mark.parametrize("source", [MemorySource([]), TestingSource([])], ids=["ours", "bytewax"])
@pytest.mark.parametrize("sink", [MemorySink(), TestingSink([])], ids=["ours", "bytewax"])
def test_objects_are_taken_as_they_are(source, sink):
    definition = pipeline("a").source(source).sink(sink, when={"a": 1}, name="out").build()
    assert definition.source.open() is source
    assert definition.sinks[0].open() is sink
    assert definition == StreamingPipelineDefinition.from_dict(
        {"name": "a", "source": source, "sinks": [{"object": sink, "when": {"a": 1}, "name": "out"}]}
    )


def test_objects_take_no_options_but_a_bytewax_source_may_be_bounded():
    assert pipeline("a").source(TestingSource([]), bounded=True).sink(MemorySink()).build().source.options == {
        "bounded": True
    }
    broken = pipeline("a").source(MemorySource([]), bounded=True).sink(MemorySink(), path="a", connection_ref="b")
    assert answer_of(broken.build) == [
        "source: is an object, but is given bounded beside it; give options to the object itself",
        "sink: is an object, but is given b, path beside it; give options to the object itself",
    ]


def test_a_spec_opens_its_connector():
    definition = pipeline("a").source("memory", name="in").sink("memory", name="out").build()
    assert isinstance(definition.source.open(connections=definition.connections), MemorySource)
    assert isinstance(definition.sinks[0].open(connections=definition.connections), MemorySink)


def test_what_data_cannot_hold_is_reported_at_once():
    definition = (
        pipeline("a")
        .source(MemorySource([]))
        .match({}, on_error=StreamingErrorPolicy.dead_letter(MemorySink()))
        .sink("broker", topic="a", filter=object())
        .listen(StreamingMetricsListener())
        .function("tax", tax)
        .function("nameless", lambda x: x)
        .build()
    )
    assert answer_of(definition.to_dict) == [
        "source: is a Python object (MemorySource); data cannot hold it: add it in Python",
        "stages[0].on_error: its dead-letter sink is a Python object; give the sink as a mapping",
        "sink.filter: is a Python object (object); data cannot hold it: add it in Python",
        "functions.nameless: is a Python object that cannot be named; define it by name in a module",
        "listeners[0]: is a Python object (StreamingMetricsListener); data cannot hold it: add it in Python",
    ]


def test_functions_are_found_by_module_and_name():
    definition = minimal(functions={"dumps": "json:dumps", "tax": tax}, collections={"rates": [{"a": 1}]})
    assert definition.resources.functions == {"dumps": json.dumps, "tax": tax}
    assert definition.resources.collections == {"rates": [{"a": 1}]}
    assert definition.to_dict()["functions"] == {"dumps": "json:dumps", "tax": f"{tax.__module__}:tax"}


# ------------------------------------------------------------------------------------------------------------- secrets

PASSWORD = "hunter2-never-print-me"


def secretive():
    return (
        pipeline("a")
        .source("broker", topic="a", password=PASSWORD, headers={"Authorization": f"Bearer {PASSWORD}"})
        .match({"a": 1})
        .sink("broker", connection_ref="main", topic=f"https://me:{PASSWORD}@host/x")
        .on_error({"dead_letter": {"type": "broker", "topic": "dead", "password": PASSWORD}})
        .connection("main", type="broker", password=PASSWORD)
        .config(on_error={"sink": {"dead_letter": {"type": "broker", "topic": "dead", "password": PASSWORD}}})
    )


def test_secrets_that_were_written_out_become_references():
    data = secretive().build().to_dict()
    assert PASSWORD not in json.dumps(data)
    assert data == {
        "name": "a",
        "source": {
            "type": "broker",
            "topic": "a",
            "password": {"$secret": "SOURCE_PASSWORD"},
            "headers": {"Authorization": {"$secret": "SOURCE_HEADERS_AUTHORIZATION"}},
        },
        "stages": [{"$match": {"a": 1}}],
        "sink": {"type": "broker", "connection_ref": "main", "topic": {"$secret": "SINK_TOPIC"}},
        "on_error": {
            "dead_letter": {
                "type": "broker",
                "topic": "dead",
                "password": {"$secret": "ON_ERROR_DEAD_LETTER_PASSWORD"},
            }
        },
        "config": {
            "on_error": {
                "sink": {
                    "dead_letter": {
                        "type": "broker",
                        "topic": "dead",
                        "password": {"$secret": "CONFIG_ON_ERROR_SINK_DEAD_LETTER_PASSWORD"},
                    }
                }
            }
        },
        "connections": {"main": {"type": "broker", "password": {"$secret": "CONNECTIONS_MAIN_PASSWORD"}}},
    }


def test_no_text_of_a_definition_shows_a_secret(monkeypatch):
    monkeypatch.setenv("TOKEN", PASSWORD)
    built = secretive().set(token=secret("TOKEN"), region=env("TOKEN"), name="tokens")
    definition = built.build()
    parts = [definition.source, *definition.stages, *definition.sinks, definition.on_error, definition.config]
    texts = [repr(item) + str(item) for item in (built, definition, *parts)]
    assert PASSWORD not in "".join(texts)
    assert PASSWORD not in json.dumps(definition.to_dict())
    assert repr(definition) == (
        "StreamingPipelineDefinition('a', source='broker', stages=['$match', 'tokens'], sinks=['broker'])"
    )
    assert repr(definition.source) == "SourceSpec('broker', options: topic, password, headers)"
    assert repr(definition.stages[1]) == "StageSpec('$set', name='tokens')"


def test_no_problem_shows_a_secret(monkeypatch):
    monkeypatch.setenv("TOKEN", PASSWORD)
    broken = (
        pipeline("a")
        .source("broker", topic=5, password=[PASSWORD], headers=PASSWORD)
        .stage("$limit", secret("TOKEN"))
        .stage("$set", secret("TOKEN"))
        .stage("$match", {"a": {"$in": secret("TOKEN")}})
        .sink("broker", topic="a", password=7, when=secret("TOKEN"))
        .on_error({"dead_letter": {"type": "broker", "password": PASSWORD}})
    )
    answer = answer_of(broken.build)
    assert PASSWORD not in "\n".join(answer)
    assert answer == [
        "source.topic: must be a string, got 5",
        "source.password: must be a string, got a list",
        "source.headers: must be a mapping, got a string",
        "stages[0].$limit: takes a whole number of at least 1, got '***'",
        "stages[1].$set: takes an object of fields, got '***'",
        "stages[2].$match.a.$in: takes an array, got '***'",
        "sink.password: must be a string, got a number",
        "sink.when: takes a query document, got '***'; give {field: condition, …}",
        "on_error.dead_letter.topic: required by connector 'broker'",
    ]


# ---------------------------------------------------------------------------------------------------------- round trip

texts = st.text(alphabet=st.sampled_from(list("ab$\\{}:-. é\n'\"")), max_size=8)
keys = st.text(alphabet=st.sampled_from(list("abc{} é-")), min_size=1, max_size=4)
moments = st.datetimes(
    min_value=datetime.datetime(1900, 1, 1), max_value=datetime.datetime(2200, 1, 1), timezones=st.just(UTC)
).map(lambda moment: moment.replace(microsecond=moment.microsecond // 1000 * 1000))
scalars = st.one_of(
    st.none(),
    st.booleans(),
    st.integers(),
    st.floats(allow_nan=False),
    texts,
    moments,
    st.decimals(allow_nan=False),
    st.binary(max_size=4),
    st.sampled_from([re.compile("^a.b", re.IGNORECASE), re.compile("x", re.MULTILINE | re.DOTALL)]),
)
values = st.recursive(
    scalars,
    lambda inner: st.one_of(st.lists(inner, max_size=3), st.dictionaries(keys, inner, max_size=3)),
    max_leaves=8,
)
options = st.one_of(
    values,
    st.builds(env, st.sampled_from(["HOME", "PATH"]), st.none() | texts),
    st.just(secret("HOME")),
    st.sampled_from([Template("a-${HOME}"), Template("$${x}${NOT_SET_ANYWHERE:-b}")]),
)
names = st.from_regex(r"[a-zA-Z0-9_][\w-]{0,6}", fullmatch=True)
sinks_of_policies = st.fixed_dictionaries({"type": st.just("broker"), "topic": texts, "filter": options})
policies = st.one_of(
    st.none(),
    st.just(StreamingErrorPolicy.skip_and_continue()),
    st.builds(StreamingErrorPolicy.dead_letter, sinks_of_policies),
    st.builds(
        lambda attempts, sink: StreamingErrorPolicy.retry(attempts).then(StreamingErrorPolicy.dead_letter(sink)),
        st.integers(1, 9),
        sinks_of_policies,
    ),
)
stages = st.builds(
    lambda value, field, name, policy: ({"$set": {field: {"$literal": value}}}, name, policy),
    values,
    st.sampled_from(["a", "b.c"]),
    st.none() | names,
    policies,
)
configs = st.fixed_dictionaries(
    {},
    optional={
        "batch_size": st.integers(1, 10_000),
        "emit": st.sampled_from([None, "update", "final"]),
        "drain_timeout": st.floats(0, 1e6),
        "labels": st.dictionaries(st.sampled_from(["team", "tier"]), texts),
        "environment": texts,
        "metrics": st.booleans(),
    },
)


@settings(max_examples=150, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(
    name=names,
    option=options,
    source_policy=policies,
    made=st.lists(stages, max_size=3, unique_by=lambda stage: stage[1] or object()),
    when=st.none() | values.map(lambda value: {"a": {"$eq": value}}),
    sink_count=st.integers(1, 3),
    policy=policies,
    config=configs,
    documents=st.lists(st.dictionaries(keys, values, max_size=2), max_size=2),
)
def test_every_definition_of_data_comes_back(
    tmp_path, name, option, source_policy, made, when, sink_count, policy, config, documents
):
    built = pipeline(name).source("broker", topic="in", filter=option, on_error=source_policy)
    for spec, stage_name, stage_policy in made:
        built = built.stages([{**spec, **({"name": stage_name} if stage_name else {})}])
        built = built.stage("$match", {}, on_error=stage_policy)
    for i in range(sink_count):
        built = built.sink("broker", topic=f"out-{i}", when=when, filter=option)
    definition = built.on_error(policy).config(**config).collection("rates", documents).build()
    data = definition.to_dict()
    assert StreamingPipelineDefinition.from_dict(data) == definition
    assert StreamingPipelineDefinition.from_dict(json.loads(json.dumps(data))) == definition
    path = tmp_path / "definition.yaml"
    path.write_text(yaml.safe_dump(data, sort_keys=False, allow_unicode=True), encoding="utf-8")
    assert StreamingPipelineDefinition.from_file(path) == definition


def test_the_settings_come_back():
    config = StreamingRuntimeConfig(batch_size=1, labels={"a": "${x}"}, granularity="document", metrics=False)
    definition = minimal(config=config)
    assert StreamingPipelineDefinition.from_dict(definition.to_dict()) == definition
