"""From a list of stages to segments: fused runs of per-document stages, combines, and stages that need everything."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from .program import Program
from .stages.shapes import Keyed, PerDocument, Stage, Whole, Windowed


@dataclass(frozen=True)
class Segment:
    """A fused program and what ends it: a keyed stage (combined in the program), a whole or windowed one, nothing.

    ``cut``: nothing ends it but a neighbour that asks the outside; the documents keep their places across the cut.
    """

    program: Program
    end: Keyed | Whole | Windowed | None
    cut: bool = False


def segments(stages: Sequence[Stage]) -> list[Segment]:
    """Cut a pipeline into segments; adjacent per-document stages share one program, those that ask have their own."""
    found: list[Segment] = []
    run: list[PerDocument] = []
    for stage in stages:
        if isinstance(stage, PerDocument) and stage.asks:
            if run:
                found.append(Segment(Program(run), None, cut=True))
            found.append(Segment(Program([stage]), None, cut=True))
            run = []
        elif isinstance(stage, PerDocument):
            run.append(stage)
        elif isinstance(stage, Keyed):
            found.append(Segment(Program(run, stage), stage))
            run = []
        elif isinstance(stage, (Whole, Windowed)):
            found.append(Segment(Program(run), stage))
            run = []
        else:
            raise TypeError(f"{stage.where}: a stage of shape {type(stage).__name__} cannot be planned")
    if run or not found:
        found.append(Segment(Program(run), None))
    return found
