"""Finding connectors, and checking and making sources and sinks from definitions."""

from __future__ import annotations

import sys
from collections.abc import Callable, Iterator, Mapping
from pathlib import Path
from typing import Any

import pytest
from fluxion_connectors.files import FilesSink, FilesSource
from fluxion_connectors.memory import MemorySink, MemorySource

from fluxion_flow.connect import registry
from fluxion_flow.connect.options import Option
from fluxion_flow.connect.registry import (
    Connector,
    ConnectorUnavailable,
    check_sink,
    check_source,
    connector_types,
    find_connector,
    open_sink,
    open_source,
    register_connector,
)
from fluxion_flow.connect.secrets import env
from fluxion_flow.errors import PipelineError, Problems, Where

CONNECTIONS: Mapping[str, Mapping[str, Any]] = {
    "lake": {"type": "files", "path": "lake.jsonl", "part_size": "1MiB", "fsync": False},
    "untyped": {"path": "untyped.jsonl", "partSize": 5},
    "broken": {"type": "files", "path": 5, "pth": "x"},
}


def _source_problems(spec: Any, **arguments: Any) -> list[str]:
    problems = Problems()
    checked = check_source(spec, Where.at("source"), problems, connections=CONNECTIONS, **arguments)
    assert (checked is None) == bool(problems)
    return list(map(str, problems))


def test_our_own_connectors_are_found_by_their_entry_points() -> None:
    assert {"files", "memory", "stdio"} <= set(connector_types())
    assert find_connector("files").kinds == {"source", "sink"}
    assert find_connector("files") is find_connector("files")


def test_a_definition_becomes_a_source_or_a_sink() -> None:
    source = open_source({"type": "files", "path": "a.jsonl", "partSize": "1KiB"})
    assert isinstance(source, FilesSource)
    assert (source.path, source.part_size, source.bounded) == ("a.jsonl", 1024, True)
    sink = open_sink({"type": "files", "path": "out.jsonl", "when": {"status": "PAID"}}, also_known=("when",))
    assert isinstance(sink, FilesSink)
    assert sink.single_writer


def test_objects_are_taken_as_they_are() -> None:
    source, sink = MemorySource([]), MemorySink()
    assert open_source(source) is source
    assert open_sink(sink) is sink


@pytest.mark.parametrize(
    ("spec", "problems"),
    [
        ("files", ["source: must be a mapping with a type, got str; write {type: files, ...}"]),
        ({}, ["source.type: required; installed: files, memory, stdio"]),
        ({"type": 5}, ["source.type: must be the name of a connector, not a int"]),
        ({"type": "filse"}, ["source.type: unknown connector 'filse'; did you mean 'files'?"]),
        ({"type": "zzz"}, ["source.type: unknown connector 'zzz'; installed: files, memory, stdio"]),
        (
            {"type": "files", "pth": "x", "follow": "no"},
            [
                "source.pth: unknown option of connector 'files'; did you mean 'path'?",
                'source.follow: must be true or false, got "no"',
                "source.path: required by connector 'files'",
            ],
        ),
        ({"connection_ref": "lake"}, []),
        ({"type": "files", "connection_ref": "untyped"}, []),
        ({"connectionRef": "lkae"}, ["source.connectionRef: unknown connection 'lkae'; did you mean 'lake'?"]),
        (
            {"type": "files", "connection_ref": "zzz", "pth": 1},
            [
                "source.connection_ref: unknown connection 'zzz'; known: broken, lake, untyped",
                "source.pth: unknown option of connector 'files'; did you mean 'path'?",
            ],
        ),
        ({"connection_ref": 5}, ["source.connection_ref: must be the name of a connection"]),
        (
            {"type": "memory", "connection_ref": "lake"},
            ["source.connection_ref: connection 'lake' is for connector 'files', not 'memory'"],
        ),
        (
            {"connection_ref": "broken"},
            [
                "connections.broken.path: must be a string, got 5",
                "connections.broken.pth: unknown option of connector 'files'; did you mean 'path'?",
            ],
        ),
    ],
)
def test_a_definition_is_checked_without_opening_anything(
    monkeypatch: pytest.MonkeyPatch, spec: Any, problems: list[str]
) -> None:
    monkeypatch.setattr(registry, "connector_types", lambda: ["files", "memory", "stdio"])
    assert _source_problems(spec) == problems


