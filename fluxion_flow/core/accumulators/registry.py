"""What an accumulator is, how one is declared, found by name, and built from a definition.

An accumulator folds the documents of a group into a *state* of plain data: ``zero`` makes a fresh one, ``add`` takes
one more value in, ``merge`` joins the states of two sets of documents, ``result`` reads it. However the documents are
split and merged, the result is the same to the bit; accumulators with ``ordered`` need every merge to join an earlier
part of the input with a later one, the others take any order.

States hold dict, list, str, numbers, bytes, None and the documents' own values; the keys of their dicts are
:func:`~fluxion_flow.core.ordering.canonical` keys. They can be pickled and read without any class of ours.
"""

from __future__ import annotations

import datetime
import inspect
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass
from typing import Any, ClassVar, Protocol, TypeVar

from ...errors import Problems, Where, did_you_mean
from ..values import MISSING, Missing, type_name

Node = Any
"""A parsed expression; opaque here."""

Example = tuple[list[dict[str, Any]], dict[str, Any], Any]
"""Documents of one group, the accumulator as it stands in a definition, and its result (an exception class where it
must raise)."""


class ExpressionParser(Protocol):
    """What building an accumulator needs of the expression compiler. Problems are reported by the parser."""

    def expression(self, spec: Any, where: Where) -> Node:
        """An expression to be evaluated for each document."""

    def constant(self, spec: Any, where: Where) -> Any:
        """The value of an expression that depends on nothing."""


class KeyExpressionParser(ExpressionParser, Protocol):
    """A parser that also knows expressions over the group's key; without it, ``n`` must be a constant."""

    def key_expression(self, spec: Any, where: Where) -> Node:
        """An expression evaluated with the group's ``_id`` as the root document. MongoDB: ``n`` of $firstN."""


@dataclass(frozen=True)
class Inline:
    """Source for values of known kinds: ``first`` is an expression, the state of one value ``{v}``; ``more`` are
    statements that add one to the state ``{s}``, with ``{add}`` as in :attr:`Accumulator.fast`."""

    kinds: int
    first: str
    more: str


class Accumulator:
    """One use of an accumulator in a definition; it holds constants only.

    The subclass's docstring tells its meaning and ends with the page of MongoDB's manual.
    """

    name: ClassVar[str] = ""
    examples: ClassVar[tuple[Example, ...]] = ()
    ordered: bool = False
    """Whether the result depends on the order of the documents."""
    folds: bool = False
    """Whether ``add`` takes every value that ``check`` lets pass, so that documents may be added for good."""
    checks: bool = False
    """Whether there is anything to check; values of the classes :data:`PLAIN` always pass."""
    takes_array: ClassVar[bool] = False
    """Whether the single argument may be written as an array literal."""

    fast: str | None = None
    """Source that does what ``add`` does, faster: statements with ``{s}`` (an assignable place that holds the state),
    ``{v}`` (a variable with the value, which may be ``MISSING``) and ``{add}`` (the bound ``add``)."""
    inlines: tuple[Inline, ...] = ()
    """Faster still, for values whose kinds are known; the first one that fits is taken."""
    zero_code: str | None = None
    """Source of a fresh ``zero()``."""
    merge_fast: str | None = None
    """Source that does what ``merge`` does, faster: statements with ``{a}`` (an assignable place that holds the state
    and takes the result), ``{b}`` (the state to take in, which may be used up) and ``{merge}`` (bound ``merge``)."""

    shorten: str | None = None
    """Source of a call that makes the state ``{s}`` shorter where ``fast`` has let it grow beyond ``{most}`` items, and
    that leaves what it stands for; ``None`` where no state holds more than it must."""

    def zero(self) -> Any:
        """The state of no documents; a fresh one each time."""
        raise NotImplementedError

    def add(self, state: Any, value: Any) -> Any:
        """The state with one more document in it; may be the same object, changed.

        ``value`` is the value of the accumulator's expression, a tuple of values where it has several, and
        ``MISSING`` where it has none. May raise :class:`~fluxion_flow.core.values.EvaluationError`; the state is then
        unchanged.
        """
        raise NotImplementedError

    def merge(self, a: Any, b: Any) -> Any:
        """The state of the documents of both. Those of ``a`` come before those of ``b``. Both may be used up."""
        raise NotImplementedError

    def result(self, state: Any) -> Any:
        """The accumulator's value, never missing. The state stays as it is.

        A list or object that is returned is a fresh one; what it holds is shared with the state and must not be
        changed.
        """
        raise NotImplementedError

    def check(self, value: Any) -> None:
        """Raise what ``add`` could raise for a value, whatever the state."""

    def inline_for(self, kinds: int) -> Inline | None:
        """The source for values of these kinds; ``None`` where there is none."""
        return next((inline for inline in self.inlines if not kinds & ~inline.kinds), None)

    @classmethod
    def build(
        cls, spec: Any, where: Where, parser: ExpressionParser, problems: Problems
    ) -> tuple[Accumulator, list[Node]] | None:
        """Build from what stands behind the accumulator's name; by default, one expression.

        ``None`` after reporting problems.
        """
        if isinstance(spec, (list, tuple)) and not cls.takes_array:
            problems.add(where, "takes one expression, not an array", 'give a field such as "$amount"')
            return None
        return cls(), [parser.expression(spec, where)]


