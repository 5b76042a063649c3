"""$redact: keep, cut or look into each document and each one within it."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from ...errors import Where
from ..environment import Environment
from ..expressions import kinds
from ..expressions.compile import compile_with_variables
from ..expressions.emit import Doc
from ..expressions.nodes import Const, Node
from ..expressions.parse import Parser
from ..values import MISSING, EvaluationError, type_name
from .registry import stage
from .shapes import Document, PerDocument

if TYPE_CHECKING:
    from ..program import RunEmitter


class Decision:
    """What is to become of a document: ``$$KEEP``, ``$$PRUNE`` or ``$$DESCEND``."""

    __slots__ = ("name",)

    def __init__(self, name: str) -> None:
        self.name = name

    def __repr__(self) -> str:
        return self.name


DESCEND, PRUNE, KEEP = Decision("$$DESCEND"), Decision("$$PRUNE"), Decision("$$KEEP")
_BY_NAME = {decision.name: decision for decision in (DESCEND, PRUNE, KEEP)}
"""The names as text decide too (``{$literal: "$$KEEP"}``)."""
_VARIABLES = ("ROOT", "DESCEND", "PRUNE", "KEEP")


class Redaction:
    """The decision as a function, and its way through a document."""

    def __init__(self, decision: Node) -> None:
        self._node = decision
        self._decide: Callable[..., Any] | None = None

    def apply(self, document: Document, env: Environment) -> Any:
        """What is left of a document, ``MISSING`` for nothing."""
        if self._decide is None:
            self._decide = compile_with_variables(self._node, _VARIABLES)
        return self._document(document, document, env, self._decide)

    def _document(self, document: Document, root: Document, env: Environment, decide: Callable[..., Any]) -> Any:
        decision = decide(document, env, root, DESCEND, PRUNE, KEEP)
        if decision.__class__ is str:
            decision = _BY_NAME.get(decision, decision)
        if decision is KEEP:
            return document
        if decision is PRUNE:
            return MISSING
        if decision is not DESCEND:
            got = "nothing" if decision is MISSING else type_name(decision)
            raise EvaluationError(f"the decision is $$KEEP, $$PRUNE or $$DESCEND, got {got}")
        left: Document = {}
        for name, value in document.items():
            new = self._value(value, root, env, decide)
            if new is not MISSING:
                left[name] = new
        return left

    def _value(self, value: Any, root: Document, env: Environment, decide: Callable[..., Any]) -> Any:
        if value.__class__ is dict:
            return self._document(value, root, env, decide)
        if value.__class__ is list:
            items = [self._value(item, root, env, decide) for item in value]
            return [item for item in items if item is not MISSING]
        return value


@dataclass(frozen=True, eq=False)
class Redact(PerDocument):
    redaction: Redaction

    def emit(self, e: RunEmitter) -> None:  # type: ignore[override]
        document = e.materialize()
        left = e.assign(f"{e.bind(self.redaction.apply, 'redact')}({document.code}, env)", kinds.OBJECT, "d")
        with e.block(f"if {left.code} is M:"):
            e.drop()
        e.set_document(Doc(left.code))


@stage(
    "$redact",
    shape="per document",
    examples=[
        (
            [{"level": 1, "a": {"level": 5, "x": 1}, "b": [{"level": 1, "y": 2}, {"level": 5}]}, {"level": 5}],
            {"$cond": [{"$eq": ["$level", 5]}, "$$PRUNE", "$$DESCEND"]},
            [{"level": 1, "b": [{"level": 1, "y": 2}]}],
        )
    ],
)
def redact(spec: Any, where: Where, parser: Parser) -> Redact | None:
    """Decide for each document by an expression: ``$$KEEP`` it as it is, ``$$PRUNE`` it away, or ``$$DESCEND``.

    ``$$DESCEND`` keeps the document's own fields and decides anew for each document within it, also in arrays; there
    ``$field`` and ``$$CURRENT`` are the inner document, ``$$ROOT`` the outermost one. MongoDB: $redact.
    """
    before = len(parser.problems.found)
    node = parser.with_variables("DESCEND", "PRUNE", "KEEP").expression(spec, where)
    if len(parser.problems.found) == before and isinstance(node, Const) and node.value not in list(_BY_NAME):
        got = "nothing" if node.value is MISSING else type_name(node.value)
        what = f"decides by $$KEEP, $$PRUNE or $$DESCEND, got {got}"
        parser.problems.add(where, what, 'such as {"$cond": [condition, "$$DESCEND", "$$PRUNE"]}')
    return Redact(where, Redaction(node)) if len(parser.problems.found) == before else None
