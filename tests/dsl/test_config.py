import json

import pytest

from fluxion_flow import (
    PipelineError,
    StreamingErrorPolicy,
    StreamingPipelineDefinition,
    StreamingRuntimeConfig,
    pipeline,
)
from fluxion_flow.dsl.config import VARIABLES, PolicyOverrides


def answer_of(call):
    with pytest.raises(PipelineError) as caught:
        call()
    return str(caught.value).splitlines()


def test_defaults():
    assert StreamingRuntimeConfig() == StreamingRuntimeConfig(
        batch_size=500,
        emit=None,
        drain_timeout=30.0,
        flush_interval=1.0,
        state_partitions=16,
        labels={},
        environment="",
        concurrency=16,
        metrics=True,
        seed=0,
        granularity=None,
        on_error=PolicyOverrides(),
    )


def test_durations_may_be_texts():
    assert StreamingRuntimeConfig(drain_timeout="2m", flush_interval="500ms") == StreamingRuntimeConfig(
        drain_timeout=120.0, flush_interval=0.5
    )


def test_the_constructor_reports_everything_at_once():
    assert answer_of(lambda: StreamingRuntimeConfig(batch_size=0, emit="x", labels={"worker": "1"})) == [
        "config.batch_size: must be an integer of at least 1, got 0",
        "config.emit: must be update or final, got 'x'",
        "config.labels: the label 'worker' is set by Fluxion Flow itself; give it another name",
    ]


def test_later_places_win(tmp_path):
    path = tmp_path / "overrides.yaml"
    path.write_text("batch_size: 200\nemit: final\nlabels: {tier: b, team: file}\n")
    config = StreamingRuntimeConfig(batch_size=100, seed=7, emit="update", labels={"team": "code", "app": "x"})
    assert config.resolved({}) == config
    from_file = config.resolved({"FLUXION_CONFIG": str(path)})
    assert from_file == StreamingRuntimeConfig(
        batch_size=200, seed=7, emit="final", labels={"team": "file", "app": "x", "tier": "b"}
    )
    environ = {"FLUXION_CONFIG": str(path), "FLUXION_BATCH_SIZE": "300", "FLUXION_LABELS": "team=env, zone=1"}
    assert config.resolved(environ) == StreamingRuntimeConfig(
        batch_size=300, seed=7, emit="final", labels={"team": "env", "app": "x", "tier": "b", "zone": "1"}
    )


def test_every_setting_has_its_variable():
    given = {
        "FLUXION_BATCH_SIZE": "7",
        "FLUXION_EMIT": "final",
        "FLUXION_DRAIN_TIMEOUT": "1m",
        "FLUXION_FLUSH_INTERVAL": "0.25",
        "FLUXION_STATE_PARTITIONS": "64",
        "FLUXION_MAX_KEYS": "1000",
        "FLUXION_MAX_BYTES": "2 GiB",
        "FLUXION_TTL": "1h",
        "FLUXION_STANDBY": "yes",
        "FLUXION_STATE_ALIASES": "group=totals,sink_a=sink_b",
        "FLUXION_START_EMPTY": "totals.n, totals.most",
        "FLUXION_LABELS": "team=a,tier=b",
        "FLUXION_ENVIRONMENT": "prod",
        "FLUXION_CONCURRENCY": "4",
        "FLUXION_METRICS": "off",
        "FLUXION_SEED": "-3",
        "FLUXION_GRANULARITY": "document",
        "FLUXION_STATUS_PORT": "8080",
        "FLUXION_STATUS_HOST": "0.0.0.0",
        "FLUXION_STATUS_TOKEN": "token-of-the-environment",
        "FLUXION_STALLED_AFTER": "1m",
        "FLUXION_ON_ERROR": "skip_and_continue",
        "FLUXION_SOURCE_ON_ERROR": "{retry: {max_attempts: 5}}",
        "FLUXION_SINK_ON_ERROR": "retry: 3",
        "FLUXION_STAGE_ON_ERROR__TOTALS": "fail_fast",
        "HOME": "/root",
    }
    not_settings = {"FLUXION_CONFIG", "FLUXION_CONNECTIONS", "FLUXION_STAGE_ON_ERROR__<NAME>"}
    assert {name for name in given if name.startswith("FLUXION_")} - {"FLUXION_STAGE_ON_ERROR__TOTALS"} == (
        set(VARIABLES) - not_settings
    )
    assert StreamingRuntimeConfig().resolved(given) == StreamingRuntimeConfig(
        batch_size=7,
        emit="final",
        drain_timeout=60.0,
        flush_interval=0.25,
        state_partitions=64,
        max_keys=1000,
        max_bytes=2**31,
        ttl=3600.0,
        standby=True,
        state_aliases={"group": "totals", "sink_a": "sink_b"},
        start_empty=("totals.n", "totals.most"),
        labels={"team": "a", "tier": "b"},
        environment="prod",
        concurrency=4,
        metrics=False,
        seed=-3,
        granularity="document",
        status_port=8080,
        status_host="0.0.0.0",
        status_token="token-of-the-environment",
        stalled_after=60.0,
        on_error=PolicyOverrides(
            pipeline=StreamingErrorPolicy.skip_and_continue(),
            source=StreamingErrorPolicy.retry(5),
            sink=StreamingErrorPolicy.retry(3),
            stages={"TOTALS": StreamingErrorPolicy.fail_fast()},
        ),
    )