PLAIN = frozenset({str, int, float, bool, type(None), bytes, datetime.datetime, Missing})
"""Classes whose values can be compared and made keys of, whatever they are."""

ACCUMULATORS: dict[str, type[Accumulator]] = {}
"""Every accumulator by its name."""

A = TypeVar("A", bound=type[Accumulator])


def accumulator(name: str, *, examples: Iterable[Example]) -> Callable[[A], A]:
    """Class decorator: make an accumulator known as ``name``, with examples that are run as tests.

    Raises ``ValueError`` when the name is taken, and for a class without a docstring.
    """

    def declare(cls: A) -> A:
        if name in ACCUMULATORS:
            raise ValueError(f"accumulator {name!r} is declared twice")
        if not inspect.cleandoc(cls.__doc__ or ""):
            raise ValueError(f"accumulator {name!r} needs a docstring")
        cls.name = name
        cls.examples = tuple(examples)
        ACCUMULATORS[name] = cls
        return cls

    return declare


def find_accumulator(name: str) -> type[Accumulator] | None:
    """The accumulator called ``name``, such as ``"$sum"``; ``None`` when there is none."""
    return ACCUMULATORS.get(name)


def build_accumulator(
    spec: Any, where: Where, parser: ExpressionParser, problems: Problems
) -> tuple[Accumulator, list[Node]] | None:
    """Build an accumulator and its expressions from a definition such as ``{"$sum": "$amount"}``.

    ``None`` when it cannot be built; every reason is then in ``problems``. Never raises for a bad definition.
    """
    if not isinstance(spec, Mapping) or len(spec) != 1 or not str(next(iter(spec))).startswith("$"):
        problems.add(where, "must be an object with one accumulator", 'such as {"$sum": "$amount"}')
        return None
    ((name, argument),) = spec.items()
    cls = ACCUMULATORS.get(name)
    if cls is None:
        problems.add(where, f"unknown accumulator {name!r}", did_you_mean(name, ACCUMULATORS))
        return None
    before = len(problems.found)
    built = cls.build(argument, where / name, parser, problems)
    return built if len(problems.found) == before else None


def read_options(
    spec: Any, where: Where, problems: Problems, required: tuple[str, ...], optional: tuple[str, ...] = ()
) -> Mapping[str, Any] | None:
    """The named arguments of an accumulator, or ``None`` after reporting every one that is unknown or left out."""
    known = (*required, *optional)
    if not isinstance(spec, Mapping):
        problems.add(where, f"must be an object, got {describe(spec)}", f"give {', '.join(known)}")
        return None
    fine = True
    for name in spec:
        if name not in known:
            hint = did_you_mean(str(name), known) or f"known are {', '.join(known)}"
            problems.add(where / str(name), "unknown argument", hint)
            fine = False
    for name in required:
        if name not in spec:
            problems.add(where / name, "required argument is missing")
            fine = False
    return spec if fine else None


def describe(value: Any) -> str:
    """A wrong value in words: numbers and strings as they are, anything else by its type."""
    if isinstance(value, (bool, int, float, str)):
        return repr(value)
    if value is MISSING or value is None or isinstance(value, (dict, list)):
        return type_name(value)
    return type(value).__name__
