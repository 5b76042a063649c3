"""Records as rows of the needed fields: the same documents and the same rejects as when every record is decoded."""

import json
import pickle
import random

import pytest

from fluxion_flow.connect.encoding import decode_records
from fluxion_flow.connect.shape import REST, RowDecoder
from fluxion_flow.core.environment import Environment
from fluxion_flow.core.plan import segments
from fluxion_flow.core.program import DocumentError
from fluxion_flow.core.rows import Rows
from fluxion_flow.core.stages import parse_stages
from fluxion_flow.errors import Problems, Where

COMMON = [{"_id": n, "a": n % 7, "b": f"b{n % 3}", "c": {"x": n}, "d": n / 4} for n in range(40)]

BROKEN = [
    b'{"_id": 1, "a": 1, "b": "\xff"}', b'{"_id": 1, "a": 1, "b": "\\ud800"}', b'{"_id": 1, "a": 1, "\xff": 2}',
    b'{"_id": 1, "a": 1, "c": 1e999}', b'{"_id": 1, "a": 1, "c": {"x": [1e999]}}', b'{"_id": 1, "a": 1, "d": NaN}',
    b'{"_id": 1, "a": 1, "b": ' + b"9" * 400 + b"}", b'{"_id": 1, "a": 1, "b": "a\x01"}', b'[{"_id": 1, "a": 1}]',
    b'{"_id": 1, "a": 1', b'{"_id": 1, "a": 1} {}', b'{"_id": 1, "a": 01}', b"null", b"7", b'"text"', b"\xef\xbb\xbf{}",
    b'{"_id": 1, "a": 1, "c": ' + b"[" * 3000 + b"]" * 3000 + b"}", b'{"_id": 1, "a": 1, "b": tru}',
]  # fmt: skip

ODD = [
    b"", b"  \r", b"{}", b'{"a": 1}', b'{"_id": 1, "a": 1, "a": 2}', b'{"_id": 1, "\\u0061": 5, "b": "x"}',
    '{"_id": 1, "a": "é", "b": "日本"}'.encode(), b'{"_id": 1, "a": 1, "new": 1}', b'{"_id": 1, "a": null, "b": null}',
    b'{"_id": 1, "a": [1, "x"], "b": {"a": 1}, "c": []}', b'{"_id": 1, "a": 12345678901234567890123, "d": -0.0}',
    b'{"_id": 1, "a": true, "": 1, "a\\"b": 2}', b'{"a": 1.0, "_id": "x", "c": 1e-999, "d": 1.5}\r',
]  # fmt: skip


def lines(seed: int, size: int, odd: float) -> list[bytes]:
    """Records of the common shape, and among them others."""
    rng = random.Random(seed)
    made = [json.dumps(rng.choice(COMMON)).encode() for _ in range(size)]
    return [(rng.choice(BROKEN + ODD) if rng.random() < odd else line) + b"\n" for line in made]


def has_rows(documents):
    return isinstance(documents, Rows) and bool(documents.rows)


def program(*stages):
    problems = Problems()
    (segment,) = segments(parse_stages(list(stages), Where.at("stages"), problems))
    problems.raise_if_any()
    return segment.program


@pytest.mark.parametrize("odd", [0, 0.01, 0.3, 1])
@pytest.mark.parametrize("fields", [("a",), ("_id", "a", "b"), ("nowhere",), (), ('a"b',)])
def test_documents_positions_and_rejects_are_those_of_decoding_every_record(fields, odd):
    decoder, random_numbers = RowDecoder(fields), random.Random(str((fields, odd)))
    for batch in range(25):
        records = lines(batch, random_numbers.choice([1, 20, 100]), odd)
        places = [7 * n for n in range(len(records))]
        documents, positions, rejects = decoder.decode(records, places)
        expected = decode_records(records, places)
        assert documents.records == [records[places.index(place)] for place in positions]
        if has_rows(documents):
            assert len(documents.rows) == len(documents) == len(documents.records)
            for row, document in zip(documents.rows, expected[0], strict=True):
                assert row is None or repr([getattr(row, f"F{n}") for n in range(len(fields))]) == repr(
                    [document[name] for name in fields]
                )
            assert repr([documents[n] for n in range(len(documents))]) == repr(expected[0])
        assert repr((list(documents), list(positions), rejects)) == repr((expected[0], list(expected[1]), expected[2]))


def test_records_of_one_shape_become_rows_after_the_first_batch():
    decoder, records = RowDecoder(["a"]), lines(0, 100, 0)
    assert not has_rows(decoder.decode(records, range(100))[0])
    found = decoder.decode(records, range(100))[0]
    assert has_rows(found)
    assert [row.F0 for row in found.rows] == [document["a"] for document in found]
    assert pickle.loads(pickle.dumps(found[10:20])) == list(found)[10:20]


def test_rows_rest_when_whole_documents_are_asked_for_all_the_same():
    decoder, records = RowDecoder(["a"]), lines(0, 100, 0)
    kinds = []
    for _ in range(80):
        documents = decoder.decode(records, range(100))[0]
        kinds.append(has_rows(documents))
        list(documents)
    assert kinds == [False] + [True] * 8 + [False] * REST + [True] * 7


def test_rows_rest_when_documents_lack_a_needed_field():
    decoder, records = RowDecoder(["nowhere"]), lines(0, 100, 0)
    assert {has_rows(decoder.decode(records, range(100))[0]) for _ in range(80)} == {False}


