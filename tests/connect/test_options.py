"""Options of connectors: everything wrong is said at once, with its path."""

from __future__ import annotations

from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from jsonschema import Draft202012Validator

from fluxion_flow.connect.options import Option, byte_count, plainly_fits, seconds, to_json_schema, validate
from fluxion_flow.connect.secrets import Template, env, redact, secret
from fluxion_flow.errors import Problems, Where

OPTIONS = (
    Option("bootstrap_servers", "string", "Where the brokers are."),
    Option("batch", "integer", "Documents of a batch.", 500, minimum=1),
    Option("rate", "number", "Documents a second.", None),
    Option("fsync", "boolean", "Wait for the disk.", True),
    Option("timeout", "duration", "How long to wait.", 30.0),
    Option("part_size", "size", "Bytes of a part.", 1024, minimum=10),
    Option("topics", "list", "Topics.", (), items="string"),
    Option("headers", "object", "Headers.", None),
    Option("mode", "string", "How to begin.", "append", choices=("append", "overwrite")),
    Option("password", "string", "The password.", None, secret=True),
    Option("level", "string", "A secret choice.", "a", secret=True, choices=("a", "b")),
    Option("then", "sink", "Where to go on.", None),
    Option("where", "expression", "Which ones.", None),
)


def _validate(given: dict[str, Any], **options: Any) -> tuple[dict[str, Any], list[str]]:
    problems = Problems()
    result = validate(OPTIONS, given, Where.at("source"), problems, "connector 'kafka'", **options)
    return result, list(map(str, problems))


def test_defaults_are_filled_in_and_values_converted() -> None:
    result, problems = _validate(
        {"bootstrapServers": "a:1", "timeout": "500ms", "part_size": "2KiB", "batch": 5.0, "topics": ("t",)}
    )
    assert problems == []
    assert result == {
        "bootstrap_servers": "a:1",
        "batch": 5,
        "rate": None,
        "fsync": True,
        "timeout": 0.5,
        "part_size": 2048,
        "topics": ["t"],
        "headers": None,
        "mode": "append",
        "password": None,
        "level": "a",
        "then": None,
        "where": None,
    }


def test_every_problem_is_reported_at_once() -> None:
    _, problems = _validate(
        {
            "botstrap_servers": "a",
            "zzz": 1,
            "batch": "x",
            "rate": True,
            "fsync": "yes",
            "timeout": "5 minutes",
            "part_size": "1B",
            "topics": ["a", 5, None],
            "headers": [],
            "mode": "apend",
            "password": 12345678,
            "level": "top-secret",
            "then": {"path": "x"},
        }
    )
    assert problems == [
        "source.botstrap_servers: unknown option of connector 'kafka'; did you mean 'bootstrap_servers'?",
        "source.zzz: unknown option of connector 'kafka'; it has batch, bootstrap_servers, fsync, headers, level, "
        "mode, part_size, password, rate, then, timeout, topics, where",
        'source.batch: must be an integer, got "x"',
        "source.rate: must be a number, got true",
        'source.fsync: must be true or false, got "yes"',
        'source.timeout: must be a duration: seconds, or a text such as "500ms", "5s", "2m", "1h", got "5 minutes"',
        'source.part_size: must be at least 10, got "1B"',
        "source.topics[1]: must be a string, got 5",
        "source.topics[2]: must be a string, got null",
        "source.headers: must be a mapping, got []",
        'source.mode: must be one of "append", "overwrite", got "apend"; did you mean \'append\'?',
        "source.password: must be a string, got a number",
        'source.level: must be one of "a", "b", got a string',
        'source.then: must be a sink: a mapping with a type, got {"path": "x"}',
        "source.bootstrap_servers: required by connector 'kafka'",
    ]


