"""Joins are served by an index that is made once, and mean the same with and without one."""

from hypothesis import given, settings
from hypothesis import strategies as st

from fluxion_flow.core.batch import run_batch
from fluxion_flow.core.stages.collections import FieldIndex

numbers = st.sampled_from([None, 0, 1, 1.0, "a", True])
values = st.one_of(numbers, st.lists(numbers, max_size=2), st.fixed_dictionaries({"b": numbers}))
documents = st.lists(st.fixed_dictionaries({}, optional={"a": values}), max_size=6)


def numbered(documents):
    return [{"_id": i, **document} for i, document in enumerate(documents)]


@settings(max_examples=150, deadline=None)
@given(outside=documents, inside=documents, path=st.sampled_from(["a", "a.b"]))
def test_a_field_is_joined_to_what_a_query_for_its_value_finds(outside, inside, path):
    collection = numbered(inside)
    joined = run_batch(
        outside,
        [{"$lookup": {"from": "c", "localField": "a", "foreignField": path, "as": "j"}}],
        collections={"c": collection},
    )
    for before, after in zip(outside, joined, strict=True):
        value = before.get("a")
        wanted = value if isinstance(value, list) else [value]
        query = {"$or": [{path: {"$eq": one}} for one in wanted]} if wanted else {"_id": -1}
        assert after["j"] == run_batch(collection, [{"$match": query}])


@settings(max_examples=150, deadline=None)
@given(outside=documents, inside=documents, path=st.sampled_from(["a", "a.b"]))
def test_the_index_behind_an_expression_changes_nothing(outside, inside, path):
    def lookup(test):
        pipeline = [{"$match": {"$expr": test}}]
        return [{"$lookup": {"from": "c", "let": {"v": "$a"}, "pipeline": pipeline, "as": "j"}}]

    collections = {"c": numbered(inside)}
    with_index = run_batch(outside, lookup({"$eq": ["$" + path, "$$v"]}), collections=collections)
    without = run_batch(outside, lookup({"$not": [{"$ne": ["$" + path, "$$v"]}]}), collections=collections)
    assert repr(with_index) == repr(without)


def test_the_index_is_made_once(monkeypatch):
    made = []
    real = FieldIndex._built
    monkeypatch.setattr(FieldIndex, "_built", lambda self: made.append(1) or real(self))
    stages = [{"$lookup": {"from": "c", "localField": "a", "foreignField": "a", "as": "j"}}]
    run_batch([{"a": i} for i in range(100)], stages, collections={"c": [{"a": i} for i in range(100)]})
    assert len(made) == 1


def test_only_documents_with_the_wanted_value_go_through_the_pipeline():
    """Every other document of the collection would divide by zero."""
    collection = [{"a": i, "d": 0} for i in range(50)] + [{"a": 99, "d": 2}]
    test = {"$and": [{"$gt": [{"$divide": [4, "$d"]}, 1]}, {"$eq": ["$$v.x", "$a"]}]}
    stages = [{"$lookup": {"from": "c", "let": {"v": "$o"}, "pipeline": [{"$match": {"$expr": test}}], "as": "j"}}]
    (document,) = run_batch([{"o": {"x": 99}}], stages, collections={"c": collection})
    assert document["j"] == [{"a": 99, "d": 2}]
