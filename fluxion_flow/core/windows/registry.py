"""What a window function is, how one is declared, and how ``{"$rank": {}, "window": …}`` is built."""

from __future__ import annotations

import functools
import importlib
import inspect
import pkgutil
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property
from typing import Any, ClassVar, Literal, NoReturn, TypeVar

from ...errors import Where, did_you_mean
from ..accumulators import ACCUMULATORS, build_accumulator
from ..expressions.nodes import Node
from ..expressions.parse import Parser
from ..expressions.paths import path_in
from ..ordering import field_sort_key
from ..values import MISSING, EvaluationError
from .accumulate import RowError, over_frames
from .frames import WHOLE, Frames, Window, frames_of, parse_window

SortFields = Sequence[tuple[tuple[str, ...], int]]
"""Paths with 1 (ascending) or -1 (descending)."""

Example = tuple[list[dict[str, Any]], dict[str, Any], list[dict[str, Any]]]
"""Documents, the stage's specification, and the documents that come out."""


class Partition:
    """The documents of one partition, in order."""

    def __init__(self, documents: Sequence[dict[str, Any]], sort: SortFields) -> None:
        self.documents = documents
        self.sort = sort
        self._frames: dict[Window, Frames] = {}

    def __len__(self) -> int:
        return len(self.documents)

    @cached_property
    def sort_values(self) -> list[Any]:
        """What the documents hold in the one field sorted by, null for nothing."""
        if len(self.sort) != 1:
            return []
        path = self.sort[0][0]
        return [None if (value := path_in(d, path)) is MISSING else value for d in self.documents]

    @cached_property
    def sort_keys(self) -> list[Any]:
        """A key for every document; two documents stand at the same place of the order when their keys are equal."""
        if len(self.sort) == 1:
            down = self.sort[0][1] < 0
            return [field_sort_key(value, down) for value in self.sort_values]
        return [tuple(field_sort_key(path_in(d, p), way < 0) for p, way in self.sort) for d in self.documents]

    def frames(self, window: Window) -> Frames:
        found = self._frames.get(window)
        if found is None:
            found = self._frames[window] = frames_of(window, len(self), self.sort_values)
        return found

    def fail(self, row: int, message: str) -> NoReturn:
        """Raise for the document at ``row``."""
        raise RowError(row, EvaluationError(message))


@dataclass(frozen=True, eq=False)
class WindowFunction:
    """One use of a window function. ``inputs`` are evaluated for every document of a partition.

    The subclass's docstring tells its meaning and ends with the page of MongoDB's manual.
    """

    name: ClassVar[str] = ""
    window_use: ClassVar[Literal["none", "optional", "required"]] = "optional"
    sort_use: ClassVar[Literal["none", "any", "one"]] = "none"
    examples: ClassVar[tuple[Example, ...]] = ()

    where: Where
    inputs: tuple[Node, ...]
    window: Window

    def values(self, rows: Sequence[Any], partition: Partition) -> list[Any]:
        """The value for every document of the partition; ``MISSING`` for none.

        ``rows`` holds the value of the input for every document, a tuple of values where there are several.
        Raises :class:`RowError` or :class:`EvaluationError`.
        """
        raise NotImplementedError

    @classmethod
    def build(cls, spec: Any, where: Where, parser: Parser, window: Window) -> WindowFunction | None:
        """Build from what stands behind the function's name; by default, it takes ``{}``."""
        if not isinstance(spec, Mapping) or spec:
            parser.problems.add(where, f"takes no argument, got {spec!r}", f"write {{{cls.name}: {{}}}}")
            return None
        return cls(where, (), window)


_FUNCTIONS: dict[str, type[WindowFunction]] = {}

F = TypeVar("F", bound=type[WindowFunction])


def window_function(
    name: str,
    *,
    window: Literal["none", "optional", "required"] = "optional",
    sort: Literal["none", "any", "one"] = "none",
    examples: Iterable[Example],
) -> Callable[[F], F]:
    """Class decorator: make a window function known as ``name``.

    ``window`` says whether it may or must name a window, ``sort`` whether the stage needs a ``sortBy``, of one field or
    of any. Raises ``ValueError`` when the name is taken, and for a class without a docstring.
    """

    def declare(cls: F) -> F:
        if name in _FUNCTIONS or name in ACCUMULATORS:
            raise ValueError(f"window function {name!r} is declared twice")
        if not inspect.cleandoc(cls.__doc__ or ""):
            raise ValueError(f"window function {name!r} needs a docstring")
        cls.name = name
        cls.window_use = window
        cls.sort_use = sort
        cls.examples = tuple(examples)
        _FUNCTIONS[name] = cls
        return cls

    return declare


@functools.cache
def all_window_functions() -> Mapping[str, type[WindowFunction]]:
    """Every window function by its name, with the modules that declare them loaded; accumulators have their own."""
    package = importlib.import_module(__package__ or "")
    for module in pkgutil.iter_modules(package.__path__):
        importlib.import_module(f"{package.__name__}.{module.name}")
    return _FUNCTIONS


@dataclass(frozen=True, eq=False)
class AccumulatorOverWindow(WindowFunction):
    """Any accumulator, over the documents of the window."""

    accumulator: Any

    def values(self, rows: Sequence[Any], partition: Partition) -> list[Any]:
        starts, ends = partition.frames(self.window)
        return over_frames(self.accumulator, rows, starts, ends)


def build_window_function(spec: Any, where: Where, parser: Parser, sort: SortFields) -> WindowFunction | None:
    """Build from a definition such as ``{"$sum": "$qty", "window": {"documents": [-1, 0]}}``.

    ``None`` when it cannot be built; every reason is then in ``parser.problems``.
    """
    problems = parser.problems
    names = [n for n in spec if n != "window"] if isinstance(spec, Mapping) else []
    if len(names) != 1 or not str(names[0]).startswith("$"):
        hint = 'such as {"$sum": "$qty", "window": {"documents": [-1, 0]}}'
        problems.add(where, "must be an object with one window function", hint)
        return None
    name = names[0]
    before = len(problems.found)
    known = all_window_functions()
    cls = known.get(name)
    if cls is None and name not in ACCUMULATORS:
        problems.add(where, f"unknown window function {name!r}", did_you_mean(name, [*known, *ACCUMULATORS]))
        return None
    window = WHOLE
    if "window" in spec and cls is not None and cls.window_use == "none":
        problems.add(where / "window", f"{name} goes by the whole partition and takes no window", "remove it")
    elif "window" in spec:
        window = parse_window(spec["window"], where / "window", problems, sort) or WHOLE
    elif cls is not None and cls.window_use == "required":
        problems.add(where / "window", f"required by {name}", "such as window: {documents: [-1, 0]}")
    if cls is None:
        built = build_accumulator({name: spec[name]}, where, parser, problems)
        if built is None or len(problems.found) > before:
            return None
        return AccumulatorOverWindow(where / name, tuple(built[1]), window, built[0])
    if cls.sort_use == "one" and len(sort) != 1:
        problems.add(where, f"{name} needs a sortBy of one field", "give the stage one such as sortBy: {time: 1}")
    elif cls.sort_use == "any" and not sort:
        problems.add(where, f"{name} needs an order of the documents", "give the stage a sortBy")
    function = cls.build(spec[name], where / name, parser, window)
    return function if len(problems.found) == before else None
