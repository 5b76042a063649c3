"""What a document gets from a window is what the accumulator gives over the window's documents, to the bit."""

import decimal

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from fluxion_flow.core.accumulators import ACCUMULATORS, build_accumulator
from fluxion_flow.core.accumulators.extremes import Max
from fluxion_flow.core.batch import run_batch
from fluxion_flow.core.expressions.parse import Parser
from fluxion_flow.core.program import DocumentError
from fluxion_flow.core.values import MISSING
from fluxion_flow.core.windows import Window, all_window_functions, frames_of, over_frames
from fluxion_flow.errors import Problems, Where

SPECS = {
    "$minN": {"input": "$x", "n": 2},
    "$maxN": {"input": "$x", "n": 2},
    "$firstN": {"input": "$x", "n": 2},
    "$lastN": {"input": "$x", "n": 2},
    "$top": {"sortBy": {"x": 1}, "output": "$x"},
    "$bottom": {"sortBy": {"x": -1}, "output": "$x"},
    "$topN": {"sortBy": {"x": 1}, "output": "$x", "n": 2},
    "$bottomN": {"sortBy": {"x": -1}, "output": "$x", "n": 2},
    "$median": {"input": "$x", "method": "continuous"},
    "$percentile": {"input": "$x", "p": [0.1, 0.9], "method": "discrete"},
    "$count": {},
}
OBJECTS = {"$mergeObjects"}
ARRAYS = {"$concatArrays", "$setUnion"}
PLAIN = sorted(set(ACCUMULATORS) - {"$accumulator"} - OBJECTS - ARRAYS)

numbers = st.sampled_from([0, 1, 2, -3, 1.0, 0.1, -0.0, 2.5, 1e16, float("nan"), float("inf"), decimal.Decimal("1.50")])
anything = st.one_of(numbers, st.sampled_from([None, MISSING, "a", "b", True, [1, 2], {"a": 1}]))
bounds = st.one_of(st.none(), st.integers(-4, 4))


def bits(value):
    """A value as text that tells equal values of different types apart."""
    if isinstance(value, dict):
        return "{" + ", ".join(f"{k!r}: {bits(v)}" for k, v in value.items()) + "}"
    if isinstance(value, list):
        return "[" + ", ".join(map(bits, value)) + "]"
    return f"{type(value).__name__} {value!r}"


def build(name):
    problems = Problems()
    built = build_accumulator({name: SPECS.get(name, "$x")}, Where.at("x"), Parser(problems), problems)
    problems.raise_if_any()
    accumulator, nodes = built
    return accumulator, len(nodes)


@pytest.mark.parametrize("name", [*PLAIN, *sorted((OBJECTS | ARRAYS) & set(ACCUMULATORS))])
@settings(max_examples=60, deadline=None)
@given(data=st.data())
def test_every_accumulator_slides_as_if_each_window_were_computed_anew(name, data):
    accumulator, inputs = build(name)
    if name in OBJECTS:
        one = st.one_of(st.none(), st.dictionaries(st.sampled_from("ab"), numbers))
    elif name in ARRAYS:
        one = st.lists(numbers, max_size=2)
    else:
        one = anything
    values = data.draw(st.lists(one, max_size=14))
    if inputs == 2:
        values = [(value, value) for value in values]
    lower, upper = data.draw(bounds), data.draw(bounds)
    if lower is not None and upper is not None and lower > upper:
        lower, upper = upper, lower
    starts, ends = frames_of(Window("documents", lower, upper), len(values), [])

    def anew(start, end):
        state = accumulator.zero()
        for value in values[start:end]:
            state = accumulator.add(state, value)
        return accumulator.result(state)

    expected = [anew(start, end) for start, end in zip(starts, ends, strict=True)]
    assert bits(over_frames(accumulator, values, starts, ends)) == bits(expected)


