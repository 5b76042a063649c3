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
    program, fold, state = first.program, None, None
    if isinstance(keyed, KeyedStep):
        program = program.sharing
        fold = keyed.stage.fold(1)
        (home,) = fold.homes
        home.attached = True
        state = keyed.stage.state(home=home)
    for partition in plan.source.partitions():
        reader = plan.source.open(partition, None)
        if plan.needs is not None:
            reader.needs(plan.needs)
        while (batch := reader.read(made.config.batch_size)) is not None:
            env = Environment(partition=batch.partition, position=batch.position, positions=batch.positions or ())
            out = program.run(batch.documents, env)
            if fold is None:
                writer.write(Batch(out, batch.partition, batch.position))
            else:
                fold.take(out)
    if state is not None:
        writer.write(Batch(state.documents(), "", 0))
    writer.flush()
    writer.close()
