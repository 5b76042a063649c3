"""What a checkpoint knows of the pipeline that wrote it, and the refusal to resume with another one."""

from __future__ import annotations

from typing import Any

from ..errors import FluxionError

VERSION = 1


class IncompatibleCheckpoint(FluxionError):
    """The checkpoint was written by a definition whose state this one cannot take over."""


class Manifest:
    """The pipeline's name, its source, its stateful steps with what their state means, and its sinks with their types.

    It is stored with every source position, so that whoever resumes a position sees whether the state beside it is
    still what the definition needs.
    """

    def __init__(self, pipeline: str, source: str, steps: dict[str, Any], sinks: dict[str, str] | None = None) -> None:
        self.plain: dict[str, Any] = {"v": VERSION, "pipeline": pipeline, "source": source, "steps": steps}
        if sinks is not None:
            self.plain["sinks"] = sinks

    def check(self, stored: Any) -> None:
        """Raise :class:`IncompatibleCheckpoint` unless the stored manifest agrees with this one."""
        changes = self.changes(stored)
        if changes:
            listed = "\n".join(f"  {change}" for change in changes)
            raise IncompatibleCheckpoint(
                f"pipeline {self.plain['pipeline']!r} cannot resume from this checkpoint:\n{listed}\n"
                "Run the definition that wrote it, or start with an empty checkpoint store (and read the source anew)."
            )

    def changes(self, stored: Any) -> list[str]:
        """What differs, in words; empty when a resume is safe."""
        if not isinstance(stored, dict) or stored.get("v") != VERSION:
            version = stored.get("v") if isinstance(stored, dict) else None
            return [
                f"it was written by another version of Fluxion Flow (manifest version {version!r}, known: {VERSION})"
            ]
        found = []
        for name in ("pipeline", "source"):
            if stored[name] != self.plain[name]:
                found.append(f"{name}: was {stored[name]!r}, now {self.plain[name]!r}")
        before, now = stored["steps"], self.plain["steps"]
        for step in before:
            if step not in now:
                found.append(f"stateful step {step!r} is gone (renamed or removed); its state would be lost")
            elif before[step] != now[step]:
                found += [
                    f"stateful step {step!r} changed: {change}" for change in _differences(before[step], now[step])
                ]
        for step in now:
            if step not in before:
                found.append(f"stateful step {step!r} is new; it has not seen the documents before the checkpoint")
        sinks = self.plain.get("sinks", {})
        for name, kind in stored.get("sinks", {}).items():
            if name not in sinks:
                found.append(f"sink {name!r} is gone (renamed or removed); how far it was written would be lost")
            elif sinks[name] != kind:
                found.append(f"sink {name!r}: was {kind!r}, now {sinks[name]!r}")
        return found


def _differences(before: Any, now: Any, path: str = "") -> list[str]:
    if isinstance(before, dict) and isinstance(now, dict) and not _operators_differ(before, now):
        found = []
        for name in dict.fromkeys([*before, *now]):
            place = f"{path}.{name}" if path else str(name)
            if name not in now:
                found.append(f"{place} is gone, was {before[name]!r}")
            elif name not in before:
                found.append(f"{place} is new: {now[name]!r}")
            elif before[name] != now[name]:
                found += _differences(before[name], now[name], place)
        return found
    return [f"{path} was {before!r}, now {now!r}"]


def _operators_differ(before: dict[Any, Any], now: dict[Any, Any]) -> bool:
    """Whether one is another expression than the other, rather than the same one with other parts."""
    return set(before) != set(now) and any(str(name).startswith("$") for name in (*before, *now))
