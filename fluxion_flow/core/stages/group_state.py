"""The memory of $group: partial results merged by a generated function, results in a settled order."""

from __future__ import annotations

import functools
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from typing import Any

from ..accumulators import Accumulator
from ..expressions.compile import build
from ..expressions.emit import Emitter
from ..expressions.nodes import Node
from ..ordering import representation
from ..values import MISSING
from .group_home import Home
from .shapes import Document, KeyedState

_FIXED = frozenset({str, bool, type(None)})
"""Classes whose equal values look alike, so that any of them may stand for the group."""

Merger = Callable[[dict[Any, list[Any]], dict[Any, list[Any]], str], None]
"""Merges a partial result that came from an origin into the entries: ``(entries, partial, origin)``."""


@dataclass(frozen=True)
class Field:
    """One field of the group's documents: its accumulator and the expressions that feed it."""

    name: str
    accumulator: Accumulator
    inputs: tuple[Node, ...]
    spec: Any


def make_merger(accumulators: Sequence[Accumulator]) -> Merger:
    """Generate the merge of entries ``[_id, state, …]`` for these accumulators, in this order.

    The state of an ordered accumulator is kept by origin: within one origin partial results come in order, and the
    origins are put in order when a result is read.
    """
    e = Emitter(False)
    fixed = e.bind(_FIXED, "fixed")
    keep = e.bind(keep_representative, "keep_representative")
    e.line("get = entries.get")
    e.open("for key, new in partial.items():")
    e.line("entry = get(key)")
    with e.block("if entry is None:"):
        for i, accumulator in enumerate(accumulators, 1):
            if accumulator.ordered:
                e.line(f"new[{i}] = {{origin: new[{i}]}}")
        e.line("entries[key] = new")
        e.line("continue")
    e.line(f"if key.__class__ is not str and entry[0].__class__ not in {fixed}: {keep}(entry, new[0])")
    for i, accumulator in enumerate(accumulators, 1):
        _merge_state(e, accumulator, i)
    return build("merge", "entries, partial, origin", e)


def _merge_state(e: Emitter, accumulator: Accumulator, i: int) -> None:
    merge = e.bind(accumulator.merge, "merge")
    if accumulator.ordered:
        e.line(f"states = entry[{i}]")
        e.line("before = states.get(origin)")
        e.line(f"states[origin] = new[{i}] if before is None else {merge}(before, new[{i}])")
    elif accumulator.merge_fast is not None:
        for line in accumulator.merge_fast.format(a=f"entry[{i}]", b=f"new[{i}]", merge=merge).splitlines():
            e.line(line)
    else:
        e.line(f"entry[{i}] = {merge}(entry[{i}], new[{i}])")


def keep_representative(entry: list[Any], id_: Any) -> None:
    """Of equal ids that look different (1 and 1.0) keep the same one in whatever order they come."""
    kept = entry[0]
    if (
        id_ is MISSING
        or id_ is None
        or (kept.__class__ is id_.__class__ and (kept.__class__ is int or kept.__class__ in _FIXED))
    ):
        return
    if representation(id_) < representation(kept):
        entry[0] = id_


