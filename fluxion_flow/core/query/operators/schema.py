"""Documents as a schema says: $jsonSchema (MongoDB: $jsonSchema)."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

from ....errors import Where
from ...expressions import kinds
from ...expressions.emit import Atom, Emitter
from ...expressions.parse import Parser
from ..json_schema import Schema, parse_schema
from ..predicate import Predicate
from ..registry import query_operator


@dataclass(frozen=True, eq=False)
class FitsSchema(Predicate):
    """The whole document is as a schema says."""

    schema: Schema

    def test(self, e: Emitter) -> Atom:
        document = e.materialize()
        return e.assign(f"{e.bind(self.schema.fits, 'fits')}({document.code})", kinds.BOOL, "t")


@query_operator(
    "$jsonSchema",
    examples=[
        (
            {"qty": 3},
            {"$jsonSchema": {"required": ["qty"], "properties": {"qty": {"bsonType": "int", "minimum": 1}}}},
            True,
        ),
        ({"qty": "3"}, {"$jsonSchema": {"properties": {"qty": {"bsonType": "number"}}}}, False),
    ],
)
def json_schema(spec: Any, where: Where, parser: Parser) -> Predicate:
    """The document is as a schema says, in MongoDB's dialect (draft 4 with ``bsonType``). MongoDB: $jsonSchema."""
    return FitsSchema(where, parse_schema(spec, where, parser))