@pytest.mark.parametrize(
    ("given", "problem"),
    [
        ({"batch": 0}, "source.batch: must be at least 1, got 0"),
        ({"batch": None}, "source.batch: must be an integer, got null"),
        ({"batch": 1.5}, "source.batch: must be an integer, got 1.5"),
        ({"timeout": -1}, "source.timeout: must be at least 0, got -1"),
        ({"timeout": float("nan")}, "source.timeout: must be at least 0, got NaN"),
        ({"mode": object()}, 'source.mode: must be one of "append", "overwrite", got a value of type object'),
        ({"mode": "x" * 80}, f'source.mode: must be one of "append", "overwrite", got "{"x" * 56}...'),
        (
            {"bootstrapServers": "a", "bootstrap_servers": "b"},
            "source.bootstrap_servers: the same option as 'bootstrapServers'; give one of the two",
        ),
    ],
)
def test_a_bad_value_is_shown(given: dict[str, Any], problem: str) -> None:
    assert _validate({"bootstrap_servers": "a", **given} if "bootstrapServers" not in given else given)[1] == [problem]


def test_fields_of_somebody_else_are_passed_over_and_suggested() -> None:
    result, problems = _validate({"bootstrap_servers": "a", "time_field": "$at"}, also_known=("time_field",))
    assert problems == []
    assert "time_field" not in result
    _, problems = _validate({"bootstrap_servers": "a", "timefield": "$at"}, also_known=("time_field",))
    assert problems == ["source.timefield: unknown option of connector 'kafka'; did you mean 'time_field'?"]


