"""A plan as the status page draws it: plain data, without options and without secrets."""

from __future__ import annotations

from typing import Any

from ..connect.secrets import redact
from .plan import FusedStep, KeyedStep, Plan, WindowStep


def graph_of(plan: Plan) -> dict[str, Any]:
    """``source``, ``steps`` and ``sinks`` of a plan, each with its title; steps with the names of their stages.

    The names are the steps under which a run tells what it does.
    """
    steps = []
    for step in plan.steps:
        if isinstance(step, FusedStep):
            steps.append({"kind": "fused", "id": step.id, "stages": list(step.names)})
        elif isinstance(step, WindowStep):
            steps.append({"kind": "window", "id": step.id, "stages": list(step.names)})
        else:
            kind = "keyed" if isinstance(step, KeyedStep) else "whole"
            steps.append({"kind": kind, "id": step.id, "stages": []})
    several = len(plan.definition.sinks) > 1
    letters = any(policy.action == "dead_letter" for policy in (plan.source_policy, *(s.policy for s in plan.sinks)))
    for step in plan.steps:
        if isinstance(step, (FusedStep, WindowStep)):
            letters = letters or any(policy.action == "dead_letter" for policy in step.policies)
    return {
        "source": {"title": redact(plan.definition.source.title), "connector": plan.source_type},
        "steps": steps,
        "sinks": [
            {
                "name": f"sinks.{sink.name}" if several else "sink",
                "title": redact(sink.name if several else sink.connector),
                "connector": sink.connector,
            }
            for sink in plan.sinks
        ],
        "deadLetters": letters,
    }