def test_an_empty_variable_changes_nothing():
    names = ("FLUXION_BATCH_SIZE", "FLUXION_ON_ERROR", "FLUXION_STAGE_ON_ERROR__A", "FLUXION_CONFIG")
    assert StreamingRuntimeConfig().resolved(dict.fromkeys(names, "")) == StreamingRuntimeConfig()


def test_every_problem_of_the_environment_is_reported_with_its_origin(tmp_path):
    path = tmp_path / "overrides.yaml"
    path.write_text("batch_sizes: 5\nseed: x\nlabels: {a: '${NOT_SET_ANYWHERE}'}\non_error: {source: skp}\n")
    environ = {
        "FLUXION_CONFIG": str(path),
        "FLUXION_BATCH_SIZE": "x",
        "FLUXION_EMITT": "final",
        "FLUXION_QQQQQQQQQQ": "1",
        "FLUXION_LABELS": "team",
        "FLUXION_ON_ERROR": "{retry: ",
        "FLUXION_SINK_ON_ERROR": "{retry: {max_attempt: 1}}",
        "FLUXION_STAGE_ON_ERROR__TOTALS": "sometimes",
    }
    assert answer_of(lambda: StreamingRuntimeConfig().resolved(environ)) == [
        f"config file {path}: labels.a: environment variable NOT_SET_ANYWHERE is not set; "
        "export it or write ${NOT_SET_ANYWHERE:-default}",
        f"config file {path}: batch_sizes: unknown setting; did you mean 'batch_size'?",
        f"config file {path}: seed: must be an integer, got 'x'",
        f"config file {path}: on_error.source: unknown error policy 'skp'; did you mean 'skip'?",
        "FLUXION_EMITT: unknown variable; did you mean 'FLUXION_EMIT'?",
        "FLUXION_ON_ERROR: line 1, column 9: not YAML: while parsing a flow node, expected the node content, "
        "but found '<stream end>'; such as skip_and_continue or '{retry: {max_attempts: 5}}'",
        "FLUXION_QQQQQQQQQQ: unknown variable; see the list of variables",
        "FLUXION_SINK_ON_ERROR.retry.max_attempt: unknown field of retry; did you mean 'max_attempts'?",
        "FLUXION_SINK_ON_ERROR.retry.max_attempts: required by retry; say how many attempts in all, the first included",
        "FLUXION_STAGE_ON_ERROR__TOTALS: unknown error policy 'sometimes'; "
        "such as fail_fast, skip_and_continue, {retry: 5} or {dead_letter: {...}}",
        "FLUXION_BATCH_SIZE: must be an integer of at least 1, got 'x'",
        "FLUXION_LABELS: must be labels such as team=a,tier=b, got 'team'",
    ]


@pytest.mark.parametrize(
    ("content", "answer"),
    [
        (None, "cannot be read (No such file or directory); correct the path"),
        ("{", "line 1, column 2: not JSON: expecting property name enclosed in double quotes"),
        ("[1]", "must be a mapping of settings, got [1]; such as {batch_size: 500}"),
    ],
)
def test_a_config_file_that_cannot_be_used_is_named(tmp_path, content, answer):
    path = tmp_path / "overrides.json"
    if content is not None:
        path.write_text(content)
    found = answer_of(lambda: StreamingRuntimeConfig().resolved({"FLUXION_CONFIG": str(path)}))
    assert found == [f"config file {path}: {answer}"]