@settings(max_examples=60, deadline=None)
@given(
    values=st.lists(st.integers(-10, 10), max_size=14).map(sorted),
    low=st.one_of(st.none(), st.just("current"), st.integers(-5, 5)),
    high=st.one_of(st.none(), st.just("current"), st.integers(-5, 5)),
)
def test_a_range_holds_the_values_between_its_bounds(values, low, high):
    offsets = [0 if bound == "current" else bound for bound in (low, high)]
    if None not in offsets and offsets[0] > offsets[1]:
        low, high, offsets = high, low, offsets[::-1]
    starts, ends = frames_of(Window("range", low, high), len(values), values)
    for value, start, end in zip(values, starts, ends, strict=True):
        inside = [
            v
            for v in values
            if (offsets[0] is None or v >= value + offsets[0]) and (offsets[1] is None or v <= value + offsets[1])
        ]
        assert values[start:end] == inside


@pytest.mark.parametrize(
    ("name", "spec", "documents", "expected"),
    [
        pytest.param(name, spec, documents, expected, id=f"{name} {i}")
        for name, cls in all_window_functions().items()
        for i, (documents, spec, expected) in enumerate(cls.examples)
    ],
)
def test_examples_of_window_functions_are_true(name, spec, documents, expected):
    assert bits(run_batch(documents, [{"$setWindowFields": spec}])) == bits(expected)


@pytest.mark.parametrize("name", all_window_functions())
def test_every_window_function_is_documented(name):
    assert all_window_functions()[name].examples
    assert f"MongoDB: {name}" in " ".join(all_window_functions()[name].__doc__.split())


def test_an_extreme_is_compared_a_few_times_however_wide_the_window(monkeypatch):
    from fluxion_flow.core.windows import accumulate

    calls = []
    real = accumulate.sort_key
    monkeypatch.setattr(accumulate, "sort_key", lambda value: calls.append(1) or real(value))
    values = [(i * 7919) % 1000 for i in range(1000)]
    starts, ends = frames_of(Window("documents", -300, 0), len(values), [])
    assert over_frames(Max(), values, starts, ends)[-1] == max(values[-301:])
    assert len(calls) == len(values)


@pytest.mark.parametrize(
    ("documents", "output", "text"),
    [
        (
            [{"t": 1, "x": "a"}],
            {"$linearFill": "$x"},
            "stages[0].$setWindowFields.output.y.$linearFill: $linearFill takes numbers, got string",
        ),
        (
            [{"t": 1, "x": 1}, {"t": 1, "x": 2}],
            {"$linearFill": "$x"},
            "stages[0].$setWindowFields.output.y.$linearFill: "
            "$linearFill needs different values in the field sorted by, "
            "got the same one twice",
        ),
        (
            [{"t": "a", "x": 1}],
            {"$sum": "$x", "window": {"range": [-1, 0]}},
            "stages[0].$setWindowFields.output.y.$sum: a range needs numbers in the field sorted by, got string",
        ),
        (
            [{"t": 1, "x": 1}, {"t": 2, "x": None}],
            {"$derivative": {"input": "$x"}, "window": {"documents": [-1, 0]}},
            "stages[0].$setWindowFields.output.y.$derivative: $derivative takes numbers as input, got nothing",
        ),
        (
            [{"t": 1, "x": 1}],
            {"$sum": {"$divide": ["$x", 0]}},
            "stages[0].$setWindowFields.output.y.$sum.$divide: $divide by zero",
        ),
    ],
)
def test_a_document_that_cannot_be_taken_is_named_with_its_place(documents, output, text):
    with pytest.raises(DocumentError) as caught:
        run_batch(documents, [{"$setWindowFields": {"sortBy": {"t": 1}, "output": {"y": output}}}])
    assert str(caught.value) == text
    assert caught.value.index == len(documents) - 1


def test_null_and_missing_share_a_rank():
    documents = [{"n": 1, "s": None}, {"n": 2}, {"n": 3, "s": 4}]
    stage = {"$setWindowFields": {"sortBy": {"s": 1}, "output": {"rank": {"$rank": {}}, "dense": {"$denseRank": {}}}}}
    assert [(d["rank"], d["dense"]) for d in run_batch(documents, [stage])] == [(1, 1), (1, 1), (3, 2)]
