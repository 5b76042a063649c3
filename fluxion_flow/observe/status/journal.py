"""``Journal``: what numbers do not tell. The last failures and dead letters, without what is in the documents."""

from __future__ import annotations

import threading
import time
from collections import deque
from collections.abc import Mapping, Sequence
from typing import Any

from ...connect.secrets import redact
from ...core.context import StreamingContext
from ...core.values import type_name
from ..listener import StreamingMetricsListener
from ..shown_error import error_class, error_text

KEPT = 20
"""Failures, and dead letters, that are kept: the last ones."""

FIELDS = 12
"""Fields of a document whose types are shown."""


class Journal(StreamingMetricsListener):
    """Keeps the last failures (those alike as one, with their number), dead letters and changes of state of a run."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._failures: dict[tuple[str, str, str], dict[str, Any]] = {}
        self._letters: deque[dict[str, Any]] = deque(maxlen=KEPT)
        self.started = time.time()
        self.workers: set[int] = set()
        self.ended: set[int] = set()
        self.opened: dict[str, int] = {}
        """The open source partitions, each with its worker."""
        self.draining = False
        self.failed = ""
        """Why the run is about to end, when a policy has said so."""

    def on_start(self, context: StreamingContext) -> None:
        self.workers.add(context.worker)

    def on_end(self, context: StreamingContext) -> None:
        self.ended.add(context.worker)

    def on_drain(self, context: StreamingContext) -> None:
        self.draining = True

    def on_opened(self, context: StreamingContext) -> None:
        self.opened[context.partition] = context.worker

    def on_closed(self, context: StreamingContext) -> None:
        self.opened.pop(context.partition, None)

    def on_failure(self, context: StreamingContext, *, error: BaseException, decision: str) -> None:
        name, text = error_class(error), error_text(error)
        key = (context.step, name, text)
        with self._lock:
            known = self._failures.pop(key, None)
            now = time.time()
            found = known or {"step": context.step, "class": name, "text": text, "count": 0, "first": now}
            found |= {"count": found["count"] + 1, "last": now, "decision": decision, "worker": context.worker}
            self._failures[key] = found  # at the end: the last ones stay
            while len(self._failures) > KEPT:
                self._failures.pop(next(iter(self._failures)))
        if decision == "abort":
            self.failed = f"{context.step}: {name}: {text}"

    def on_letters(self, context: StreamingContext, *, letters: Sequence[Mapping[str, Any]]) -> None:
        shown = [shown_letter(letter) for letter in letters[-KEPT:]]
        with self._lock:
            self._letters.extend(shown)

    def failures(self) -> list[dict[str, Any]]:
        """The last failures, the newest first."""
        with self._lock:
            return [dict(failure) for failure in reversed(self._failures.values())]

    def letters(self) -> list[dict[str, Any]]:
        """The last dead letters, the newest first."""
        with self._lock:
            return list(reversed(self._letters))


def shown_letter(letter: Mapping[str, Any]) -> dict[str, Any]:
    """A dead letter as anybody may see it: where, why, and the types of the document's fields, not their values."""
    info, source = letter.get("errInfo", {}), letter.get("_stream_meta", {}).get("source", {})
    document = letter.get("doc")
    named = ("topic", "partition", "offset" if "offset" in source else "position")
    place = {name: source[name] for name in named if name in source}
    return {
        "id": letter.get("id", ""),
        "time": time.time(),
        "step": letter.get("operatorName", ""),
        "reason": redact(str(info.get("reason", "")))[:500],
        "class": info.get("type", ""),
        "attempts": letter.get("attempts", 1),
        "source": {name: redact(str(value)) for name, value in place.items()},
        "document": None if document is None else types_in(document),
    }


def types_in(document: Mapping[str, Any]) -> dict[str, str]:
    """The types of a document's fields: ``{"total": "string", "items": "array"}``; the first :data:`FIELDS` of them."""
    names = list(document)
    found = {redact(str(name)): type_name(document[name]) for name in names[:FIELDS]}
    if len(names) > FIELDS:
        found["…"] = f"{len(names) - FIELDS} more"
    return found
