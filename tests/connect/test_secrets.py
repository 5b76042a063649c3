"""References to values of the run's time, and keeping secrets out of every text."""

from __future__ import annotations

import json
import urllib.parse
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from fluxion_flow.connect.secrets import (
    Template,
    UnresolvedReference,
    env,
    holds_reference,
    interpolate,
    redact,
    register_secret,
    resolve,
    secret,
    to_data,
)
from fluxion_flow.errors import Problems, Where


def _interpolated(value: Any) -> tuple[Any, list[str]]:
    problems = Problems()
    result = interpolate(value, Where.at("source"), problems)
    return result, list(map(str, problems))


@pytest.fixture(autouse=True)
def _environment(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("HOST", "broker.example")
    monkeypatch.setenv("EMPTY", "")
    monkeypatch.setenv("API_TOKEN", "t0ken-value")
    monkeypatch.delenv("KAFKA_BOOTSTRAP", raising=False)


@pytest.mark.parametrize(
    ("text", "value"),
    [
        ("${HOST}", "broker.example"),
        ("${HOST}:9092,${OTHER_HOST:-localhost}:9092", "broker.example:9092,localhost:9092"),
        ("${EMPTY}", ""),
        ("${EMPTY:-default}", "default"),
        ("${EMPTY:-}", ""),
        ("${HOST} and $${HOST}", "broker.example and ${HOST}"),
        ("Bearer ${secret:API_TOKEN}", "Bearer t0ken-value"),
    ],
)
def test_references_in_strings_are_filled_in_when_resolved(text: str, value: str) -> None:
    template, problems = _interpolated(text)
    assert problems == []
    assert template == Template(text)
    assert resolve(template) == value
    assert (str(template), to_data(template)) == (text, text)


@pytest.mark.parametrize("text", ["$a", "$$ROOT", "$a.b", "{$a}", "$", "cost: $5", "$$NOW{", ""])
def test_field_paths_are_never_touched(text: str) -> None:
    assert _interpolated({"$set": {"x": text, text: [text]}}) == ({"$set": {"x": text, text: [text]}}, [])


def test_an_escaped_reference_is_a_plain_string() -> None:
    assert _interpolated("$${NAME}") == ("${NAME}", [])
    assert to_data("${NAME}") == "$${NAME}"


def test_every_unset_variable_is_a_problem_at_its_path() -> None:
    value, problems = _interpolated(
        {
            "bootstrap_servers": "${KAFKA_BOOTSTRAP}",
            "topics": ["a", "${NOT_SET_1}-${NOT_SET_2}"],
            "user": {"$env": "NOT_SET_3"},
            "password": {"$secret": "NOT_SET_4"},
            "key": {"$secret": {"file": "/no/such/file"}},
            "odd": "${a-b}",
            "open": "${HOST",
            "wrong": {"$env": 5},
            "wronger": {"$secret": {"path": "x"}},
        }
    )
    assert problems == [
        "source.bootstrap_servers: environment variable KAFKA_BOOTSTRAP is not set; "
        "export it or write ${KAFKA_BOOTSTRAP:-default}",
        "source.topics[1]: environment variable NOT_SET_1 is not set; export it or write ${NOT_SET_1:-default}",
        "source.topics[1]: environment variable NOT_SET_2 is not set; export it or write ${NOT_SET_2:-default}",
        "source.user: environment variable NOT_SET_3 is not set; export it or write ${NOT_SET_3:-default}",
        "source.password: secret NOT_SET_4 is not set; "
        "export the environment variable NOT_SET_4 or use secret(file=...)",
        "source.key: secret file '/no/such/file' cannot be read (No such file or directory); "
        "mount it or correct the path",
        "source.odd: malformed reference '${a-b}'; write ${NAME} or ${NAME:-default}, or $${ for a literal ${",
        "source.open: malformed reference '${HOST'; write ${NAME} or ${NAME:-default}, or $${ for a literal ${",
        'source.wrong: malformed $env reference; write {"$env": "NAME"}',
        'source.wronger: malformed $secret reference; write {"$secret": "NAME"} or {"$secret": {"file": "/path"}}',
    ]
    assert value["topics"] == ["a", Template("${NOT_SET_1}-${NOT_SET_2}")]


def test_a_definition_without_end_is_a_problem() -> None:
    value: Any = "${HOST}"
    for _ in range(5000):
        value = [value]
    assert _interpolated(value)[1] == ["source: is nested too deeply; split it into named parts"]


def test_references_print_their_name_only() -> None:
    references = [env("HOST", "fallback"), secret("API_TOKEN"), secret(file="/run/secrets/x"), Template("${API_TOKEN}")]
    assert [repr(reference) for reference in references] == [
        "env('HOST')",
        "secret('API_TOKEN')",
        "secret(file='/run/secrets/x')",
        "Template('${API_TOKEN}')",
    ]
    assert [str(reference) for reference in references] == [
        "env('HOST')",
        "secret('API_TOKEN')",
        "secret(file='/run/secrets/x')",
        "${API_TOKEN}",
    ]


@pytest.mark.parametrize(
    ("reference", "data"),
    [
        (env("HOST"), {"$env": "HOST"}),
        (env("HOST", "x"), {"$env": {"name": "HOST", "default": "x"}}),
        (secret("API_TOKEN"), {"$secret": "API_TOKEN"}),
        (secret(file="/etc/hostname"), {"$secret": {"file": "/etc/hostname"}}),
    ],
)
def test_references_have_a_data_form(reference: Any, data: Any) -> None:
    assert to_data({"a": [reference]}) == {"a": [data]}
    assert _interpolated({"a": [data]})[0] == {"a": [reference]}


def test_a_reference_takes_its_value_when_it_is_resolved(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    (tmp_path / "key").write_text("from-a-file\n")
    references = {"a": env("LATER"), "b": [secret("LATER"), secret(file=str(tmp_path / "key"))], "c": env("NOPE", "d")}
    assert holds_reference(references)
    with pytest.raises(UnresolvedReference) as caught:
        resolve(references)
    assert str(caught.value) == "environment variable LATER is not set; export it or write ${LATER:-default}"
    monkeypatch.setenv("LATER", "now-it-is")
    resolved = resolve(references)
    assert resolved == {"a": "now-it-is", "b": ["now-it-is", "from-a-file"], "c": "d"}
    assert not holds_reference(resolved)
    assert redact("now-it-is from-a-file") == "*** ***"


def test_a_secret_is_a_variable_or_a_file() -> None:
    for arguments in ({}, {"name": "A", "file": "b"}):
        with pytest.raises(TypeError, match="name of an environment variable or file="):
            secret(**arguments)


def test_registered_secrets_are_taken_out_in_every_form() -> None:
    value = 'p&ss "wörd"/1+1'
    register_secret(value)
    for form in (
        value,
        urllib.parse.quote(value),
        urllib.parse.quote(value, safe=""),
        urllib.parse.quote_plus(value),
        json.dumps(value)[1:-1],
        json.dumps(value, ensure_ascii=False)[1:-1],
    ):
        assert redact(f"cannot log in with [{form}]") == "cannot log in with [***]"
    assert redact(repr({"password": value})) == "{'password': '***'}"


def test_short_values_are_left_alone_and_longer_secrets_go_first() -> None:
    register_secret("abc")
    register_secret("hunter22")
    register_secret("hunter22-extended")
    assert redact("abc hunter22-extended hunter22") == "abc *** ***"


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("postgresql://joe:pw@db:5432/x failed", "postgresql://joe:***@db:5432/x failed"),
        ("mongodb+srv://joe:p:w@a,b/x", "mongodb+srv://joe:***@a,b/x"),
        ("redis://:pw@host", "redis://:***@host"),
        ("see http://host:80/a@b and a:b@c", "see http://host:80/a@b and a:b@c"),
        ("'amqp://u:p@h' \"amqp://u:q@h\"", "'amqp://u:***@h' \"amqp://u:***@h\""),
    ],
)
def test_passwords_in_urls_are_taken_out(text: str, expected: str) -> None:
    assert redact(text) == expected


_text = st.text(alphabet="${}ABab:-_ ", max_size=12)


@given(st.recursive(_text | st.integers() | st.none(), lambda i: st.lists(i) | st.dictionaries(st.just("k"), i)))
def test_any_plain_value_survives_its_data_form(value: Any) -> None:
    assert _interpolated(to_data(value)) == (value, [])


@given(_text)
def test_any_interpolated_string_keeps_its_written_form(text: str) -> None:
    value, _ = _interpolated(text)
    again, _ = _interpolated(to_data(value))
    assert again == value
    if isinstance(value, Template):
        assert to_data(value) == text
