"""``$accumulator``: an accumulator made of Python functions that the run registers by name."""

from __future__ import annotations

import copy
import operator
from collections.abc import Callable, Mapping
from typing import Any

from ...errors import Problems, Where, did_you_mean
from ..values import MISSING
from .registry import Accumulator, ExpressionParser, Node, accumulator, describe, read_options


@accumulator(
    "$accumulator",
    examples=[
        (
            [{"x": 1}, {"x": 2}],
            {
                "$accumulator": {
                    "init": int,
                    "accumulate": operator.add,
                    "accumulateArgs": ["$x"],
                    "merge": operator.add,
                }
            },
            3,
        )
    ],
)
class Scripted(Accumulator):
    """Python functions as an accumulator, each given as a registered name (or, in Python, the function itself).

    ``init(*initArgs)`` makes a state, ``accumulate(state, *accumulateArgs)`` and ``merge(state, later_state)`` return a
    state, ``finalize(state)``, if given, makes the result of it. States must be plain data (dict, list, str, numbers,
    bytes, None). An argument that is missing arrives as ``None``. What a function raises fails the document.
    MongoDB: $accumulator, with Python in place of JavaScript.
    """

    ordered = True

    def __init__(
        self,
        functions: Mapping[str, Callable[..., Any]],
        init_args: list[Any],
        arguments: int,
    ) -> None:
        self._init = functions["init"]
        self._accumulate = functions["accumulate"]
        self._merge = functions["merge"]
        self._finalize = functions.get("finalize")
        self._init_args = init_args
        self._arguments = arguments

    def zero(self) -> Any:
        return self._init(*copy.deepcopy(self._init_args))

    def add(self, state: Any, value: Any) -> Any:
        values = value if self._arguments > 1 else (value,) if self._arguments else ()
        return self._accumulate(state, *[None if v is MISSING else v for v in values])

    def merge(self, a: Any, b: Any) -> Any:
        return self._merge(a, b)

    def result(self, state: Any) -> Any:
        state = copy.deepcopy(state)
        return self._finalize(state) if self._finalize else state

    @classmethod
    def build(
        cls, spec: Any, where: Where, parser: ExpressionParser, problems: Problems
    ) -> tuple[Accumulator, list[Node]] | None:
        required = ("init", "accumulate", "accumulateArgs", "merge")
        options = read_options(spec, where, problems, required, ("initArgs", "finalize", "lang"))
        if options is None:
            return None
        before = len(problems.found)
        if options.get("lang", "python") != "python":
            problems.add(where / "lang", "must be 'python'", "register Python functions and give their names")
            return None
        registered = getattr(getattr(parser, "resources", None), "functions", {})
        functions = {}
        for part in ("init", "accumulate", "merge", "finalize"):
            if part in options:
                function = _find(options[part], where / part, registered, problems)
                if function is not None:
                    functions[part] = function
        init_args = parser.constant(options.get("initArgs", []), where / "initArgs")
        arguments = options["accumulateArgs"]
        if not isinstance(arguments, (list, tuple)):
            problems.add(where / "accumulateArgs", f"must be an array of expressions, got {describe(arguments)}")
            return None
        nodes = [parser.expression(spec, where / "accumulateArgs" / i) for i, spec in enumerate(arguments)]
        if len(problems.found) > before:
            return None
        if not isinstance(init_args, list):
            problems.add(where / "initArgs", f"must be an array, got {describe(init_args)}")
            return None
        return cls(functions, init_args, len(nodes)), nodes


def _find(
    given: Any, where: Where, registered: Mapping[str, Callable[..., Any]], problems: Problems
) -> Callable[..., Any] | None:
    if callable(given):
        return given  # type: ignore[no-any-return]
    if not isinstance(given, str):
        problems.add(where, f"must name a registered function, got {describe(given)}")
        return None
    if given not in registered:
        hint = did_you_mean(given, registered) or "register it as a function of this pipeline"
        problems.add(where, f"unknown function {given!r}", hint)
        return None
    return registered[given]
