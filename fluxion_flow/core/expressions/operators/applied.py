"""The node of an operator that reads its own definition and then calls a plain function with what it evaluated."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import Any

from ....errors import Where
from ...values import EvaluationError
from .. import kinds
from ..emit import Atom, Emitter
from ..nodes import Const, Node, constant_of


@dataclass(frozen=True, eq=False)
class Applied(Node):
    """``function`` applied to the values of nodes. With ``uses_env`` it also gets the run's environment, last."""

    name: str
    function: Callable[..., Any]
    arguments: tuple[Node, ...]
    returns: int = kinds.ANY
    uses_env: bool = False

    def children(self) -> Iterator[Node]:
        return iter(self.arguments)

    def emit(self, e: Emitter) -> Atom:
        codes = [e.value(node).code for node in self.arguments]
        if self.uses_env:
            codes.append("env")
        function = e.bind(self.function, self.name.lstrip("$"))
        return e.assign(f"{function}({', '.join(codes)})", self.returns)


def applied(where: Where, name: str, function: Callable[..., Any], *arguments: Node, returns: int = kinds.ANY) -> Node:
    """An :class:`Applied` node of a pure function; a constant when all arguments are constants.

    What raises for constants is left to be raised when it is evaluated.
    """
    if all(isinstance(node, Const) for node in arguments):
        try:
            return Const(where, function(*map(constant_of, arguments)))
        except EvaluationError:
            pass
    return Applied(where, name, function, arguments, returns)
