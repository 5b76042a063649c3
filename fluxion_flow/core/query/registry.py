"""The operators that queries know: how one is declared, and how it is found.

A *field operator* stands under a field (``{age: {$gt: 5}}``) and is parsed into a condition about values; a *query
operator* stands where a field could stand (``{$or: [...]}``) and is parsed into a predicate about the document.
"""

from __future__ import annotations

import importlib
import pkgutil
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass
from inspect import cleandoc
from typing import TYPE_CHECKING, Any, TypeVar

if TYPE_CHECKING:
    from ...errors import Where
    from ..expressions.parse import Parser
    from .condition import Condition
    from .predicate import Predicate

QueryExample = tuple[dict[str, Any], dict[str, Any], bool]
"""A document, a query, and whether the query matches it."""

ParseCondition = Callable[[Any, "Where", "Parser"], "Condition"]
ParsePredicate = Callable[[Any, "Where", "Parser"], "Predicate"]
C = TypeVar("C", bound=ParseCondition)
P = TypeVar("P", bound=ParsePredicate)


@dataclass(frozen=True)
class FieldOperator:
    """An operator under a field. With ``companions`` its parse gets the object of itself and those beside it."""

    name: str
    parse: ParseCondition
    examples: tuple[QueryExample, ...]
    companions: tuple[str, ...] = ()

    @property
    def doc(self) -> str:
        return cleandoc(self.parse.__doc__ or "")


@dataclass(frozen=True)
class QueryOperator:
    """An operator that stands where a field could stand."""

    name: str
    parse: ParsePredicate
    examples: tuple[QueryExample, ...]

    @property
    def doc(self) -> str:
        return cleandoc(self.parse.__doc__ or "")


_FIELD: dict[str, FieldOperator] = {}
_QUERY: dict[str, QueryOperator] = {}
_FAMILIES = f"{__package__}.operators"
_loaded = False


def field_operator(
    name: str, *, examples: Iterable[QueryExample] = (), companions: Iterable[str] = ()
) -> Callable[[C], C]:
    """Declare an operator under a field: the function parses ``(spec, where, parser)`` into a condition.

    ``companions`` are names that only mean something beside it (``$options`` beside ``$regex``).
    Raises ``ValueError`` when the name is taken.
    """

    def declare(parse: C) -> C:
        if name in _FIELD:
            raise ValueError(f"query operator {name!r} is declared twice")
        _FIELD[name] = FieldOperator(name, parse, tuple(examples), tuple(companions))
        return parse

    return declare


def query_operator(name: str, *, examples: Iterable[QueryExample] = ()) -> Callable[[P], P]:
    """Declare an operator in a field's stead: the function parses ``(spec, where, parser)`` into a predicate.

    Raises ``ValueError`` when the name is taken.
    """

    def declare(parse: P) -> P:
        if name in _QUERY:
            raise ValueError(f"query operator {name!r} is declared twice")
        _QUERY[name] = QueryOperator(name, parse, tuple(examples))
        return parse

    return declare


def field_operators() -> Mapping[str, FieldOperator]:
    """Every operator under a field, by name."""
    _load()
    return _FIELD


def query_operators() -> Mapping[str, QueryOperator]:
    """Every operator in a field's stead, by name."""
    _load()
    return _QUERY


def _load() -> None:
    """Import the modules of operators, once; importing one declares its operators."""
    global _loaded
    if _loaded:
        return
    package = importlib.import_module(_FAMILIES)
    for module in pkgutil.iter_modules(package.__path__):
        importlib.import_module(f"{_FAMILIES}.{module.name}")
    _loaded = True
