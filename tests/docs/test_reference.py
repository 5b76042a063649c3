"""The reference pages are what the registries say today, and every entry stands in them."""

from __future__ import annotations

import importlib.util
from pathlib import Path

from fluxion_flow.cli.operators import all_entries
from fluxion_flow.core.stages import all_stages

ROOT = Path(__file__).parents[2]
REFERENCE = ROOT / "docs" / "reference"


def written() -> dict[str, str]:
    spec = importlib.util.spec_from_file_location("make_reference", ROOT / "scripts" / "make_reference.py")
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    pages: dict[str, str] = module.pages()
    return pages


def test_the_committed_pages_are_up_to_date() -> None:
    committed = {path.name: path.read_text(encoding="utf-8") for path in REFERENCE.glob("*.md")}
    assert committed == written(), "run `make docs` and commit docs/reference"


def test_every_entry_has_its_place() -> None:
    text = "\n".join(written().values())
    for name in [*all_stages(), *(entry.name for entry in all_entries())]:
        assert f"## {name}\n" in text
