import inspect

import pytest
import yaml
from fluxion_connectors.memory import MemorySink, MemorySource

from fluxion_flow import (
    PipelineBuilder,
    PipelineError,
    StreamingErrorPolicy,
    StreamingMetricsListener,
    StreamingPipelineDefinition,
    StreamingRuntimeConfig,
    pipeline,
)
from fluxion_flow.core.stages import all_stages
from fluxion_flow.dsl.stage_methods import StageMethods, method_name


def answer_of(call):
    with pytest.raises(PipelineError) as caught:
        call()
    return str(caught.value).splitlines()


def parameters(method):
    return [str(p).replace("'", "") for p in inspect.signature(method).parameters.values()]


@pytest.mark.parametrize("stage", sorted(all_stages()))
def test_every_stage_has_a_method_that_adds_it(stage):
    method = getattr(StageMethods, method_name(stage), None)
    assert method is not None, f"add the method {method_name(stage)} to fluxion_flow/dsl/stage_methods.py"
    assert inspect.getdoc(method)
    assert parameters(method)[2:4] == ["name: str | None = None", "on_error: Any = None"]
    built = getattr(pipeline("a"), method_name(stage))({"x": 1}, name="n", on_error="skip")
    assert built._parts["stages"] == [{stage: {"x": 1}, "name": "n", "on_error": "skip"}]


def test_every_method_of_a_stage_is_of_a_stage_that_exists():
    methods = {name for name, member in vars(StageMethods).items() if inspect.isfunction(member) and name[0] != "_"}
    assert methods - {"stage"} == {method_name(stage) for stage in all_stages()}


@pytest.mark.parametrize(
    ("stage", "name"),
    [("$match", "match"), ("$sortByCount", "sort_by_count"), ("$httpCall", "http_call"), ("$fill", "fill")],
)
def test_methods_are_called_like_their_stage_in_snake_case(stage, name):
    assert method_name(stage) == name


YAML = """
name: orders
source: {type: broker, topic: orders, max_wait: 2s, name: in, on_error: {retry: 5}}
stages:
- $match: {status: PAID}
- $set: {total: {$multiply: [$price, $qty]}}
  name: totals
  on_error: {dead_letter: {type: broker, topic: dead}}
- $addFields: {seen: true}
- $unset: raw
- $group: {_id: $customer, total: {$sum: $total}}
sinks:
- {type: broker, topic: big, when: {total: {$gt: 100}}, on_error: skip_and_continue}
- {connection_ref: main, topic: rest, name: rest}
on_error: {retry: {max_attempts: 3}, then: {dead_letter: {type: broker, topic: dead}}, granularity: document}
config: {batch_size: 100, labels: {team: a}}
connections: {main: {type: broker, bootstrap_servers: "b:9092"}}
collections: {rates: [{_id: 1}]}
functions: {dumps: "json:dumps"}
pipelines: {"clean@1": [{$unset: raw}]}
"""


def test_the_builder_makes_what_the_same_yaml_makes():
    dead = {"type": "broker", "topic": "dead"}
    built = (
        pipeline("orders")
        .source("broker", topic="orders", max_wait="2s", name="in", on_error=StreamingErrorPolicy.retry(5))
        .match({"status": "PAID"})
        .set(total={"$multiply": ["$price", "$qty"]}, name="totals", on_error=StreamingErrorPolicy.dead_letter(dead))
        .add_fields({"seen": True})
        .stages([{"$unset": "raw"}])
        .stage("$group", {"_id": "$customer", "total": {"$sum": "$total"}})
        .sink("broker", topic="big", when={"total": {"$gt": 100}}, on_error="skip_and_continue")
        .sink(connection_ref="main", topic="rest", name="rest")
        .on_error(StreamingErrorPolicy.retry(3).then(StreamingErrorPolicy.dead_letter(dead).per_document()))
        .config(batch_size=50)
        .config(batch_size=100, labels={"team": "a"})
        .connection("main", type="broker", bootstrap_servers="b:9092")
        .collection("rates", [{"_id": 1}])
        .function("dumps", "json:dumps")
        .pipeline("clean@1", [{"$unset": "raw"}])
        .build()
    )
    assert built == StreamingPipelineDefinition.from_dict(yaml.safe_load(YAML))