class GroupState(KeyedState):
    """Entries ``[_id, state, …]`` by canonical key. ``ordered``: remember where each key was first seen."""

    def __init__(
        self,
        fields: Sequence[Field],
        key_of: Callable[[Any], Any],
        merger: Merger,
        ordered: bool = False,
        home: Home | None = None,
    ) -> None:
        self._fields = [(i, f.name, f.accumulator) for i, f in enumerate(fields, 1)]
        self._names = [f.name for f in fields]
        self._key_of = key_of
        self._merger = merger
        self._home = home
        self._entries: dict[Any, list[Any]] = {} if home is None else home.entries
        self._first: dict[Any, tuple[str, int, int]] | None = {} if ordered else None

    def merge(
        self, partial: dict[Any, Any], origin: str, position: int = 0, indexes: Sequence[int] | None = None
    ) -> list[Any]:
        keys = list(partial)
        if self._first is not None:
            for key, index in zip(keys, range(len(keys)) if indexes is None else indexes, strict=True):
                place = (origin, position, index)
                if self._first.setdefault(key, place) > place:
                    self._first[key] = place
        if self._home is None:
            self._merger(self._entries, partial, origin)
        else:
            new = [key for key in keys if key not in self._entries]
            self._merger(self._entries, partial, origin)
            self._home.adopt(new, new)
        return keys

    def documents(self, keys: list[Any] | None = None) -> list[Document]:
        wanted = self._in_order() if keys is None else keys
        return [self._document(self._entries[key]) for key in wanted]

    def _in_order(self) -> list[Any]:
        return self.keys() if self._first is None else sorted(self._entries, key=self._first.__getitem__)

    def order(self) -> list[tuple[str, int, int]]:
        return sorted((self._first or {}).values())

    def _document(self, entry: list[Any]) -> Document:
        document = {"_id": entry[0]}
        for i, name, accumulator in self._fields:
            state = entry[i]
            if accumulator.ordered:
                state = self._joined(accumulator, state)
            value = accumulator.result(state)
            if value is not MISSING:
                document[name] = value
        return document

    def _joined(self, accumulator: Accumulator, by_origin: dict[str, Any]) -> Any:
        if not by_origin:
            return accumulator.zero()
        if len(by_origin) == 1:
            return next(iter(by_origin.values()))
        # merge may use its arguments up, and this state lives on
        states = (_copied(by_origin[origin]) for origin in sorted(by_origin))
        return functools.reduce(accumulator.merge, states)

    def dump(self, keys: Iterable[Any] | None = None) -> Any:
        entries, first = self._entries, self._first
        if self._home is not None:
            stored = self._home.stored(self._home.own() if keys is None else keys)
            return {"entries": stored, "places": None, "fields": self._names}
        if keys is None:
            places = None if first is None else [list(first[key]) for key in entries]
            return {"entries": list(entries.values()), "places": places, "fields": self._names}
        keys = list(keys)
        places = None if first is None else [list(first[key]) for key in keys]
        return {"entries": [entries[key] for key in keys], "places": places, "fields": self._names}

    def load(self, plain: Any) -> list[Any]:
        if plain.get("fields", self._names) != self._names:
            self._rearrange(plain)
        keys = [self._key_of(entry[0]) for entry in plain["entries"]]
        new = [] if self._home is None else [key for key in keys if key not in self._entries]
        self._entries.update(zip(keys, plain["entries"], strict=True))
        if self._home is not None:
            self._home.adopt(keys, new)
        if self._first is not None:
            for key, (origin, position, index) in zip(keys, plain["places"], strict=True):
                self._first[key] = (origin, position, index)
        return keys

    def _rearrange(self, plain: Any) -> None:
        """Put stored states in the order of the present fields; what is not stored begins empty."""
        places = {name: i for i, name in enumerate(plain["fields"], 1)}
        plain["entries"] = [
            [
                entry[0],
                *(
                    entry[places[name]] if name in places else {} if accumulator.ordered else accumulator.zero()
                    for _, name, accumulator in self._fields
                ),
            ]
            for entry in plain["entries"]
        ]

    def discard(self, keys: Iterable[Any]) -> None:
        for key in keys:
            self._entries.pop(key, None)
            if self._first is not None:
                self._first.pop(key, None)
        if self._home is not None:
            self._home.stale = True

    def keys(self) -> list[Any]:
        return list(self._entries if self._home is None else self._home.own())

    def __contains__(self, key: Any) -> bool:
        return key in self._entries

    @property
    def shares(self) -> bool:
        return any(accumulator.ordered for _, _, accumulator in self._fields)

    def absorb(self, other: GroupState) -> None:
        if self._first is not None and other._first is not None:
            for key, place in other._first.items():
                if self._first.setdefault(key, place) > place:
                    self._first[key] = place
        self._merger(self._entries, other._entries, "")

    def __len__(self) -> int:
        return len(self._entries if self._home is None else self._home.own())


def _copied(state: Any) -> Any:
    if state.__class__ is list:
        return [_copied(item) for item in state]
    if state.__class__ is dict:
        return {key: _copied(item) for key, item in state.items()}
    return state
