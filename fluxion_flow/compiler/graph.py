"""A plan as the status page draws it: plain data, without options and without secrets."""

from __future__ import annotations

from typing import Any

from ..connect.secrets import redact
from .plan import FusedStep, KeyedStep, Plan, Step, WholeStep, WindowStep


def graph_of(plan: Plan) -> dict[str, Any]:
    """``source``, ``streams``, ``steps`` and ``sinks`` of a plan, each with its title; steps with their stages' names.

    The names are the steps under which a run tells what it does.
    """
    steps = []
    policies = [plan.source_policy, *(sink.policy for sink in plan.sinks)]
    policies += [stream.policy for stream in plan.streams]
    for step in plan.all_steps:
        policies += getattr(step, "policies", ())
        steps.append({"kind": _kind(step), "id": step.id, "stages": list(getattr(step, "names", ()))})
    several = len(plan.definition.sinks) > 1
    return {
        "source": {"title": redact(_sources(plan)), "connector": plan.source_type},
        "streams": [f"streams.{stream.name}.source" for stream in plan.streams],
        "steps": steps,
        "sinks": [
            {
                "name": f"sinks.{sink.name}" if several else "sink",
                "title": redact(sink.name if several else sink.connector),
                "connector": sink.connector,
            }
            for sink in plan.sinks
        ],
        "deadLetters": any(policy.action == "dead_letter" for policy in policies),
    }


def _sources(plan: Plan) -> str:
    """What is read, the further streams included, which are read in the same step."""
    return " + ".join([plan.definition.source.title, *(stream.name for stream in plan.streams)])


def _kind(step: Step) -> str:
    """``fused``, ``keyed``, ``whole``, ``window``; any other stateful step is ``ordered``."""
    kinds = {FusedStep: "fused", KeyedStep: "keyed", WholeStep: "whole", WindowStep: "window"}
    return kinds.get(type(step), "ordered")
