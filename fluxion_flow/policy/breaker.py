"""A circuit breaker: it stops calling what keeps failing, and probes whether it has recovered.

The meanings are Resilience4j's (and so those of Fluxion's resilience page):

- CLOSED: calls go through. Their outcomes fill a window: the last ``sliding_window_size`` calls (count based) or
  those of the last ``sliding_window_size`` seconds (time based, in whole seconds). Once it holds
  ``minimum_number_of_calls`` (never more than a count window can hold), a failure rate or a rate of slow calls at or
  above its threshold opens the breaker. Slow is longer than ``slow_call_duration_threshold``, failed or not.
- OPEN: no call goes through for ``wait_duration_in_open_state``.
- HALF_OPEN: ``permitted_calls_in_half_open_state`` probes go through. Once as many of them as the minimum asks for
  have ended, the same two rates decide: OPEN again, or CLOSED with an empty window.

Errors in ``ignore`` count as nothing. With a list in ``record``, only its errors count as failures, others as
successes; ``ignore`` is asked first.
"""

from __future__ import annotations

import logging
import threading
import time
from collections import deque
from collections.abc import Callable
from enum import Enum

from fluxion_flow.policy.matching import all_match, any_matches
from fluxion_flow.policy.model import CircuitBreaker

Clock = Callable[[], float]
log = logging.getLogger(__name__)

PROBE_POLL = 0.1
"""Seconds after which to ask again while every probe of a half-open breaker is still under way."""


class State(Enum):
    """Where a breaker stands. The value is what metrics show."""

    CLOSED = "closed"
    OPEN = "open"
    HALF_OPEN = "half_open"


StateChange = Callable[[str, State, State], None]
"""Called with the breaker's name, the state it left and the state it entered."""


class Breaker:
    """One running circuit breaker. Safe to share between threads.

    Each ``permit()`` that answered 0 must be followed by one of ``success``, ``failure`` and ``release``.
    ``clock`` gives seconds, and never goes back.
    """

    def __init__(self, config: CircuitBreaker, *, name: str = "", clock: Clock = time.monotonic) -> None:
        self.config = config
        self.name = name or config.name or "circuit breaker"
        self._clock = clock
        self._lock = threading.Lock()
        self._state = State.CLOSED
        self._window = self._closed_window()
        self._opened_at = 0.0
        self._probes_left = 0
        self._listeners: list[StateChange] = []

    @property
    def state(self) -> State:
        """The state at the last call; an OPEN breaker turns HALF_OPEN when the next call is permitted."""
        return self._state

    def listen(self, listener: StateChange) -> Callable[[], None]:
        """Call ``listener`` at every change of state, on the thread that caused it. Returns what ends that."""
        with self._lock:
            self._listeners.append(listener)

        def stop() -> None:
            with self._lock:
                if listener in self._listeners:
                    self._listeners.remove(listener)

        return stop

    def permit(self) -> float:
        """Ask to make a call. 0: go ahead; else the seconds after which to ask again."""
        change = None
        with self._lock:
            wait = self._wait()
            if wait == 0 and self._state is State.OPEN:
                change = self._enter(State.HALF_OPEN)
            if wait == 0 and self._state is State.HALF_OPEN:
                self._probes_left -= 1
        self._tell(change)
        return wait

    def ready_in(self) -> float:
        """What :meth:`permit` would answer, without taking a permit."""
        with self._lock:
            return self._wait()

    def success(self, duration: float) -> None:
        """A permitted call ended well after ``duration`` seconds."""
        self._record(failed=False, duration=duration)

    def failure(self, error: BaseException, duration: float) -> None:
        """A permitted call ended with ``error`` after ``duration`` seconds."""
        if all_match(error, self.config.ignore):
            self.release()
            return
        failed = not self.config.record or any_matches(error, self.config.record)
        self._record(failed=failed, duration=duration)

    def release(self) -> None:
        """A permitted call was not made, or says nothing about the other side: give the permit back."""
        with self._lock:
            if self._state is State.HALF_OPEN:
                self._probes_left = min(self._probes_left + 1, self.config.permitted_calls_in_half_open_state)

    def _wait(self) -> float:
        if self._state is State.CLOSED:
            return 0.0
        if self._state is State.OPEN:
            return max(0.0, self._opened_at + self.config.wait_duration_in_open_state - self._clock())
        return 0.0 if self._probes_left > 0 else PROBE_POLL

    def _record(self, *, failed: bool, duration: float) -> None:
        change = None
        with self._lock:
            if self._state is not State.OPEN:
                self._window.add(failed=failed, slow=duration > self.config.slow_call_duration_threshold)
                over = self._over_threshold()
                if over:
                    change = self._enter(State.OPEN)
                elif over is False and self._state is State.HALF_OPEN:
                    change = self._enter(State.CLOSED)
        self._tell(change)

    def _over_threshold(self) -> bool | None:
        """Whether a rate is at or above its threshold; ``None``: too few calls to say."""
        calls, failed, slow = self._window.totals()
        if calls < self._window.minimum:
            return None
        return (
            failed * 100 >= self.config.failure_rate_threshold * calls
            or slow * 100 >= self.config.slow_call_rate_threshold * calls
        )

    def _enter(self, state: State) -> tuple[State, State]:
        left, self._state = self._state, state
        if state is State.OPEN:
            self._opened_at = self._clock()
        elif state is State.HALF_OPEN:
            probes = self.config.permitted_calls_in_half_open_state
            self._probes_left = probes
            self._window = CountWindow(probes, min(self.config.minimum_number_of_calls, probes))
        else:
            self._window = self._closed_window()
        return left, state

    def _closed_window(self) -> CountWindow | TimeWindow:
        size, minimum = self.config.sliding_window_size, self.config.minimum_number_of_calls
        if self.config.sliding_window_type == "COUNT_BASED":
            return CountWindow(size, min(minimum, size))
        return TimeWindow(size, minimum, self._clock)

    def _tell(self, change: tuple[State, State] | None) -> None:
        if change is None:
            return
        with self._lock:
            listeners = tuple(self._listeners)
        for listener in listeners:
            try:
                listener(self.name, *change)
            except Exception as error:  # noqa: BLE001 - a listener's mistake must not fail the call it watches
                log.warning("a listener of circuit breaker %r failed: %s", self.name, type(error).__name__)


