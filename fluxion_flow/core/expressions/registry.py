"""The operators that expressions know: how one is declared, and how it is found.

An operator is one function. Its signature is its arity: ``(a, b=None)`` takes one or two arguments, ``(*values)`` any
number, keyword-only parameters (``*, input, chars=None``) make an operator with named arguments. A *form* is an
operator that decides for itself which of its arguments are evaluated, or that binds variables (``$cond``, ``$map``).
"""

from __future__ import annotations

import inspect
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, TypeVar

from . import kinds

if TYPE_CHECKING:
    from ...errors import Where
    from .emit import Atom, Emitter
    from .nodes import Node
    from .parse import Parser

Example = tuple[dict[str, Any], Any, Any]
"""A document, the expression, and its value (an exception class where it must raise)."""

Fast = "Callable[[Emitter, list[Atom]], Atom | None]"
FormParse = "Callable[[Any, Where, Parser], Node]"
F = TypeVar("F", bound=Callable[..., Any])


@dataclass(frozen=True)
class Parameter:
    """A named argument of an operator: its MongoDB name and whether it must be given."""

    name: str
    python_name: str
    required: bool


@dataclass
class Operator:
    """An operator as the compiler sees it: the meaning (a plain function) and, perhaps, a faster way to write it."""

    name: str
    function: Callable[..., Any]
    least: int
    most: int | None
    parameters: tuple[Parameter, ...]
    named: bool
    positional: bool
    returns: int
    pure: bool
    examples: tuple[Example, ...]
    fast: Callable[[Emitter, list[Atom]], Atom | None] | None = None
    uses_env: bool = False
    symbol: str = ""
    """Python's infix operator that means the same for plain numbers whose result fits."""

    @property
    def doc(self) -> str:
        return inspect.cleandoc(self.function.__doc__ or "")

    def inline(self, fast: Callable[[Emitter, list[Atom]], Atom | None]) -> Callable[..., Any]:
        """Decorator: ``fast`` writes the operator as inline source; it returns ``None`` to decline."""
        self.fast = fast
        return fast


@dataclass
class Form:
    """An operator with a parse of its own: its arguments are not simply evaluated and passed on."""

    name: str
    parse: Callable[[Any, Where, Parser], Node]
    examples: tuple[Example, ...]
    arity: str = ""
    fields: tuple[str, ...] = field(default=())
    outside: bool = False
    """Whether it asks a server, a database or a file; its examples are true where those are as the tests have them."""

    @property
    def doc(self) -> str:
        return inspect.cleandoc(self.parse.__doc__ or "")


OPERATORS: dict[str, Operator | Form] = {}


def _register(entry: Operator | Form) -> None:
    if entry.name in OPERATORS:
        raise ValueError(f"expression operator {entry.name!r} is declared twice")
    OPERATORS[entry.name] = entry


def _signature(function: Callable[..., Any]) -> tuple[int, int | None, tuple[Parameter, ...], bool, bool]:
    least, most, parameters, named = 0, 0, [], False
    endless = False
    for p in inspect.signature(function).parameters.values():
        required = p.default is p.empty
        if p.name == "env":
            continue
        if p.kind is p.VAR_POSITIONAL:
            endless = True
        else:
            named = named or p.kind is p.KEYWORD_ONLY
            parameters.append(Parameter(p.name.rstrip("_"), p.name, required))
            if p.kind is not p.KEYWORD_ONLY:
                most += 1
                least += required
    return least, None if endless else most, tuple(parameters), named, most > 0 or endless


def operator(
    *names: str,
    examples: Iterable[Example] = (),
    returns: int = kinds.ANY,
    pure: bool = True,
    either: bool = False,
) -> Callable[[Callable[..., Any]], Operator]:
    """Declare an operator: the decorated function gets the values of its arguments and returns a value.

    ``returns`` is the set of kinds of its result (see :mod:`kinds`), ``pure=False`` keeps it from being evaluated
    while compiling, ``either=True`` lets the parameters be given by position or by name. A parameter called ``env``
    receives the run's :class:`~fluxion_flow.core.environment.Environment`. Absent fields arrive as ``MISSING``; a
    named argument that is not given keeps its Python default.

    Raises ``ValueError`` when the name is taken.
    """

    def declare(function: Callable[..., Any]) -> Operator:
        least, most, parameters, named, positional = _signature(function)
        uses_env = "env" in inspect.signature(function).parameters
        entry: Operator | None = None
        for name in names:
            entry = Operator(
                name, function, least, most, parameters, named or either, positional, returns, pure and not uses_env,
                tuple(examples), uses_env=uses_env,
            )  # fmt: skip
            _register(entry)
        assert entry is not None
        return entry

    return declare


def form(name: str, *, examples: Iterable[Example] = (), arity: str = "", outside: bool = False) -> Callable[[F], F]:
    """Declare a form: the decorated function parses ``(spec, where, parser)`` into a node of its own.

    ``outside`` says that it asks a server, a database or a file. Raises ``ValueError`` when the name is taken.
    """

    def declare(parse: F) -> F:
        _register(Form(name, parse, tuple(examples), arity, outside=outside))
        return parse

    return declare


def all_operators() -> Mapping[str, Operator | Form]:
    """Every operator by name, with the modules that declare them loaded."""
    from . import load_all

    load_all()
    return OPERATORS


def find_operator(name: str) -> Operator | Form | None:
    """The operator of this name. Entry points are loaded only for a name that Core does not know itself."""
    from . import load_own

    load_own()
    return OPERATORS.get(name) or all_operators().get(name)
