"""Documents folded straight into groups give what combining and merging them gives, to the bit."""

from __future__ import annotations

import pickle
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from fluxion_flow import run_batch
from fluxion_flow.core.environment import Environment
from fluxion_flow.core.program import DocumentError, Program
from fluxion_flow.core.stages import parse_stages
from fluxion_flow.core.stages.group_fold import GROWN
from fluxion_flow.errors import Problems, Where

VALUES = st.one_of(
    st.integers(-3, 3),
    st.sampled_from([0.1, 0.2, -0.3, 1e16, -1e16, 1.0, -0.0, float("nan"), 2**53 + 1, "a", "b", None, True]),
    st.lists(st.integers(0, 2), max_size=2),
)
DOCUMENTS = st.fixed_dictionaries({}, optional={"k": VALUES, "v": VALUES, "w": VALUES})
FOLDED = [
    {"$sum": "$v"},
    {"$sum": "$w"},
    {"$avg": "$v"},
    {"$min": "$v"},
    {"$max": "$v"},
    {"$count": {}},
    {"$addToSet": "$w"},
    {"$stdDevPop": "$v"},
    {"$minN": {"input": "$v", "n": 2}},
    {"$percentile": {"input": "$v", "p": [0.5], "method": "approximate"}},
]


def group_of(spec: dict[str, Any]) -> Any:
    problems = Problems()
    (stage,) = parse_stages([{"$group": spec}], Where.at("stages"), problems)
    problems.raise_if_any()
    return stage


def spec_of(key: Any, accumulators: list[dict[str, Any]]) -> dict[str, Any]:
    return {"_id": key, **{f"f{n}": accumulator for n, accumulator in enumerate(accumulators)}}


def text_of(documents: list[dict[str, Any]]) -> list[str]:
    return sorted(map(repr, documents))


@settings(max_examples=150, deadline=None)
@given(
    documents=st.lists(DOCUMENTS, max_size=20),
    key=st.sampled_from(["$k", None, {"a": "$k"}, {"a": "$k", "b": "$w"}]),
    accumulators=st.lists(st.sampled_from(FOLDED), max_size=3),
    size=st.integers(1, 6),
    partitions=st.integers(1, 4),
    attached=st.integers(0, 3),
    stored_at=st.integers(0, 20),
)
def test_any_division_into_batches_partitions_and_lives_gives_the_offline_groups(
    documents: list[dict[str, Any]],
    key: Any,
    accumulators: list[dict[str, Any]],
    size: int,
    partitions: int,
    attached: int,
    stored_at: int,
) -> None:
    """Partitions from ``attached`` on are elsewhere: they get partial results, as from another worker."""
    spec = spec_of(key, accumulators)
    group = group_of(spec)
    assert group.folds
    program = Program((), group, shares=True)
    fold = group.fold(partitions)
    states = [group.state(home=home) if n < attached else group.state() for n, home in enumerate(fold.homes)]
    for home in fold.homes[:attached]:
        home.attached = True
    changed: set[Any] = set()
    for start in range(0, len(documents), size):
        fold.take(program.run(documents[start : start + size], Environment(partition="0", position=start)))
        for number, groups in fold.leaving():
            states[number].merge(groups, "0")
        for home in fold.homes:
            changed.update(fold.changes(home))
        if start <= stored_at < start + size:  # another life of all partitions, from what they stored
            stored = [pickle.loads(pickle.dumps(state.dump())) for state in states]
            fold = group.fold(partitions)
            states = [group.state(home=home) if n < attached else group.state() for n, home in enumerate(fold.homes)]
            for state, home, plain in zip(states, fold.homes, stored, strict=True):
                state.load(plain)
                home.attached = home in fold.homes[:attached]
    assert text_of([d for state in states for d in state.documents()]) == text_of(
        run_batch(documents, [{"$group": spec}])
    )
    assert changed == {key for home in fold.homes[:attached] for key in home.own()}


def test_what_cannot_be_added_fails_before_anything_is() -> None:
    deep: Any = []
    for _ in range(3000):
        deep = [deep]
    group = group_of({"_id": "$k", "n": {"$sum": 1}, "most": {"$max": "$v"}})
    fold = group.fold(1)
    with pytest.raises(DocumentError):
        fold.take(Program((), group, shares=True).run([{"k": "a", "v": 1}, {"k": "a", "v": deep}], Environment()))
    assert fold.entries == {}


def test_fields_of_one_path_share_a_slot() -> None:
    group = group_of(spec_of("$k", [{"$sum": "$v"}, {"$max": "$v"}, {"$sum": 1}, {"$min": "$w"}]))
    shares = Program((), group, shares=True).run([{"k": "a", "v": 2.5, "w": 1}], Environment())
    assert shares == [("a", "a", 2.5, 1)]


def test_a_long_sum_is_kept_short_and_exact() -> None:
    documents = [{"v": 0.1} for _ in range(100_000)]
    spec = {"_id": None, "total": {"$sum": "$v"}}
    group = group_of(spec)
    program, fold = Program((), group, shares=True), group.fold(1)
    (home,) = fold.homes
    home.attached = True
    for start in range(0, len(documents), 500):
        fold.take(program.run(documents[start : start + 500], Environment()))
    assert len(fold.entries[None][1]) < 70_000
    fold.changes(home)
    assert len(fold.entries[None][1]) < GROWN
    assert group.state(home=home).documents() == run_batch(
        documents, [{"$group": {"_id": None, "total": {"$sum": "$v"}}}]
    )