def test_the_definition_wins_over_its_connection() -> None:
    source = open_source({"connection_ref": "lake", "path": "own.jsonl"}, connections=CONNECTIONS)
    assert isinstance(source, FilesSource)
    assert (source.path, source.part_size) == ("own.jsonl", 2**20)
    sink = open_sink({"type": "files", "connectionRef": "lake"}, connections=CONNECTIONS)
    assert isinstance(sink, FilesSink)
    assert (sink.path, sink.fsync) == ("lake.jsonl", False)


def test_a_check_bears_unset_references_and_opening_does_not() -> None:
    spec = {"type": "files", "path": env("NOT_SET_ANYWHERE"), "part_size": 0}
    assert _source_problems({**spec, "part_size": 1}) == []
    with pytest.raises(PipelineError) as caught:
        open_source(spec, Where.at("sources", 1))
    assert str(caught.value) == (
        "sources[1].path: environment variable NOT_SET_ANYWHERE is not set; "
        "export it or write ${NOT_SET_ANYWHERE:-default}\n"
        "sources[1].part_size: must be at least 1, got 0"
    )


def test_what_was_checked_prints_no_options() -> None:
    problems = Problems()
    checked = check_sink({"type": "files", "path": "a-secret-place"}, Where.at("sink"), problems)
    assert checked is not None
    assert "a-secret-place" not in repr(checked)


# ------------------------------------------------------------------------------------------------ strangers' packages


@pytest.fixture
def install(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Callable[..., None]]:
    """Install a distribution: ``install(dist, module, source, entry_points, extras)``."""
    monkeypatch.syspath_prepend(str(tmp_path))
    monkeypatch.setattr(registry, "_loaded", {})
    monkeypatch.setattr(registry, "_registered", {})

    def install(dist: str, module: str, source: str, entry_points: str, extras: str = "") -> None:
        (tmp_path / f"{module}.py").write_text(source)
        info = tmp_path / f"{dist.replace('-', '_')}-1.0.dist-info"
        info.mkdir()
        (info / "METADATA").write_text(f"Metadata-Version: 2.1\nName: {dist}\nVersion: 1.0\n{extras}")
        (info / "entry_points.txt").write_text(f"[fluxion_flow.connectors]\n{entry_points}\n")
        sys.modules.pop(module, None)
        registry._entry_points.cache_clear()

    registry._entry_points.cache_clear()
    yield install
    monkeypatch.undo()
    registry._entry_points.cache_clear()


def _unavailable(type_: str) -> str:
    with pytest.raises(ConnectorUnavailable) as caught:
        find_connector(type_)
    return str(caught.value)


def test_a_strangers_connector_is_used_like_our_own(install: Callable[..., None]) -> None:
    install(
        "acme-flow",
        "acme_ok",
        "from fluxion_flow.connect.registry import Connector\n"
        "from fluxion_connectors.memory import MemorySource\n"
        "connector = Connector('acme', 'Acme', source=lambda: MemorySource([{'n': 1}]))\n",
        "acme = acme_ok:connector",
    )
    assert isinstance(open_source({"type": "acme"}), MemorySource)
    problems = Problems()
    check_sink({"type": "acme"}, Where.at("sink"), problems)
    check_source({"type": "acme", "x": 1}, Where.at("source"), problems)
    assert list(map(str, problems)) == [
        "sink.type: connector 'acme' has no sink; it is a source",
        "source.x: unknown option of connector 'acme'; it has no options",
    ]


def test_a_missing_extra_names_the_command(install: Callable[..., None]) -> None:
    install(
        "acme-flow", "acme_extra", "import no_such_client.aio", "acme = acme_extra:connector", "Provides-Extra: acme\n"
    )
    install("bare-flow", "acme_bare", "import no_such_client.aio", "bare = acme_bare:connector")
    assert _unavailable("acme") == (
        "connector 'acme' needs the package 'no_such_client', which is not installed; pip install 'acme-flow[acme]'"
    )
    assert _unavailable("bare") == (
        "connector 'bare' needs the package 'no_such_client', which is not installed; pip install 'no_such_client'"
    )


