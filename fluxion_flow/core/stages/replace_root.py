"""$replaceRoot and $replaceWith: another document in place of the current one."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from ...errors import Where
from ..expressions import kinds
from ..expressions.emit import Doc
from ..expressions.nodes import Node, ObjectNode
from ..expressions.parse import Parser
from ..values import EvaluationError, type_name
from .registry import stage
from .shapes import PerDocument

if TYPE_CHECKING:
    from ..program import RunEmitter


def not_a_document(value: Any) -> None:
    """Raise for a new root that is not a document."""
    raise EvaluationError(f"the new root must be a document, got {type_name(value)}")


@dataclass(frozen=True, eq=False)
class ReplaceRoot(PerDocument):
    root: Node

    def emit(self, e: RunEmitter) -> None:  # type: ignore[override]
        if isinstance(self.root, ObjectNode):
            atoms = e.values([node for _, node in self.root.fields])
            names = [name for name, _ in self.root.fields]
            e.set_document(Doc(None, dict(zip(names, atoms, strict=True))))
            return
        atom = e.value(self.root)
        if not atom.is_only(kinds.OBJECT):
            stop = e.bind(not_a_document, "not_a_document")
            e.line(f"if {atom.code}.__class__ is not dict: {stop}({atom.code})")
        name = e.assign(atom.code, kinds.OBJECT, "d")
        e.set_document(Doc(name.code))


@stage(
    "$replaceRoot",
    shape="per document",
    examples=[([{"a": {"b": 1}}], {"newRoot": "$a"}, [{"b": 1}])],
)
def replace_root(spec: Any, where: Where, parser: Parser) -> ReplaceRoot | None:
    """Put ``newRoot``, an expression that gives a document, in the place of the document. MongoDB: $replaceRoot."""
    given = parser.arguments(spec, where, ("newRoot",))
    return None if given is None else ReplaceRoot(where, parser.expression(given["newRoot"], where / "newRoot"))


@stage("$replaceWith", shape="per document", examples=[([{"a": {"b": 1}}], "$a", [{"b": 1}])])
def replace_with(spec: Any, where: Where, parser: Parser) -> ReplaceRoot:
    """The same as $replaceRoot, without the name. MongoDB: $replaceWith."""
    return ReplaceRoot(where, parser.expression(spec, where))
