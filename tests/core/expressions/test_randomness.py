"""Chance that a replay repeats, and metadata."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from fluxion_flow.core.batch import run_batch
from fluxion_flow.core.environment import Environment
from fluxion_flow.core.expressions.compile import compile_expression
from fluxion_flow.core.expressions.operators.randomness import site
from fluxion_flow.core.expressions.parse import Parser
from fluxion_flow.errors import Problems, Where

DOCUMENTS = [{"n": n} for n in range(1000)]


def _function(spec: Any) -> Callable[..., Any]:
    return compile_expression(Parser(Problems()).expression(spec, Where.at("stages", 0, "$set", "x")))


def test_a_record_meets_the_same_chance_again() -> None:
    first = run_batch(DOCUMENTS, [{"$set": {"r": {"$rand": {}}, "s": {"$rand": {}}}}])
    assert first == run_batch(DOCUMENTS, [{"$set": {"r": {"$rand": {}}, "s": {"$rand": {}}}}])
    assert len({d["r"] for d in first} | {d["s"] for d in first}) == 2000
    assert all(0 <= d["r"] < 1 for d in first)


def test_a_stage_before_it_does_not_change_the_chance() -> None:
    bare = run_batch(DOCUMENTS, [{"$set": {"r": {"$rand": {}}}}])
    later = run_batch(DOCUMENTS, [{"$set": {"q": 1}}, {"$set": {"r": {"$rand": {}}}}])
    assert [d["r"] for d in bare] == [d["r"] for d in later]


def test_places_in_a_definition_differ() -> None:
    places = [("$set", "a", "$add", 0), ("$set", "a", "$add", 1), ("$set", "b", "$add", 0)]
    assert len({site(Where.at("stages", 0, *place)) for place in places}) == 3


def test_items_of_an_array_meet_different_chances() -> None:
    (document,) = run_batch([{"a": [1, 2, 3]}], [{"$set": {"a": {"$map": {"input": "$a", "in": {"$rand": {}}}}}}])
    assert len(set(document["a"])) == 3


def test_the_sample_rate_is_kept_and_a_seed_fixes_it() -> None:
    taken = run_batch(DOCUMENTS, [{"$match": {"$expr": {"$sampleRate": {"rate": 0.3, "seed": 7}}}}])
    assert 230 < len(taken) < 370
    assert taken == run_batch(DOCUMENTS, [{"$match": {"$expr": {"$sampleRate": {"rate": 0.3, "seed": 7}}}}], seed=5)


def test_metadata_of_the_stream_is_read_by_path() -> None:
    env = Environment(position=7, meta={"stream": {"source": {"topic": "orders"}}})
    env.at(1)
    assert _function({"$meta": "stream.source.topic"})({}, env) == "orders"
    assert _function({"$meta": "stream"})({}, env) == {"source": {"topic": "orders", "position": 8}}
    assert _function({"$ifNull": [{"$meta": "stream.window.start"}, "none"]})({}, env) == "none"


def test_bad_chances_are_answered_before_they_run(problems_of: Callable[..., str]) -> None:
    assert problems_of({"$rand": {"seed": 1}}) == "x.$rand: takes no argument; write {$rand: {}}"
    assert problems_of({"$sampleRate": 1.5}) == "x.$sampleRate: is a number from 0 to 1, got 1.5"
    assert problems_of({"$meta": "textScore"}) == (
        "x.$meta: unknown metadata 'textScore'; give 'stream' or a path in it, such as 'stream.source.topic'"
    )