def orders(**stage):
    return (
        pipeline("orders")
        .source("broker", topic="orders")
        .match({"status": "PAID"}, name="paid")
        .set(total=1, name="line-totals", **stage)
        .sink("broker", topic="a", name="first", on_error="fail_fast")
        .sink("broker", topic="b")
        .on_error({"dead_letter": {"type": "broker", "topic": "dead"}, "granularity": "document"})
        .build()
    )


def test_a_restart_swaps_the_policy_of_each_scope():
    environ = {
        "FLUXION_ON_ERROR": "{retry: 5, then: dead_letter}",
        "FLUXION_SOURCE_ON_ERROR": "{retry: 9}",
        "FLUXION_SINK_ON_ERROR": "skip_and_continue",
        "FLUXION_STAGE_ON_ERROR__LINE_TOTALS": "{retry: 2}",
        "FLUXION_STAGE_ON_ERROR__0": "skip_and_continue",
    }
    policies = orders().resolved(environ).policies()
    assert policies.pipeline == StreamingErrorPolicy.retry(5).then(
        StreamingErrorPolicy.dead_letter({"type": "broker", "topic": "dead"}).per_document()
    )
    assert policies.for_source().retries.max_attempts == 9
    assert policies.for_stage("line-totals", 1).retries.max_attempts == 2
    assert policies.for_stage("paid", 0).action == "skip"
    assert [policies.for_sink(name).action for name in ("first", "broker")] == ["skip", "skip"]


def test_resolving_twice_changes_nothing_more():
    environ = {"FLUXION_ON_ERROR": "{retry: 5}", "FLUXION_BATCH_SIZE": "9", "FLUXION_LABELS": "a=b"}
    once = orders().resolved(environ)
    assert once.resolved(environ) == once


def test_the_definition_itself_stays_as_it_was():
    definition = orders()
    definition.resolved({"FLUXION_ON_ERROR": "skip_and_continue"})
    assert definition == orders()


def test_an_override_for_a_stage_that_is_not_there_is_answered():
    environ = {"FLUXION_STAGE_ON_ERROR__LINE_TOTLAS": "fail_fast", "FLUXION_STAGE_ON_ERROR__2": "fail_fast"}
    assert answer_of(lambda: orders().resolved(environ)) == [
        "FLUXION_STAGE_ON_ERROR__2: there is no stage '2'; named stages: paid, line-totals",
        "FLUXION_STAGE_ON_ERROR__LINE_TOTLAS: there is no stage 'LINE_TOTLAS'; did you mean 'LINE_TOTALS'?",
    ]


def test_a_dead_letter_sink_from_the_environment_is_checked():
    environ = {"FLUXION_SINK_ON_ERROR": "{dead_letter: {type: broker}}"}
    assert answer_of(lambda: orders().resolved(environ)) == [
        "FLUXION_SINK_ON_ERROR.dead_letter.topic: required by connector 'broker'"
    ]


def test_overrides_in_a_definition_hold_too():
    data = {**orders().to_dict(), "config": {"on_error": {"stages": {"paid": "skip_and_continue"}}}}
    policies = StreamingPipelineDefinition.from_dict(data).policies()
    assert policies.for_stage("paid", 0).action == "skip"


def test_the_granularity_of_the_config_is_for_policies_that_name_none():
    definition = pipeline("a").source("broker", topic="a").sink("broker", topic="b")
    assert definition.build().policies().for_source().granularity == "batch"
    assert definition.config(granularity="document").build().policies().for_source().granularity == "document"
    named = definition.on_error({"skip": {}, "granularity": "batch"}).config(granularity="document")
    assert named.build().policies().for_source().granularity == "batch"


def test_connections_come_from_the_environment_too(tmp_path, monkeypatch):
    path = tmp_path / "connections.yaml"
    path.write_text(json.dumps({"main": {"type": "broker", "bootstrap_servers": "b:9092"}}))
    built = pipeline("a").source(connection_ref="main", topic="a").sink("broker", topic="b")
    assert answer_of(built.build) == [
        "source.connection_ref: unknown connection 'main'; no connections are given",
    ]
    monkeypatch.setenv("FLUXION_CONNECTIONS", str(path))
    assert built.build().resolved().connections == {"main": {"type": "broker", "bootstrap_servers": "b:9092"}}
    monkeypatch.setenv("FLUXION_CONNECTIONS", "/not/there.yaml")
    assert answer_of(lambda: built.build().resolved()) == [
        "source.connection_ref: unknown connection 'main'; no connections are given",
        "FLUXION_CONNECTIONS: '/not/there.yaml' cannot be read (No such file or directory); correct the path",
    ]
