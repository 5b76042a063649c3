"""Writing Python source: values held in atoms, documents known by their parts, blocks, and where each line came from.

The source is written in two tiers that mean the same. In the *speculative* tier a field path is plain indexing
(``d["a"]["b"]``): whatever does not fit raises, and the document is done again by the *general* tier, which handles
absent fields, arrays on the way and every type. Everything else is shared: an operator's inline source guards the
common types and calls the operator's function for the others.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Hashable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from typing import Any, TypeVar

from ...errors import Where
from ..outside import Asked
from ..rows import FIELD
from ..values import MISSING, truthy
from . import kinds
from .kinds import kind_of
from .nodes import Node, asks
from .paths import path_in
from .sample import ITEMS, Sample, SamplePath

MAX_LOOPS = 12
"""Nested loops in one function; deeper expressions get a function of their own (Python allows 20)."""

MAX_INDENT = 60
"""Levels of indentation in one function (Python allows 100)."""


@dataclass(frozen=True)
class Atom:
    """A value in the generated source: a name or a literal, and what is known of its kind."""

    code: str
    kinds: int = kinds.ANY

    def may_be(self, kind: int) -> bool:
        return bool(self.kinds & kind)

    def is_only(self, kind: int) -> bool:
        return not self.kinds & ~kind


@dataclass
class Doc:
    """A document known by its parts: a dict in a variable, with fields laid over it and fields taken away.

    Stages change this description; a dict is built only when somebody needs one. ``base`` is ``None`` for a document
    that has no fields but those in ``fields``.
    """

    base: str | None
    fields: dict[str, Atom] = field(default_factory=dict)
    removed: set[str] = field(default_factory=set)

    def replaced(self, /, **changes: Atom) -> Doc:
        return Doc(self.base, {**self.fields, **changes}, self.removed - set(changes))


class Surprise(Exception):
    """A document does not fit the speculative tier."""


class WholeNeeded(Exception):
    """The source that is written needs a whole document, not some of its fields."""


K = TypeVar("K", bound=Hashable)


class Scoped(dict[K, Atom]):
    """Atoms by what they hold. What is learnt within a block is forgotten when the block ends."""

    def __init__(self) -> None:
        super().__init__()
        self._learnt: list[list[K]] = [[]]

    def __setitem__(self, key: K, atom: Atom) -> None:
        super().__setitem__(key, atom)
        self._learnt[-1].append(key)

    def enter(self) -> None:
        self._learnt.append([])

    def leave(self) -> None:
        for key in self._learnt.pop():
            del self[key]


class Emitter:
    """Writes the source of one function. ``speculative`` chooses the tier."""

    def __init__(
        self, speculative: bool, namespace: dict[str, Any] | None = None, sample: Sample | None = None
    ) -> None:
        self.speculative = speculative
        self.sample = sample
        self.namespace: dict[str, Any] = {"M": MISSING, "truthy": truthy} if namespace is None else namespace
        self.lines: list[str] = []
        self.origins: list[Where] = []
        self.indent = 1
        self.loops = 0
        self.where = Where()
        self.doc = Doc("d")
        self.variables: dict[str, Atom] = {}
        self.asking = False
        """Whether what is written may ask the outside."""
        self.outlined: list[Emitter] = []
        self.needs: dict[str, int] | None = None
        """The fields that are read of the document ``d``, numbered, where it is a row of them and not a dict."""
        self._count = 0
        self._names: dict[tuple[str, int], str] = {}
        self._next: dict[str, int] = {}
        self._reads: Scoped[tuple[str, tuple[str, ...]]] = Scoped()
        self._built: Scoped[int] = Scoped()
        self._numbers: Scoped[str] = Scoped()
        self._narrowed: Scoped[str] = Scoped()
        self._sampled: dict[str, SamplePath] = {"d": ()}
        self._alive: list[object] = []

    # -- lines and blocks ---------------------------------------------------------------------------------------

    def line(self, code: str) -> None:
        """Add one line of source; it remembers the place in the definition that it came from."""
        self.lines.append("    " * self.indent + code)
        self.origins.append(self.where)

    def open(self, header: str) -> None:
        """Start a block that stays open: the rest of the function stands in it."""
        self.line(header)
        self.indent += 1
        self._reads.enter()
        self._built.enter()
        self._numbers.enter()
        self._narrowed.enter()

    def close(self) -> None:
        """End the block that was opened last. What was read in it is not taken as known any more."""
        self.indent -= 1
        self._reads.leave()
        self._built.leave()
        self._numbers.leave()
        self._narrowed.leave()

    @contextmanager
    def block(self, header: str) -> Iterator[None]:
        """A block of source. What is read inside is not taken as known outside."""
        self.open(header)
        before = len(self.lines)
        yield
        if len(self.lines) == before:
            self.line("pass")
        self.close()

    @contextmanager
    def loop(self, header: str) -> Iterator[None]:
        self.loops += 1
        with self.block(header):
            yield
        self.loops -= 1

    @contextmanager
    def at(self, where: Where) -> Iterator[None]:
        """Lines written inside come from ``where``."""
        before, self.where = self.where, where
        yield
        self.where = before

    @contextmanager
    def binding(self, /, **variables: Atom) -> Iterator[None]:
        """``$$name`` means these atoms inside."""
        before = self.variables
        self.variables = {**before, **variables}
        yield
        self.variables = before

    # -- names and values ---------------------------------------------------------------------------------------

    def temp(self, hint: str = "v") -> str:
        """A fresh local name."""
        self._count += 1
        return f"{hint}{self._count}"

    def bind(self, thing: Any, hint: str) -> str:
        """A global name for ``thing`` in the generated module; the same thing keeps its name."""
        clean = "".join(c if c.isalnum() else "_" for c in hint)
        known = self._names.get((clean, id(thing)))
        if known is not None:
            return known
        number = self._next.get(clean, 0)
        while (name := f"{clean}_{number}" if number else f"{clean}_") in self.namespace:
            number += 1
        self._next[clean] = number + 1
        self._names[clean, id(thing)] = name
        self.namespace[name] = thing
        return name

    def assign(self, code: str, kind: int = kinds.ANY, hint: str = "v") -> Atom:
        """Keep the value of ``code`` in a fresh local."""
        name = self.temp(hint)
        self.line(f"{name} = {code}")
        return Atom(name, kind)

    def const(self, value: Any) -> Atom:
        """A constant, as a literal where Python has one."""
        if value is MISSING:
            return Atom("M", kinds.ABSENT)
        plain = value is None or value.__class__ in (bool, str) or (value.__class__ is int and value.bit_length() <= 64)
        if plain or (value.__class__ is float and math.isfinite(value)):
            return Atom(repr(value) if not _negative(value) else f"({value!r})", kind_of(value))
        return Atom(self.bind(value, "const"), kind_of(value))

    def truth(self, atom: Atom) -> str:
        """Source of MongoDB's truth of a value: false for false, null, absent and zero."""
        if atom.is_only(kinds.BOOL):
            return atom.code
        if atom.is_only(kinds.BOOL | kinds.NULL):
            return f"({atom.code} is True)"
        if not atom.may_be(kinds.BOOL | kinds.NULLISH | kinds.NUMBER):
            return "True"
        return f"({atom.code} is True or ({atom.code} is not False and truthy({atom.code})))"

    def value(self, node: Node) -> Atom:
        """Write a node's value. A node that stands too deep gets a function of its own."""
        with self.at(node.where):
            if self.loops >= MAX_LOOPS or self.indent >= MAX_INDENT:
                return self._outline(node)
            return node.emit(self)

    def values(self, nodes: Sequence[Node]) -> list[Atom]:
        """Write the values of nodes that do not depend on each other.

        Where several ask the outside, all of them ask before the document waits.
        """
        flag = self.patience(*nodes) if len(nodes) > 1 else None
        atoms = []
        for node in nodes:
            with self.patient(flag if flag is not None and asks(node) else None):
                atoms.append(self.value(node))
        self.wait(flag)
        return atoms

    def patience(self, *nodes: Node) -> str | None:
        """A variable that remembers that something waits for an answer; ``None`` where none of the nodes asks."""
        if not self.asking or not any(map(asks, nodes)):
            return None
        return self.assign("False", kinds.BOOL, "w").code

    @contextmanager
    def patient(self, flag: str | None) -> Iterator[None]:
        """A block that may have to wait for an answer; what stands behind it asks all the same."""
        if flag is None:
            yield
            return
        with self.block("try:"):
            yield
        with self.block(f"except {self.bind(Asked, 'Asked')}:"):
            self.line(f"{flag} = True")

    def wait(self, flag: str | None) -> None:
        """Wait, if anything before must."""
        if flag is not None:
            self.line(f"if {flag}: raise {self.bind(Asked, 'Asked')}")

    def _outline(self, node: Node) -> Atom:
        inner = Emitter(self.speculative, self.namespace)
        inner.asking = self.asking
        inner._names, inner._next, inner.outlined = self._names, self._next, self.outlined
        root = self.materialize()
        names = {name: f"p{i}" for i, name in enumerate(self.variables)}
        inner.variables = {name: Atom(names[name], atom.kinds) for name, atom in self.variables.items()}
        atom = inner.value(node)
        inner.line(f"return {atom.code}")
        function = self.bind(object(), "part")
        header = f"def {function}({', '.join(['d', 'env', *names.values()])}):"
        inner.lines.insert(0, header)
        inner.origins.insert(0, node.where)
        self.outlined.append(inner)
        passed = ", ".join([root.code, "env", *(a.code for a in self.variables.values())])
        return self.assign(f"{function}({passed})", atom.kinds)

    # -- documents ----------------------------------------------------------------------------------------------

    def document(self, fields: Sequence[tuple[str, Atom]]) -> Atom:
        """Build a dict; fields that turn out absent are left out."""
        sure = [f"{name!r}: {atom.code}" for name, atom in fields if not atom.may_be(kinds.ABSENT)]
        if len(sure) == len(fields):
            return self.assign("{" + ", ".join(sure) + "}", kinds.OBJECT, "o")
        result = self.assign("{}", kinds.OBJECT, "o")
        for name, atom in fields:
            guard = f"if {atom.code} is not M: " if atom.may_be(kinds.ABSENT) else ""
            self.line(f"{guard}{result.code}[{name!r}] = {atom.code}")
        return result

    def materialize(self, doc: Doc | None = None) -> Atom:
        """The document as a dict: its base itself when nothing was laid over it, else a new dict.

        Raises :class:`WholeNeeded` where that is the document ``d``, of which there is only a row.
        """
        doc = doc or self.doc
        if self._is_row(doc.base):
            raise WholeNeeded
        known = self._built.get(id(doc))
        if known is not None:
            return known
        if doc.base is None:
            atom = self.document(list(doc.fields.items()))
        elif not doc.fields and not doc.removed:
            atom = Atom(doc.base, kinds.OBJECT)
        else:
            sure = {n: a for n, a in doc.fields.items() if not a.may_be(kinds.ABSENT)}
            parts = "".join(f", {name!r}: {a.code}" for name, a in sure.items())
            atom = self.assign(f"{{**{doc.base}{parts}}}", kinds.OBJECT, "o")
            for name, a in doc.fields.items():
                if name not in sure:
                    self.line(f"if {a.code} is not M: {atom.code}[{name!r}] = {a.code}")
                    self.line(f"else: {atom.code}.pop({name!r}, None)")
            for name in sorted(doc.removed):
                self.line(f"{atom.code}.pop({name!r}, None)")
        self._built[id(doc)] = atom
        self._alive.append(doc)
        return atom

    def _is_row(self, name: str | None) -> bool:
        return name == "d" and self.needs is not None

    def set_document(self, doc: Doc) -> None:
        """From here on, ``doc`` is the current document."""
        self.doc = doc

    def field(self, doc: Doc, name: str) -> Atom:
        """The value of a top-level field of a document known by its parts."""
        if name in doc.fields:
            return doc.fields[name]
        if doc.base is None or name in doc.removed:
            return Atom("M", kinds.ABSENT)
        return self.path(Atom(doc.base, kinds.OBJECT), (name,))

    # -- reading paths ------------------------------------------------------------------------------------------

    def read(self, base: str, parts: tuple[str, ...]) -> Atom:
        """``$a.b`` (base ``CURRENT``) or ``$$base.a.b``."""
        if base in self.variables:
            atom = self.variables[base]
            return self.path(atom, parts) if parts else atom
        if base in ("NOW", "CLUSTER_TIME"):
            atom = self.assign("env.now", kinds.DATE)
            return self.path(atom, parts) if parts else atom
        if base not in ("ROOT", "CURRENT"):
            atom = self.assign(f"env.variables[{base!r}]")
            return self.path(atom, parts) if parts else atom
        if not parts:
            return self.materialize()
        doc = self.doc
        if doc.base is not None and parts[0] not in doc.fields and parts[0] not in doc.removed:
            return self.path(Atom(doc.base, kinds.OBJECT), parts)
        return self.path(self.field(doc, parts[0]), parts[1:])

    def path(self, atom: Atom, parts: tuple[str, ...], speculative: bool | None = None) -> Atom:
        """The value at a path below ``atom``, read once per place in the source."""
        if not parts:
            return atom
        key = (atom.code, parts)
        known = self._reads.get(key)
        if known is None:
            known = self._path(atom, parts, self.speculative if speculative is None else speculative)
            self._reads[key] = known
            if atom.code in self._sampled:
                self._sampled[known.code] = (*self._sampled[atom.code], *parts)
        return known

    def _path(self, atom: Atom, parts: tuple[str, ...], speculative: bool) -> Atom:
        if not atom.may_be(kinds.OBJECT | kinds.ARRAY):
            return Atom("M", kinds.ABSENT)
        if self.needs is not None and self._is_row(atom.code):
            if len(parts) > 1:
                return self.path(self.path(atom, parts[:1], speculative), parts[1:], speculative)
            return self.assign(f"d.{FIELD}{self.needs.setdefault(parts[0], len(self.needs))}", kinds.PRESENT)
        if speculative:
            if len(parts) > 1:
                atom, parts = self.path(atom, parts[:-1], True), parts[-1:]
            return self.assign(atom.code + "".join(f"[{p!r}]" for p in parts), kinds.PRESENT)
        name = self.temp()
        if atom.is_only(kinds.OBJECT):
            self.line(f"{name} = {atom.code}.get({parts[0]!r}, M)")
            parts = parts[1:]
        else:
            self.line(f"{name} = {atom.code}")
        depth = 0
        for i, part in enumerate(parts):
            rest = self.const(tuple(parts[i:])).code
            walk = self.bind(path_in, "path_in")
            if i == len(parts) - 1 or depth >= 8:
                last = f"{name}.get({part!r}, M)" if i == len(parts) - 1 else f"{walk}({name}, {rest})"
                self.line(f"{name} = {last} if {name}.__class__ is dict else {walk}({name}, {rest})")
                break
            self.line(f"if {name}.__class__ is not dict: {name} = {walk}({name}, {rest})")
            self.line("else:")
            self.indent += 1
            depth += 1
            self.line(f"{name} = {name}.get({part!r}, M)")
        self.indent -= depth
        return Atom(name, kinds.ANY)

    @contextmanager
    def careful(self) -> Iterator[None]:
        """Paths read inside are often absent (``$ifNull``, ``$exists``): never speculate on them."""
        before, self.speculative = self.speculative, False
        yield
        self.speculative = before

    # -- guards -------------------------------------------------------------------------------------------------

    def item_of(self, array: Atom, item: str) -> None:
        """Say that ``item`` is a name for the items of an array that was read."""
        if array.code in self._sampled:
            self._sampled[item] = (*self._sampled[array.code], ITEMS)

    def narrowed(self, atom: Atom) -> Atom:
        """In the speculative tier: the atom as the one kind that its values had in the sample, behind a guard."""
        if not self.speculative:
            return atom
        if atom.code in self._numbers:
            return Atom(atom.code, atom.kinds & (kinds.INT | kinds.FLOAT))
        if self.sample is None or atom.code not in self._sampled:
            return atom
        if atom.code in self._narrowed:
            return self._narrowed[atom.code]
        kind = self.sample.kinds(self._sampled[atom.code])
        if kind not in _NARROW or not atom.may_be(kind) or atom.is_only(kind):
            return atom
        self.line(f"if {atom.code}.__class__ is not {_NARROW[kind]}: raise {self.surprise}")
        narrow = Atom(atom.code, kind)
        self._narrowed[atom.code] = narrow
        return narrow

    def plain_number(self, atom: Atom) -> str:
        """Source of "is an int or a float", ``""`` when that is known."""
        atom = self.narrowed(atom)
        if atom.is_only(kinds.INT | kinds.FLOAT) or atom.code in self._numbers:
            return ""
        return f"({atom.code}.__class__ is float or {atom.code}.__class__ is int)"

    def know_numbers(self, atoms: Sequence[Atom]) -> None:
        """From here on, to the end of the block, these atoms are known to be ints or floats."""
        for atom in atoms:
            if atom.code not in self._numbers and atom.code.isidentifier():
                self._numbers[atom.code] = atom

    @property
    def surprise(self) -> str:
        """The name of the exception that ends the speculative tier for a document."""
        return self.bind(Surprise, "Surprise")

    def guarded(self, guards: Sequence[str], fast: Callable[[], Atom], slow: str, kind: int) -> Atom:
        """``fast`` where all guards hold, else the value of ``slow`` (usually the call of the operator's function)."""
        guards = [g for g in dict.fromkeys(guards) if g]
        if not guards:
            return fast()
        name = self.temp()
        with self.block(f"if {' and '.join(guards)}:"):
            self.line(f"{name} = {fast().code}")
        with self.block("else:"):
            self.line(f"{name} = {slow}")
        return Atom(name, kind)


_NARROW = {kinds.INT: "int", kinds.FLOAT: "float", kinds.STRING: "str", kinds.ARRAY: "list"}
"""Kinds that are worth a guard of their own."""


def _negative(value: Any) -> bool:
    return value.__class__ in (int, float) and repr(value).startswith("-")