def test_every_method_leaves_the_builder_as_it_was():
    listener = StreamingMetricsListener()
    start = pipeline("a").source("broker", topic="a").sink("broker", topic="b")
    before = start.build()
    changed = [
        start.source("broker", topic="other"),
        start.match({"a": 1}),
        start.stage("$match", {}),
        start.stages([{"$match": {}}]),
        start.sink("broker", topic="c", name="second"),
        start.on_error("skip"),
        start.config(batch_size=1),
        start.listen(listener),
        start.function("f", "json:dumps"),
        start.collection("c", []),
        start.pipeline("p", []),
        start.connection("c", topic="x"),
    ]
    assert start.build() == before
    assert all(isinstance(other, PipelineBuilder) and other.build() != before for other in changed)
    assert start.listen(listener).build().listeners == (listener,)


def test_a_later_source_takes_the_place_of_an_earlier_one():
    source = MemorySource([])
    built = pipeline("a").source("broker", topic="a").source(source).sink("broker", topic="b").build()
    assert built.source.object is source


def test_data_given_to_a_builder_may_change_afterwards():
    query, stages = {"a": 1}, [{"$set": {"b": [1]}}]
    built = pipeline("a").source("broker", topic="a").match(query).stages(stages).sink("broker", topic="b", when=query)
    before = built.build()
    query["a"] = 2
    stages[0]["$set"]["b"].append(2)
    assert built.build() == before


def test_a_whole_config_and_single_settings_go_together():
    whole = StreamingRuntimeConfig(batch_size=9, emit="final", on_error="skip")
    built = pipeline("a").source("broker", topic="a").sink("broker", topic="b").config(whole).config(seed=1).build()
    assert built.config == StreamingRuntimeConfig(batch_size=9, emit="final", seed=1, on_error="skip")


def test_set_takes_a_mapping_and_keywords_together():
    built = pipeline("a").set({"a.b": 1, "c": 1}, c=2, name="n")
    assert built._parts["stages"] == [{"$set": {"a.b": 1, "c": 2}, "name": "n"}]


def test_texts_in_python_are_no_references():
    definition = pipeline("a").source("broker", topic="${HOME}").sink("broker", topic="b").build()
    assert definition.source.options == {"topic": "${HOME}"}
    assert definition.to_dict()["source"]["topic"] == "$${HOME}"


def test_build_reports_everything_at_once():
    built = (
        pipeline("my orders")
        .source("broker", topics="a", on_error="skp")
        .match(5)
        .set("total")
        .stages([{"$mtach": {}}, "x"])
        .sink(MemorySink, when={"a": {"$gtt": 1}})
        .sink("brokr")
        .on_error(StreamingErrorPolicy.dead_letter({"type": "broker"}))
        .config(batch_size=0, batchSize=1)
        .listen(print)
        .function("f", 5)
        .collection("c", [1])
        .connection("d", topics=1)
    )
    assert answer_of(built.build) == [
        "name: cannot be called 'my orders'; use letters, digits, '-' and '_'",
        "source.topics: unknown option of connector 'broker'; did you mean 'topic'?",
        "source.on_error: unknown error policy 'skp'; did you mean 'skip'?",
        "source.topic: required by connector 'broker'",
        "stages[0].$match: takes a query document, got 5; give {field: condition, …}",
        "stages[1].$set: takes an object of fields, got 'total'",
        "stages[2]: unknown stage '$mtach'; did you mean '$match'?",
        "stages[3]: must be a mapping with a stage, got a string; such as {$match: {status: PAID}}",
        "sinks[0]: must be a StreamingSink or a bytewax.outputs.Sink, got the class MemorySink; make an object of it",
        "sinks[0].when.a.$gtt: unknown query operator '$gtt'; did you mean '$gt'?",
        "sinks[1].type: unknown connector 'brokr'; did you mean 'broker'?",
        "on_error.dead_letter.topic: required by connector 'broker'",
        "config.batch_size: must be an integer of at least 1, got 0",
        "config.batchSize: unknown setting; did you mean 'batch_size'?",
        "functions.f: must be a function; give the callable, or 'module:name'",
        "collections.c[0]: must be a document, got a number",
        "listeners[0]: must be a StreamingMetricsListener, got a builtin_function_or_method",
    ]


def test_what_is_missing_is_said_after_what_is_there():
    assert answer_of(pipeline("a").match({"a": {"$gtt": 1}}).build) == [
        "stages[0].$match.a.$gtt: unknown query operator '$gtt'; did you mean '$gt'?",
        "source: is missing; say where documents come from, such as {type: files, path: orders.jsonl}",
        "sink: is missing; say where documents go, such as {type: files, path: out.jsonl}",
    ]


def test_stages_that_are_nested_too_deeply_are_answered():
    expression = 1
    for _ in range(5000):
        expression = [expression]
    built = pipeline("a").source("broker", topic="a").set(x=expression).sink("broker", topic="b")
    assert answer_of(built.build) == ["definition: is nested too deeply; split it over several stages"]
