"""What a checkpoint knows of the pipeline that wrote it, and the refusal to resume with another one."""

from __future__ import annotations

import logging
from collections.abc import Sequence
from typing import Any

from ..errors import FluxionError

log = logging.getLogger(__name__)

VERSION = 1

_said: set[str] = set()


class IncompatibleCheckpoint(FluxionError):
    """The checkpoint was written by a definition whose state this one cannot take over."""

    @classmethod
    def of_version(cls, step: str, version: Any, known: int) -> IncompatibleCheckpoint:
        """The state of a step has a version that is not known here."""
        return cls(
            f"the state of step {step!r} has version {version!r}, and this Fluxion Flow knows up to {known}; "
            "run the version that wrote it, or a later one"
        )


class Manifest:
    """The pipeline's name, its source, its stateful steps with what their state means, and its further streams and its
    sinks with their types.

    It is stored with every source position, so that whoever resumes a position sees whether the state beside it is
    still what the definition needs. ``definition`` is the fingerprint of all stages. ``start_empty`` names the fields
    (``step.field``) that may begin empty in groups that are stored without them.
    """

    def __init__(
        self,
        pipeline: str,
        source: str,
        steps: dict[str, Any],
        sinks: dict[str, str] | None = None,
        streams: dict[str, str] | None = None,
        *,
        definition: str = "",
        start_empty: Sequence[str] = (),
    ) -> None:
        self.plain: dict[str, Any] = {"v": VERSION, "pipeline": pipeline, "source": source, "steps": steps}
        if sinks is not None:
            self.plain["sinks"] = sinks
        if streams:
            self.plain["streams"] = streams
        if definition:
            self.plain["definition"] = definition
        self._start_empty = frozenset(start_empty)

    def check(self, stored: Any) -> None:
        """Raise :class:`IncompatibleCheckpoint` unless this definition can go on with what the stored one left.

        What has changed and is compatible is logged, once a process.
        """
        changes = self.changes(stored)
        if changes:
            listed = "\n".join(f"  {change}" for change in changes)
            raise IncompatibleCheckpoint(
                f"pipeline {self.plain['pipeline']!r} cannot resume from this checkpoint:\n{listed}\n"
                "Run the definition that wrote it, or start with an empty checkpoint store (and read the source anew)."
            )
        for text in self.accepted(stored):
            if text not in _said:
                _said.add(text)
                log.info("pipeline %r resumes: %s", self.plain["pipeline"], text)

    def changes(self, stored: Any) -> list[str]:
        """What forbids a resume, in words, each with what to do about it; empty when a resume is safe."""
        if not isinstance(stored, dict) or stored.get("v") != VERSION:
            version = stored.get("v") if isinstance(stored, dict) else None
            return [
                f"it was written by another version of Fluxion Flow (manifest version {version!r}, known: {VERSION})"
            ]
        found = []
        for name in ("pipeline", "source"):
            if stored[name] != self.plain[name]:
                found.append(f"{name}: was {stored[name]!r}, now {self.plain[name]!r}")
        found += self._of_streams(stored.get("streams", {}), self.plain.get("streams", {}))
        before, now = stored["steps"], self.plain["steps"]
        new = [step for step in now if step not in before]
        for step in before:
            if step not in now:
                hint = _renamed(step, before[step], {name: now[name] for name in new})
                found.append(f"stateful step {step!r} is gone (renamed or removed); its state would be lost{hint}")
            elif before[step] != now[step]:
                found += [f"stateful step {step!r} changed: {text}" for text in self._refused(step, before, now)]
        found += [f"stateful step {step!r} is new; it has not seen the documents before the checkpoint" for step in new]
        sinks = self.plain.get("sinks", {})
        for name, kind in stored.get("sinks", {}).items():
            if name not in sinks:
                found.append(f"sink {name!r} is gone (renamed or removed); how far it was written would be lost")
            elif sinks[name] != kind:
                found.append(f"sink {name!r}: was {kind!r}, now {sinks[name]!r}")
        return found

    @staticmethod
    def _of_streams(before: dict[str, str], now: dict[str, str]) -> list[str]:
        found = [f"stream {name!r} is gone (renamed or removed)" for name in before if name not in now]
        found += [f"stream {name!r} is new" for name in now if name not in before]
        kept = [name for name in before if name in now and before[name] != now[name]]
        return found + [f"stream {name!r}: was {before[name]!r}, now {now[name]!r}" for name in kept]

    def _refused(self, step: str, before: dict[str, Any], now: dict[str, Any]) -> list[str]:
        old, new = ({**each[step], "fields": None} for each in (before, now))
        found = []
        for text in _differences(old, new):
            hint = f"; set state_partitions to {old['partitions']}" if text.startswith("partitions ") else ""
            found.append(text + hint)
        fields, wanted = before[step].get("fields", {}), now[step].get("fields", {})
        for name, spec in wanted.items():
            if name not in fields and f"{step}.{name}" not in self._start_empty:
                hint = f"to have it begin empty, set start_empty to [{step}.{name}]"
                found.append(f"fields.{name} is new: {spec!r}; {hint}")
            elif name in fields and fields[name] != spec:
                found += _differences(fields[name], spec, f"fields.{name}")
        return found

    def accepted(self, stored: Any) -> list[str]:
        """What has changed and does no harm, in words."""
        found = []
        for step, now in self.plain["steps"].items():
            before = stored["steps"].get(step, now)
            fields, wanted = before.get("fields", {}), now.get("fields", {})
            found += [
                f"field {name!r} of step {step!r} is new and begins empty in the groups that are there"
                for name in wanted
                if name not in fields
            ]
            found += [
                f"field {name!r} of step {step!r} is gone, its state is dropped" for name in fields.keys() - wanted
            ]
        for name, kind in self.plain.get("sinks", {}).items():
            if "sinks" in stored and name not in stored["sinks"]:
                found.append(f"sink {name!r} ({kind}) is new; it gets what comes from now on")
        definition = self.plain.get("definition")
        if not found and definition is not None and stored.get("definition", definition) != definition:
            found.append("stages without state have changed; what was delivered stays as it is")
        return found


def _renamed(step: str, meaning: Any, candidates: dict[str, Any]) -> str:
    """A hint, when one of the new steps means the same as one that is gone."""
    same = [name for name, other in candidates.items() if other == meaning]
    return f"; if it is {same[0]!r} now, set state_aliases to {{{step}: {same[0]}}}" if same else ""


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
