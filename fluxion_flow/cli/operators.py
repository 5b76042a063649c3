"""``fluxion operators``: what expressions, queries, groups and windows can compute, from the registries."""

from __future__ import annotations

import json
from collections.abc import Iterator
from dataclasses import dataclass
from inspect import cleandoc
from typing import Any

import click

from .examples import example_data, print_entry, summary
from .failures import TargetError, json_option, print_json
from .tables import print_rows

FAMILIES = ("expression", "query", "accumulator", "window")


@dataclass(frozen=True)
class Entry:
    """An operator of one family: how it is written, and examples as data."""

    name: str
    family: str
    usage: str
    doc: str
    examples: tuple[dict[str, Any], ...]

    def data(self, *, examples: bool) -> dict[str, Any]:
        found = {"name": self.name, "family": self.family, "usage": self.usage, "doc": self.doc}
        return {**found, "examples": list(self.examples)} if examples else found


@click.command("operators")
@click.argument("name", required=False)
@click.option("--family", type=click.Choice(FAMILIES), help="Only these.")
@json_option
def command(name: str | None, family: str | None, as_json: bool) -> None:
    """List the operators, or show one with examples.

    Expression operators compute values, query operators stand in $match, accumulators in $group, window functions in
    $setWindowFields. The $ of NAME may be left out.
    """
    from ..errors import did_you_mean

    entries = [entry for entry in all_entries() if family in (None, entry.family)]
    if name is not None:
        full = f"${name.lstrip('$')}"
        chosen = [entry for entry in entries if entry.name == full]
        if not chosen:
            hint = did_you_mean(full, [entry.name for entry in entries]) or "see: fluxion operators"
            raise TargetError(full, "there is no such operator", hint)
        if as_json:
            print_json([entry.data(examples=True) for entry in chosen])
            return
        for number, entry in enumerate(chosen):
            click.echo("\n" if number else "", nl=False)
            print_entry(entry.name, entry.doc, {"usage": entry.usage}, entry.examples, entry.family)
    elif as_json:
        print_json([entry.data(examples=False) for entry in entries])
    else:
        rows = [(entry.name, entry.family, entry.usage, summary(entry.doc)) for entry in entries]
        print_rows(("operator", "family", "usage", "what it does"), rows)


def all_entries() -> list[Entry]:
    """Every operator of every family, by name."""
    found = [*_expressions(), *_queries(), *_accumulators(), *_window_functions()]
    return sorted(found, key=lambda entry: (entry.name.lower(), FAMILIES.index(entry.family)))


def _expressions() -> Iterator[Entry]:
    from ..core.expressions.registry import all_operators

    for name, operator in all_operators().items():
        examples = tuple(
            {"document": example_data(d), "expression": example_data(e), "result": example_data(r)}
            for d, e, r in operator.examples
        )
        yield Entry(name, "expression", f"{{{name}: {_arguments(operator)}}}", operator.doc, examples)


def _arguments(operator: Any) -> str:
    """How the arguments are written: ``[dividend, divisor]``, ``{input, n}``, ``[value, …]``."""
    from ..core.expressions.registry import Form

    if isinstance(operator, Form):
        return operator.arity or "…"
    names = [p.name if p.required else f"{p.name} (optional)" for p in operator.parameters]
    if operator.most is None:
        return f"[{', '.join([*names, 'value', '…'] if not names else [*names, '…'])}]"
    if operator.named and not operator.positional:
        return f"{{{', '.join(names)}}}"
    listed = names[0] if len(names) == 1 else f"[{', '.join(names)}]"
    return f"{listed} or {{{', '.join(names)}}}" if operator.named else listed


def _queries() -> Iterator[Entry]:
    from ..core.query.registry import field_operators, query_operators

    for under_field, operators in ((True, field_operators()), (False, query_operators())):
        for name, operator in operators.items():
            examples = tuple(
                {"document": example_data(d), "query": example_data(q), "matches": matches}
                for d, q, matches in operator.examples
            )
            usage = f"{{field: {{{name}: …}}}}" if under_field else f"{{{name}: …}}"
            yield Entry(name, "query", usage, operator.doc, examples)


def _accumulators() -> Iterator[Entry]:
    from ..core.accumulators import ACCUMULATORS

    for name, accumulator in ACCUMULATORS.items():
        examples = tuple(
            {"documents": example_data(d), "accumulator": example_data(a), "result": example_data(r)}
            for d, a, r in accumulator.examples
        )
        yield Entry(name, "accumulator", _first(examples, "accumulator"), cleandoc(accumulator.__doc__ or ""), examples)


def _window_functions() -> Iterator[Entry]:
    from ..core.windows import all_window_functions

    for name, function in all_window_functions().items():
        examples = tuple(
            {"documents": example_data(d), "$setWindowFields": example_data(s), "result": example_data(r)}
            for d, s, r in function.examples
        )
        usage = f"{{{name}: …{', window' if function.window_use != 'none' else ''}}}"
        yield Entry(name, "window", usage, cleandoc(function.__doc__ or ""), examples)


def _first(examples: tuple[dict[str, Any], ...], key: str) -> str:
    """How the first example writes it."""
    return json.dumps(examples[0][key], ensure_ascii=False).replace('"', "") if examples else "…"
