"""$validate: documents that are not as they should be fail, so that the error policy decides."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from decimal import Decimal
from typing import TYPE_CHECKING, Any

from ...errors import Where, did_you_mean
from ..expressions.parse import Parser
from ..query import Predicate, parse_query
from ..values import EvaluationError, type_name
from .registry import stage
from .shapes import Document, PerDocument

if TYPE_CHECKING:
    from jsonschema.exceptions import ValidationError

    from ..program import RunEmitter

ACTIONS = ("error", "discard")
_FORMS = ("schema", "validator")


def mismatch() -> None:
    """Raise for a document that a query does not match."""
    raise EvaluationError("the document does not match the query")


class Schema:
    """A JSON Schema, ready to check documents. A decimal counts as a number."""

    def __init__(self, schema: Mapping[str, Any]) -> None:
        from jsonschema import Draft202012Validator
        from jsonschema.validators import extend, validator_for

        base: Any = validator_for(schema, default=Draft202012Validator)
        base.check_schema(schema)
        types = base.TYPE_CHECKER.redefine("number", _is_number)
        made: Any = extend  # the library's annotations leave it untyped
        self._validator = made(base, type_checker=types)(schema)

    def fits(self, document: Document) -> bool:
        """Whether a document keeps to the schema."""
        return bool(self._validator.is_valid(document))

    def check(self, document: Document) -> None:
        """Raise :class:`EvaluationError` for a document that does not, with the place and the rule, never the value."""
        from jsonschema.exceptions import best_match

        error = best_match(self._validator.iter_errors(document))
        if error is not None:
            raise EvaluationError(_words(error))


def _is_number(checker: Any, instance: Any) -> bool:
    return isinstance(instance, (int, float, Decimal)) and not isinstance(instance, bool)


def _words(error: ValidationError) -> str:
    place = error.json_path.removeprefix("$").removeprefix(".") or "the document"
    rule, value = str(error.validator), error.validator_value
    if rule == "required" and isinstance(value, list) and isinstance(error.instance, dict):
        missing = ", ".join(repr(name) for name in value if name not in error.instance)
        return f"the document breaks the schema: {place} lacks {missing}"
    if rule == "type":
        wanted = " or ".join(value) if isinstance(value, list) else str(value)
        return f"the document breaks the schema: {place} must be of type {wanted}, got {type_name(error.instance)}"
    if rule == "additionalProperties":
        return f"the document breaks the schema: {place} has fields that the schema does not name"
    text = repr(value)
    return f"the document breaks the schema: {place} breaks {rule}: {text if len(text) < 80 else text[:77] + '…'}"


@dataclass(frozen=True, eq=False)
class ValidateSchema(PerDocument):
    schema: Schema
    discard: bool

    def emit(self, e: RunEmitter) -> None:  # type: ignore[override]
        document = e.materialize()
        with e.block(f"if not {e.bind(self.schema.fits, 'fits')}({document.code}):"):
            if self.discard:
                e.drop()
            else:
                e.line(f"{e.bind(self.schema.check, 'check')}({document.code})")


@dataclass(frozen=True, eq=False)
class ValidateQuery(PerDocument):
    predicate: Predicate
    discard: bool

    def emit(self, e: RunEmitter) -> None:  # type: ignore[override]
        stop = e.bind(mismatch, "mismatch")
        self.predicate.require(e, e.drop if self.discard else lambda: e.line(f"{stop}()"))


@stage(
    "$validate",
    shape="per document",
    examples=[
        (
            [{"total": 5}],
            {"schema": {"type": "object", "required": ["total"], "properties": {"total": {"minimum": 0}}}},
            [{"total": 5}],
        ),
        ([{"total": 5}], {"total": {"$gte": 0}}, [{"total": 5}]),
        ([{"total": 5}, {}], {"validator": {"total": {"$gte": 0}}, "validationAction": "discard"}, [{"total": 5}]),
    ],
)
def validate(spec: Any, where: Where, parser: Parser) -> PerDocument | None:
    """Let documents through that keep to a JSON Schema (``schema``) or match a query (``validator``, or a query alone).

    Any other is an error of the document, for which the error policy decides: stop, skip, dead letter. With
    ``validationAction: "discard"`` it is dropped instead. A query may hold ``$jsonSchema``.
    MongoDB: Atlas Stream Processing, $validate.
    """
    if not isinstance(spec, Mapping) or not spec:
        what = f"takes schema (a JSON Schema), validator (a query) or a query, got {spec!r}"
        parser.problems.add(where, what)
        return None
    forms = [name for name in _FORMS if name in spec]
    if not forms:
        before = len(parser.problems.found)
        predicate = parse_query(spec, where, parser)
        return ValidateQuery(where, predicate, False) if len(parser.problems.found) == before else None
    given = parser.arguments(spec, where, (), (*_FORMS, "validationAction"))
    if given is None:
        return None
    before = len(parser.problems.found)
    if len(forms) > 1:
        parser.problems.add(where, "has both schema and validator", "validate in two stages")
    action = given.get("validationAction", "error")
    if action not in ACTIONS:
        dead = "set the stage's error policy to dead_letter" if action == "dlq" else did_you_mean(str(action), ACTIONS)
        parser.problems.add(where / "validationAction", f"takes 'error' or 'discard', got {action!r}", dead)
    built: PerDocument | None = None
    if "validator" in given:
        built = ValidateQuery(where, parse_query(given["validator"], where / "validator", parser), action == "discard")
    else:
        schema = _schema(given["schema"], where / "schema", parser)
        built = None if schema is None else ValidateSchema(where, schema, action == "discard")
    return built if len(parser.problems.found) == before else None


def _schema(spec: Any, where: Where, parser: Parser) -> Schema | None:
    if not isinstance(spec, Mapping):
        parser.problems.add(where, f"takes a JSON Schema, got {spec!r}")
        return None
    from jsonschema.exceptions import SchemaError

    try:
        return Schema(spec)
    except SchemaError as error:
        place = where
        for part in error.absolute_path:
            place = place / part
        parser.problems.add(place, f"is no JSON Schema: {error.message}")
        return None
