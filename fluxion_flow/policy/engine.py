"""Carries a policy out at one step: decides what a failure means, waits, asks the breaker, counts the budget.

A step that may wait calls :meth:`PolicyRunner.call`. A step that must not block its thread (a source) does the same
by itself: :meth:`~PolicyRunner.begin` before the work, then :meth:`~PolicyRunner.succeeded` or
:meth:`~PolicyRunner.failed`, whose answer it schedules.
"""

from __future__ import annotations

import logging
import random
import time
import weakref
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any, Literal, TypeVar

from fluxion_flow.errors import FluxionError
from fluxion_flow.policy.backoff import wait_before_retry
from fluxion_flow.policy.breaker import Breaker, State, breaker_named
from fluxion_flow.policy.budget import BudgetExceeded, BudgetMeter
from fluxion_flow.policy.fields import LARGEST
from fluxion_flow.policy.matching import all_match, any_matches, every_error
from fluxion_flow.policy.model import StreamingErrorPolicy

T = TypeVar("T")
Kind = Literal["retry", "skip", "dead_letter", "abort"]
Event = Callable[..., None]
Sleep = Callable[[float], Any]
"""Waits for some seconds. A true answer means that the wait was cut short because the run is ending."""

log = logging.getLogger(__name__)


@dataclass(frozen=True)
class Decision:
    """What to do about a failure. ``delay``: seconds to wait before a retry."""

    kind: Kind
    delay: float = 0.0


class GaveUp(FluxionError):
    """The policy's last word on some work: its ``decision`` is to skip, dead-letter or abort.

    ``error`` is what the last attempt raised; ``attempts`` how many were made; ``first_failure_ms`` when the first
    failed, in milliseconds since the epoch. The message names the error's class only, because an error's own text
    may hold what must not be shown.
    """

    def __init__(
        self, decision: Decision, error: BaseException, attempts: int, first_failure_ms: int, *, step: str = ""
    ) -> None:
        self.decision = decision
        self.error = error
        self.attempts = attempts
        self.first_failure_ms = first_failure_ms
        self.step = step
        where = f"{step}: " if step else ""
        what = f"{type(error).__name__} after {_times(attempts)}"
        super().__init__(f"{where}{what}; the error policy says: {decision.kind}")


class CircuitOpen(FluxionError):
    """The circuit breaker permits no call now, and the policy does not wait."""

    def __init__(self, name: str, seconds: float) -> None:
        self.name = name
        self.seconds = seconds
        super().__init__(f"circuit breaker {name!r} is open; it may be asked again in {seconds:.1f} s")


class Interrupted(FluxionError):
    """The run is ending, so a wait was cut short; the work is neither done nor given up.

    ``attempts`` were made so far; ``error`` is what the last one raised, ``None`` when there was none.
    """

    def __init__(self, step: str, attempts: int, error: BaseException | None) -> None:
        self.step = step
        self.attempts = attempts
        self.error = error
        super().__init__(f"{step}: interrupted while waiting, after {_times(attempts)}")


class Pause:
    """A ``sleep`` for runners that a signal handler may end: ``runner = PolicyRunner(..., sleep=pause.sleep)``.

    It looks at a flag every ``slice_seconds`` instead of waiting on a lock, because a handler that runs on the
    waiting thread could never take that lock.
    """

    def __init__(self, slice_seconds: float = 0.05) -> None:
        self.ended = False
        self._slice = slice_seconds

    def sleep(self, seconds: float) -> bool:
        """Wait; true when :meth:`end` cut it short."""
        until = time.monotonic() + seconds
        while not self.ended:
            left = until - time.monotonic()
            if left <= 0:
                return False
            time.sleep(min(left, self._slice))
        return True

    def end(self) -> None:
        """End the present wait and all later ones. Safe in a signal handler, and from any thread."""
        self.ended = True


