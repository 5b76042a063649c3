"""The page of one stage, operator or connector: its docstring, its facts, its examples."""

from __future__ import annotations

import json
import re
from collections.abc import Iterable, Mapping
from typing import Any

import click

from .failures import redacted
from .tables import aligned


def example_data(value: Any) -> Any:
    """A value of an example as JSON has it: absent as the text ``(absent)``, an error as what it says."""
    from ..connect.encoding import to_extended
    from ..core.values import MISSING

    if value is MISSING:
        return "(absent)"
    if isinstance(value, type) and issubclass(value, BaseException):
        return "(raises an error)"
    if isinstance(value, BaseException):
        return f"(raises an error: {value})"
    if isinstance(value, Mapping):
        return {str(key): example_data(item) for key, item in value.items()}
    if isinstance(value, (list, tuple)):
        return [example_data(item) for item in value]
    data = to_extended(value)
    plain = data is None or isinstance(data, (bool, int, float, str, dict, list))
    return data if plain else f"({getattr(data, '__name__', type(data).__name__)})"


def summary(doc: str) -> str:
    """The first sentence of a docstring."""
    paragraph = " ".join(plain_text(doc).partition("\n\n")[0].split())
    sentence = re.match(r".*?[.](?=\s|$)", paragraph)
    return re.sub(r"\s*MongoDB: \S+$", "", sentence[0] if sentence else paragraph)


def plain_text(doc: str) -> str:
    """A docstring without the marks of its source."""
    return re.sub(r":\w+:`~?[\w.]*?(\w+)`", r"\1", doc).replace("``", "`")


def print_entry(
    name: str, doc: str, facts: Mapping[str, str], examples: Iterable[Mapping[str, Any]], family: str = ""
) -> None:
    """Print a page: a title, the docstring, facts, and examples as JSON."""
    click.echo(click.style(f"{name}  ({family})" if family else name, bold=True))
    click.echo(f"\n{redacted(plain_text(doc))}\n")
    for line in aligned([(key, value) for key, value in facts.items() if value], 110):
        click.echo(line)
    for number, example in enumerate(examples):
        click.echo("\nexamples" if number == 0 else "")
        for line in aligned(
            [(f"  {key}", json.dumps(value, ensure_ascii=False)) for key, value in example.items()], 110
        ):
            click.echo(line)
