"""Connectors by name: what a connector says of itself, how it is found, and how a source or a sink is checked and made.

A connector is an entry point of the group ``fluxion_flow.connectors`` whose name is the connector's type and whose
object is a :class:`Connector`::

    [project.entry-points."fluxion_flow.connectors"]
    kafka = "fluxion_connectors.kafka:connector"

Nothing is imported before it is asked for, so that one broken package never disturbs a pipeline that does without it.
"""

from __future__ import annotations

import threading
from collections.abc import Callable, Collection, Mapping, Sequence
from dataclasses import dataclass, field
from functools import cache
from importlib import metadata
from typing import Any, Literal

from fluxion_flow.connect.connections import CONNECTIONS, Connections, call_option_names, named_connection
from fluxion_flow.connect.expressions import Expression, parse_expression
from fluxion_flow.connect.options import Option, validate, validate_given
from fluxion_flow.connect.secrets import holds_reference
from fluxion_flow.connect.spi import StreamingSink, StreamingSource
from fluxion_flow.connect.stored import StoredDocuments
from fluxion_flow.core.resources import Resources
from fluxion_flow.errors import FluxionError, PipelineError, Problem, Problems, Where, did_you_mean

ENTRY_POINTS = "fluxion_flow.connectors"
Kind = Literal["source", "sink"]
_REFERENCE_KEYS = ("connection_ref", "connectionRef")


@dataclass(frozen=True)
class StreamInfo:
    """A stream that a system offers: a topic, a table, a file. ``schema`` is a JSON Schema of its documents."""

    name: str
    namespace: str = ""
    schema: Mapping[str, Any] | None = None
    cursor_fields: tuple[str, ...] = ()
    sync_modes: tuple[str, ...] = ("full_refresh", "incremental")


@dataclass(frozen=True)
class Connector:
    """What a connector says of itself.

    ``source`` and ``sink`` make a source or a sink from checked options, given as keyword arguments; they open nothing
    (no file, no socket): partitions and writers do. ``check_source`` and ``check_sink`` add problems that one option
    alone does not show; they get the checked options, which may still hold references. ``stored`` answers, for the
    options of a sink, what such sinks have written; without it dead letters cannot be read back.
    """

    type: str
    title: str
    doc: str = ""
    source: Callable[..., StreamingSource] | None = None
    sink: Callable[..., StreamingSink] | None = None
    source_options: tuple[Option, ...] = ()
    sink_options: tuple[Option, ...] = ()
    check_source: Callable[[Mapping[str, Any], Where, Problems], None] | None = None
    check_sink: Callable[[Mapping[str, Any], Where, Problems], None] | None = None
    discover_streams: Callable[[Mapping[str, Any]], list[StreamInfo]] | None = None
    stored: Callable[[Mapping[str, Any]], StoredDocuments] | None = None

    @property
    def kinds(self) -> frozenset[Kind]:
        """What it offers: ``"source"``, ``"sink"`` or both."""
        offered: list[Kind] = []
        if self.source is not None:
            offered.append("source")
        if self.sink is not None:
            offered.append("sink")
        return frozenset(offered)

    def options(self, kind: Kind) -> tuple[Option, ...]:
        return self.source_options if kind == "source" else self.sink_options


class ConnectorUnavailable(FluxionError):
    """A connector cannot be used. ``what`` says why and ``hint`` what to do."""

    def __init__(self, what: str, hint: str) -> None:
        self.what = what
        self.hint = hint
        super().__init__(f"{what}; {hint}" if hint else what)


_registered: dict[str, Connector] = {}
_loaded: dict[str, Connector] = {}
_lock = threading.RLock()


@cache
def _entry_points() -> dict[str, list[metadata.EntryPoint]]:
    found: dict[str, list[metadata.EntryPoint]] = {}
    for entry in metadata.entry_points(group=ENTRY_POINTS):
        same_name = found.setdefault(entry.name, [])
        if entry.value not in [other.value for other in same_name]:
            same_name.append(entry)
    return found


def connector_types() -> list[str]:
    """The types of all connectors that are installed or registered, sorted. Imports none of them."""
    return sorted({*_entry_points(), *_registered})


def register_connector(connector: Connector) -> None:
    """Make a connector known in this process, without an entry point. Raises :class:`ValueError` for a taken type."""
    with _lock:
        if connector.type in connector_types():
            raise ValueError(f"there is a connector {connector.type!r} already")
        _registered[connector.type] = connector


def find_connector(type_: str) -> Connector:
    """The connector of a type, imported now if it was not before. Raises :class:`ConnectorUnavailable`."""
    with _lock:
        connector = _registered.get(type_) or _loaded.get(type_)
        if connector is None:
            connector = _loaded[type_] = _load(type_)
        return connector


