"""What holds for every registered accumulator, whatever it computes."""

import copy
import datetime
import decimal
import operator
import pickle
import re
import textwrap

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from fluxion_flow import run_batch
from fluxion_flow.core.accumulators import ACCUMULATORS
from fluxion_flow.core.expressions.kinds import kind_of
from fluxion_flow.core.ordering import canonical
from fluxion_flow.core.values import from_millis, type_name

SPECS = {
    "$sum": [{"$sum": "$x"}, {"$sum": 3}],
    "$avg": [{"$avg": "$x"}],
    "$count": [{"$count": {}}],
    "$min": [{"$min": "$x"}],
    "$max": [{"$max": "$x"}],
    "$minN": [{"$minN": {"input": "$x", "n": 2}}, {"$minN": {"input": "$x", "n": "$n"}}],
    "$maxN": [{"$maxN": {"input": "$x", "n": 1}}, {"$maxN": {"input": "$x", "n": 3}}],
    "$push": [{"$push": "$x"}, {"$push": {"x": "$x", "y": "$y"}}],
    "$addToSet": [{"$addToSet": "$x"}],
    "$concatArrays": [{"$concatArrays": "$list"}],
    "$setUnion": [{"$setUnion": "$list"}],
    "$mergeObjects": [{"$mergeObjects": "$object"}],
    "$first": [{"$first": "$x"}],
    "$last": [{"$last": "$x"}],
    "$firstN": [{"$firstN": {"input": "$x", "n": 3}}, {"$firstN": {"input": "$x", "n": "$n"}}],
    "$lastN": [{"$lastN": {"input": "$x", "n": 3}}],
    "$top": [{"$top": {"sortBy": {"x": 1}, "output": "$y"}}],
    "$topN": [
        {"$topN": {"sortBy": {"x": -1, "y": 1}, "output": ["$x", "$y"], "n": 2}},
        {"$topN": {"sortBy": {"x": 1}, "output": "$y", "n": "$n"}},
    ],
    "$bottom": [{"$bottom": {"sortBy": {"x": -1}, "output": "$y"}}],
    "$bottomN": [{"$bottomN": {"sortBy": {"x": 1}, "output": "$y", "n": 2}}],
    "$stdDevPop": [{"$stdDevPop": "$x"}],
    "$stdDevSamp": [{"$stdDevSamp": "$x"}],
    "$median": [
        {"$median": {"input": "$x", "method": "approximate"}},
        {"$median": {"input": "$x", "method": "continuous"}},
    ],
    "$percentile": [{"$percentile": {"input": "$x", "p": [0.1, 0.5, 0.99], "method": "approximate"}}],
    "$accumulator": [
        {
            "$accumulator": {
                "init": list,
                "accumulate": operator.concat,
                "accumulateArgs": ["$list"],
                "merge": operator.concat,
            }
        }
    ],
}

# Few distinct numbers, so that equal values of different types and exact cancellation are frequent.
numbers = st.one_of(
    st.sampled_from([0, 1, -1, 2, 2**53 + 1, 2**63 - 1, -(2**63)]),
    st.sampled_from([0.0, -0.0, 1.0, -1.0, 0.1, 0.2, 1e16, -1e16, 1e308, -1e308, 5e-324, float("nan"), float("inf")]),
    st.floats(allow_nan=False, allow_infinity=False),
    st.integers(-(2**63), 2**63 - 1),
    st.sampled_from([decimal.Decimal(d) for d in ("0", "1", "1.0", "0.1", "-1E+20", "1E-6176", "9E+6144", "NaN")]),
)
few_numbers = st.sampled_from([0, 0.0, -0.0, 1, 1.0, decimal.Decimal("0"), decimal.Decimal("1.0")])
plain_numbers = st.one_of(st.floats(-1e6, 1e6), st.integers(-100, 100))
scalars = st.one_of(
    numbers,
    st.none(),
    st.booleans(),
    st.sampled_from(["", "a", "b", "1"]),
    st.sampled_from([from_millis(0), from_millis(86_400_001)]),
    st.sampled_from([b"", b"a"]),
    st.just(re.compile("a", re.IGNORECASE)),
)
values = st.recursive(
    scalars,
    lambda inner: st.one_of(st.lists(inner, max_size=2), st.dictionaries(st.sampled_from("ab"), inner, max_size=2)),
    max_leaves=4,
)
documents = st.one_of(
    *[
        st.lists(
            st.fixed_dictionaries(
                {"n": st.just(2), "list": st.lists(st.sampled_from([0, 1, 1.0, True, None]), max_size=2)},
                optional={
                    "x": x,
                    "y": st.integers(0, 9),
                    "object": st.one_of(st.none(), st.dictionaries(st.sampled_from("abc"), scalars, max_size=3)),
                },
            ),
            max_size=60,
        )
        for x in (values, numbers, few_numbers, plain_numbers)
    ]
)
every_spec = [pytest.param(spec, id=str(spec)[:60]) for specs in SPECS.values() for spec in specs]


def test_every_accumulator_is_tried_here():
    assert sorted(SPECS) == sorted(ACCUMULATORS)


@pytest.mark.parametrize(
    ("name", "documents", "spec", "expected"),
    [(name, *example) for name, cls in ACCUMULATORS.items() for example in cls.examples],
)
def test_examples_are_true(name, documents, spec, expected, run, bits):
    assert list(spec) == [name]
    before = bits(documents)
    if isinstance(expected, type):
        with pytest.raises(expected):
            run(documents, spec)
    else:
        assert bits(run(documents, spec)) == bits(expected)
    assert bits(documents) == before


