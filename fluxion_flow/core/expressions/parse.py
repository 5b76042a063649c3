"""From an expression as data to nodes: names, arity and argument names are checked here, all problems collected."""

from __future__ import annotations

import datetime
import decimal
import re
from collections.abc import Iterable, Mapping, Sequence
from typing import Any

from ...errors import Problems, Where, did_you_mean
from ..outside import Asker
from ..resources import Resources
from ..values import MISSING, utc
from . import broken
from .nodes import ArrayNode, Call, Const, FieldPath, Node, ObjectNode, constant_of
from .registry import Form, Operator, all_operators, find_operator

MAX_DEPTH = 100
"""How deep a definition, a path or a literal may nest: as deep as MongoDB's documents. More is a problem."""

SYSTEM_VARIABLES = frozenset({"ROOT", "CURRENT", "NOW", "CLUSTER_TIME", "REMOVE"})


class Parser:
    """Parses expressions within one scope of variables.

    ``problems`` collects what is wrong; a part that cannot be parsed becomes null so that the rest is still checked.
    ``asks`` collects the operators that ask the outside.
    """

    def __init__(
        self,
        problems: Problems,
        resources: Resources | None = None,
        variables: Iterable[str] = SYSTEM_VARIABLES,
        depth: int = 0,
        asks: list[Asker] | None = None,
    ) -> None:
        self.problems = problems
        self.asks: list[Asker] = [] if asks is None else asks
        self.resources = resources or Resources()
        self.variables = frozenset(variables) | frozenset(self.resources.variables)
        self.depth = depth

    def with_variables(self, *names: str) -> Parser:
        """A parser for a scope in which ``$$name`` is known too."""
        return Parser(self.problems, self.resources, self.variables | set(names), self.depth, self.asks)

    def expression(self, spec: Any, where: Where) -> Node:
        """Parse one expression: a literal, ``"$path"``, ``{"$operator": …}``, a document or an array."""
        if self.depth >= MAX_DEPTH:
            self.problems.add(where, f"nested deeper than {MAX_DEPTH} levels", "split it over several stages")
            return Const(where, None)
        self.depth += 1
        try:
            return self._expression(spec, where)
        finally:
            self.depth -= 1

    def _expression(self, spec: Any, where: Where) -> Node:
        if spec.__class__ is str:
            return self._path(spec, where) if spec.startswith("$") else Const(where, spec)
        if isinstance(spec, Mapping):
            return self._object(spec, where)
        if isinstance(spec, (list, tuple)):
            return array_or_constant(where, [self.expression(s, where / i) for i, s in enumerate(spec)])
        if spec is None or isinstance(spec, (bool, int, float, str, decimal.Decimal, bytes, re.Pattern)):
            return Const(where, spec)
        if isinstance(spec, datetime.datetime):
            return Const(where, utc(spec))
        if spec is MISSING:
            return Const(where, MISSING)
        self.problems.add(where, f"a {type(spec).__name__} is not a value of an expression")
        return Const(where, None)

    def _path(self, spec: str, where: Where) -> Node:
        if spec.startswith("$$"):
            name, *parts = spec[2:].split(".")
            if name not in self.variables:
                hint = did_you_mean("$$" + name, ["$$" + v for v in self.variables])
                self.problems.add(where, f"unknown variable '$${name}'", hint or "define it with $let")
                return Const(where, None)
            if name == "REMOVE":
                return Const(where, MISSING)
            base = name
        else:
            base, parts = "CURRENT", spec[1:].split(".")
        if not self.check_path(".".join(parts), where, spec) if parts else False:
            return Const(where, None)
        return FieldPath(where, base, tuple(parts))

    def check_path(self, path: str, where: Where, shown: str | None = None) -> bool:
        """Whether ``path`` (dotted, without ``$``) is a proper field path; problems are reported."""
        shown = path if shown is None else shown
        parts = path.split(".")
        if len(parts) > MAX_DEPTH:
            what = f"a field path of {len(parts)} names, but documents nest at most {MAX_DEPTH} levels deep"
            self.problems.add(where, what, "use a shorter path")
            return False
        for part in parts:
            if part == "":
                self.problems.add(where, f"field path {shown!r} has an empty name in it", "remove the extra dot")
                return False
            if part.startswith("$"):
                hint = f"use {{$literal: {shown!r}}} for the text itself"
                self.problems.add(where, f"field path {shown!r} has a name that starts with '$'", hint)
                return False
            if "\0" in part:
                self.problems.add(where, "a field name cannot hold a null byte")
                return False
        return True

    def _object(self, spec: Mapping[Any, Any], where: Where) -> Node:
        dollars = [k for k in spec if isinstance(k, str) and k.startswith("$")]
        if dollars:
            if len(spec) > 1:
                beside = ", ".join(repr(k) for k in spec if k != dollars[0])
                what = f"{dollars[0]!r} must stand alone in its object, found beside it: {beside}"
                self.problems.add(where, what, "give each operator an object of its own")
                return Const(where, None)
            return self._operator(dollars[0], spec[dollars[0]], where / dollars[0])
        fields = []
        for name, value in spec.items():
            if not isinstance(name, str):
                self.problems.add(where, f"field names are strings, got {name!r}", "put it in quotes")
            elif name == "" or "." in name:
                self.problems.add(where, f"field name {name!r} in an object expression", "nest objects instead of dots")
            else:
                fields.append((name, self.expression(value, where / name)))
        node = ObjectNode(where, tuple(fields))
        value = constant_of(node)
        return node if value is MISSING else Const(where, value)

    def _operator(self, name: str, spec: Any, where: Where) -> Node:
        entry = find_operator(name)
        if entry is None:
            hint = did_you_mean(name, all_operators()) or "see `fluxion operators`"
            self.problems.add(where, f"unknown operator {name!r}", "; ".join([*broken(), hint]))
            return Const(where, None)
        if isinstance(entry, Form):
            return entry.parse(spec, where, self)
        if entry.named and isinstance(spec, Mapping) and not any(str(k).startswith("$") for k in spec):
            return self._named_call(entry, spec, where)
        if entry.named and not entry.positional:
            self.problems.add(where, "takes an object of named arguments", f"give {_parameters_text(entry)}")
            return Const(where, None)
        if isinstance(spec, (list, tuple)):
            arguments = [self.expression(s, where / i) for i, s in enumerate(spec)]
        else:
            arguments = [self.expression(spec, where)]
        if not self.check_count(len(arguments), entry.least, entry.most, where):
            return Const(where, None)
        return Call(where, entry, tuple(arguments)).folded(self.problems)

    def _named_call(self, entry: Operator, spec: Mapping[str, Any], where: Where) -> Node:
        known = {p.name: p for p in entry.parameters}
        self.check_names(spec, known, [p.name for p in entry.parameters if p.required], where)
        keywords = [
            (known[name].python_name, self.expression(value, where / name))
            for name, value in spec.items()
            if name in known
        ]
        missing = [p for p in entry.parameters if p.required and p.name not in spec]
        if missing:
            return Const(where, None)
        return Call(where, entry, (), tuple(keywords)).folded(self.problems)

    def check_count(self, count: int, least: int, most: int | None, where: Where) -> bool:
        """Report a wrong number of arguments."""
        if count >= least and (most is None or count <= most):
            return True
        if most is None:
            takes = f"at least {least}"
        elif least == most:
            takes = f"{least}"
        else:
            takes = f"{least} to {most}"
        plural = "" if takes == "1" else "s"
        self.problems.add(where, f"takes {takes} argument{plural}, got {count}")
        return False

    def check_names(self, spec: Mapping[str, Any], known: Iterable[str], required: Sequence[str], where: Where) -> bool:
        """Report unknown and missing names of an object of arguments."""
        known = list(known)
        before = len(self.problems.found)
        for name in spec:
            if name not in known:
                hint = did_you_mean(str(name), known) or f"known are {', '.join(known)}"
                self.problems.add(where / str(name), "unknown argument", hint)
        for name in required:
            if name not in spec:
                self.problems.add(where / name, "required argument is missing")
        return len(self.problems.found) == before

    def arguments(
        self, spec: Any, where: Where, required: Sequence[str], optional: Sequence[str] = ()
    ) -> Mapping[str, Any] | None:
        """An object of named arguments of a form, checked; ``None`` when it cannot be used (problems are reported)."""
        if not isinstance(spec, Mapping):
            named = ", ".join([*required, *(f"{n} (optional)" for n in optional)])
            self.problems.add(where, "takes an object of named arguments", f"give {named}")
            return None
        return spec if self.check_names(spec, [*required, *optional], required, where) else None

    def constant(self, spec: Any, where: Where) -> Any:
        """The value of an expression that must be constant; ``MISSING`` (with a problem reported) when it is not."""
        before = len(self.problems.found)
        value = constant_of(self.expression(spec, where))
        if value is MISSING and len(self.problems.found) == before:
            self.problems.add(where, "must be a constant")
        return value


def too_deep(value: Any) -> bool:
    """Whether a literal nests deeper than a document may."""
    level, depth = [value], 0
    while level and depth <= MAX_DEPTH:
        depth += 1
        inner = (
            item
            for outer in level
            if isinstance(outer, (Mapping, list, tuple))
            for item in (outer.values() if isinstance(outer, Mapping) else outer)
        )
        level = list({id(item): item for item in inner}.values())
    return bool(level)


def array_or_constant(where: Where, items: Sequence[Node]) -> Node:
    """An array node, folded when all of its items are constants."""
    node = ArrayNode(where, tuple(items))
    value = constant_of(node)
    return node if value is MISSING else Const(where, value)


def _parameters_text(entry: Operator) -> str:
    return ", ".join(p.name if p.required else f"{p.name} (optional)" for p in entry.parameters)