def _load(type_: str) -> Connector:
    entries = _entry_points().get(type_, [])
    if not entries:
        known = connector_types()
        raise ConnectorUnavailable(
            f"unknown connector '{type_}'", did_you_mean(type_, known) or f"installed: {', '.join(known)}"
        )
    if len(entries) > 1:
        values = " and ".join(sorted(entry.value for entry in entries))
        raise ConnectorUnavailable(f"connector '{type_}' is provided twice, by {values}", "uninstall one of them")
    (entry,) = entries
    try:
        connector = entry.load()
    except ModuleNotFoundError as error:
        raise _missing_package(type_, error, entry) from error
    except Exception as error:
        raise ConnectorUnavailable(
            f"connector '{type_}' cannot be imported from {entry.value} ({type(error).__name__}: {error})",
            "repair or reinstall its package",
        ) from error
    if not isinstance(connector, Connector) or connector.type != type_:
        raise ConnectorUnavailable(
            f"entry point '{type_}' ({entry.value}) does not hold a Connector of that type", "correct its package"
        )
    return connector


def _missing_package(
    type_: str, error: ModuleNotFoundError, entry: metadata.EntryPoint | None = None
) -> ConnectorUnavailable:
    """What to install: the extra that the entry point names or that is called like the connector, else the module."""
    package = error.name or "a module"
    requirement = package.partition(".")[0]
    if entry is not None and entry.dist is not None:
        extras = entry.extras or [e for e in entry.dist.metadata.get_all("Provides-Extra", []) if e == type_]
        if extras:
            requirement = f"{entry.dist.name}[{','.join(extras)}]"
    return ConnectorUnavailable(
        f"connector '{type_}' needs the package '{package}', which is not installed", f"pip install '{requirement}'"
    )


@dataclass(frozen=True)
class CheckedSpec:
    """A source or sink definition found good: its connector and the options that the connector's factory takes."""

    connector: Connector
    options: Mapping[str, Any] = field(repr=False)


def check_source(
    spec: Any,
    where: Where,
    problems: Problems,
    *,
    connections: Connections | None = None,
    also_known: Collection[str] = (),
    resources: Resources | None = None,
) -> CheckedSpec | None:
    """Check a source definition ``{"type": ..., options}`` and open nothing; ``None`` if it has problems.

    ``also_known`` names fields of the definition that are no options of a connector, such as ``time_field``;
    ``resources`` is what expressions find by name.
    """
    return _check("source", spec, where, problems, connections, also_known, resources)


def check_sink(
    spec: Any,
    where: Where,
    problems: Problems,
    *,
    connections: Connections | None = None,
    also_known: Collection[str] = (),
    resources: Resources | None = None,
) -> CheckedSpec | None:
    """Check a sink definition ``{"type": ..., options}`` and open nothing; ``None`` if it has problems.

    ``also_known`` names fields of the definition that are no options of a connector, such as ``when``.
    """
    return _check("sink", spec, where, problems, connections, also_known, resources)


def open_source(
    spec: Mapping[str, Any] | StreamingSource,
    where: Where = Where.at("source"),  # noqa: B008 - frozen
    *,
    connections: Connections | None = None,
    also_known: Collection[str] = (),
    resources: Resources | None = None,
) -> StreamingSource:
    """The source of a definition; a source object is returned as it is. No file or socket is opened yet.

    Raises :class:`PipelineError` with every problem, unset references included.
    """
    if isinstance(spec, StreamingSource):
        return spec
    made = _make("source", spec, where, connections, also_known, resources)
    if not isinstance(made, StreamingSource):
        raise TypeError(f"{where}: the connector's source is no StreamingSource but {type(made).__name__}")
    return made


def open_sink(
    spec: Mapping[str, Any] | StreamingSink,
    where: Where = Where.at("sink"),  # noqa: B008 - frozen
    *,
    connections: Connections | None = None,
    also_known: Collection[str] = (),
    resources: Resources | None = None,
) -> StreamingSink:
    """The sink of a definition; a sink object is returned as it is. No file or socket is opened yet.

    Raises :class:`PipelineError` with every problem, unset references included.
    """
    if isinstance(spec, StreamingSink):
        return spec
    made = _make("sink", spec, where, connections, also_known, resources)
    if not isinstance(made, StreamingSink):
        raise TypeError(f"{where}: the connector's sink is no StreamingSink but {type(made).__name__}")
    return made


def open_stored(
    spec: Mapping[str, Any],
    where: Where,
    *,
    connections: Connections | None = None,
    also_known: Collection[str] = (),
) -> StoredDocuments:
    """What the sink of a definition has written. Nothing is opened yet.

    Raises :class:`PipelineError` with every problem; one is that the connector cannot read back what it wrote.
    """
    problems = Problems()
    checked = _check("sink", spec, where, problems, connections, also_known, None, must_resolve=True)
    problems.raise_if_any()
    assert checked is not None
    if checked.connector.stored is None:
        able = [name for name in connector_types() if _reads_back(name)]
        what = f"connector '{checked.connector.type}' cannot read back what it wrote"
        raise PipelineError([Problem(where / "type", what, f"those that can: {', '.join(able)}")])
    try:
        return checked.connector.stored(checked.options)
    except ValueError as error:
        raise PipelineError([Problem(where, str(error))]) from None