STAGES = [
    [{"$match": {"a": {"$gte": 3}}}, {"$project": {"b": 1, "n": {"$add": ["$a", 1]}}}],
    [{"$set": {"n": {"$ifNull": ["$c.x", "none"]}}}, {"$project": {"_id": 0, "n": 1, "r": {"$rand": {}}}}],
    [{"$unwind": "$a"}, {"$project": {"a": 1, "b": {"$concat": ["$b", "!"]}}}],
    [{"$replaceRoot": {"newRoot": {"k": "$b", "x": "$c.x", "f": {"$meta": "stream.source.position"}}}}],
    [{"$match": {"b": "b1"}}, {"$group": {"_id": "$b", "n": {"$sum": "$d"}, "m": {"$max": "$a"}, "k": {"$sum": 1}}}],
    [{"$unwind": "$a"}, {"$group": {"_id": "$a", "n": {"$push": "$c"}}}],
    [{"$match": {"a": 1}}, {"$unset": "b"}, {"$project": {"a": 1, "b": 1, "c": {"x": 1}}}],
]


@pytest.mark.parametrize("stages", STAGES, ids=lambda stages: "-".join(next(iter(stage)) for stage in stages))
@pytest.mark.parametrize("odd", [0, 0.02, 0.3])
def test_stages_over_rows_give_what_they_give_over_documents(stages, odd):
    decoders = []
    results = []
    for hinted in (True, False):
        made = program(*stages)
        assert made.needs is not None
        decoder = RowDecoder(made.needs if hinted else ())
        found = []
        for batch in range(12):
            records = lines(batch, 100, odd)
            documents, positions, _ = (
                decoder.decode(records, range(100)) if hinted else decode_records(records, range(100))
            )
            decoders.append(has_rows(documents))
            env = Environment(
                partition="p", position=0, positions=positions, meta={"stream": {"source": {"type": "t"}}}
            )
            try:
                found.append(made.run(documents, env))
            except Exception as error:  # noqa: BLE001 - the same one is expected of both
                found.append([str(error), error.index, error.where, error.stage])
            found.append(env.changes)
        results.append(repr(found))
    assert any(decoders) or odd == 0.3
    assert results[0] == results[1]


def outcome(made, documents, env):
    """What a program gives, or what its error says."""
    try:
        return made.run(documents, env)
    except DocumentError as error:
        return str(error)


FILTERS = [
    [{"$match": {"a": {"$gte": 3}}}],
    [{"$match": {"b": {"$ne": "b1"}}}, {"$match": {"$expr": {"$lt": [{"$add": ["$a", 0]}, 4]}}}],
    [{"$match": {}}],
    [{"$sampleRate": 0.5}, {"$match": {"nowhere": None}}],
]


@pytest.mark.parametrize("stages", FILTERS, ids=str)
@pytest.mark.parametrize("odd", [0, 0.02, 0.3])
def test_documents_that_are_only_let_through_keep_their_records(stages, odd):
    made, plain = program(*stages), program(*stages)
    assert made.passes
    assert made.needs is not None
    decoder = RowDecoder(made.needs)
    for batch in range(12):
        records = lines(batch, 100, odd)
        documents, positions, _ = decoder.decode(records, range(100))
        env, same = (Environment(partition="p", positions=positions) for _ in range(2))
        expected, found = outcome(plain, list(documents), same), outcome(made, documents, env)
        if isinstance(expected, str):
            assert found == expected
            continue
        assert env.changes == same.changes
        assert repr(list(found)) == repr(expected)
        assert list(found.records) == [documents.records[index] for index in found.indexes]
        assert repr(list(found)) == repr([documents[index] for index in found.indexes])
        assert repr(list(pickle.loads(pickle.dumps(found)))) == repr(expected)


@pytest.mark.parametrize(
    "stage", [{"$set": {"x": 1}}, {"$unset": "a"}, {"$unwind": "$a"}, {"$project": {"a": 1}}], ids=str
)
def test_a_stage_that_changes_documents_lets_none_through_as_they_are(stage):
    assert not program({"$match": {"a": 1}}, stage).passes


@pytest.mark.parametrize(
    "stages",
    [
        [{"$match": {"$expr": {"$eq": ["$$ROOT", {}]}}}],
        [{"$set": {"a": 1}}],
        [{"$project": {"a": 0}}],
        [{"$project": {"whole": "$$ROOT"}}],
        [{"$group": {"_id": "$a", "all": {"$push": "$$ROOT"}}}],
        [{"$replaceRoot": {"newRoot": {"$mergeObjects": ["$$ROOT", {"x": 1}]}}}],
        [{"$match": {"$jsonSchema": {"required": ["a"]}}}, {"$project": {"a": 1}}],
    ],
    ids=str,
)
def test_stages_that_need_whole_documents_need_no_fields(stages):
    assert program(*stages).needs is None


def test_stages_need_the_fields_that_they_read():
    needs = program({"$match": {"a": 1, "b.c": 2}}, {"$set": {"z": "$y.w"}}, {"$project": {"z": 1, "a": 1}}).needs
    assert needs == ("a", "b", "y", "_id")
    assert program({"$group": {"_id": None, "n": {"$sum": 1}}}).needs == ()
