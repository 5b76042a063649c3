"""Where the dead letters of a pipeline are: the sinks that its policies name, read back."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from ..connect.registry import open_stored
from ..connect.secrets import redact
from ..connect.stored import StoredDocuments
from ..dsl.model import StreamingPipelineDefinition
from ..errors import FluxionError, PipelineError, Problem, Problems, Where
from .letter import Filter, Letter, read_letter


class QueueFailed(FluxionError):
    """Dead letters cannot be read, or not removed."""


@dataclass(frozen=True)
class Queue:
    """One place with dead letters: its title for people, and what is stored there."""

    title: str
    stored: StoredDocuments


@dataclass
class Found:
    """What was read: the newest letter of every id, in the order of reading; older ones by id; and what is none.

    ``others`` says of each stored thing that is no letter where it is and why.
    """

    letters: list[tuple[Queue, Letter]]
    older: dict[str, list[tuple[Queue, Letter]]]
    others: list[tuple[str, str]]


def queues_of(definition: StreamingPipelineDefinition) -> list[Queue]:
    """The dead-letter sinks of a pipeline, each once.

    Raises :class:`PipelineError` when there is none, or one cannot be read back.
    """
    problems = Problems()
    found: list[tuple[Mapping[str, Any], Queue]] = []
    policies = definition.policies()
    for scope, policy in policies.scopes():
        spec = policy.dead_letter_sink
        where = scope.where / "dead_letter"
        if spec is None or any(spec == known for known, _ in found):
            continue
        if not isinstance(spec, Mapping):
            problems.add(where, "is a Python object, which cannot be read back", "name the place with --from")
            continue
        try:
            found.append((spec, open_queue(spec, where, definition)))
        except PipelineError as error:
            problems.found += error.problems
    problems.raise_if_any()
    if not found:
        hint = "say where dead letters are, such as --from type=files,path=dead.jsonl"
        raise PipelineError([Problem(Where.at("on_error"), f"{definition.name!r} has no dead-letter sink", hint)])
    return [queue for _, queue in found]


def open_queue(spec: Mapping[str, Any], where: Where, definition: StreamingPipelineDefinition | None = None) -> Queue:
    """The dead letters of a sink. Raises :class:`PipelineError`."""
    connections = definition.connections if definition is not None else None
    stored = open_stored(spec, where, connections=connections, also_known=("name",))
    place = next((spec[name] for name in ("path", "topic", "table", "name") if name in spec), "")
    return Queue(f"{spec.get('type') or spec.get('connection_ref')} {place}".strip(), stored)


def read_letters(queues: Sequence[Queue], pipeline: str | None, wanted: Filter) -> Found:
    """The letters that are wanted, of one pipeline or of any. Raises :class:`QueueFailed`."""
    newest: dict[str, tuple[Queue, Letter]] = {}
    found = Found([], {}, [])
    for queue in queues:
        for place, letter, reason in _each(queue):
            if letter is None:
                found.others.append((place, reason))
            elif pipeline is None or letter.data.get("processorName") in (None, pipeline):
                before = newest.get(letter.id)
                if before is None or letter.replays >= before[1].replays:
                    newest[letter.id] = (queue, letter)
                    older = before
                else:
                    older = (queue, letter)
                if older is not None:
                    found.older.setdefault(letter.id, []).append(older)
    found.letters = [entry for entry in newest.values() if wanted.takes(entry[1])]
    return found


def _each(queue: Queue) -> Iterator[tuple[str, Letter | None, str]]:
    try:
        for stored in queue.stored.read():
            letter = None
            reason = stored.error
            if stored.document is not None:
                letter = read_letter(stored.document, stored.place, stored.handle)
                reason = "has no id, so it is no dead letter"
            yield stored.place, letter, reason
    except Exception as error:
        raise QueueFailed(redact(f"{queue.title}: the dead letters cannot be read: {error}")) from error


def remove(letters: Sequence[tuple[Queue, Letter]]) -> int:
    """Remove letters from where they are stored; how many are gone. Raises :class:`QueueFailed`."""
    gone = 0
    by_queue: dict[int, tuple[Queue, list[Any]]] = {}
    for queue, letter in letters:
        by_queue.setdefault(id(queue), (queue, []))[1].append(letter.handle)
    for queue, handles in by_queue.values():
        try:
            gone += queue.stored.remove(handles)
        except Exception as error:
            raise QueueFailed(redact(f"{queue.title}: letters cannot be removed: {error}")) from error
    return gone
