"""``StreamingMetricsListener``: what a run tells those who listen."""

from __future__ import annotations

import logging
from collections.abc import Callable, Mapping, Sequence
from typing import Any

from ..core.context import StreamingContext
from .shown_error import error_text

log = logging.getLogger(__name__)


class StreamingMetricsListener:
    """Base of listeners: override what you want to hear (Fluxion: ``StreamingMetricsListener``).

    Every hook gets the :class:`~fluxion_flow.core.context.StreamingContext` of the step that speaks, then facts.
    Hooks run on the worker's thread, between batches: be quick, and hand over to a thread of your own what is not. What
    a hook raises is logged and changes nothing. Times are in seconds unless their name says otherwise. One listener
    serves all workers of a process, so its hooks are called from several threads.
    """

    def on_start(self, context: StreamingContext) -> None:
        """A worker has built its part of the dataflow."""

    def on_opened(self, context: StreamingContext) -> None:
        """A source partition was opened on this worker, at its cursor; it can be read now."""

    def on_closed(self, context: StreamingContext) -> None:
        """A source partition was closed: it is complete, or the run ends."""

    def on_fetched(self, context: StreamingContext, *, documents: int, rejects: int, waited: float) -> None:
        """The source gave a batch; ``waited`` is the time since the fetch before (``stream.backpressure``)."""

    def on_traced(self, context: StreamingContext, *, parents: Sequence[str], started_ns: int) -> None:
        """A batch was read whose records have ``traceparent`` headers (W3C Trace Context): the headers, one a record.

        ``started_ns`` is when the read began, in nanoseconds since the epoch.
        """

    def on_lag(self, context: StreamingContext, *, lag: float) -> None:
        """How far the source partition is behind, in the connector's unit (``stream.lag``).

        Told twice a second at most while documents come, when there are no more, and while the worker waits to try
        something again.
        """

    def on_watermark(self, context: StreamingContext, *, event_time_ms: int, lag_seconds: float) -> None:
        """A part of a step (``context.partition``) has moved its watermark (``stream.watermark``).

        ``event_time_ms`` is the watermark, in milliseconds since the epoch: nothing older is waited for any more.
        ``lag_seconds`` is how far it is behind the clock. Tell it once an activation at most.
        """

    def on_late(self, context: StreamingContext, *, documents: int) -> None:
        """Documents came behind the watermark (``stream.late``); whoever gives them up tells that apart from this."""

    def on_batch(self, context: StreamingContext, *, seconds: float, size_in: int, size_out: int) -> None:
        """A batch has gone through a run of stages (``stream.batch.duration``, ``stream.batch.size``)."""

    def on_stage(
        self, context: StreamingContext, *, stage: str, size_in: int, size_out: int, nanoseconds: int | None
    ) -> None:
        """A stage took in and gave out so many documents: those of an activation, which may be several batches.

        ``nanoseconds`` is given for the batches whose stages are timed one by one (a sample), else ``None``.
        """

    def on_enrich(
        self,
        context: StreamingContext,
        *,
        operator: str,
        connection: str,
        seconds: float,
        outcome: str,
        cached: bool,
        calls: int = 1,
    ) -> None:
        """An operator asked the outside, such as ``$httpCall`` (``stream.enrich``).

        ``connection`` is the name of the connection, or ``""``. ``outcome`` is one of :data:`ENRICH_OUTCOMES`.
        ``cached``: the answer came from the cache. ``calls`` alike may be told together; ``seconds`` is their sum. Tell
        it on the worker's thread, when the calls of a batch are done.
        """

    def on_delivered(self, context: StreamingContext, *, documents: int, seconds: float) -> None:
        """A sink has made documents of a batch durable; it took ``seconds`` to accept them."""

    def on_queue(self, context: StreamingContext, *, documents: int) -> None:
        """So many documents stand in front of a step: a sink has accepted them, and they are not yet durable."""

    def on_retry(self, context: StreamingContext, *, error: BaseException, delay: float) -> None:
        """A failed step will be tried again after ``delay`` (``stream.retries``)."""

    def on_failure(self, context: StreamingContext, *, error: BaseException, decision: str) -> None:
        """An attempt failed; ``decision`` is retry, skip, dead_letter or abort (``stream.failures``)."""

    def on_skipped(self, context: StreamingContext, *, documents: int) -> None:
        """Documents were dropped by a skipping policy."""

    def on_dead_letter(self, context: StreamingContext, *, documents: int) -> None:
        """Documents were sent to a dead-letter sink."""

    def on_letters(self, context: StreamingContext, *, letters: Sequence[Mapping[str, Any]]) -> None:
        """The dead letters of :meth:`on_dead_letter` themselves; they hold the documents. Leave them as they are."""

    def on_state(self, context: StreamingContext, *, keys: int, size: int) -> None:
        """A keyed step's part was written to the checkpoint: its keys, its size in bytes (``stream.state.size``)."""

    def on_checkpoint(self, context: StreamingContext, *, seconds: float) -> None:
        """A source partition's position was taken into a checkpoint that is complete everywhere.

        ``seconds`` have passed since the position was taken.
        """

    def on_breaker(self, context: StreamingContext, *, name: str, before: str, after: str) -> None:
        """A circuit breaker changed its state; the first time it is told with ``before`` the same as ``after``."""

    def on_drain(self, context: StreamingContext) -> None:
        """The run was asked to stop: what is in flight is delivered, then it ends."""

    def on_end(self, context: StreamingContext) -> None:
        """A worker has come to its end: everything is delivered. A run that fails does not say so."""


ENRICH_OUTCOMES = ("ok", "error", "timeout", "refused", "fallback")
"""How a call of the outside ended: with an answer, an error, or none in time; it was not made, because a limit or
an open circuit breaker held it back; or what the pipeline has for such a case was taken in its place."""

HOOKS = tuple(name for name in vars(StreamingMetricsListener) if name.startswith("on_"))
"""The names of all hooks."""


class Listeners:
    """Speaks to several listeners, and keeps what they raise from the run."""

    def __init__(self, listeners: Sequence[StreamingMetricsListener]) -> None:
        self._by_hook: dict[str, list[Callable[..., None]]] = {}
        self._failed: set[str] = set()
        for name in HOOKS:
            hooks = [getattr(each, name) for each in listeners if overrides(each, name)]
            if hooks:
                self._by_hook[name] = hooks

    def wants(self, hook: str) -> bool:
        """Whether anybody listens to ``hook``."""
        return hook in self._by_hook

    def tell(self, hook: str, context: StreamingContext, **facts: Any) -> None:
        """Call ``hook`` of every listener that has one.

        What a hook raises is logged as a warning the first time, and at DEBUG from then on: hooks are called for every
        batch, and a broken one must not fill the log.
        """
        for function in self._by_hook.get(hook, ()):
            try:
                function(context, **facts)
            except Exception as error:  # noqa: BLE001 - a listener must not change the run
                self._log(getattr(function, "__qualname__", hook), error)

    def _log(self, name: str, error: Exception) -> None:
        level = logging.DEBUG if name in self._failed else logging.WARNING
        self._failed.add(name)
        log.log(level, "listener %s failed: %s: %s", name, type(error).__name__, error_text(error))


def overrides(listener: StreamingMetricsListener, hook: str) -> bool:
    """Whether a listener has a hook of its own; one that it has set to ``None`` it does not want after all."""
    own = getattr(type(listener), hook, None)
    wanted = own is not None and own is not getattr(StreamingMetricsListener, hook)
    return wanted and getattr(listener, hook) is not None
