"""$sample and $sampleRate: a part of the documents by chance, the same one in a replay."""

from __future__ import annotations

import random
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from ...errors import Where
from ..environment import Environment
from ..expressions.nodes import Node
from ..expressions.operators.randomness import sample_rate as chance
from ..expressions.operators.randomness import site
from ..expressions.parse import Parser
from .registry import stage
from .shapes import Document, PerDocument, Whole

if TYPE_CHECKING:
    from ..program import RunEmitter


@dataclass(frozen=True, eq=False)
class Sample(Whole):
    size: int

    def run(self, documents: list[Document], env: Environment) -> list[Document]:
        chooser = random.Random(f"{env.seed}|{site(self.where)}")
        return chooser.sample(documents, min(self.size, len(documents)))


@dataclass(frozen=True, eq=False)
class SampleRate(PerDocument):
    kept: Node

    def emit(self, e: RunEmitter) -> None:  # type: ignore[override]
        with e.block(f"if not {e.truth(e.value(self.kept))}:"):
            e.drop()


@stage("$sample", shape="whole", examples=[([{"n": 1}], {"size": 3}, [{"n": 1}])])
def sample(spec: Any, where: Where, parser: Parser) -> Sample | None:
    """So many documents (``size``) by chance, in an order by chance; all of them when there are no more.

    The run's seed and the stage's place in the definition decide, so that the same input gives the same sample.
    MongoDB: $sample.
    """
    given = parser.arguments(spec, where, ("size",))
    if given is None:
        return None
    size = given["size"]
    whole = not isinstance(size, bool) and isinstance(size, (int, float)) and size == size // 1 and size >= 1
    if not whole:
        parser.problems.add(where / "size", f"takes a whole number of at least 1, got {size!r}")
        return None
    return Sample(where, int(size))


@stage(
    "$sampleRate",
    shape="per document",
    examples=[([{"n": 1}, {"n": 2}], 1.0, [{"n": 1}, {"n": 2}]), ([{"n": 1}], {"rate": 0, "seed": 42}, [])],
)
def sample_rate(spec: Any, where: Where, parser: Parser) -> SampleRate | None:
    """Keep each document with the chance ``rate`` (from 0 to 1), drop the others.

    The document's place in its source decides, and the seed: the run's, or one of its own in ``{rate, seed}``.
    Fluxion: stage $sampleRate.
    """
    before = len(parser.problems.found)
    kept = chance(spec, where, parser)
    return SampleRate(where, kept) if len(parser.problems.found) == before else None
