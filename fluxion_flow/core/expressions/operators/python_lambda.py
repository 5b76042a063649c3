"""Python lambdas written as text in a definition, such as ``lambda price: price * 2``.

Only expressions over the parameters are taken: arithmetic, comparisons, conditions, indexing, comprehensions, a few
built-in functions and methods of strings and containers. Everything else is refused before it is compiled, so that a
definition cannot reach files, the network or Python's insides.
"""

from __future__ import annotations

import ast
from collections.abc import Callable
from typing import Any, Final

_FUNCTIONS: Final[dict[str, Any]] = {
    f.__name__: f
    for f in (
        abs, all, any, bool, dict, divmod, enumerate, float, int, len, list, max, min, reversed, round, set, sorted,
        str, sum, tuple, zip,
    )
}  # fmt: skip
_METHODS: Final = frozenset({
    "capitalize", "casefold", "count", "day", "difference", "endswith", "find", "get", "hour", "index", "intersection",
    "isalnum", "isalpha", "isdigit", "isspace", "items", "join", "keys", "lower", "lstrip", "minute", "month",
    "partition", "removeprefix", "removesuffix", "replace", "rpartition", "rsplit", "rstrip", "second", "split",
    "splitlines", "startswith", "strip", "swapcase", "title", "union", "upper", "values", "weekday", "year", "zfill",
})  # fmt: skip
_NODES: Final = (
    ast.Expression, ast.Lambda, ast.arguments, ast.arg, ast.Load, ast.Store, ast.Constant, ast.Name, ast.BoolOp,
    ast.And, ast.Or, ast.BinOp, ast.Add, ast.Sub, ast.Mult, ast.Div, ast.FloorDiv, ast.Mod, ast.BitAnd, ast.BitOr,
    ast.BitXor, ast.UnaryOp, ast.Not, ast.USub, ast.UAdd, ast.Invert, ast.Compare, ast.Eq, ast.NotEq, ast.Lt, ast.LtE,
    ast.Gt, ast.GtE, ast.Is, ast.IsNot, ast.In, ast.NotIn, ast.IfExp, ast.Call, ast.keyword, ast.Attribute,
    ast.Subscript, ast.Slice, ast.List, ast.Tuple, ast.Dict, ast.Set, ast.ListComp, ast.DictComp, ast.SetComp,
    ast.GeneratorExp, ast.comprehension, ast.Starred,
)  # fmt: skip


class LambdaError(ValueError):
    """A text is not a lambda of the kind that a definition may hold."""


def is_lambda(text: str) -> bool:
    """Whether a text looks like a Python lambda."""
    return text.lstrip().startswith("lambda")


def function_of(text: str) -> Callable[..., Any]:
    """The function that a lambda's text defines. Raises :class:`LambdaError` for what is not allowed."""
    try:
        tree = ast.parse(text.strip(), mode="eval")
    except (SyntaxError, ValueError, RecursionError, MemoryError) as error:
        raise LambdaError(f"no Python lambda: {getattr(error, 'msg', error)}") from None
    if not isinstance(tree.body, ast.Lambda):
        raise LambdaError("no Python lambda: it must begin with 'lambda'")
    for node in ast.walk(tree):
        _allow(node)
    try:
        code = compile(tree, "<lambda in a definition>", "eval")
    except (SyntaxError, ValueError, RecursionError, MemoryError) as error:
        raise LambdaError(f"no Python lambda: {getattr(error, 'msg', error)}") from None
    function: Callable[..., Any] = eval(code, {"__builtins__": {}, **_FUNCTIONS})  # noqa: S307 - checked above
    return function


def _allow(node: ast.AST) -> None:
    if not isinstance(node, _NODES):
        raise LambdaError(f"a lambda in a definition cannot use {type(node).__name__}")
    if isinstance(node, ast.Attribute) and node.attr not in _METHODS:
        raise LambdaError(f"a lambda in a definition cannot use .{node.attr}")
    if isinstance(node, (ast.Name, ast.arg)):
        name = node.id if isinstance(node, ast.Name) else node.arg
        if name.startswith("__"):
            raise LambdaError(f"a lambda in a definition cannot use {name}")
