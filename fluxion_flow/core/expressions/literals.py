"""Operators with arguments by name: literals checked while parsing, fallbacks evaluated only where they are needed.

``{$dateAdd: {startDate: "$d", unit: "weeks", amount: 1}}`` is wrong before any document is seen, and the ``onError`` of
``$dateFromString`` must not be computed when there is no error. An operator declared with :func:`checked_operator` is a
plain function all the same.
"""

from __future__ import annotations

import inspect
from collections.abc import Callable, Collection, Iterable, Iterator, Mapping
from dataclasses import dataclass
from typing import Any

from ...errors import Where
from ..values import EvaluationError, is_nullish
from . import kinds
from .emit import Atom, Emitter
from .nodes import Call, Const, Node
from .parse import Parser
from .registry import Example, Operator, form

Check = Callable[[Any], object]
"""Raises :class:`EvaluationError` for a literal that the operator can never take. Null is never asked about."""


NamedFast = Callable[[Emitter, Mapping[str, Atom], Mapping[str, Any]], "Atom | None"]
"""Writes a call with named arguments as inline source, from their atoms and the values of those that are literals.

Both go by Python names and lack what is not given. ``None`` declines.
"""


@dataclass
class CheckedOperator(Operator):
    """An operator whose calls with named arguments may have inline source too."""

    named_fast: NamedFast | None = None

    def inline_named(self, fast: NamedFast) -> NamedFast:
        """Decorator: ``fast`` writes calls with named arguments."""
        self.named_fast = fast
        return fast


@dataclass(frozen=True, eq=False)
class NamedCall(Call):
    """A call of a checked operator with named arguments."""

    def emit(self, e: Emitter) -> Atom:
        atoms = {name: e.value(node) for name, node in self.keywords}
        if isinstance(self.operator, CheckedOperator) and self.operator.named_fast is not None:
            literals = {name: node.value for name, node in self.keywords if isinstance(node, Const)}
            atom = self.operator.named_fast(e, atoms, literals)
            if atom is not None:
                return atom
        function = e.bind(self.operator.function, self.operator.name.lstrip("$"))
        codes = ", ".join(f"{name}={atom.code}" for name, atom in atoms.items())
        return e.assign(f"{function}({codes})", self.operator.returns)


class Fallback:
    """What a function returns to say: take the argument of this name (``onNull``) instead."""

    def __init__(self, name: str) -> None:
        self.name = name

    def __repr__(self) -> str:
        return f"Fallback({self.name!r})"


@dataclass(frozen=True, eq=False)
class WithFallbacks(Node):
    """The value of a call, or of the fallback that it asks for."""

    call: Node
    fallbacks: tuple[tuple[Fallback, Node], ...]

    def children(self) -> Iterator[Node]:
        yield self.call
        for _, node in self.fallbacks:
            yield node

    def emit(self, e: Emitter) -> Atom:
        atom = e.value(self.call)
        found = atom.kinds
        name = e.temp()
        e.line(f"{name} = {atom.code}")
        for fallback, node in self.fallbacks:
            with e.block(f"if {name} is {e.bind(fallback, fallback.name)}:"):
                other = e.value(node)
                e.line(f"{name} = {other.code}")
            found |= other.kinds
        return Atom(name, found)


