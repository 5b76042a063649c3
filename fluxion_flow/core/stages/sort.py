"""$sort: put documents in order."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from ...errors import Where
from ..environment import Environment
from ..expressions.parse import Parser
from ..expressions.paths import path_in
from ..ordering import field_sort_key
from .registry import stage
from .shapes import Document, Whole

SortFields = tuple[tuple[tuple[str, ...], int], ...]
"""Paths with 1 (ascending) or -1 (descending)."""


def in_order(documents: list[Document], fields: SortFields) -> list[Document]:
    """The documents sorted by ``fields``; equal ones keep their order."""
    ordered = list(documents)
    for path, direction in reversed(fields):
        down = direction < 0
        ordered.sort(key=lambda d, p=path, down=down: field_sort_key(path_in(d, p), down), reverse=down)  # type: ignore[misc]
    return ordered


def order_of(documents: Sequence[Document], members: Sequence[int], fields: SortFields) -> list[int]:
    """The positions ``members`` of documents sorted by ``fields``; equal ones keep their order."""
    ordered = list(members)
    for path, direction in reversed(fields):
        down = direction < 0
        keys = {i: field_sort_key(path_in(documents[i], path), down) for i in ordered}
        ordered.sort(key=keys.__getitem__, reverse=down)
    return ordered


def parse_sort(spec: Any, where: Where, parser: Parser) -> SortFields | None:
    """Fields of a sort specification ``{field: 1 | -1}``; problems are reported."""
    if not isinstance(spec, Mapping) or not spec:
        parser.problems.add(where, f"takes an object such as {{field: 1}} or {{field: -1}}, got {spec!r}")
        return None
    fields = []
    good = True
    for name, direction in spec.items():
        if not isinstance(name, str) or not parser.check_path(name, where / str(name)):
            good = False
        elif isinstance(direction, Mapping):
            parser.problems.add(
                where / name, "sorting by text score needs a MongoDB server", "sort by a computed field"
            )
            good = False
        elif isinstance(direction, bool) or direction not in (1, -1):
            parser.problems.add(where / name, f"takes 1 (ascending) or -1 (descending), got {direction!r}")
            good = False
        else:
            fields.append((tuple(name.split(".")), int(direction)))
    return tuple(fields) if good else None


@dataclass(frozen=True, eq=False)
class Sort(Whole):
    fields: SortFields

    def run(self, documents: list[Document], env: Environment) -> list[Document]:
        return in_order(documents, self.fields)


@stage("$sort", shape="whole", examples=[([{"n": 2}, {"n": 1}], {"n": 1}, [{"n": 1}, {"n": 2}])])
def sort(spec: Any, where: Where, parser: Parser) -> Sort | None:
    """Sort by fields in BSON order; documents that compare equal keep their order. MongoDB: $sort."""
    fields = parse_sort(spec, where, parser)
    return None if fields is None else Sort(where, fields)
