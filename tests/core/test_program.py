"""A program gives the same whatever its speculative tier expects, and however often a document surprises it."""

from __future__ import annotations

import gc
import sys
from decimal import Decimal
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from fluxion_flow import run_batch
from fluxion_flow.core.environment import Environment
from fluxion_flow.core.expressions.compile import _ORIGINS
from fluxion_flow.core.plan import segments
from fluxion_flow.core.program import ENOUGH, DocumentError, Program
from fluxion_flow.core.stages import Keyed, parse_stages
from fluxion_flow.errors import Problems, Where

FIELDS = {
    "n": {"$count": {}},
    "sum": {"$sum": "$i.x"},
    "product": {"$sum": {"$multiply": ["$i.x", "$y"]}},
    "avg": {"$avg": "$i.x"},
    "min": {"$min": "$i.x"},
    "max": {"$max": "$i.x"},
    "push": {"$push": "$i.x"},
    "set": {"$addToSet": "$i.s"},
    "first": {"$first": "$i.x"},
    "last": {"$last": "$i.s"},
    "both": {"$push": {"s": "$i.s", "y": "$y"}},
}
GROUP = {"$group": {"_id": "$i.s", **FIELDS}}
PIPELINES = {
    "group": [GROUP],
    "unwind and group": [{"$unwind": "$i"}, GROUP],
    "unwind with index, match and group": [
        {"$match": {"y": {"$gte": 0}}},
        {"$unwind": {"path": "$i", "includeArrayIndex": "at", "preserveNullAndEmptyArrays": True}},
        {"$match": {"i.x": {"$gt": 1}}},
        {"$group": {"_id": {"s": "$i.s", "t": "$i.s"}, "at": {"$push": "$at"}, **FIELDS}},
    ],
    "two unwinds and group": [{"$unwind": "$i"}, {"$unwind": "$k"}, GROUP],
    "unwind and project": [
        {"$unwind": "$i"},
        {"$set": {"p": {"$multiply": ["$y", {"$subtract": [1, "$i.x"]}]}}},
        {"$project": {"p": 1, "t": {"$add": ["$p", "$y"]}, "q": {"$cond": [{"$gte": ["$y", 2]}, "a'b", "y1 + 2"]}}},
    ],
    "unwind and set": [{"$unwind": "$i"}, {"$set": {"p": {"$add": ["$i.x", "$y"]}, "q": {"$gt": ["$i.s", "b"]}}}],
}


def like(x: st.SearchStrategy[Any], s: st.SearchStrategy[Any], y: st.SearchStrategy[Any]) -> st.SearchStrategy[Any]:
    item = st.fixed_dictionaries({"x": x, "s": s})
    return st.fixed_dictionaries({"i": st.lists(item, max_size=4), "y": y, "k": st.just([1, 2])})


FLOATS = st.sampled_from([0.1, 0.2, 1e16, -2.5, 3.25])
INTS = st.integers(-3, 9)
ODD = st.sampled_from([None, True, 1, 1.0, 2**63 - 1, -0.0, float("nan"), "a", [1.5], {"a": 1}, Decimal("1.50")])
STRINGS = st.sampled_from(["a", "b", "c"])
SHAPES = st.sampled_from([like(FLOATS, STRINGS, INTS), like(INTS, STRINGS, FLOATS), like(STRINGS, STRINGS, INTS)])
ODD_DOCUMENTS = st.one_of(
    like(st.one_of(FLOATS, ODD), st.one_of(STRINGS, ODD), INTS),
    like(FLOATS, STRINGS, ODD),
    st.fixed_dictionaries({}, optional={"i": st.one_of(ODD, st.just([])), "y": INTS, "k": ODD}),
)


def exactly(value: Any) -> Any:
    if isinstance(value, list):
        return [exactly(item) for item in value]
    if isinstance(value, dict):
        return [(name, exactly(item)) for name, item in value.items()]
    return type(value).__name__, repr(value)


def outcome(program: Program, end: Any, batches: list[list[Any]]) -> Any:
    """What batches give, one after the other, and how many documents each stage added to them or took away."""
    found: list[Any] = []
    state = end.state() if isinstance(end, Keyed) else None
    for documents in batches:
        env = Environment(partition="0")
        try:
            result = program.run(documents, env)
        except DocumentError as error:
            found.append(str(error))
            continue
        found.append(env.changes)
        if state is None:
            found.append(exactly(result))
        else:
            state.merge(result, "0")
    return [*found, exactly(state.documents()) if state is not None else None]


