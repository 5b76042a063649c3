"""``fluxion stages``: the stages that a pipeline can have, from their registry."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING, Any

import click

from .examples import example_data, print_entry, summary
from .failures import TargetError, json_option, print_json
from .tables import print_rows

if TYPE_CHECKING:
    from ..core.stages.registry import StageEntry


@click.command("stages")
@click.argument("name", required=False)
@json_option
def command(name: str | None, as_json: bool) -> None:
    """List the stages, or show one with examples.

    A stage's shape says how it works in a stream. The $ of NAME may be left out.
    """
    from ..core.stages.registry import all_stages
    from ..errors import did_you_mean

    known = dict(sorted(all_stages().items()))
    if name is not None:
        full = f"${name.lstrip('$')}"
        if full not in known:
            raise TargetError(full, "there is no such stage", did_you_mean(full, known) or "see: fluxion stages")
        _show(known[full], as_json)
    elif as_json:
        print_json([stage_data(entry, examples=False) for entry in known.values()])
    else:
        print_rows(
            ("stage", "shape", "works on", "what it does"),
            [(e.name, e.shape, _short(e.streaming), summary(e.doc)) for e in known.values()],
        )


def _short(streaming: str) -> str:
    """On which sources; the whole is on the stage's own page."""
    first = re.split("[:,;]", streaming)[0]
    return first if first in ("any source", "a bounded source") else "it depends"


def stage_data(entry: StageEntry, *, examples: bool) -> dict[str, Any]:
    """A stage as data: what it is called, its shape, where it works, what it does, and its examples."""
    data: dict[str, Any] = {"name": entry.name, "shape": entry.shape, "streaming": entry.streaming, "doc": entry.doc}
    if examples:
        data["examples"] = [
            {
                "documents": example_data(documents),
                "stage": {entry.name: example_data(spec)},
                "result": example_data(expected),
            }
            for documents, spec, expected in entry.examples
        ]
    return data


def _show(entry: StageEntry, as_json: bool) -> None:
    data = stage_data(entry, examples=True)
    if as_json:
        print_json(data)
        return
    facts = {"shape": entry.shape, "works on": entry.streaming}
    print_entry(entry.name, entry.doc, facts, data["examples"])
