"""``fluxion check --connections``: sources, sinks and dead-letter sinks are really tried, with a time-out each."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable, Iterator
from typing import TYPE_CHECKING, Any

from .failures import redacted

if TYPE_CHECKING:
    from ..compiler.plan import Plan


def try_all(plan: Plan, timeout: float) -> list[dict[str, Any]]:
    """How each endpoint of a plan answers: ``where``, ``what`` (its title), ``ok`` (``None``: not tried), ``answer``.

    All are tried at the same time, so that the whole takes ``timeout`` seconds at most. Changes nothing: no offset is
    committed, nothing is written or created.
    """
    attempts = [_Attempt(where, title, call) for where, title, call in _endpoints(plan)]
    until = time.monotonic() + timeout
    for attempt in attempts:
        attempt.thread.join(max(until - time.monotonic(), 0.0))
    return [attempt.report(timeout) for attempt in attempts]


class _Attempt:
    """One endpoint, tried on a thread of its own; a thread that hangs ends with the process."""

    def __init__(self, where: str, title: str, call: Callable[[], str]) -> None:
        self._where = where
        self._title = title
        self._call = call
        self._answer: tuple[bool | None, str] | None = None
        self.thread = threading.Thread(target=self._run, daemon=True)
        self.thread.start()

    def _run(self) -> None:
        try:
            self._answer = True, self._call()
        except NotImplementedError as error:
            self._answer = None, str(error) or "the connector cannot be tried without changing anything"
        except Exception as error:  # noqa: BLE001 - whatever it is, it is the answer
            self._answer = False, str(error) or type(error).__name__

    def report(self, timeout: float) -> dict[str, Any]:
        ok, answer = self._answer or (False, f"no answer within {timeout:g} s; check the address, or raise --timeout")
        return {"where": self._where, "what": self._title, "ok": ok, "answer": redacted(answer)}


def _endpoints(plan: Plan) -> Iterator[tuple[str, str, Callable[[], str]]]:
    from ..compiler.guarantee import dead_letter_sinks

    yield "source", plan.source_type, lambda: _probe(plan.source)
    for sink in plan.sinks:
        where = "sink" if len(plan.sinks) == 1 else f"sinks.{sink.name}"
        yield where, sink.connector, lambda sink=sink.sink: _probe(sink)  # type: ignore[misc]
    for letters in dead_letter_sinks(plan):
        yield "on_error.dead_letter", letters.name, lambda sink=letters.sink: _probe(sink)  # type: ignore[misc]


def _probe(endpoint: Any) -> str:
    from ..connect.spi import StreamingSink, StreamingSource

    if not isinstance(endpoint, (StreamingSource, StreamingSink)):
        raise NotImplementedError("a Bytewax object cannot be tried without running")
    return endpoint.probe()
