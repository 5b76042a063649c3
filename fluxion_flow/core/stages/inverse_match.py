"""$inverseMatch: the other way round, each document holds a query and the definition holds what it must match."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from ...errors import Problems, Where
from ..environment import Environment
from ..expressions.parse import Parser
from ..expressions.paths import path_in
from ..ordering import canonical
from ..query import compile_query, parse_query
from ..resources import Resources
from ..values import MISSING, EvaluationError, type_name
from .collections import field_path
from .registry import stage
from .shapes import Document, PerDocument

if TYPE_CHECKING:
    from ..program import RunEmitter

MOST_KEPT = 1000
"""How many different queries are kept compiled."""


class Rules:
    """Compiles the queries that documents hold, each different one once, and tries them on the inputs."""

    def __init__(self, path: tuple[str, ...], inputs: list[Document], default: bool, resources: Resources) -> None:
        self._path = path
        self._inputs = inputs
        self._default = default
        self._resources = resources
        self._tests: dict[Any, Callable[[Document, Environment], bool]] = {}

    def find(self, document: Document, env: Environment) -> bool:
        """Whether the document's query matches one of the inputs.

        Raises :class:`EvaluationError` for something that is no query.
        """
        query = path_in(document, self._path)
        if query is MISSING:
            return self._default
        key = canonical(query)
        test = self._tests.get(key)
        if test is None:
            if len(self._tests) >= MOST_KEPT:
                self._tests.clear()
            test = self._tests[key] = self._compiled(query)
        return any(test(one, env) for one in self._inputs)

    def _compiled(self, query: Any) -> Callable[[Document, Environment], bool]:
        if query.__class__ is not dict:
            raise EvaluationError(f"{'.'.join(self._path)} must hold a query, got {type_name(query)}")
        any_of = query.get("$in")
        if len(query) == 1 and any_of.__class__ is list:
            wanted = {canonical(one) for one in any_of}
            return lambda document, env: canonical(document) in wanted
        problems = Problems()
        predicate = parse_query(query, Where.at(*self._path), Parser(problems, self._resources))
        if problems:
            raise EvaluationError("; ".join(map(str, problems)))
        return compile_query(predicate)


@dataclass(frozen=True, eq=False)
class InverseMatch(PerDocument):
    rules: Rules

    def emit(self, e: RunEmitter) -> None:  # type: ignore[override]
        document = e.materialize()
        with e.block(f"if not {e.bind(self.rules.find, 'inverse_match')}({document.code}, env):"):
            e.drop()


@stage(
    "$inverseMatch",
    shape="per document",
    examples=[
        (
            [{"alert": 1, "rule": {"total": {"$gt": 100}}}, {"alert": 2, "rule": {"vip": True}}],
            {"path": "rule", "input": {"total": 250, "vip": False}},
            [{"alert": 1, "rule": {"total": {"$gt": 100}}}],
        )
    ],
)
def inverse_match(spec: Any, where: Where, parser: Parser) -> InverseMatch | None:
    """Pass on the documents whose query under ``path`` matches ``input``, a document or any of an array of documents.

    ``defaultResult`` (false unless given) stands for documents without a query. A query ``{$in: [documents]}`` asks for
    one of these documents as a whole. DocumentDB: $inverseMatch, beside MongoDB: $match.
    """
    given = parser.arguments(spec, where, ("path", "input"), ("defaultResult",))
    if given is None:
        return None
    before = len(parser.problems.found)
    path = field_path(given["path"], where / "path", parser)
    value = parser.constant(given["input"], where / "input")
    inputs = value if isinstance(value, list) else [value]
    if value is not MISSING and not all(isinstance(one, Mapping) for one in inputs):
        parser.problems.add(where / "input", "takes a document or an array of documents")
    default = given.get("defaultResult", False)
    if not isinstance(default, bool):
        parser.problems.add(where / "defaultResult", f"takes true or false, got {default!r}")
    if len(parser.problems.found) > before:
        return None
    return InverseMatch(where, Rules(path, inputs, default, parser.resources))