def test_a_client_missing_at_opening_names_the_command_too(install: Callable[..., None]) -> None:
    install(
        "acme-flow",
        "acme_late",
        "from fluxion_flow.connect.registry import Connector\n"
        "def source():\n    import no_such_client\n"
        "connector = Connector('acme', 'Acme', source=source)\n",
        "acme = acme_late:connector",
        "Provides-Extra: acme\n",
    )
    with pytest.raises(PipelineError) as caught:
        open_source({"type": "acme"})
    assert str(caught.value) == (
        "source.type: connector 'acme' needs the package 'no_such_client', which is not installed; "
        "pip install 'acme-flow[acme]'"
    )


def test_a_broken_package_is_named_and_disturbs_nobody_else(install: Callable[..., None]) -> None:
    install("acme-flow", "acme_broken", "1 / 0", "acme = acme_broken:connector")
    install("none-flow", "acme_none", "connector = 5", "none = acme_none:connector")
    assert _unavailable("acme") == (
        "connector 'acme' cannot be imported from acme_broken:connector (ZeroDivisionError: division by zero); "
        "repair or reinstall its package"
    )
    assert _unavailable("none") == (
        "entry point 'none' (acme_none:connector) does not hold a Connector of that type; correct its package"
    )
    assert isinstance(open_source({"type": "memory", "documents": []}), MemorySource)


def test_a_type_that_two_packages_provide_is_refused(install: Callable[..., None]) -> None:
    install("acme-flow", "acme_one", "", "acme = acme_one:connector")
    install("other-flow", "acme_two", "", "acme = acme_two:connector")
    assert _unavailable("acme") == (
        "connector 'acme' is provided twice, by acme_one:connector and acme_two:connector; uninstall one of them"
    )


def test_a_connector_can_be_registered_in_the_process(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(registry, "_registered", {})

    def check(options: Mapping[str, Any], where: Where, problems: Problems) -> None:
        if options["low"] > options["high"]:
            problems.add(where / "low", "is above 'high'", "swap them")

    options = (
        Option("low", "integer", "Least."),
        Option("high", "integer", "Most.", 10),
        Option("rest", "sink", "For the rest.", None),
    )
    register_connector(
        Connector("ours", "Ours", sink=MemorySink, sink_options=options, check_sink=check, source=MemorySource)
    )
    problems = Problems()
    check_sink({"type": "ours", "low": 11}, Where.at("sink"), problems)
    check_sink({"type": "ours", "low": 1, "rest": {"type": "filse"}}, Where.at("sinks", 0), problems)
    check_sink({"type": "ours", "low": 1, "rest": {"type": "files"}}, Where.at("sinks", 1), problems)
    assert list(map(str, problems)) == [
        "sink.low: is above 'high'; swap them",
        "sinks[0].rest.type: unknown connector 'filse'; did you mean 'files'?",
        "sinks[1].rest.path: required by connector 'files'",
    ]
    with pytest.raises(ValueError, match="there is a connector 'ours' already"):
        register_connector(Connector("ours", "Ours"))
    with pytest.raises(ValueError, match="there is a connector 'files' already"):
        register_connector(Connector("files", "Ours"))


def test_a_factory_that_makes_something_else_is_an_error(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(registry, "_registered", {})
    register_connector(Connector("odd", "Odd", source=lambda: 5, sink=lambda: 5))  # type: ignore[arg-type,return-value]
    with pytest.raises(TypeError, match="source: the connector's source is no StreamingSource but int"):
        open_source({"type": "odd"})
    with pytest.raises(TypeError, match="sink: the connector's sink is no StreamingSink but int"):
        open_sink({"type": "odd"})


def test_discovery_lists_files_with_the_types_of_their_fields(tmp_path: Path) -> None:
    (tmp_path / "a.jsonl").write_text('{"n": 1, "s": "x"}\n{"n": 1.5, "l": [], "o": {}, "b": true}\nbad\n{"s": null}\n')
    discover = find_connector("files").discover_streams
    assert discover is not None
    (stream,) = discover({"path": str(tmp_path / "*.jsonl")})
    assert (stream.name, stream.sync_modes) == (str(tmp_path / "a.jsonl"), ("full_refresh", "incremental"))
    assert stream.schema == {
        "type": "object",
        "properties": {
            "n": {"type": ["integer", "number"]},
            "s": {"type": ["null", "string"]},
            "l": {"type": "array"},
            "o": {"type": "object"},
            "b": {"type": "boolean"},
        },
    }
