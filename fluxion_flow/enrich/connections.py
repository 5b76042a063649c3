"""Named connections as enrichments see them: which one is meant, its own options, its settings for calls.

A connection that a source or a sink uses may serve enrichments too: options that are theirs are passed over.
"""

from __future__ import annotations

from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any

from fluxion_flow.connect.connections import CONNECTIONS
from fluxion_flow.connect.options import Option, validate, validate_given
from fluxion_flow.connect.registry import ConnectorUnavailable, find_connector
from fluxion_flow.core.expressions.parse import Parser
from fluxion_flow.core.resources import Resources
from fluxion_flow.enrich.settings import NAMES, Settings, is_setting, read_settings
from fluxion_flow.errors import Problems, Where, did_you_mean

REFERENCES = ("connection", "connectionRef", "connection_ref")


@dataclass(frozen=True)
class Named:
    """A named connection: its type, its options as they were given (references included), its settings."""

    name: str
    type: str
    options: Mapping[str, Any]
    settings: Settings


def kind_of(options: Mapping[str, Any]) -> str:
    """The type of a connection: what it says, or what its options tell."""
    if options.get("type"):
        return str(options["type"])
    return "sql" if {"jdbcUrl", "jdbc_url"} & set(options) else "http"


def read_connection(
    name: str,
    where: Where,
    resources: Resources,
    problems: Problems,
    types: Sequence[str],
    own: Mapping[str, Sequence[Option]],
) -> Named | None:
    """The connection of this name, which must be of one of ``types``; ``own`` are the options by type.

    Everything wrong is added to ``problems``: with the name at ``where``, with the connection at its own place.
    """
    known = resources.connections
    if name not in known:
        fitting = [n for n, options in known.items() if kind_of(options) in types]
        hint = did_you_mean(name, known) or (f"known: {', '.join(sorted(fitting))}" if fitting else "none is given")
        problems.add(where, f"unknown connection '{name}'", hint)
        return None
    options, place = known[name], CONNECTIONS / name
    kind = kind_of(options)
    if kind not in types:
        problems.add(where, f"connection '{name}' is of type '{kind}'", f"name one of type {' or '.join(types)}")
        return None
    before = len(problems.found)
    settings = read_settings({k: v for k, v in options.items() if is_setting(str(k))}, place, problems, Settings())
    breaker = settings.policy.breaker
    if breaker is not None and breaker.name is None:
        settings = replace(settings, policy=replace(settings.policy, breaker=replace(breaker, name=name)))
    rest = {k: v for k, v in options.items() if not is_setting(str(k)) and k != "type"}
    strangers = of_connector(kind) if _unknown(rest, own[kind]) else frozenset()
    validate_given(own[kind], rest, place, problems, f"connection '{name}'", also_known=strangers)
    return Named(name, kind, rest, settings) if len(problems.found) == before else None


def opened_options(named: Named, own: Sequence[Option], problems: Problems) -> dict[str, Any]:
    """The connection's options with the values of its references; those without a value are problems."""
    rest = {k: v for k, v in named.options.items() if k not in _unknown(named.options, own)}
    return validate(own, rest, CONNECTIONS / named.name, problems, f"connection '{named.name}'", must_resolve=True)


def of_connector(kind: str) -> Collection[str]:
    """The names of all options of a connector's sources and sinks."""
    try:
        connector = find_connector(kind)
    except ConnectorUnavailable:
        return frozenset()
    options = [*connector.source_options, *connector.sink_options]
    return frozenset(name for option in options for name in option.names)


def _unknown(given: Mapping[str, Any], own: Sequence[Option]) -> set[str]:
    return set(given) - {name for option in own for name in option.names}


def reference(given: Mapping[str, Any], where: Where, parser: Parser) -> tuple[str | None, Where]:
    """The name of the connection that a call names, and where it does; ``None`` when it names none, or is wrong."""
    keys = [key for key in REFERENCES if key in given]
    if len(keys) > 1:
        parser.problems.add(where / keys[1], f"the same as {keys[0]}", "keep one")
    if not keys:
        return None, where / "connection"
    name = given[keys[0]]
    if not isinstance(name, str) or not name or name.startswith("$"):
        parser.problems.add(where / keys[0], "must be the name of a connection", "it cannot depend on the document")
        return None, where / keys[0]
    return name, where / keys[0]


def call_settings(given: Mapping[str, Any], where: Where, problems: Problems, before: Settings) -> Settings:
    """The settings of a call over those of its connection; a breaker without a name belongs to the call alone."""
    return read_settings({k: v for k, v in given.items() if is_setting(str(k))}, where, problems, before)


def check_names(given: Mapping[str, Any], known: Sequence[str], where: Where, parser: Parser) -> None:
    """Report the arguments of a call that it does not have."""
    for name in given:
        if name not in known and not is_setting(str(name)):
            hint = did_you_mean(str(name), [*known, *_shown_settings()]) or f"known are {', '.join(known)}"
            parser.problems.add(where / str(name), "unknown argument", hint)


def _shown_settings() -> list[str]:
    camel = [first + "".join(map(str.capitalize, rest)) for first, *rest in (n.split("_") for n in sorted(NAMES))]
    return [*camel, *sorted(NAMES)]
