"""What is known of a record besides its fields: $meta (MongoDB: $meta; Atlas Stream Processing: stream metadata)."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

from ....errors import Where
from ...values import MISSING
from .. import kinds
from ..emit import Atom, Emitter
from ..nodes import Const, Node
from ..parse import Parser
from ..registry import form


@dataclass(frozen=True, eq=False)
class Metadata(Node):
    path: str

    def children(self) -> Iterator[Node]:
        return iter(())

    def emit(self, e: Emitter) -> Atom:
        return e.assign(f"env.metadata({tuple(self.path.split('.'))!r})", kinds.ANY)


@form("$meta", arity="'stream.…'", examples=[({}, {"$meta": "stream.source.topic"}, MISSING)])
def meta(spec: Any, where: Where, parser: Parser) -> Node:
    """What the stream knows of the record: ``stream``, ``stream.source.topic``, ``stream.window.start`` …

    Every source gives ``stream.source.type``, ``.partition`` and ``.position`` (a byte, an offset, an index); what else
    there is, is said on the source's page. Nothing where the source or the stage gives no such value, behind a stage
    that combines documents, and in an offline run. MongoDB: $meta.
    """
    if isinstance(spec, str) and (spec == "stream" or spec.startswith("stream.")):
        parser.check_path(spec, where)
        return Metadata(where, spec)
    parser.problems.add(
        where, f"unknown metadata {spec!r}", "give 'stream' or a path in it, such as 'stream.source.topic'"
    )
    return Const(where, None)
