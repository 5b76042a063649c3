"""Groups that documents are added to as they come: nothing is combined in the batch, and nothing merged behind it.

A batch first becomes *shares*, a tuple a document: the canonical key, the ``_id``, and a value for each slot of
:class:`Slots`. What can fail has failed by then; :meth:`Fold.take` adds them to the groups for good. The groups of all
logical partitions of a worker lie in one dict, so that a key is hashed for its partition once, when it is new.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Sequence
from typing import Any

from .. import exact
from ..accumulators import Accumulator
from ..expressions.compile import build
from ..expressions.emit import Emitter
from ..keys import stable_hash
from .group_home import Home
from .group_state import Field, keep_representative

Share = tuple[Any, ...]

Begin = Callable[[Any], list[Any]]
"""Makes a new key known to its partition; answers the list of the changed keys there."""

GROWN = 64
"""Items from which a state is made shorter when its group is looked at."""

EVERY = 65_536
"""Shares after which the groups that have changed are looked at, at the latest."""

FOR_EACH = 16
"""So many shares for each group that is looked at must have come meanwhile."""


class Slots:
    """The values of a share: fields that are fed by one and the same path have one slot."""

    def __init__(self, fields: Sequence[Field]) -> None:
        self.fields: list[Field] = []
        """The fields whose inputs the slots hold, one each."""
        self.of: list[int | None] = []
        """The slot of every field; ``None`` for one that takes no input."""
        paths: dict[str, int] = {}
        for field in fields:
            path = next(iter(field.spec.values())) if field.inputs else None
            known = paths.get(path) if path.__class__ is str else None
            if known is None and field.inputs:
                known = len(self.fields)
                self.fields.append(field)
                if path.__class__ is str:
                    paths[path] = known
            self.of.append(known)


class Fold:
    """The groups of a ``$group`` on one worker, by logical partition."""

    def __init__(self, folder: Folder, partitions: int) -> None:
        self.entries: dict[Any, list[Any]] = {}
        self.homes = [Home(self.entries, folder.stored) for _ in range(partitions)]
        self._folder = folder
        self._count = 0
        self._next_look = EVERY

    def take(self, shares: list[Share]) -> None:
        """Add what documents give to their groups."""
        self._folder.fold(shares, self.entries, self._begin)
        self._count += len(shares)
        if self._folder.grows and self._count >= self._next_look:
            looked_at = 0
            for home in self.homes:
                self._folder.shorten(home.changed, self.entries, GROWN)
                looked_at += len(home.changed)
            self._next_look = self._count + max(EVERY, FOR_EACH * looked_at)

    def _begin(self, key: Any) -> list[Any]:
        homes = self.homes
        home = homes[stable_hash(key) % len(homes)] if len(homes) > 1 else homes[0]
        home.keys.append(key)
        home.changed.append(key)
        return home.changed

    def changes(self, home: Home) -> list[Any]:
        """The keys whose groups have changed since this was last asked."""
        changed = home.changed.copy()
        if changed:
            home.changed.clear()  # entries refer to this very list
            self._folder.seen(changed, self.entries)
        return changed

    def leaving(self) -> Iterator[tuple[int, dict[Any, list[Any]]]]:
        """Partial results for the partitions that are not here, by their numbers; they are held no more."""
        entries, size = self.entries, self._folder.size
        for number, home in enumerate(self.homes):
            if not home.attached and home.keys:
                groups = {key: entries.pop(key)[:size] for key in home.keys}
                home.keys.clear()
                home.changed.clear()
                yield number, groups


class Folder:
    """The generated functions over the entries of a ``$group``."""

    def __init__(self, accumulators: Sequence[Accumulator], slots: Slots) -> None:
        self.size = len(accumulators) + 1
        """The length of an entry ``[_id, state, …]``."""
        self.grows = any(accumulator.shorten is not None for accumulator in accumulators)
        self.fold: Callable[[list[Share], dict[Any, list[Any]], Begin], None] = _make_fold(accumulators, slots)
        self.shorten: Callable[[list[Any], dict[Any, list[Any]], int], None] = _make_shorten(accumulators)
        self.seen: Callable[[list[Any], dict[Any, list[Any]]], None] = _make_seen(accumulators)
        self.stored: Callable[[Iterable[Any], dict[Any, list[Any]]], list[list[Any]]] = _make_stored(accumulators)


def _make_fold(accumulators: Sequence[Accumulator], slots: Slots) -> Callable[..., None]:
    e = Emitter(False)
    marked, changed = len(accumulators) + 1, len(accumulators) + 2
    zeros = [a.zero_code or f"{e.bind(a.zero, 'zero')}()" for a in accumulators]
    keep = e.bind(keep_representative, "keep_representative")
    e.line("get = entries.get")
    e.open(f"for {', '.join(['k', 'i', *(f'w{n}' for n in range(len(slots.fields)))])} in shares:")
    e.line("g = get(k)")
    with e.block("if g is None:"):
        e.line(f"entries[k] = g = [{', '.join(['i', *zeros, 'True', 'begin(k)'])}]")
    with e.block("else:"):
        with e.block(f"if not g[{marked}]:"):
            e.line(f"g[{marked}] = True")
            e.line(f"g[{changed}].append(k)")
        alike = "i is g[0] or (i.__class__ is int and g[0].__class__ is int)"
        e.line(f"if i.__class__ is not str and not ({alike}): {keep}(g, i)")
    for i, (accumulator, slot) in enumerate(zip(accumulators, slots.of, strict=True), 1):
        add = e.bind(accumulator.add, "add")
        value = "M" if slot is None else f"w{slot}"
        source = accumulator.fast or "{s} = {add}({s}, {v})"
        for line in source.format(s=f"g[{i}]", v=value, add=add).splitlines():
            e.line(line)
    return build("fold", "shares, entries, begin", e)


def _over_entries(e: Emitter) -> None:
    e.open("for k in keys:")
    e.line("g = entries[k]")


def _shortened(e: Emitter, accumulators: Sequence[Accumulator], most: str) -> None:
    compress = e.bind(exact.compress, "compress")
    for i, accumulator in enumerate(accumulators, 1):
        if accumulator.shorten is not None:
            e.line(accumulator.shorten.format(s=f"g[{i}]", most=most, compress=compress))


def _make_shorten(accumulators: Sequence[Accumulator]) -> Callable[..., None]:
    e = Emitter(False)
    _over_entries(e)
    _shortened(e, accumulators, "most")
    e.line("pass")
    return build("shorten", "keys, entries, most", e)


def _make_seen(accumulators: Sequence[Accumulator]) -> Callable[..., None]:
    e = Emitter(False)
    _over_entries(e)
    e.line(f"g[{len(accumulators) + 1}] = False")
    _shortened(e, accumulators, str(GROWN))
    return build("seen", "keys, entries", e)


def _make_stored(accumulators: Sequence[Accumulator]) -> Callable[..., list[list[Any]]]:
    """Entries as they are stored: without what only a home knows, and no longer than they must be."""
    e = Emitter(False)
    e.line("found = []")
    _over_entries(e)
    _shortened(e, accumulators, str(exact.LONG))
    e.line(f"found.append(g[:{len(accumulators) + 1}])")
    e.close()
    e.line("return found")
    return build("stored", "keys, entries", e)
