"""Ours without Bytewax: the same reader, the same compiled stages, the same writer, in a plain loop."""

from __future__ import annotations

from pathlib import Path

from fluxion_flow.compiler.plan import FusedStep, KeyedStep, make_plan
from fluxion_flow.connect.spi import Batch, StreamingSink, StreamingSource
from fluxion_flow.core.environment import Environment

from . import fluxion


def run(job: str, source: Path, target: Path) -> None:
    """The job."""
    made = fluxion.definition(job, source, target)
    plan = make_plan(made)
    first = plan.steps[0]
    keyed = plan.steps[1] if len(plan.steps) > 1 else None
    assert isinstance(first, FusedStep)
    assert isinstance(plan.source, StreamingSource)
    assert isinstance(plan.sinks[0].sink, StreamingSink)
    writer = plan.sinks[0].sink.open("00000", None)
    (partition,) = plan.source.partitions()
    reader = plan.source.open(partition, None)
    if plan.needs is not None:
        reader.needs(plan.needs)
    state = keyed.stage.state() if isinstance(keyed, KeyedStep) else None
    while (batch := reader.read(made.config.batch_size)) is not None:
        env = Environment(partition=batch.partition, position=batch.position, positions=batch.positions or ())
        out = first.program.run(batch.documents, env)
        if state is None:
            writer.write(Batch(out, batch.partition, batch.position))
        else:
            state.merge(out, "")
    if state is not None:
        writer.write(Batch(state.documents(), "", 0))
    writer.flush()
    writer.close()
