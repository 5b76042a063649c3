"""From emitted lines to a function, and from an error in that function back to the place in the definition."""

from __future__ import annotations

import itertools
import linecache
import warnings
import weakref
from collections.abc import Callable
from types import TracebackType
from typing import Any

from ...errors import Where
from .emit import Atom, Doc, Emitter
from .nodes import Node

_ORIGINS: dict[str, list[Where]] = {}
_numbers = itertools.count(1)


def build(name: str, signature: str, e: Emitter) -> Callable[..., Any]:
    """Compile what an emitter wrote into the function ``name(signature)``.

    The source is registered under a file name of its own, so that tracebacks print it and :func:`origin` finds the
    place in the definition that a line came from.
    """
    filename = f"<fluxion {name} {next(_numbers)}>"
    lines: list[str] = []
    origins: list[Where] = []
    for part in e.outlined:
        lines += part.lines
        origins += part.origins
    lines += [f"def {name}({signature}):", *e.lines]
    origins += [Where(), *e.origins]
    source = "\n".join(lines) + "\n"
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", SyntaxWarning)  # a guard of a literal, such as `1 is None`, is no mistake here
        code = compile(source, filename, "exec")
    _ORIGINS[filename] = origins
    linecache.cache[filename] = (len(source), None, source.splitlines(keepends=True), filename)
    exec(code, e.namespace)  # noqa: S102 - the source is ours, made from a checked definition
    function: Callable[..., Any] = e.namespace[name]
    weakref.finalize(function, _forget, filename).atexit = False
    function.__fluxion_source__ = source  # type: ignore[attr-defined]
    return function


def _forget(filename: str) -> None:
    """Give up what is kept of a function that is gone: a process may compile any number of them."""
    _ORIGINS.pop(filename, None)
    linecache.cache.pop(filename, None)


def source_of(function: Callable[..., Any]) -> str:
    """The generated source of a compiled function."""
    return str(function.__fluxion_source__)  # type: ignore[attr-defined]


def annotated_source(function: Callable[..., Any]) -> str:
    """The generated source with a comment wherever another stage begins."""
    source = source_of(function).splitlines()
    origins = _ORIGINS[function.__code__.co_filename]
    lines: list[str] = []
    before = ""
    for line, where in zip(source, origins, strict=True):
        stage = _stage_of(where)
        if stage and stage != before:
            lines.append(f"{' ' * (len(line) - len(line.lstrip()))}# {stage}")
            before = stage
        lines.append(line)
    return "\n".join(lines) + "\n"


def _stage_of(where: Where) -> str:
    """The stage that a place lies in, such as ``stages[1].$set``; ``""`` for a place in none."""
    for i, part in enumerate(where.parts):
        if isinstance(part, str) and part.startswith("$"):
            return str(Where(where.parts[: i + 1]))
    return ""


def origin(error: BaseException) -> Where | None:
    """Where in the definition an error raised inside generated code belongs; ``None`` for any other error."""
    found = None
    trace: TracebackType | None = error.__traceback__
    while trace is not None:
        origins = _ORIGINS.get(trace.tb_frame.f_code.co_filename)
        if origins is not None and 0 < trace.tb_lineno <= len(origins):
            place = origins[trace.tb_lineno - 1]
            if place.parts:
                found = place
        trace = trace.tb_next
    return found


def compile_expression(node: Node, *, speculative: bool = False) -> Callable[..., Any]:
    """A function ``(document, env) -> value`` of one expression; absent is ``MISSING``.

    With ``speculative`` the function is the fast tier alone: it raises on whatever surprises it.
    """
    e = Emitter(speculative)
    e.set_document(Doc("d"))
    atom = e.value(node)
    e.line(f"return {atom.code}")
    return build("value", "d, env", e)


def compile_with_variables(node: Node, names: tuple[str, ...]) -> Callable[..., Any]:
    """A function ``(document, env, *values)`` of one expression in which each ``$$name`` is a parameter."""
    e = Emitter(False)
    e.set_document(Doc("d"))
    e.variables = {name: Atom(f"p{i}") for i, name in enumerate(names)}
    atom = e.value(node)
    e.line(f"return {atom.code}")
    return build("value", ", ".join(["d", "env", *(f"p{i}" for i in range(len(names)))]), e)
