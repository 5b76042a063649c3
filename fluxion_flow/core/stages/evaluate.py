"""Expressions evaluated over all documents of a stage that needs them all."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

from ...errors import FluxionError, Where
from ..environment import Environment
from ..expressions.compile import build, origin
from ..expressions.emit import Doc, Emitter
from ..expressions.nodes import Node
from ..program import DocumentError
from .shapes import Document


class Columns:
    """Expressions compiled together: one row of values a document; absent is ``MISSING``."""

    def __init__(self, nodes: Sequence[Node], where: Where) -> None:
        self.nodes = tuple(nodes)
        self._where = where
        self._function: Callable[[Document, Environment], tuple[Any, ...]] | None = None

    def _compiled(self) -> Callable[[Document, Environment], tuple[Any, ...]]:
        if self._function is None:
            e = Emitter(False)
            e.set_document(Doc("d"))
            codes = []
            for node in self.nodes:
                atom = e.value(node)
                codes.append(atom.code)
            e.line(f"return ({''.join(code + ', ' for code in codes)})")
            self._function = build("row", "d, env", e)
        return self._function

    def rows(self, documents: Sequence[Document], env: Environment) -> list[tuple[Any, ...]]:
        """A tuple of values for every document.

        Raises :class:`~fluxion_flow.core.program.DocumentError` for the first document that an expression cannot take.
        """
        if not self.nodes:
            return [()] * len(documents)
        function = self._compiled()
        found: list[tuple[Any, ...]] = []
        add = found.append
        try:
            for document in env.start(documents, 0):
                add(function(document, env))
        except Exception as error:
            raise DocumentError(len(found), origin(error) or self._where, 0, error) from error
        return found


def failed(where: Where, index: int, error: FluxionError) -> DocumentError:
    """The error of a stage that needs all documents and cannot take the one at ``index``."""
    return DocumentError(index, where, 0, error)
