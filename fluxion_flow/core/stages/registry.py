"""The stages a pipeline knows: how one is declared, and how a list of them is parsed."""

from __future__ import annotations

import functools
import importlib
import inspect
import pkgutil
import re
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, TypeVar

from ...errors import Problems, Where, did_you_mean
from ..expressions.parse import Parser
from ..resources import Resources
from .shapes import PerDocument, Stage

Example = tuple[list[dict[str, Any]], Any, list[dict[str, Any]]]
"""Documents, the stage's specification, and the documents that come out."""

MAX_STAGES = 1000
"""How many stages a pipeline may have, as in MongoDB."""

_CAPITAL = re.compile(r"(?<=[a-z])[A-Z]")

Build = Callable[[Any, Where, Parser], Any]
B = TypeVar("B", bound=Build)


@dataclass(frozen=True)
class StageEntry:
    """A declared stage: its name, its builder, examples, and how it behaves on an open stream, in words."""

    name: str
    build: Build
    shape: str
    streaming: str
    examples: tuple[Example, ...]

    @property
    def doc(self) -> str:
        return inspect.cleandoc(self.build.__doc__ or "")


STAGES: dict[str, StageEntry] = {}

_STREAMING = {
    "per document": "any source",
    "keyed": "any source: current values on an unbounded one, final values at the completion of a bounded one",
    "whole": "a bounded source, at its completion; on an unbounded one inside a window",
}

_SERVER_BOUND = {
    "$merge": "write with a sink",
    "$out": "write with a sink",
    "$search": "filter with $match, or look up with $httpCall",
    "$searchMeta": "filter with $match, or look up with $httpCall",
    "$vectorSearch": "look up with $httpCall",
    "$geoNear": "compute the distance with an expression",
    "$collStats": "there is no collection on a stream",
    "$indexStats": "there is no collection on a stream",
    "$planCacheStats": "there is no collection on a stream",
    "$currentOp": "there is no server behind a stream",
    "$listSessions": "there is no server behind a stream",
    "$listLocalSessions": "there is no server behind a stream",
    "$changeStream": "read changes with a source",
    "$emit": "write with a sink",
    "$source": "name the source beside the stages",
    "$externalFunction": "use $httpCall or $function",
}


def stage(name: str, *, shape: str, streaming: str = "", examples: Iterable[Example] = ()) -> Callable[[B], B]:
    """Declare a stage: the decorated function builds it from ``(spec, where, parser)``.

    It answers with a :class:`~fluxion_flow.core.stages.shapes.Stage`, or a list of them where the stage stands for
    others, or ``None`` when ``parser.problems`` says why not. ``shape`` is ``"per document"``, ``"keyed"``,
    ``"whole"`` or a description. Raises ``ValueError`` when the name is taken.
    """

    def declare(build: B) -> B:
        if name in STAGES:
            raise ValueError(f"stage {name!r} is declared twice")
        STAGES[name] = StageEntry(name, build, shape, streaming or _STREAMING.get(shape, ""), tuple(examples))
        return build

    return declare


def all_stages() -> Mapping[str, StageEntry]:
    """Every stage by name, with the modules that declare them loaded."""
    _load()
    return STAGES


def find_stage(name: str) -> StageEntry | None:
    """The stage of this name. ``$unwind`` is looked for in ``unwind.py``; only if it is not there, all are loaded."""
    if name not in STAGES and (module := _CAPITAL.sub(r"_\g<0>", name[1:]).lower()) in _modules():
        importlib.import_module(f"{__package__}.{module}")
    return STAGES.get(name) or all_stages().get(name)


@functools.cache
def _modules() -> frozenset[str]:
    package = importlib.import_module(__package__ or "")
    return frozenset(module.name for module in pkgutil.iter_modules(package.__path__))


@functools.cache
def _load() -> None:
    """Import the modules of stages, once; importing one declares its stages."""
    for module in sorted(_modules()):
        importlib.import_module(f"{__package__}.{module}")


def parse_stages(
    stages: Sequence[Mapping[str, Any]], where: Where, problems: Problems, resources: Resources | None = None
) -> list[Stage]:
    """Check a list of stages as data and build them; everything wrong goes to ``problems``, in order.

    ``where`` is the place of the list (``stages``); a stage's own place is ``stages[2].$group``.
    """
    return parse_within(stages, where, Parser(problems, resources))


def parse_within(stages: Any, where: Where, parser: Parser) -> list[Stage]:
    """Like :func:`parse_stages`, within a scope of variables; for stages that hold pipelines."""
    if not isinstance(stages, (list, tuple)):
        parser.problems.add(where, f"takes a list of stages, got {_shown(stages)}")
        return []
    if len(stages) > MAX_STAGES:
        what = f"a pipeline of {len(stages)} stages, but {MAX_STAGES} is the most"
        parser.problems.add(where, what, "join stages, or move some of them into pipelines of their own")
        return []
    built: list[Stage] = []
    for i, spec in enumerate(stages):
        built += _parse_stage(spec, where / i, parser)
    return built


def _parse_stage(spec: Any, where: Where, parser: Parser) -> list[Stage]:
    if not isinstance(spec, Mapping) or len(spec) != 1:
        got = f"got {', '.join(map(repr, spec))}" if isinstance(spec, Mapping) and spec else f"got {_shown(spec)}"
        parser.problems.add(where, "a stage is an object with exactly one '$' name", got)
        return []
    ((name, body),) = spec.items()
    entry = find_stage(str(name))
    if entry is None:
        if name in _SERVER_BOUND:
            parser.problems.add(where, f"stage {name!r} belongs to a MongoDB server", _SERVER_BOUND[name])
        else:
            hint = did_you_mean(str(name), all_stages()) or "see `fluxion stages`"
            parser.problems.add(where, f"unknown stage {name!r}", hint)
        return []
    asked = len(parser.asks)
    try:
        result = entry.build(body, where / name, parser)
    except RecursionError:
        parser.problems.add(where / name, "nested too deep to be read", "split it over several stages")
        return []
    if result is None:
        return []
    stages = list(result) if isinstance(result, list) else [result]
    if asks := tuple(parser.asks[asked:]):
        if not all(isinstance(stage, PerDocument) for stage in stages):
            what = f"{asks[0].title} cannot be asked in a stage that brings documents together"
            parser.problems.add(where / name, what, "ask in a $set in front of it, or behind it")
        for stage in stages:
            object.__setattr__(stage, "asks", asks)
    return stages


def _shown(value: Any) -> str:
    """A wrong value in the text of a problem, cut short where it is long."""
    try:
        text = repr(value)
    except RecursionError:
        return f"a {type(value).__name__} that is nested too deep to be shown"
    return text if len(text) <= 200 else text[:197] + "…" + text[-1]