class CountWindow:
    """The outcomes of the last ``size`` calls."""

    def __init__(self, size: int, minimum: int) -> None:
        self.minimum = minimum
        self._calls: deque[tuple[bool, bool]] = deque(maxlen=size)
        self._failed = 0
        self._slow = 0

    def add(self, *, failed: bool, slow: bool) -> None:
        if len(self._calls) == self._calls.maxlen:
            old_failed, old_slow = self._calls[0]
            self._failed -= old_failed
            self._slow -= old_slow
        self._calls.append((failed, slow))
        self._failed += failed
        self._slow += slow

    def totals(self) -> tuple[int, int, int]:
        """Calls, failed calls and slow calls in the window."""
        return len(self._calls), self._failed, self._slow


class TimeWindow:
    """The outcomes of the calls that ended in this second of the clock and the ``seconds - 1`` before it."""

    def __init__(self, seconds: int, minimum: int, clock: Clock) -> None:
        self.minimum = minimum
        self._length = seconds
        self._clock = clock
        self._seconds: deque[list[int]] = deque()
        self._sums = [0, 0, 0]

    def add(self, *, failed: bool, slow: bool) -> None:
        second = self._drop_old()
        if not self._seconds or self._seconds[-1][0] != second:
            self._seconds.append([second, 0, 0, 0])
        for place, amount in enumerate((1, failed, slow)):
            self._seconds[-1][place + 1] += amount
            self._sums[place] += amount

    def totals(self) -> tuple[int, int, int]:
        """Calls, failed calls and slow calls in the window."""
        self._drop_old()
        calls, failed, slow = self._sums
        return calls, failed, slow

    def _drop_old(self) -> int:
        second = int(self._clock() // 1)
        while self._seconds and self._seconds[0][0] <= second - self._length:
            _, *old = self._seconds.popleft()
            self._sums = [now - then for now, then in zip(self._sums, old, strict=True)]
        return second


_named: dict[str, Breaker] = {}
_named_lock = threading.Lock()


def breaker_named(name: str, config: CircuitBreaker, *, clock: Clock = time.monotonic) -> Breaker:
    """The breaker of this name in this process, made from ``config`` when it is the first asked for.

    All that share a name share its state, and the configuration of whoever came first; another configuration under
    the same name is logged as a warning.
    """
    with _named_lock:
        breaker = _named.get(name)
        if breaker is None:
            breaker = _named[name] = Breaker(config, name=name, clock=clock)
    if breaker.config != config:
        log.warning("circuit breaker %r is already in use with other settings; those are kept", name)
    return breaker


def reset() -> None:
    """Forget every named breaker, so that the next one asked for starts CLOSED and empty."""
    with _named_lock:
        _named.clear()
