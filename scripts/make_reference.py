"""Write the reference pages from the registries: `python scripts/make_reference.py [FOLDER]` (docs/reference).

Every stage and operator stands there with what its own declaration says: its docstring, how it is written, and its
examples. In the pages of docs/connectors the tables of options are written anew, which stand between the lines
``<!-- source options -->`` (or ``sink``) and ``<!-- end -->``. Tests keep the committed pages equal to all this.
"""

from __future__ import annotations

import json
import re
import sys
from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Any

from fluxion_flow.cli.examples import plain_text
from fluxion_flow.cli.operators import all_entries
from fluxion_flow.cli.stages import stage_data
from fluxion_flow.connect.options import Option
from fluxion_flow.connect.registry import find_connector
from fluxion_flow.core.stages import all_stages

FAMILIES = {
    "expression": (
        "expressions.md",
        "Expression operators",
        "They compute values, in `$set`, `$project` and wherever an expression stands.",
    ),
    "query": (
        "queries.md",
        "Query operators",
        "They stand in `$match`, in the `when` of a sink, and in `$elemMatch`.",
    ),
    "accumulator": (
        "accumulators.md",
        "Accumulators",
        "They stand in `$group`, `$bucket`, `$bucketAuto` and `$setWindowFields`.",
    ),
    "window": (
        "windows.md",
        "Window functions",
        "They stand in `$setWindowFields`, beside every accumulator.",
    ),
}
"""Families of operators: the file of each, its title, and where they are used."""


def pages() -> dict[str, str]:
    """The text of every page, by file name."""
    stages = [stage_data(entry, examples=True) for _, entry in sorted(all_stages().items())]
    introduction = "What a pipeline can be made of. `fluxion stages NAME` shows the same in a terminal."
    parts = [
        _entry(data["name"], data["doc"], {"Shape": data["shape"], "Works on": data["streaming"]}, data["examples"])
        for data in stages
    ]
    found = {"stages.md": _page("Stages", introduction, [data["name"] for data in stages], parts)}
    entries = all_entries()
    for family, (file, title, introduction) in FAMILIES.items():
        chosen = [entry for entry in entries if entry.family == family]
        parts = [_entry(e.name, e.doc, {"Usage": f"`{e.usage}`"}, e.examples) for e in chosen]
        found[file] = _page(title, introduction, [e.name for e in chosen], parts)
    return found


def _page(title: str, introduction: str, names: list[str], entries: Iterable[str]) -> str:
    contents = " · ".join(f"[{name}](#{name.lstrip('$').lower()})" for name in names)
    return "\n\n".join([f"# {title}", introduction, contents, *entries]) + "\n"


def _entry(name: str, doc: str, facts: Mapping[str, str], examples: Iterable[Mapping[str, Any]]) -> str:
    lines = [f"## {name}", plain_text(doc)]
    lines.append("\n".join(f"- {key}: {value}" for key, value in facts.items() if value))
    for example in examples:
        width = max(map(len, example))
        rows = [f"{key:<{width}}  {json.dumps(value, ensure_ascii=False)}" for key, value in example.items()]
        lines.append("\n".join(["```text", *rows, "```"]))
    return "\n\n".join(lines)


CONNECTORS = Path(__file__).parents[1] / "docs" / "connectors"
_OPTIONS = re.compile(r"(<!-- (source|sink) options -->\n).*?(<!-- end -->)", re.DOTALL)


def with_options(page: Path) -> str:
    """The text of a connector's page (``docs/connectors/TYPE.md``) with its tables of options as they are declared."""
    text = page.read_text(encoding="utf-8")

    def table(found: re.Match[str]) -> str:
        rows = map(_option_row, find_connector(page.stem).options("source" if found[2] == "source" else "sink"))
        return "\n".join([found[1] + "| option | type | default | |", "| --- | --- | --- | --- |", *rows, found[3]])

    return _OPTIONS.sub(table, text)


def _option_row(option: Option) -> str:
    default = "required" if option.required else "" if option.default is None else f"`{json.dumps(option.default)}`"
    kind = f"{option.type}, secret" if option.secret else option.type
    return f"| `{option.name}` | {kind} | {default} | {option.doc.replace('|', chr(92) + '|')} |"


def main() -> None:
    folder = Path(sys.argv[1] if len(sys.argv) > 1 else "docs/reference")
    folder.mkdir(parents=True, exist_ok=True)
    for name, text in pages().items():
        (folder / name).write_text(text, encoding="utf-8")
    if len(sys.argv) == 1:
        for page in CONNECTORS.glob("*.md"):
            page.write_text(with_options(page), encoding="utf-8")


if __name__ == "__main__":
    main()