class PolicyRunner:
    """Carries out ``policy`` at ``step``. One a step and worker; not for several threads at once.

    ``clock`` gives seconds and never goes back, ``wall`` seconds since the epoch. ``on_event(name, **facts)`` hears
    ``failure`` (every failed attempt), ``retry``, ``skip``, ``dead_letter`` (``step``, ``attempt``, ``error``,
    ``decision``, ``delay``) and ``breaker`` (``step``, ``breaker``, ``before``, ``after``: states). ``meter`` shares
    one failure budget among several runners; without it the policy's budget counts for this runner alone. Texts
    that are logged pass through ``redact``.
    """

    def __init__(
        self,
        policy: StreamingErrorPolicy,
        *,
        step: str,
        clock: Callable[[], float] = time.monotonic,
        wall: Callable[[], float] = time.time,
        sleep: Sleep = time.sleep,
        on_event: Event | None = None,
        rng: random.Random | None = None,
        meter: BudgetMeter | None = None,
        redact: Callable[[str], str] = str,
    ) -> None:
        self.policy = policy
        self.step = step
        self._clock = clock
        self._wall = wall
        self._sleep = sleep
        self._on_event = on_event
        self._rng = rng or random.Random()
        self._redact = redact
        if meter is None and policy.budget is not None:
            meter = BudgetMeter(policy.budget, step=step, clock=clock)
        self._meter = meter
        self.breaker = self._its_breaker()

    def decide(self, error: BaseException, attempt: int) -> Decision:
        """What the policy says about ``error`` on attempt ``attempt`` (from 1). Changes nothing but the jitter."""
        retry = self.policy.retries
        if (
            retry is None
            or (retry.max_attempts is not None and attempt >= retry.max_attempts)
            or all_match(error, retry.ignore)
            or _says_final(error)
            or (retry.retry_on and not any_matches(error, retry.retry_on))
        ):
            return self.final_decision
        return Decision("retry", max(wait_before_retry(retry, attempt, self._rng), _retry_after(error)))

    @property
    def final_decision(self) -> Decision:
        """What happens when nothing is retried any more."""
        action = self.policy.action
        return Decision("abort" if action == "fail" else action)

    def call(self, work: Callable[[int], T]) -> T:
        """The result of ``work(attempt)``, attempted as often as the policy allows.

        Raises :class:`GaveUp` when the policy's answer is to skip, dead-letter or abort, and :class:`Interrupted`
        when a wait was cut short. ``KeyboardInterrupt`` and the like, :class:`BudgetExceeded` and an inner
        :class:`Interrupted` pass through.
        """
        attempt = 1
        error: Exception | None = None
        first_failure_ms: int | None = None
        while True:
            wait = self.begin()
            if wait > 0:
                if self._diverts:
                    raise self._diverted(wait, attempt - 1, error, first_failure_ms) from error
                self._wait(wait, attempt - 1, error)
                continue
            started = self._clock()
            try:
                result = work(attempt)
            except (BudgetExceeded, Interrupted):
                self.released()
                raise
            except Exception as raised:  # noqa: BLE001 - whatever the work raises is the policy's business
                error = raised
            except BaseException:
                self.released()
                raise
            else:
                self.succeeded(self._clock() - started)
                return result
            if first_failure_ms is None:
                first_failure_ms = self._now_ms()
            decision = self.failed(error, attempt, self._clock() - started)
            if decision.kind != "retry":
                raise GaveUp(decision, error, attempt, first_failure_ms, step=self.step) from error
            self._wait(decision.delay, attempt, error)
            attempt += 1

    def ready_in(self) -> float:
        """Seconds for which to hold the stream back: how long the breaker permits no call. 0: go on.

        Takes no permit. Always 0 for a policy that diverts when its breaker is open.
        """
        return 0.0 if self.breaker is None or self._diverts else self.breaker.ready_in()

    def begin(self) -> float:
        """Ask to start an attempt. 0: go ahead; else the seconds after which to ask again.

        After a 0 exactly one of :meth:`succeeded`, :meth:`failed` and :meth:`released` must follow.
        """
        return 0.0 if self.breaker is None else self.breaker.permit()

    def succeeded(self, duration: float) -> None:
        """An attempt ended well after ``duration`` seconds."""
        if self.breaker is not None:
            self.breaker.success(duration)

    def failed(self, error: BaseException, attempt: int, duration: float = 0.0) -> Decision:
        """Attempt ``attempt`` (from 1) raised ``error`` after ``duration`` seconds: tell everybody, and decide."""
        if self.breaker is not None:
            self.breaker.failure(error, duration)
        decision = self.decide(error, attempt)
        self._tell(error, attempt, decision)
        return decision

    def released(self) -> None:
        """An attempt was begun but never made, or says nothing about the other side."""
        if self.breaker is not None:
            self.breaker.release()

    def settled(self, documents_ok: int, documents_failed: int) -> None:
        """Count documents that went through, and documents that were skipped or dead-lettered.

        Raises :class:`~fluxion_flow.policy.budget.BudgetExceeded` when the failure budget is used up.
        """
        if self._meter is not None:
            self._meter.settled(documents_ok, documents_failed)

    @property
    def _diverts(self) -> bool:
        return self.policy.breaker is not None and self.policy.breaker.when_open == "divert"

    def _diverted(self, wait: float, attempts: int, error: Exception | None, first_failure_ms: int | None) -> GaveUp:
        """Answer with the final action because the breaker is open: for the last error, or for the breaker itself."""
        name = self.breaker.name if self.breaker is not None else ""
        blamed = error or CircuitOpen(name, wait)
        self._tell(blamed, attempts, self.final_decision)
        since = self._now_ms() if first_failure_ms is None else first_failure_ms
        return GaveUp(self.final_decision, blamed, attempts, since, step=self.step)

    def _wait(self, seconds: float, attempts: int, error: Exception | None) -> None:
        if self._sleep(seconds):
            raise Interrupted(self.step, attempts, error) from error

    def _now_ms(self) -> int:
        return int(self._wall() * 1000)

    def _its_breaker(self) -> Breaker | None:
        config = self.policy.breaker
        if config is None:
            return None
        if config.name is None:
            breaker = Breaker(config, name=self.step, clock=self._clock)
        else:
            breaker = breaker_named(config.name, config, clock=self._clock)
        runner = weakref.ref(self)

        def changed(name: str, before: State, after: State) -> None:
            alive = runner()
            if alive is not None:
                alive._emit("breaker", breaker=name, before=before, after=after)

        weakref.finalize(self, breaker.listen(changed))
        return breaker

    def _tell(self, error: BaseException, attempt: int, decision: Decision) -> None:
        facts: dict[str, Any] = {"attempt": attempt, "decision": decision.kind, "delay": decision.delay}
        self._emit("failure", error=error, **facts)
        if decision.kind != "abort":
            self._emit(decision.kind, error=error, **facts)
        for callback in self.policy.callbacks:
            self._safely("callback", callback, error, {"step": self.step, **facts})

    def _emit(self, event: str, **facts: Any) -> None:
        if self._on_event is not None:
            self._safely("listener", self._on_event, event, step=self.step, **facts)

    def _safely(self, role: str, function: Callable[..., Any], *args: Any, **facts: Any) -> None:
        try:
            function(*args, **facts)
        except Exception as error:  # noqa: BLE001 - what a listener or callback raises must not change the outcome
            name = getattr(function, "__qualname__", type(function).__name__)
            log.warning("%s: %s %s failed: %s", self.step, role, name, self._redact(f"{type(error).__name__}: {error}"))


def _times(attempts: int) -> str:
    return "1 attempt" if attempts == 1 else f"{attempts} attempts"


def _says_final(error: BaseException) -> bool:
    """Whether the error's ``retryable`` says that trying again is of no use, and no part of it disagrees."""
    said = [said for each in every_error(error) if (said := getattr(each, "retryable", None)) is not None]
    return bool(said) and not any(said)


def _retry_after(error: BaseException) -> float:
    """The seconds that the error, or one that it stands for, asks to wait (its ``retry_after``); 0 when none does."""
    asked = [getattr(each, "retry_after", None) for each in every_error(error)]
    return max((float(s) for s in asked if isinstance(s, (int, float)) and 0 < s <= LARGEST), default=0.0)
