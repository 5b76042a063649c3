"""``fluxion connectors``: the connectors that are installed, with their options, from the registry."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import click

from .examples import print_entry
from .failures import TargetError, json_option, print_json
from .tables import print_rows

if TYPE_CHECKING:
    from ..connect.options import Option
    from ..connect.registry import Connector


@click.command("connectors")
@click.argument("type_", metavar="[TYPE]", required=False)
@json_option
def command(type_: str | None, as_json: bool) -> None:
    """List the connectors, or show one with its options."""
    from ..connect.registry import ConnectorUnavailable, connector_types, find_connector

    if type_ is not None:
        try:
            connector = find_connector(type_)
        except ConnectorUnavailable as error:
            raise TargetError(type_, error.what, error.hint) from None
        _show(connector, as_json)
        return
    rows: list[dict[str, Any]] = []
    for known in connector_types():
        try:
            rows.append(_summary(find_connector(known)))
        except ConnectorUnavailable as error:
            rows.append({"type": known, "title": "", "kinds": [], "unavailable": str(error)})
    if as_json:
        print_json(rows)
    else:
        cells = [
            (
                row["type"],
                ", ".join(row["kinds"]),
                f"unavailable: {row['unavailable']}" if row["unavailable"] else row["title"],
            )
            for row in rows
        ]
        print_rows(("type", "kinds", "what it is"), cells)


def _summary(connector: Connector) -> dict[str, Any]:
    return {"type": connector.type, "title": connector.title, "kinds": _kinds(connector), "unavailable": None}


def _kinds(connector: Connector) -> list[Any]:
    return [kind for kind in ("source", "sink") if kind in connector.kinds]


def _show(connector: Connector, as_json: bool) -> None:
    if as_json:
        options = {kind: [_option(option) for option in connector.options(kind)] for kind in _kinds(connector)}
        print_json({**_summary(connector), "doc": connector.doc, "options": options})
        return
    print_entry(connector.type, connector.doc.strip() or connector.title, {}, ())
    for kind in _kinds(connector):
        click.echo(f"as a {kind}")
        cells = [(f"  {o.name}", _type(o), _default(o), _doc(o)) for o in connector.options(kind)]
        if cells:
            print_rows(("  option", "type", "default", "what it is"), cells)
        else:
            click.echo("  no options")
        click.echo()


def _option(option: Option) -> dict[str, Any]:
    return {
        "name": option.name,
        "type": option.type,
        "items": option.items,
        "required": option.required,
        "default": None if option.required else option.default,
        "secret": option.secret,
        "choices": None if option.choices is None else list(option.choices),
        "minimum": option.minimum,
        "doc": option.doc,
    }


def _type(option: Option) -> str:
    return f"{option.type} of {option.items}" if option.items else option.type


def _default(option: Option) -> str:
    if option.required:
        return "required"
    return "" if option.default is None else _shown(option.default)


def _shown(value: Any) -> str:
    return str(value).lower() if isinstance(value, bool) else str(value)


def _doc(option: Option) -> str:
    choices = f" One of {', '.join(map(str, option.choices))}." if option.choices else ""
    return f"{option.doc}{choices}{' Never printed.' if option.secret else ''}"
