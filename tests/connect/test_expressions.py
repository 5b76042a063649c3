"""Expressions among a connector's options: checked with the definition, handed to the connector compiled."""

from __future__ import annotations

from typing import Any

import pytest

from fluxion_flow import PipelineError, env, pipeline
from fluxion_flow.connect import registry
from fluxion_flow.connect.expressions import Expression
from fluxion_flow.connect.options import Option
from fluxion_flow.connect.registry import Connector, check_sink, open_sink
from fluxion_flow.connect.spi import Batch, SinkWriter, StreamingSink
from fluxion_flow.core.resources import Resources
from fluxion_flow.errors import Problems, Where

MADE: list[dict[str, Any]] = []


class _Sink(StreamingSink):
    def __init__(self, **options: Any) -> None:
        MADE.append(options)

    def open(self, part: str, cursor: Any) -> SinkWriter:
        raise NotImplementedError


OPTIONS = (Option("path", "expression", "Where to."), Option("who", "expression", "Who.", None))


@pytest.fixture(autouse=True)
def _expressive(monkeypatch: pytest.MonkeyPatch) -> None:
    MADE.clear()
    connector = Connector("expressive", "Takes expressions", sink=_Sink, sink_options=OPTIONS)
    monkeypatch.setitem(registry._registered, "expressive", connector)


def test_a_connector_gets_expressions_compiled() -> None:
    open_sink({"type": "expressive", "path": {"$concat": ["/", "$name"]}, "who": "me"})
    (made,) = MADE
    assert made["path"].values(Batch([{"name": "a"}, {"name": "b"}])) == (["/a", "/b"], {})
    assert (made["path"].constant, made["who"].constant, made["who"].value) == (False, True, "me")
    open_sink({"type": "expressive", "path": "x"})
    assert MADE[1]["who"] is None


def test_a_function_of_a_document_is_an_expression_too() -> None:
    values, errors = Expression(lambda document: 12 // document["n"]).values(Batch([{"n": 3}, {"n": 0}, {}]))
    assert values == [4, None, None]
    assert {index: repr(error) for index, error in errors.items()} == {
        1: "ZeroDivisionError('integer division or modulo by zero')",
        2: "KeyError('n')",
    }


def test_a_document_that_fails_fails_alone() -> None:
    half = Expression({"$divide": [{"$meta": "stream.source.position"}, "$n"]}, Where.at("sink", "path"))
    batch = Batch([{"n": 2}, {"n": 0}, {}, {"n": 4}], "p", 5, [5, 6, 9, 12], meta={"source": {"topic": "t"}})
    values, errors = half.values(batch)
    assert values == [2.5, None, None, 3.0]
    assert {index: str(error) for index, error in errors.items()} == {
        1: "sink.path.$divide: $divide by zero",
    }


def test_problems_of_expressions_are_those_of_the_definition() -> None:
    problems = Problems()
    spec = {"type": "expressive", "path": {"$concatt": ["a"]}, "who": "$$you"}
    assert check_sink(spec, Where.at("sink"), problems) is None
    expected = [
        "sink.path.$concatt: unknown operator '$concatt'; did you mean '$concat'?",
        "sink.who: unknown variable '$$you'; define it with $let",
    ]
    assert list(map(str, problems)) == expected
    with pytest.raises(PipelineError) as caught:
        open_sink(spec)
    assert str(caught.value).splitlines()[-2:] == expected
    with pytest.raises(PipelineError, match="unknown operator"):
        Expression({"$concatt": ["a"]})


def test_a_reference_is_an_expression_when_it_has_a_value(monkeypatch: pytest.MonkeyPatch) -> None:
    problems = Problems()
    assert check_sink({"type": "expressive", "path": env("WHERE_TO")}, Where.at("sink"), problems) is not None
    monkeypatch.setenv("WHERE_TO", "$name")
    open_sink({"type": "expressive", "path": env("WHERE_TO")})
    assert MADE[0]["path"].values(Batch([{"name": "a"}])) == (["a"], {})


def test_functions_of_the_pipeline_and_its_seed_are_known() -> None:
    resources = Resources(functions={"twice": lambda n: n * 2}, seed=7)
    twice = Expression({"$function": {"body": "twice", "args": ["$n"], "lang": "python"}}, Where.at("x"), resources)
    assert twice.values(Batch([{"n": 2}])) == ([4], {})
    batch = Batch([{}, {}], "p", 3)
    assert Expression({"$rand": {}}, Where.at("x"), resources).values(batch) == (
        Expression({"$rand": {}}, Where.at("x"), Resources(seed=7)).values(batch)
    )
    definition = (
        pipeline("x")
        .source("memory", documents=[])
        .sink("expressive", path={"$function": {"body": "twice", "args": ["$n"], "lang": "python"}})
        .function("twice", lambda n: n * 2)
        .build()
    )
    definition.compile()
    assert MADE[0]["path"].values(Batch([{"n": 2}])) == ([4], {})
