"""Pipelines inside a stage (``$lookup``, ``$facet``, ``$unionWith``, ``$subPipeline``): parsed, planned and run."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from functools import cached_property
from typing import Any

from ...errors import Where
from ..batch import run_segments
from ..environment import Environment
from ..expressions.parse import MAX_DEPTH, Parser
from ..plan import Segment, segments
from ..program import DocumentError
from .registry import parse_within
from .shapes import Document, PerDocument, Stage

_LEVELS = 5
"""How many levels of a definition a pipeline within a stage counts for."""


@dataclass(frozen=True)
class InnerPipeline:
    """Checked stages that run inside a stage, planned once."""

    stages: tuple[Stage, ...]

    @cached_property
    def plan(self) -> list[Segment]:
        return segments(self.stages)

    @property
    def per_document(self) -> bool:
        """Whether every stage works on one document at a time."""
        return all(isinstance(stage, PerDocument) for stage in self.stages)

    def run(self, documents: list[Document], env: Environment) -> list[Document]:
        """The documents that come out, for a stage that runs outside generated code. The list is not changed."""
        return run_segments(list(documents), self.plan, env) if self.stages else documents

    def run_for(self, documents: list[Document], env: Environment) -> list[Document]:
        """The documents that come out, for a call from generated code.

        What a stage raised on a document comes through as it was raised, so that the document outside counts as the
        failing one; the error still knows the inner stage's place in the definition.
        """
        if not self.stages:
            return documents
        try:
            return run_segments(list(documents), self.plan, env)
        except DocumentError as error:
            raise error.cause from error.cause.__cause__


def parse_inner(
    spec: Any, where: Where, parser: Parser, stage: str = "", forbidden: Iterable[str] = ()
) -> InnerPipeline:
    """Parse a list of stages that stands inside ``stage``; stages that may not stand there are problems."""
    refused = frozenset(forbidden)
    if isinstance(spec, Sequence):
        for i, item in enumerate(spec):
            name = next(iter(item), None) if isinstance(item, dict) else None
            if name in refused:
                parser.problems.add(where / i, f"{name} cannot stand inside {stage}", "move it out of this pipeline")
    if parser.depth > MAX_DEPTH - _LEVELS:
        parser.problems.add(
            where, f"more than {MAX_DEPTH // _LEVELS} pipelines within each other", "run some of them one after another"
        )
        return InnerPipeline(())
    parser.depth += _LEVELS
    try:
        return InnerPipeline(tuple(parse_within(spec, where, parser)))
    finally:
        parser.depth -= _LEVELS