def _reads_back(type_: str) -> bool:
    try:
        return find_connector(type_).stored is not None
    except ConnectorUnavailable:
        return False


def _make(
    kind: Kind,
    spec: Any,
    where: Where,
    connections: Connections | None,
    also_known: Collection[str],
    resources: Resources | None,
) -> StreamingSource | StreamingSink:
    problems = Problems()
    checked = _check(kind, spec, where, problems, connections, also_known, resources, must_resolve=True)
    problems.raise_if_any()
    assert checked is not None
    factory = checked.connector.source if kind == "source" else checked.connector.sink
    assert factory is not None
    try:
        return factory(**_compiled(checked, kind, where, resources))
    except ModuleNotFoundError as error:
        missing = _missing_package(checked.connector.type, error, _entry_of(checked.connector))
        raise PipelineError([Problem(where / "type", missing.what, missing.hint)]) from error


def _compiled(checked: CheckedSpec, kind: Kind, where: Where, resources: Resources | None) -> dict[str, Any]:
    """The options as the factory gets them: with expressions in the place of what says them."""
    options = dict(checked.options)
    for option in checked.connector.options(kind):
        if option.type == "expression" and options[option.name] is not None:
            options[option.name] = Expression(options[option.name], where / option.name, resources)
    return options


def _entry_of(connector: Connector) -> metadata.EntryPoint | None:
    return next(iter(_entry_points().get(connector.type, [])), None)


def _check(
    kind: Kind,
    spec: Any,
    where: Where,
    problems: Problems,
    connections: Connections | None,
    also_known: Collection[str],
    resources: Resources | None,
    must_resolve: bool = False,
) -> CheckedSpec | None:
    if not isinstance(spec, Mapping):
        problems.add(where, f"must be a mapping with a type, got {type(spec).__name__}", "write {type: files, ...}")
        return None
    before = len(problems.found)
    named = named_connection(spec, where, problems, connections or {})
    connector = _connector_of(kind, spec, named, where, problems)
    if connector is None:
        return None
    options = connector.options(kind)
    owner = f"connector '{connector.type}'"
    inherited: dict[str, Any] = {}
    if named is not None:
        name, given = named
        of_other_kind = _all_names(connector.options("sink" if kind == "source" else "source"))
        inherited = validate_given(
            options,
            {key: value for key, value in given.items() if key != "type"},
            CONNECTIONS / name,
            problems,
            owner,
            also_known=of_other_kind | call_option_names(),
            must_resolve=must_resolve,
        )
    own = {key: value for key, value in spec.items() if key not in ("type", *_REFERENCE_KEYS)}
    if named is None and any(spec.get(key) is not None for key in _REFERENCE_KEYS):
        # what the unknown connection would have given cannot be missed
        validate_given(options, own, where, problems, owner, also_known=also_known)
        return None
    checked = validate(
        options,
        own,
        where,
        problems,
        owner,
        also_known=also_known,
        inherited=inherited,
        must_resolve=must_resolve,
    )
    for option in options:
        value = checked.get(option.name)
        if option.type == "sink" and isinstance(value, Mapping):
            _check("sink", value, where / option.name, problems, connections, (), resources, must_resolve)
    further = connector.check_source if kind == "source" else connector.check_sink
    if further is not None and len(problems.found) == before:
        further(checked, where, problems)
    for option in options:
        value = checked.get(option.name)
        if option.type == "expression" and not callable(value) and not holds_reference(value):
            parse_expression(value, where / option.name, problems, resources)
    return CheckedSpec(connector, checked) if len(problems.found) == before else None


def _connector_of(
    kind: Kind,
    spec: Mapping[str, Any],
    named: tuple[str, Mapping[str, Any]] | None,
    where: Where,
    problems: Problems,
) -> Connector | None:
    type_ = spec.get("type")
    if type_ is None and named is None and any(spec.get(key) is not None for key in _REFERENCE_KEYS):
        return None  # the unknown connection may have named it
    if named is not None:
        of_connection = named[1].get("type")
        if type_ is None:
            type_ = of_connection
        elif of_connection is not None and of_connection != type_:
            key = "connectionRef" if "connectionRef" in spec else "connection_ref"
            problems.add(where / key, f"connection '{named[0]}' is for connector '{of_connection}', not '{type_}'")
            return None
    if type_ is None:
        problems.add(where / "type", "required", f"installed: {', '.join(connector_types())}")
        return None
    if not isinstance(type_, str):
        problems.add(where / "type", f"must be the name of a connector, not a {type(type_).__name__}")
        return None
    try:
        connector = find_connector(type_)
    except ConnectorUnavailable as error:
        problems.add(where / "type", error.what, error.hint)
        return None
    if kind not in connector.kinds:
        problems.add(where / "type", f"connector '{type_}' has no {kind}", f"it is a {' and '.join(connector.kinds)}")
        return None
    return connector


def _all_names(options: Sequence[Option]) -> set[str]:
    return {name for option in options for name in option.names}