@pytest.mark.parametrize("name", PIPELINES)
@given(data=st.data())
def test_surprises_change_nothing(name: str, data: st.DataObject) -> None:
    problems = Problems()
    (segment,) = segments(parse_stages(PIPELINES[name], Where.at("stages"), problems))
    problems.raise_if_any()
    usual = data.draw(SHAPES)
    batches = [data.draw(st.lists(usual, min_size=1, max_size=3)) * ENOUGH]
    for _ in range(2):
        odd = data.draw(st.lists(ODD_DOCUMENTS, max_size=3))
        batches.append(data.draw(st.permutations([*batches[0][:40], *odd])))
    general = Program(segment.program.stages, segment.program.combine)
    general.trusted = False
    general._batches = 1  # far from the next try of the speculative tier
    assert outcome(segment.program, segment.end, batches) == outcome(general, segment.end, batches)


def test_a_document_that_surprises_is_done_again_alone() -> None:
    problems = Problems()
    (segment,) = segments(parse_stages(PIPELINES["unwind and group"], Where.at("stages"), problems))
    documents = [{"i": [{"x": 1.5, "s": "a"}, {"x": 2.5, "s": "b"}], "y": 2} for _ in range(ENOUGH)]
    segment.program.run(documents, Environment())
    env = Environment()
    segment.program.run([*documents, {"i": [{"x": 1.5, "s": "a"}, {"x": 2, "s": "a"}], "y": 2}], env)
    assert env.surprises == 1


def test_an_error_names_stage_operator_and_document() -> None:
    documents = [{"a": 1}] * ENOUGH + [{"a": 0}, {"a": 1}]
    with pytest.raises(DocumentError) as raised:
        run_batch(documents, [{"$match": {}}, {"$set": {"b": {"$add": [1, {"$divide": [1, "$a"]}]}}}])
    assert str(raised.value) == "stages[1].$set.b.$add[1].$divide: $divide by zero"
    assert raised.value.index == ENOUGH
    if sys.version_info >= (3, 11):
        assert raised.value.__notes__ == [f"It was document {ENOUGH} of its batch, counted from 0."]


def test_the_speculative_tier_is_written_anew_when_documents_change() -> None:
    problems = Problems()
    stages = parse_stages([{"$set": {"b": {"$add": ["$a", 1]}}}], Where.at("stages"), problems)
    program = Program(stages)
    program.run([{"a": 1}] * ENOUGH, Environment())
    assert "is not int" in program.source()
    program.run([{"a": 1.5}] * ENOUGH, Environment())
    assert program.trusted
    env = Environment()
    program.run([{"a": 1.5}, {"a": 1}] * ENOUGH, env)
    assert env.surprises == 0


def test_nothing_is_kept_of_programs_that_are_gone() -> None:
    gc.collect()
    before = len(_ORIGINS)
    for _ in range(5):
        run_batch([{"a": 1}], [{"$set": {"b": {"$add": ["$a", 1]}}}, {"$group": {"_id": "$b"}}])
    gc.collect()
    assert len(_ORIGINS) <= before


def test_what_is_computed_for_a_new_document_stands_where_the_document_is_made() -> None:
    price = {"$multiply": ["$p", {"$subtract": [1, "$d"]}]}
    size = {"$cond": [{"$gte": ["$n", 8]}, "v1 = 'x'", "small"]}
    problems = Problems()
    stages = [{"$project": {"_id": 0, "price": price, "size": size}}]
    (segment,) = segments(parse_stages(stages, Where.at("stages"), problems))
    documents = [{"p": 2.5, "d": 0.5, "n": n} for n in range(ENOUGH)]
    found = segment.program.run(documents, Environment())
    assert found[-1] == {"price": 1.25, "size": "v1 = 'x'"}
    made = next(line.strip() for line in segment.program.source().splitlines() if "append({" in line)
    assert made == """append({'price': (v1 * (1 - v2)), 'size': ("v1 = 'x'" if (v4 >= 8) else 'small')})"""
