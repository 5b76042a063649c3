"""What a bad query is answered with: the whole text, every problem at once."""

from __future__ import annotations

import datetime
import re
from typing import Any

import pytest

from fluxion_flow.core.expressions.parse import Parser
from fluxion_flow.core.query import compile_query, matches, parse_query
from fluxion_flow.errors import PipelineError, Problems, Where


def problems_of(query: Any) -> list[str]:
    problems = Problems()
    predicate = parse_query(query, Where.at("stages", 0, "$match"), Parser(problems))
    compile_query(predicate)  # what came of it can still be compiled
    return [str(problem).removeprefix("stages[0].$match") for problem in problems]


@pytest.mark.parametrize(
    ("query", "expected"),
    [
        (5, [": takes a query document, got 5; give {field: condition, …}"]),
        ({"age": {"$in": 5}}, [".age.$in: takes an array, got 5"]),
        (
            {"age": {"$gte": 5, "years": 3}},
            [".age: 'years' is no operator and stands beside operators; use $eq to compare with a whole document"],
        ),
        ({"age": {"$gtt": 5}}, [".age.$gtt: unknown query operator '$gtt'; did you mean '$gt'?"]),
        ({"$orr": []}, [".$orr: unknown query operator '$orr'; did you mean '$or'?"]),
        ({"$or": []}, [".$or: takes an array of at least one query, got an empty array"]),
        ({"$or": {"a": 1}}, [".$or: takes an array of at least one query, got an object"]),
        ({"$and": [{"a": 1}, 5]}, [".$and[1]: takes a query document, got 5; give {field: condition, …}"]),
        (
            {"$nor": [{"a": {"$in": 1}}, {"b": {"$size": -1}}]},
            [
                ".$nor[0].a.$in: takes an array, got 1",
                ".$nor[1].b.$size: takes a whole number from 0 on, got -1; compare sizes with $expr and $size",
            ],
        ),
        (
            {"$status": "PAID"},
            [".$status: unknown query operator '$status'; field names in a query are written without '$'"],
        ),
        ({"$gt": 5}, [".$gt: '$gt' cannot stand at the top of a query; write {field: {$gt: …}}"]),
        (
            {"age": {"$or": [{"$gt": 5}]}},
            [".age.$or: '$or' cannot stand under a field; write it beside the fields: {$or: …}"],
        ),
        ({"age": {"$add": [1, 2]}}, [".age.$add: unknown query operator '$add'; expressions stand under $expr"]),
        ({"$add": [1, 2]}, [".$add: unknown query operator '$add'; expressions stand under $expr"]),
        ({"$not": {"a": 1}}, [".$not: '$not' cannot stand at the top of a query; write {field: {$not: …}}"]),
        (
            {"a": {"$not": 5}},
            [".a.$not: takes operators or a regular expression, got 5; use $ne to compare with a value"],
        ),
        (
            {"a": {"$not": {}}},
            [".a.$not: takes operators or a regular expression, got an empty object; use $ne to compare with a value"],
        ),
        ({"a": {"$ne": re.compile("x")}}, [".a.$ne: takes a value, got a regular expression; use {$not: {$regex: …}}"]),
        ({"a": {"$gt": re.compile("x")}}, [".a.$gt: takes a value, got a regular expression; use $regex"]),
        (
            {"a": {"$in": [1, {"$gt": 5}]}},
            [".a.$in[1]: takes values, got an object of operators; join conditions with $or"],
        ),
        (
            {"a": {"$size": "2"}},
            [".a.$size: takes a whole number from 0 on, got '2'; compare sizes with $expr and $size"],
        ),
        (
            {"a": {"$size": 1.5}},
            [".a.$size: takes a whole number from 0 on, got 1.5; compare sizes with $expr and $size"],
        ),
        ({"a": {"$type": "strng"}}, [".a.$type: unknown type 'strng'; did you mean 'string'?"]),
        ({"a": {"$type": "missing"}}, [".a.$type: unknown type 'missing'; use {$exists: false}"]),
        (
            {"a": {"$type": ["string", 25, 0]}},
            [
                ".a.$type[1]: unknown type code 25; codes are 1 to 19, -1 and 127; names say it better",
                ".a.$type[2]: unknown type code 0; use {$exists: false}",
            ],
        ),
        ({"a": {"$type": []}}, [".a.$type: takes at least one type, got an empty array"]),
        ({"a": {"$type": None}}, [".a.$type: takes the name or the code of a type, got null"]),
        ({"a": {"$mod": 5}}, [".a.$mod: takes [divisor, remainder], got 5"]),
        ({"a": {"$mod": [0, 1]}}, [".a.$mod[0]: the divisor cannot be 0"]),
        ({"a": {"$mod": [1, 2, 3]}}, [".a.$mod: takes [divisor, remainder], got 3 of them"]),
        ({"a": {"$mod": ["x", 1]}}, [".a.$mod[0]: takes a number of at most 64 bits, got 'x'"]),
        ({"a": {"$regex": 5}}, [".a.$regex: takes a text or a regular expression, got 5"]),
        (
            {"a": {"$regex": "("}},
            [".a.$regex: is no regular expression: missing ), unterminated subpattern at position 0"],
        ),
        (
            {"a": {"$regex": "a", "$options": "q"}},
            [".a.$options: takes some of the letters i, m, s, x, u, got 'q'"],
        ),
        ({"a": {"$options": "i"}}, [".a.$options: needs '$regex' beside it"]),
        (
            {"a": {"$regex": re.compile("a", re.I), "$options": "m"}},
            [".a: has options in $regex and in $options; leave one of them out"],
        ),
        ({"a": {"$regex": "\\p{L}"}}, [".a.$regex: is no regular expression: \\p is not supported"]),
        ({"a": re.compile(b"x")}, [".a.$regex: takes a regular expression for text, got one for bytes"]),
        ({"a": {"$all": 5}}, [".a.$all: takes an array, got 5"]),
        (
            {"a": {"$all": [{"$gt": 1}]}},
            [".a.$all[0]: takes values or $elemMatch, got other operators; join conditions with $and"],
        ),
        (
            {"a": {"$all": [1, {"$elemMatch": {"x": 1}}]}},
            [".a.$all: mixes $elemMatch and values; give $elemMatch to all or to none"],
        ),
        ({"a": {"$elemMatch": 5}}, [".a.$elemMatch: takes a query or an object of operators, got 5"]),
        (
            {"a": {"$elemMatch": {"$expr": {"$gt": ["$a", 1]}}}},
            [".a.$elemMatch.$expr: cannot stand in an array's element; put it at the top of the query"],
        ),
        (
            {"a": {"$elemMatch": {"x": 1, "$sampleRate": 0.5}}},
            [".a.$elemMatch.$sampleRate: cannot stand in an array's element; put it at the top of the query"],
        ),
        (
            {"a": {"$bitsAllSet": -1}},
            [
                ".a.$bitsAllSet: takes a mask or an array of positions, got -1; "
                "a mask is binary data or a whole number from 0 on"
            ],
        ),
        ({"a": {"$bitsAllSet": [1, -2]}}, [".a.$bitsAllSet[1]: takes a bit's position from 0 on, got -2"]),
        (
            {"a": {"$bitsAnySet": "x"}},
            [
                ".a.$bitsAnySet: takes a mask or an array of positions, got 'x'; "
                "a mask is binary data or a whole number from 0 on"
            ],
        ),
        ({"$sampleRate": 2}, [".$sampleRate: takes a number from 0 to 1, got 2"]),
        ({"$sampleRate": {"rate": "x"}}, [".$sampleRate.rate: takes a number from 0 to 1, got 'x'"]),
        (
            {"$sampleRate": {"rte": 0.1}},
            [
                ".$sampleRate.rte: unknown argument; did you mean 'rate'?",
                ".$sampleRate.rate: required argument is missing",
            ],
        ),
        ({"$sampleRate": {"rate": 0.1, "seed": "s"}}, [".$sampleRate.seed: takes a whole number, got 's'"]),
        ({"$alwaysTrue": True}, [".$alwaysTrue: takes 1, got true"]),
        (
            {"$where": "this.a"},
            [".$where: '$where' is not available in a stream; write the condition as an expression under $expr"],
        ),
        ({"$text": {"$search": "x"}}, [".$text: '$text' is not available in a stream; use $regex on the field"]),
        (
            {"a": {"$near": [1, 2]}},
            [
                ".a.$near: '$near' is not available in a stream; compare coordinates with $gte and "
                "$lte, or compute the distance under $expr"
            ],
        ),
        ({"$expr": {"$gtx": ["$a", 1]}}, [".$expr.$gtx: unknown operator '$gtx'; did you mean '$gt'?"]),
        ({3: 1}, [": field names are strings, got 3; put it in quotes"]),
        (
            {"at": datetime.datetime.max.replace(tzinfo=datetime.timezone(datetime.timedelta(hours=-2)))},
            [".at: the date 9999-12-31T23:59:59.999999-02:00 is outside the years 1 to 9999 in UTC"],
        ),
        ({"a": {1, 2}}, [".a: a set is not a value of a query; give a value that a document can hold"]),
        ({"a": {"b": {3: 4}}}, [".a.b: field names are strings, got 3; put it in quotes"]),
        ({"$jsonSchema": 5}, [".$jsonSchema: takes a schema (an object), got 5"]),
        (
            {"$jsonSchema": {"propertes": {}}},
            [".$jsonSchema.propertes: unknown keyword of a schema; did you mean 'properties'?"],
        ),
        (
            {"$jsonSchema": {"properties": {"a": {"type": "integer"}}}},
            [".$jsonSchema.properties.a.type: takes the name of a JSON type, got 'integer'; use bsonType: [int, long]"],
        ),
        (
            {"$jsonSchema": {"bsonType": "object", "type": "object"}},
            [".$jsonSchema.bsonType: stands beside 'type'; leave one of them out"],
        ),
        (
            {"$jsonSchema": {"minimum": "1", "required": []}},
            [
                ".$jsonSchema.minimum: takes a number, got '1'",
                ".$jsonSchema.required: takes an array of at least one field name, got an empty array",
            ],
        ),
        (
            {"$jsonSchema": {"exclusiveMinimum": 5, "$ref": "#/a"}},
            [
                ".$jsonSchema.exclusiveMinimum: takes true or false, got 5; give the limit as 'minimum'",
                ".$jsonSchema.$ref: unknown keyword of a schema; write the schema out where it is used",
            ],
        ),
        ({"$jsonSchema": {"exclusiveMaximum": True}}, [".$jsonSchema.exclusiveMaximum: needs 'maximum' beside it"]),
        (
            {
                "$jsonSchema": {
                    "enum": [],
                    "allOf": [],
                    "minLength": -1,
                    "pattern": "(",
                    "uniqueItems": 1,
                    "multipleOf": 0,
                    "items": 5,
                    "dependencies": 5,
                    "title": 5,
                }
            },
            [
                ".$jsonSchema.enum: takes an array of at least one value, got an empty array",
                ".$jsonSchema.allOf: takes an array of at least one schema, got an empty array",
                ".$jsonSchema.minLength: takes a whole number from 0 on, got -1",
                ".$jsonSchema.pattern: is no regular expression: missing ), unterminated subpattern at position 0",
                ".$jsonSchema.uniqueItems: takes true or false, got 1",
                ".$jsonSchema.multipleOf: takes a number greater than 0, got 0",
                ".$jsonSchema.items: takes a schema (an object), got 5",
                ".$jsonSchema.dependencies: takes an object of field names or schemas, got 5",
                ".$jsonSchema.title: takes a text, got 5",
            ],
        ),
    ],
)
def test_a_bad_query_is_answered_with(query: Any, expected: list[str]) -> None:
    assert problems_of(query) == expected