def test_references_are_resolved_before_types_are_checked(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("BATCH", "250")
    monkeypatch.setenv("WAIT", "2m")
    monkeypatch.setenv("NUMBER", "123")
    result, problems = _validate(
        {
            "bootstrap_servers": env("NUMBER"),
            "batch": env("BATCH"),
            "fsync": Template("${NOT_SET:-false}"),
            "timeout": env("WAIT"),
            "topics": ["a", env("NUMBER")],
            "headers": {"x": env("BATCH")},
        }
    )
    assert problems == []
    assert result["bootstrap_servers"] == "123"
    assert result["batch"] == 250
    assert result["fsync"] is False
    assert result["timeout"] == 120.0
    assert result["topics"] == ["a", "123"]
    assert result["headers"] == {"x": "250"}
    assert _validate({"bootstrap_servers": "a", "batch": env("WAIT")})[1] == [
        "source.batch: must be an integer, got a string from env('WAIT')"
    ]


def test_a_reference_without_a_value_waits_until_it_must_have_one() -> None:
    given = {"bootstrap_servers": env("NOT_SET"), "batch": secret("NOT_SET_EITHER")}
    result, problems = _validate(given)
    assert problems == []
    assert result["bootstrap_servers"] == env("NOT_SET")
    assert _validate(given, must_resolve=True)[1] == [
        "source.bootstrap_servers: environment variable NOT_SET is not set; export it or write ${NOT_SET:-default}",
        "source.batch: secret NOT_SET_EITHER is not set; "
        "export the environment variable NOT_SET_EITHER or use secret(file=...)",
    ]


def test_values_of_secret_options_are_registered_with_the_redactor(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("PASSWORD", "from-the-environment")
    _validate({"bootstrap_servers": "a", "password": "in-the-definition"})
    _validate({"bootstrap_servers": "a", "password": Template("${PASSWORD}")})
    assert redact("in-the-definition from-the-environment") == "*** ***"


def test_a_wrong_value_out_of_a_reference_is_not_shown(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("TOKEN", "t0ken")
    monkeypatch.setenv("TOPICS", '["a", {"t0ken": 1}]')
    _, problems = _validate(
        {
            "bootstrap_servers": "a",
            "batch": secret("TOKEN"),
            "headers": Template("Bearer ${TOKEN}"),
            "topics": env("TOPICS"),
            "mode": env("TOKEN"),
            "then": {"password": env("TOKEN")},
            "timeout": env("NOT_SET", "-5"),
        }
    )
    assert problems == [
        "source.batch: must be an integer, got a string from secret('TOKEN')",
        "source.headers: must be a mapping, got a string from Template('Bearer ${TOKEN}')",
        "source.topics[1]: must be a string, got a mapping from env('TOPICS')",
        'source.mode: must be one of "append", "overwrite", got a string from env(\'TOKEN\')',
        "source.then: must be a sink: a mapping with a type, got a mapping",
        'source.timeout: must be a duration: seconds, or a text such as "500ms", "5s", "2m", "1h", '
        "got a string from env('NOT_SET')",
    ]


def test_inherited_values_stand_where_nothing_is_given() -> None:
    result, problems = _validate({"batch": 7}, inherited={"bootstrap_servers": "a", "batch": 5})
    assert problems == []
    assert (result["bootstrap_servers"], result["batch"]) == ("a", 7)


@pytest.mark.parametrize(
    ("text", "value"),
    [(5, 5.0), (0.5, 0.5), ("500ms", 0.5), ("5s", 5.0), ("1.5s", 1.5), ("2m", 120.0), ("1h", 3600.0), ("1d", 86400.0)],
)
def test_durations_are_seconds(text: float | str, value: float) -> None:
    assert seconds(text) == value


@pytest.mark.parametrize(
    ("text", "value"),
    [(5, 5), ("5", 5), ("5B", 5), ("1KB", 1000), ("1KiB", 1024), ("64 MiB", 67108864), ("2gib", 2147483648)],
)
def test_sizes_are_bytes(text: int | str, value: int) -> None:
    assert byte_count(text) == value


def test_other_texts_are_no_durations_or_sizes() -> None:
    with pytest.raises(ValueError, match="not a duration: '5 minutes'"):
        seconds("5 minutes")
    with pytest.raises(ValueError, match="not a size: '5 apples'"):
        byte_count("5 apples")


def test_the_json_schema_allows_references_and_forbids_unknown_names() -> None:
    schema = to_json_schema(OPTIONS)
    Draft202012Validator.check_schema(schema)
    validator = Draft202012Validator(schema)
    assert schema["required"] == ["bootstrap_servers"]
    assert schema["properties"]["password"]["writeOnly"] is True
    good = {"bootstrap_servers": "${A}", "batch": {"$env": "B"}, "password": {"$secret": "C"}, "rate": None, "where": 1}
    assert list(validator.iter_errors(good)) == []
    for bad in ({}, {"bootstrap_servers": "a", "x": 1}, {"bootstrap_servers": "a", "batch": "many"}):
        assert list(validator.iter_errors(bad))


def test_an_option_may_have_other_names() -> None:
    options = [Option("url", "string", "Where to send.", also=("endpoint",))]
    problems = Problems()
    assert validate(options, {"endpoint": "http://a"}, Where.at("sink"), problems, "connector 'http'") == {
        "url": "http://a"
    }
    assert not problems
    validate(options, {"url": "http://a", "endpoint": "http://b"}, Where.at("sink"), problems, "connector 'http'")
    assert list(map(str, problems)) == ["sink.endpoint: the same option as 'url'; give one of the two"]


VALUES = st.recursive(
    st.none()
    | st.booleans()
    | st.integers(-3, 12)
    | st.floats()
    | st.sampled_from(["append", "a", "b", "5s", "5 m\n", "10", "64MiB", "1KB", "-1s", "5 apples", ""]),
    lambda inner: st.lists(inner, max_size=2) | st.dictionaries(st.sampled_from(["type", "x"]), inner, max_size=2),
    max_leaves=3,
)


@given(st.sampled_from(OPTIONS), VALUES)
def test_what_fits_at_a_glance_keeps_to_the_schema(option: Option, value: Any) -> None:
    if plainly_fits(option, value):
        assert list(Draft202012Validator(option.json_schema()).iter_errors(value)) == []


@pytest.mark.parametrize(
    ("name", "value"),
    [("batch", 5), ("rate", 0.5), ("timeout", "5s"), ("topics", ["a"]), ("mode", "append"), ("then", {"type": "x"})],
)
def test_ordinary_values_fit_at_a_glance(name: str, value: Any) -> None:
    (option,) = (option for option in OPTIONS if option.name == name)
    assert plainly_fits(option, value)
