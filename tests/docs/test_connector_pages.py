"""The pages of the connectors say what the connectors say of themselves."""

from __future__ import annotations

import importlib.util
from pathlib import Path

import pytest

from fluxion_flow.connect.registry import connector_types, find_connector

ROOT = Path(__file__).parents[2]
PAGES = {"eventhubs": "kafka"}
"""The page of a connector that has none of its own name."""


def page_of(type_: str) -> Path:
    return ROOT / "docs" / "connectors" / f"{PAGES.get(type_, type_)}.md"


@pytest.mark.parametrize("page", sorted((ROOT / "docs" / "connectors").glob("*.md")), ids=lambda page: page.stem)
def test_tables_of_options_are_up_to_date(page: Path) -> None:
    spec = importlib.util.spec_from_file_location("make_reference", ROOT / "scripts" / "make_reference.py")
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    assert page.read_text(encoding="utf-8") == module.with_options(page), "run `make docs` and commit docs/connectors"


@pytest.mark.parametrize("type_", connector_types())
def test_every_connector_has_a_page_that_names_every_option_and_is_linked(type_: str) -> None:
    text = page_of(type_).read_text(encoding="utf-8")
    connector = find_connector(type_)
    for kind in sorted(connector.kinds):
        missing = [option.name for option in connector.options(kind) if f"`{option.name}`" not in text]
        assert missing == [], f"options of the {kind} that {page_of(type_).name} does not name"
    assert f"(docs/connectors/{page_of(type_).name})" in (ROOT / "README.md").read_text(encoding="utf-8")


def test_the_worked_example_has_less_than_sixty_lines_of_code() -> None:
    text = (ROOT / "docs" / "connectors" / "custom.md").read_text(encoding="utf-8")
    module = text.partition("```python\n")[2].partition("```")[0]
    assert "connector = Connector(" in module
    assert sum(bool(line.strip()) for line in module.splitlines()) < 60
