"""Writing what came of tests into their files, in place of what was expected; comments and layout stay."""

from __future__ import annotations

import os
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from ruamel.yaml import YAML

from fluxion_flow.testing.flowtest import Verdict


def update(path: Path, verdicts: Sequence[Verdict]) -> int:
    """Put the actual results of the tests that failed into ``expect``; answers how many tests were changed."""
    wrong = [verdict for verdict in verdicts if verdict.wrong]
    if not wrong:
        return 0
    yaml = YAML()
    yaml.width = 120
    yaml.preserve_quotes = True
    yaml.indent(mapping=2, sequence=4, offset=2)
    data = yaml.load(path.read_text(encoding="utf-8"))
    for verdict in wrong:
        test = data["tests"][verdict.test.index]
        actual = verdict.actual()
        expect = test.setdefault("expect", {})
        for name in ("output", "outputs", "dead_letters", "counters", "error"):
            if name in actual:
                _put(expect, name, actual[name])
            elif name in expect:
                del expect[name]
    fresh = path.with_name(f"{path.name}.new")
    with open(fresh, "w", encoding="utf-8") as file:
        yaml.dump(data, file)
    os.replace(fresh, path)
    return len(wrong)


def _put(place: Any, name: str, value: Any) -> None:
    """Set a value; where both are lists or mappings, item by item, so that comments within stay."""
    before = place.get(name) if hasattr(place, "get") else None
    if isinstance(before, list) and isinstance(value, list):
        del before[len(value) :]
        for number, item in enumerate(value):
            if number < len(before) and before[number] != item:
                before[number] = item
            elif number >= len(before):
                before.append(item)
    elif isinstance(before, dict) and isinstance(value, dict):
        for key in [key for key in before if key not in value]:
            del before[key]
        for key, item in value.items():
            _put(before, key, item)
    elif before != value or name not in place:
        place[name] = value