def test_every_problem_is_reported_at_once() -> None:
    with pytest.raises(PipelineError) as error:
        matches({"age": {"$in": 5, "$gtt": 1}, "$or": [{"b": {"$size": -1}}, 5]})
    assert str(error.value) == (
        "query.age.$in: takes an array, got 5\n"
        "query.age.$gtt: unknown query operator '$gtt'; did you mean '$gt'?\n"
        "query.$or[0].b.$size: takes a whole number from 0 on, got -1; compare sizes with $expr and $size\n"
        "query.$or[1]: takes a query document, got 5; give {field: condition, …}"
    )


def test_a_query_may_nest_to_the_limit_and_no_further() -> None:
    def nested(levels: int, wrap: Any, inner: Any) -> Any:
        for i in range(levels):
            inner = wrap(i, inner)
        return inner

    shapes = [
        (lambda n: nested(n, lambda i, q: {("$and", "$or", "$nor")[i % 3]: [{"b": i}, q]}, {"a": 1}), 90),
        (lambda n: {"a": nested(n, lambda i, q: {"$not": q, "$gt": 0}, {"$gt": 1})}, 90),
        (lambda n: {"a": nested(n, lambda i, q: {"$elemMatch": {"a": q}}, {"$gt": 1})}, 45),
        (lambda n: {"$jsonSchema": nested(n, lambda i, q: {"properties": {"a": q}}, {"bsonType": "int"})}, 90),
    ]
    for shape, levels in shapes:
        matches(shape(levels))({"a": [{"a": 1}]})
        with pytest.raises(PipelineError, match="nested deeper than 100 levels; split it over several stages"):
            matches(shape(2 * levels))


def test_a_query_may_have_any_number_of_branches() -> None:
    test = matches({"$or": [{"a": i, "b.c": i} for i in range(500)]})
    assert test({"a": 499, "b": {"c": 499}}) is True
    assert test({"a": 499, "b": {"c": 1}}) is False
