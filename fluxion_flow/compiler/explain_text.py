"""An explanation as text: one paragraph for each step of the dataflow, in the order in which documents go through."""

from __future__ import annotations

import json
import textwrap
from collections.abc import Iterable, Mapping, Sequence
from typing import Any

from ..connect.secrets import redact
from .explain import Endpoint, Explanation, StepView

WIDTH = 110
Entry = tuple[str, list[str]]
"""A heading, and the lines beside and under it."""


def as_text(explanation: Explanation) -> str:
    """The explanation for a terminal, without a line break at its end."""
    usual = explanation.on_error
    flow: list[Entry] = [("source", [*_endpoint(explanation.source), *_on_error([explanation.source.on_error], usual)])]
    for stream in explanation.streams:
        lines = [*_endpoint(stream.source), f"joined in {stream.joined}", *_on_error([stream.source.on_error], usual)]
        flow.append((f"stream {stream.source.name}", lines))
        flow += [(step.id, _step(step, usual)) for step in stream.steps]
    flow += [(step.id, _step(step, usual)) for step in explanation.steps]
    flow += _sinks(explanation)
    for letters, level in zip(explanation.dead_letters, explanation.guarantee.dead_letters, strict=True):
        heading = "dead letters" if len(explanation.dead_letters) == 1 else f"dead letters {letters.name}"
        flow.append((heading, [*_endpoint(letters), level.level]))
    rest: list[Entry] = [
        ("on error", [usual]),
        ("guarantee", _guarantee(explanation)),
        ("settings", [_settings(explanation)]),
    ]
    if explanation.warnings:
        rest.append(("warnings" if len(explanation.warnings) > 1 else "warning", list(explanation.warnings)))
    margin = max(len(heading) for heading, _ in flow + rest) + 2
    blocks = ["\n".join(_entries(entries, margin)) for entries in (flow, rest)]
    steps = [*(step for stream in explanation.streams for step in stream.steps), *explanation.steps]
    blocks += [_code(step) for step in steps if step.code]
    return redact(f"pipeline {explanation.name}\n\n" + "\n\n".join(blocks))


def _entries(entries: Iterable[Entry], margin: int) -> Iterable[str]:
    wrapper = textwrap.TextWrapper(
        WIDTH - margin, subsequent_indent="  ", break_long_words=False, break_on_hyphens=False
    )
    for heading, lines in entries:
        for line in lines:
            for part in wrapper.wrap(line) or [""]:
                yield heading.ljust(margin) + part
                heading = ""


def _sinks(explanation: Explanation) -> Iterable[Entry]:
    """Each sink; with its own guarantee, where there are several."""
    single = len(explanation.sinks) == 1
    for sink, level in zip(explanation.sinks, explanation.guarantee.sinks, strict=True):
        lines = _endpoint(sink)
        if not single:
            lines.append(f"{level.level}: {level.reason}")
        yield "sink" if single else f"sink {sink.name}", [*lines, *_on_error([sink.on_error], explanation.on_error)]


def _endpoint(endpoint: Endpoint) -> list[str]:
    options = ", ".join(f"{name}: {_value(value)}" for name, value in endpoint.options.items())
    lines = [f"{endpoint.connector} ({options})" if options else endpoint.connector, *endpoint.facts]
    if endpoint.when is not None:
        lines.insert(1, f"when {json.dumps(endpoint.when, ensure_ascii=False)}")
    return lines


def _step(step: StepView, usual: str) -> list[str]:
    lines = [", ".join(step.stages), *step.facts] if step.stages else list(step.facts)
    if step.state is not None:
        lines.append(f"kept in the checkpoint as '{step.state}'")
    return [*lines, *_on_error(step.on_error, usual, step.stages)]


def _on_error(policies: Sequence[str], usual: str, stages: Sequence[str] = ()) -> list[str]:
    """The policies of a step that are not the usual one; one line where they are the same."""
    if set(policies) <= {usual}:
        return []
    if len(set(policies)) == 1:
        return [f"on error: {policies[0]}"]
    named = zip(stages, policies, strict=True)
    return [f"on error in {stage}: {policy}" for stage, policy in named if policy != usual]


def _code(step: StepView) -> str:
    return f"{f'-- {step.id} '.ljust(WIDTH, '-')}\n{step.code.rstrip()}"


def _guarantee(explanation: Explanation) -> list[str]:
    found = explanation.guarantee
    lines = [str(found), found.reason]
    if found.raised_by:
        lines.append(f"stronger with {found.raised_by}")
    return lines + list(found.notes)


def _settings(explanation: Explanation) -> str:
    """The settings that matter always, and those that have been changed."""
    names = dict.fromkeys(("batch_size", "emit", *explanation.changed))
    shown = ", ".join(f"{name}: {_value(explanation.settings[name])}" for name in names)
    return f"{shown}; the others have their defaults"


def _value(value: Any) -> str:
    if isinstance(value, float) and value.is_integer():
        return str(int(value))
    if isinstance(value, bool):
        return str(value).lower()
    if isinstance(value, Mapping):
        return "{" + ", ".join(f"{key}: {_value(item)}" for key, item in value.items()) + "}"
    return str(value)