@dataclass(frozen=True)
class _Arguments:
    """The arguments of a checked operator: MongoDB names to Python names, in the order of the signature."""

    entry: Operator
    placed: tuple[str, ...]
    python_names: Mapping[str, str]
    required: tuple[str, ...]
    checks: Mapping[str, Check]
    together: Callable[[Collection[str]], str] | None
    fallbacks: Mapping[str, Fallback]

    def by_position(self, spec: Any, where: Where, parser: Parser) -> Node:
        items = spec if isinstance(spec, (list, tuple)) else [spec]
        if not parser.check_count(len(items), self.entry.least, self.entry.most, where):
            return Const(where, None)
        places = [where / i for i in range(len(items))] if items is spec else [where]
        nodes = [parser.expression(item, place) for item, place in zip(items, places, strict=True)]
        call = Call(where, self.entry, tuple(nodes)).folded(parser.problems)
        names = self.placed if self.entry.most is not None else self.placed * len(nodes)
        self.check(call, zip(names, nodes, strict=False), parser)
        return call

    def by_name(self, spec: Any, where: Where, parser: Parser) -> Node:
        optional = [name for name in self.python_names if name not in self.required]
        given = parser.arguments(spec, where, self.required, optional)
        if given is None:
            return Const(where, None)
        wrong = self.together(given) if self.together else ""
        if wrong:
            parser.problems.add(where, wrong)
            return Const(where, None)
        nodes = {name: parser.expression(value, where / name) for name, value in given.items()}
        passed = {name: Const(where, True) if name in self.fallbacks else node for name, node in nodes.items()}
        keywords = tuple((self.python_names[name], node) for name, node in passed.items())
        call = NamedCall(where, self.entry, (), keywords).folded(parser.problems)
        self.check(call, nodes.items(), parser)
        later = tuple((fallback, nodes[name]) for name, fallback in self.fallbacks.items() if name in nodes)
        if isinstance(call, Const) and isinstance(call.value, Fallback):
            return nodes[call.value.name]
        return WithFallbacks(where, call, later) if later and not isinstance(call, Const) else call

    def check(self, call: Node, nodes: Iterable[tuple[str, Node]], parser: Parser) -> None:
        """Report literals that the operator cannot take; a call of nothing but literals has been evaluated already."""
        if isinstance(call, Call) and not all(isinstance(node, Const) for node in call.children()):
            for name, node in nodes:
                if name in self.checks and isinstance(node, Const) and not is_nullish(node.value):
                    try:
                        self.checks[name](node.value)
                    except EvaluationError as error:
                        parser.problems.add(node.where, str(error).removeprefix(f"{self.entry.name} "))


def checked_operator(
    name: str,
    *,
    checks: Mapping[str, Check],
    examples: Iterable[Example] = (),
    returns: int = kinds.ANY,
    together: Callable[[Collection[str]], str] | None = None,
    fallbacks: Iterable[Fallback] = (),
) -> Callable[[Callable[..., Any]], CheckedOperator]:
    """Declare an operator with arguments given by position, by name (keyword-only parameters), or both.

    A function ``(date, *, timezone=…)`` takes its one argument alone, in an array, or both by name; a keyword-only
    parameter ``start_of_week`` is the argument ``startOfWeek``. ``checks`` maps names of arguments to what a literal
    must pass; those of ``(*strings)`` share one check. ``together`` gets the names that are given and says what is
    wrong with their combination (``""``: nothing). For each of ``fallbacks`` the function gets whether it is given, and
    returns the fallback to have it evaluated.

    Raises ``ValueError`` when the name is taken.
    """

    def declare(function: Callable[..., Any]) -> CheckedOperator:
        parameters = list(inspect.signature(function).parameters.values())
        placed = [p for p in parameters if p.kind in (p.POSITIONAL_OR_KEYWORD, p.VAR_POSITIONAL)]
        named = any(p.kind is p.KEYWORD_ONLY for p in parameters)
        endless = any(p.kind is p.VAR_POSITIONAL for p in parameters)
        least = 0 if endless else sum(p.default is p.empty for p in placed)
        most = None if endless else len(placed)
        entry = CheckedOperator(name, function, least, most, (), named, bool(placed), returns, True, tuple(examples))
        python_names = {_camel(p.name): p.name for p in parameters}
        required = tuple(_camel(p.name) for p in parameters if p.default is p.empty)
        arguments = _Arguments(
            entry, tuple(p.name for p in placed), python_names, required, checks, together,
            {fallback.name: fallback for fallback in fallbacks},
        )  # fmt: skip

        def parse(spec: Any, where: Where, parser: Parser) -> Node:
            as_object = isinstance(spec, Mapping) and not any(str(key).startswith("$") for key in spec)
            if placed and not (named and as_object):
                return arguments.by_position(spec, where, parser)
            return arguments.by_name(spec, where, parser)

        parse.__doc__ = function.__doc__
        listed = f"{placed[0].name}, …" if endless else _listed(python_names, required)
        form(name, examples=examples, arity=f"{{{listed}}}" if named else f"[{listed}]")(parse)
        return entry

    return declare


def _listed(names: Iterable[str], required: Collection[str]) -> str:
    return ", ".join(name if name in required else f"{name} (optional)" for name in names)


def _camel(name: str) -> str:
    first, *rest = name.rstrip("_").split("_")
    return first + "".join(part.capitalize() for part in rest)
