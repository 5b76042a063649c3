"""$documents: documents that stand in the definition itself."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from ...errors import Where
from ..environment import Environment
from ..expressions.nodes import Const, Node
from ..expressions.parse import Parser
from ..values import MISSING, EvaluationError, type_name
from .evaluate import Columns, failed
from .registry import stage
from .shapes import Document, Stage, Whole


def _wrong(value: Any) -> str:
    """What keeps a value from being a list of documents, ``""`` for nothing."""
    if not isinstance(value, (list, tuple)):
        return f"takes an array of documents, got {'nothing' if value is MISSING else type_name(value)}"
    for i, item in enumerate(value):
        if not isinstance(item, dict):
            return f"takes an array of documents, got {type_name(item)} at position {i}"
    return ""


@dataclass(frozen=True, eq=False)
class Documents(Whole):
    node: Node
    columns: Columns

    def run(self, documents: Sequence[Document], env: Environment) -> list[Document]:
        ((value,),) = self.columns.rows([{}], env.within())
        wrong = _wrong(value)
        if wrong:
            raise failed(self.where, 0, EvaluationError(wrong))
        return list(value)


def constant_documents(stage: Stage) -> list[Document] | None:
    """The documents of a $documents stage, ``None`` where they are known only at run time."""
    if isinstance(stage, Documents) and isinstance(stage.node, Const):
        return list(stage.node.value)
    return None


@stage("$documents", shape="whole", examples=[([], [{"a": 1}, {"a": {"$add": [1, 1]}}], [{"a": 1}, {"a": 2}])])
def documents_(spec: Any, where: Where, parser: Parser) -> Documents | None:
    """The documents of an array expression, in place of any others; it stands at the beginning of a pipeline.

    In a stream it stands in the pipelines of $lookup and $unionWith; the documents of a source stay what they are.
    MongoDB: $documents.
    """
    if len(where.parts) > 1 and where.parts[-2] != 0:
        parser.problems.add(where, "stands at the beginning of a pipeline", "use $unionWith to add documents")
        return None
    node = parser.expression(spec, where)
    if isinstance(node, Const) and (wrong := _wrong(node.value)):
        parser.problems.add(where, wrong)
        return None
    return Documents(where, node, Columns([node], where))
