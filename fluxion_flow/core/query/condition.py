"""Conditions about the value at a path: what a condition is, and how conditions are joined and turned around."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any, ClassVar

from ...errors import Where
from ..expressions.emit import Emitter
from ..values import MISSING
from .paths import Reading, Several


@dataclass(frozen=True, eq=False)
class Condition(ABC):
    """Something asked of a value. ``where`` is its place in the definition.

    :meth:`holds` is the meaning for one value; :meth:`anywhere` asks it of all that a path reached; :meth:`source` is
    :meth:`anywhere` as Python source, with the common classes of values done inline.
    """

    where: Where

    into_arrays: ClassVar[bool] = True
    """Whether an array at the end of a path stands for its elements too."""

    @abstractmethod
    def holds(self, value: Any) -> bool:
        """Whether one value, which may be ``MISSING``, fits. An array is taken as the one value that it is."""

    def anywhere(self, value: Any) -> bool:
        """Whether what a path reached fits: the value, an element of it where it is an array, any of several."""
        kind = value.__class__
        if kind is list:
            return (self.into_arrays and any(map(self.holds, value))) or self.holds(value)
        if kind is Several:
            return any(map(self.anywhere, value.ends)) or any(map(self.holds, value.items))
        return self.holds(value)

    def source(self, e: Emitter, value: Reading) -> str:
        """Source of a bool: whether what was read fits. It stands for itself, in parentheses where it needs them."""
        return self.slow(e, value)

    def slow(self, e: Emitter, value: Reading) -> str:
        """Source that calls :meth:`anywhere`."""
        return f"{e.bind(self.anywhere, type(self).__name__.lower())}({value.code})"

    def slow_unless_absent(self, e: Emitter, value: Reading) -> str:
        """Source that calls :meth:`anywhere`, for a condition that no absent value fits."""
        slow = self.slow(e, value)
        return f"({value.code} is not M and {slow})" if value.may_be(1) else slow

    @property
    def careful(self) -> bool:
        """Whether absence is to be expected, so that speculating on the field would not pay."""
        return self.anywhere(MISSING)

    def children(self) -> Iterator[Condition]:
        """The conditions directly below, for analyses."""
        return iter(())

    def walk(self) -> Iterator[Condition]:
        """This condition and every one below it."""
        yield self
        for child in self.children():
            yield from child.walk()


@dataclass(frozen=True, eq=False)
class Every(Condition):
    """All of several conditions, each asked by itself: of an array's elements, each may find its own."""

    parts: tuple[Condition, ...]

    def holds(self, value: Any) -> bool:
        return all(part.holds(value) for part in self.parts)

    def anywhere(self, value: Any) -> bool:
        return all(part.anywhere(value) for part in self.parts)

    def source(self, e: Emitter, value: Reading) -> str:
        return "(" + (" and ".join(part.source(e, value) for part in self.parts) or "True") + ")"

    @property
    def careful(self) -> bool:
        return any(part.careful for part in self.parts)

    def children(self) -> Iterator[Condition]:
        return iter(self.parts)


@dataclass(frozen=True, eq=False)
class Not(Condition):
    """The opposite of a condition: no value at the path fits it."""

    part: Condition

    def holds(self, value: Any) -> bool:
        return not self.part.holds(value)

    def anywhere(self, value: Any) -> bool:
        return not self.part.anywhere(value)

    def source(self, e: Emitter, value: Reading) -> str:
        if any(isinstance(below, Not) for below in self.part.walk()):
            return self.slow(e, value)  # negations in negations are rare, and Python nests parentheses 200 deep at most
        return f"(not {self.part.source(e, value)})"

    @property
    def careful(self) -> bool:
        return self.part.careful or self.anywhere(MISSING)

    def children(self) -> Iterator[Condition]:
        yield self.part


@dataclass(frozen=True, eq=False)
class Never(Condition):
    """No value fits: ``$in`` and ``$all`` of nothing."""

    def holds(self, value: Any) -> bool:
        return False

    def source(self, e: Emitter, value: Reading) -> str:
        return "False"
