"""`fluxion stages`, `fluxion operators`, `fluxion connectors`: everything registered is listed and has a page."""

import json

import pytest

from fluxion_flow.cli.operators import FAMILIES, all_entries
from fluxion_flow.connect import registry
from fluxion_flow.connect.options import Option
from fluxion_flow.core.stages.registry import all_stages


def test_every_stage_is_listed(fluxion):
    listed = [line.split()[0] for line in fluxion("stages").stdout.splitlines() if line.startswith("$")]
    assert listed == sorted(all_stages())
    assert [entry["name"] for entry in json.loads(fluxion("stages", "--json").stdout)] == listed


def test_a_row_of_the_list(fluxion):
    assert fluxion("stages").stdout.splitlines()[1].split("  ")[0] == "$addFields"


@pytest.mark.parametrize("name", sorted(all_stages()))
def test_every_stage_has_a_page(fluxion, name):
    result = fluxion("stages", name)
    assert result.exit_code == 0
    assert result.stdout.startswith(f"{name}\n\n")
    data = json.loads(fluxion("stages", name, "--json").stdout)
    assert data["name"] == name
    assert data["doc"]


def test_the_page_of_a_stage(fluxion):
    shown = fluxion("stages", "group").stdout
    assert shown.startswith("$group\n\nOne document for every value of `_id`, with accumulators")
    assert (
        """
shape     keyed
works on  any source: current values on an unbounded one, final values at the completion of a bounded one

examples
  documents  [{"c": "a", "v": 1}, {"c": "b", "v": 2}, {"c": "a", "v": 3}]
  stage      {"$group": {"_id": "$c", "total": {"$sum": "$v"}}}
  result     [{"_id": "a", "total": 4}, {"_id": "b", "total": 2}]
"""
        in shown
    )


def test_an_unknown_stage(fluxion):
    result = fluxion("stages", "grop")
    assert (result.exit_code, result.stderr) == (2, "$grop: there is no such stage; did you mean '$group'?\n")


def test_every_operator_of_every_family_is_listed(fluxion):
    rows = [line.split()[:2] for line in fluxion("operators").stdout.splitlines() if line.startswith("$")]
    assert rows == [[entry.name, entry.family] for entry in all_entries()]
    assert {family for _, family in rows} == set(FAMILIES)


@pytest.mark.parametrize("family", FAMILIES)
def test_a_family_alone(fluxion, family):
    entries = json.loads(fluxion("operators", "--family", family, "--json").stdout)
    assert {entry["family"] for entry in entries} == {family}


def test_every_operator_has_a_docstring_and_a_usage():
    assert [entry.name for entry in all_entries() if not entry.doc or entry.usage == "…"] == []


def test_a_name_of_several_families_has_a_page_in_each(fluxion):
    shown = fluxion("operators", "sum").stdout
    assert "$sum  (expression)\n" in shown
    assert "$sum  (accumulator)\n" in shown


def test_the_page_of_an_operator(fluxion):
    assert (
        fluxion("operators", "$divide").stdout
        == """\
$divide  (expression)

Divide one number by another; the result is a double, or a decimal when either is one.

Null if either is null or missing. Raises for a divisor of zero. MongoDB: $divide.

usage  {$divide: [dividend, divisor]}

examples
  document    {"total": 10, "parts": 4}
  expression  {"$divide": ["$total", "$parts"]}
  result      2.5

  document    {"total": 10}
  expression  {"$divide": ["$total", "$parts"]}
  result      null

  document    {"total": 10}
  expression  {"$divide": ["$total", 0]}
  result      "(raises an error)"
"""
    )


@pytest.mark.parametrize(
    ("name", "usage"),
    [
        ("$add", "{$add: [value, …]}"),
        ("$size", "{$size: array}"),
        ("$round", "{$round: [number, place (optional)]}"),
        ("$firstN", "{$firstN: {input, n}}"),
        ("$cond", "{$cond: [if, then, else] or {if, then, else}}"),
    ],
)
def test_how_the_arguments_of_an_expression_are_written(name, usage):
    assert [e.usage for e in all_entries() if e.name == name and e.family == "expression"] == [usage]


def test_an_unknown_operator(fluxion):
    result = fluxion("operators", "$divde")
    assert (result.exit_code, result.stderr) == (2, "$divde: there is no such operator; did you mean '$divide'?\n")


@pytest.fixture
def broker(monkeypatch):
    options = (
        Option("topic", "string", "The topic."),
        Option("password", "string", "The password.", None, secret=True),
        Option("start", "string", "Where to begin.", "newest", choices=("newest", "oldest")),
        Option("tags", "list", "Tags.", None, items="string"),
    )
    connector = registry.Connector(
        "broker", "A broker", doc="A broker of messages.", source=dict, source_options=options
    )
    monkeypatch.setitem(registry._registered, "broker", connector)


def test_every_connector_is_listed(fluxion, broker):
    rows = fluxion("connectors").stdout.splitlines()
    assert rows[0] == "type       kinds         what it is"
    assert [row.split()[0] for row in rows[1:]] == sorted(registry.connector_types())
    assert "broker     source        A broker" in rows
    assert "files      source, sink  Files: JSON Lines and CSV" in rows


def test_the_page_of_a_connector(fluxion, broker):
    assert (
        fluxion("connectors", "broker").stdout
        == """\
broker

A broker of messages.

as a source
  option    type            default   what it is
  topic     string          required  The topic.
  password  string                    The password. Never printed.
  start     string          newest    Where to begin. One of newest, oldest.
  tags      list of string            Tags.

"""
    )


def test_the_page_of_a_connector_as_json(fluxion, broker):
    data = json.loads(fluxion("connectors", "broker", "--json").stdout)
    assert data["options"]["source"][1] == {
        "name": "password",
        "type": "string",
        "items": None,
        "required": False,
        "default": None,
        "secret": True,
        "choices": None,
        "minimum": None,
        "doc": "The password.",
    }


def test_a_connector_that_cannot_be_imported_is_listed_with_the_reason(fluxion, monkeypatch):
    def load(type_):
        raise registry.ConnectorUnavailable("connector 'files' needs the package 'x'", "pip install 'x'")

    monkeypatch.setattr(registry, "_load", load)
    monkeypatch.setattr(registry, "_loaded", {})
    rows = [row.split(maxsplit=1) for row in fluxion("connectors").stdout.splitlines()]
    assert ["files", "unavailable: connector 'files' needs the package 'x'; pip install 'x'"] in rows


def test_an_unknown_connector(fluxion):
    result = fluxion("connectors", "flies")
    assert (result.exit_code, result.stderr) == (2, "flies: unknown connector 'flies'; did you mean 'files'?\n")
