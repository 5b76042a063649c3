"""An explanation as a Mermaid flowchart, which Markdown viewers draw: documents go down, dead letters go aside."""

from __future__ import annotations

import json

from ..connect.secrets import redact
from .explain import Endpoint, Explanation, StepView


def as_mermaid(explanation: Explanation) -> str:
    """The flowchart's text, without a line break at its end."""
    nodes = [f"source[({_label('source', *_title(explanation.source), *explanation.source.facts)})]"]
    edges: list[str] = []
    aside = [("source", explanation.source.dead_letters)]
    last = "source"
    for number, step in enumerate(explanation.steps):
        node = f"step{number}"
        nodes.append(f"{node}{_step(step)}")
        edges.append(f"{last} --> {node}")
        aside += [(node, name) for name in step.dead_letters]
        last = node
    for number, stream in enumerate(explanation.streams):
        node = f"stream{number}"
        title = _label(f"stream {stream.source.name}", *_title(stream.source), *stream.source.facts)
        nodes.append(f"{node}[({title})]")
        aside.append((node, stream.source.dead_letters))
        for place, step in enumerate(stream.steps):
            nodes.append(f"stream{number}step{place}{_step(step)}")
            edges.append(f"{node} --> stream{number}step{place}")
            node = f"stream{number}step{place}"
            aside += [(node, name) for name in step.dead_letters]
        joined = next(place for place, step in enumerate(explanation.steps) if step.id == stream.joined)
        edges.append(f"{node} --> step{joined}")
    for number, sink in enumerate(explanation.sinks):
        node = f"sink{number}"
        heading = "sink" if len(explanation.sinks) == 1 else f"sink {sink.name}"
        nodes.append(f"{node}[({_label(heading, *_title(sink))})]")
        when = "" if sink.when is None else f"|{_label(f'when {json.dumps(sink.when, ensure_ascii=False)}')}|"
        edges.append(f"{last} -->{when} {node}")
        aside.append((node, sink.dead_letters))
    numbers = {letters.name: number for number, letters in enumerate(explanation.dead_letters)}
    for letters in explanation.dead_letters:
        nodes.append(f"letters{numbers[letters.name]}[({_label('dead letters', *_title(letters))})]")
    edges += [f"{node} -.-> letters{numbers[name]}" for node, name in aside if name]
    return redact("\n".join(["flowchart TD", *(f"  {line}" for line in nodes + edges)]))


def _title(endpoint: Endpoint) -> list[str]:
    place = next((f"{name}: {value}" for name, value in endpoint.options.items() if isinstance(value, str)), "")
    return [endpoint.connector, place] if place else [endpoint.connector]


def _step(step: StepView) -> str:
    if step.kind == "fused":
        return f"[{_label(*step.stages)}]"
    if step.kind == "keyed":
        return f"[[{_label(step.id, *step.facts)}]]"
    return f"[[{_label(step.id, *step.stages, *step.facts)}]]"


_ENTITIES = {"#": "#35;", '"': "#quot;", "<": "#lt;", ">": "#gt;"}


def _label(*lines: str) -> str:
    """A quoted label; Mermaid's own characters become entities."""
    return '"' + "<br/>".join("".join(_ENTITIES.get(c, c) for c in line) for line in lines) + '"'