@pytest.mark.parametrize("name", ACCUMULATORS)
def test_every_accumulator_is_documented_and_has_examples(name):
    cls = ACCUMULATORS[name]
    assert cls.examples
    assert f"MongoDB: {name}" in " ".join(cls.__doc__.split())


@pytest.mark.parametrize("spec", every_spec)
@settings(max_examples=60, deadline=None)
@given(data=st.data())
def test_any_split_and_order_of_merging_gives_the_same_bits(spec, data, build, run, bits):
    given_documents = data.draw(documents)
    expected = bits(run(given_documents, spec))
    accumulator, value_of = build(spec)

    shuffled = given_documents if accumulator.ordered else data.draw(st.permutations(given_documents))
    partials, state = [], accumulator.zero()
    for document in copy.deepcopy(shuffled):
        state = accumulator.add(state, value_of(document))
        if data.draw(st.integers(0, 5)) == 0:
            partials.append(state)
            state = accumulator.zero()
    partials.append(state)
    assert_plain(partials)
    partials = pickle.loads(pickle.dumps(partials))
    while len(partials) > 1:
        i = data.draw(st.integers(0, len(partials) - 2))
        a, b = partials[i], partials.pop(i + 1)
        if not accumulator.ordered and data.draw(st.booleans()):
            a, b = b, a
        partials[i] = accumulator.merge(a, b)
    assert_plain(partials)

    before = pickle.dumps(partials)
    assert bits(accumulator.result(partials[0])) == expected
    assert pickle.dumps(partials) == before, "result changed the state"


@pytest.mark.parametrize("spec", every_spec)
@settings(max_examples=25, deadline=None)
@given(data=st.data())
def test_the_inlined_source_does_what_add_does(spec, data, build, run, bits):
    accumulator, value_of = build(spec)
    if accumulator.zero_code is not None:
        assert bits(eval(accumulator.zero_code)) == bits(accumulator.zero())  # noqa: S307
    if accumulator.fast is None:
        return
    given_documents = data.draw(documents)
    source = textwrap.dedent(accumulator.fast).format(s="states[0]", v="v", add="add")
    loop = "for v in values:\n" + textwrap.indent(source, "    ")
    states = [accumulator.zero()]
    names = {"states": states, "values": [value_of(d) for d in given_documents], "add": accumulator.add}
    exec(loop, names)  # noqa: S102
    assert bits(accumulator.result(states[0])) == bits(run(given_documents, spec))


@pytest.mark.parametrize("spec", every_spec)
@settings(max_examples=25, deadline=None)
@given(data=st.data())
def test_the_source_for_known_kinds_does_what_add_does(spec, data, build, bits):
    accumulator, value_of = build(spec)
    for inline in accumulator.inlines:
        given_values = [value_of(d) for d in data.draw(documents)]
        values = [v for v in given_values if not kind_of(v) & ~inline.kinds]
        assert accumulator.inline_for(inline.kinds) is not None
        if not values:
            continue
        expected = accumulator.zero()
        for value in values:
            expected = accumulator.add(expected, copy.deepcopy(value))
        first, *rest = values
        states = [eval(inline.first.format(v="v"), {"v": first})]  # noqa: S307
        source = textwrap.dedent(inline.more).format(s="states[0]", v="v", add="add")
        names = {"states": states, "values": rest, "add": accumulator.add}
        exec("for v in values:\n" + textwrap.indent(source, "    "), names)  # noqa: S102
        assert bits(accumulator.result(states[0])) == bits(accumulator.result(expected))


@pytest.mark.parametrize("spec", [spec for spec in every_spec if "$accumulator" not in spec.id and "$n" not in spec.id])
@settings(max_examples=25, deadline=None)
@given(given_documents=documents)
def test_a_document_that_surprises_a_group_is_taken_in_once(spec, given_documents):
    """$accumulator needs its list, and an ``n`` that depends on the key another key."""
    given_documents = [{}, *given_documents, {}]
    fields = {"before": {"$count": {}}, "it": spec, "sum": {"$sum": {"$ifNull": ["$n", 2]}}, "behind": {"$count": {}}}
    (group,) = run_batch(given_documents, [{"$group": {"_id": None, **fields}}])
    count = len(given_documents)
    assert (group["before"], group["sum"], group["behind"]) == (count, 2 * count, count)


@pytest.mark.parametrize("spec", every_spec)
def test_the_result_of_no_documents_is_a_value(spec, run):
    assert type_name(run([], spec)) != "missing"


def test_results_are_fresh(build):
    for spec in ({"$push": "$x"}, {"$addToSet": "$x"}, {"$firstN": {"input": "$x", "n": 2}}, {"$mergeObjects": "$o"}):
        accumulator, value_of = build(spec)
        state = accumulator.add(accumulator.zero(), value_of({"x": 1, "o": {"a": 1}}))
        first = accumulator.result(state)
        first.clear()
        assert accumulator.result(state)


def assert_plain(value):
    if isinstance(value, dict):
        for key, item in value.items():
            assert isinstance(key, str) or key == canonical(item)
            assert_plain(item)
    elif isinstance(value, list):
        for item in value:
            assert_plain(item)
    else:
        plain = (type(None), bool, int, float, str, bytes, decimal.Decimal, datetime.datetime, re.Pattern)
        assert type(value) in plain
