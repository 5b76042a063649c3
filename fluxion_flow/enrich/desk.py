"""The engine behind all enrichments: questions of a batch served at the same time, with caches and resilience.

A worker has one :class:`Desk`. Its calls run on threads of the desk's own, where nothing of Bytewax is, as many for a
connection as its ``concurrency``; the worker's thread waits for the answers to its batch. A call that takes one
question begins when the question is heard of, while the worker thinks up more of them. A call goes through these,
from the outside in: cache, joining of equal questions, concurrency, retry, rate limit, circuit breaker, timeout.

Threads and not one asyncio loop: measured on 500 requests of 20 ms, 50 at the same time, httpx's asynchronous client
(which looks through the whole pool of connections at each) takes 9 ms of processor time a request, its blocking
transport 0.75 ms, and the engine below that 0.45 ms (:mod:`~fluxion_flow.enrich.http_connections`).
"""

from __future__ import annotations

import threading
import time
from collections.abc import Callable, Hashable, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field
from typing import Any

from fluxion_flow.connect.secrets import redact
from fluxion_flow.core.context import StreamingContext
from fluxion_flow.core.outside import Answer, Outside, Question
from fluxion_flow.core.program import reason
from fluxion_flow.enrich.asking import Client, Enrichment, Tally
from fluxion_flow.enrich.cache import AnswerCache
from fluxion_flow.enrich.failures import (
    BreakerOpen,
    CallRefused,
    CallTimedOut,
    EnrichError,
    OperationFailed,
    RateLimited,
)
from fluxion_flow.enrich.limiter import Limiter, limiter_of
from fluxion_flow.enrich.record import Record
from fluxion_flow.errors import FluxionError
from fluxion_flow.policy.engine import Interrupted, PolicyRunner

Tell = Callable[..., None]
"""``tell(hook, context, **facts)``, as :meth:`fluxion_flow.observe.listener.Listeners.tell`."""


@dataclass
class Line:
    """What calls of one kind to one target share."""

    target: Any
    runner: PolicyRunner
    threads: ThreadPoolExecutor
    limiter: Limiter | None
    cache: AnswerCache | None
    tally: Tally
    breakers: list[dict[str, Any]] = field(default_factory=list)
    memory: dict[Any, Any] = field(default_factory=dict)


class Desk(Outside):
    """Answers the questions of one worker. ``tell`` is told of calls and of breakers; ``record`` keeps answers."""

    def __init__(
        self, *, tell: Tell | None = None, record: Record | None = None, clock: Callable[[], float] = time.monotonic
    ) -> None:
        self._tell = tell
        self._record = record
        self._clock = clock
        self._lines: dict[int, Line] = {}
        self._askers: list[Enrichment] = []
        self._clients: dict[Hashable, Client] = {}
        self._opening = threading.Lock()
        self._caches: dict[Hashable, AnswerCache] = {}
        self._pools: dict[Hashable, ThreadPoolExecutor] = {}
        self._ended = threading.Event()
        self._round = Round()
        self._left_behind = False

    # -- on the worker's thread ------------------------------------------------------------------------------------

    def peek(self, question: Question) -> Answer | None:
        # what was recorded comes first, and what was not is to be
        return None if question.asker.recorded else self._at_hand(question)

    def _at_hand(self, question: Question) -> Answer | None:
        """The answer that the cache or the operator itself has."""
        asker = enrichment_of(question)
        line = self._line(asker)
        if line.cache is not None:
            found = line.cache.get((asker.identity, question.what))
            if found is not None:
                line.tally.at_hand += 1
                return found
        try:
            return Answer(asker.near(question.what, line.memory))
        except LookupError:
            return None
        except EnrichError as error:
            return Answer(error=error.again)

    def expect(self, question: Question) -> None:
        asker = enrichment_of(question)
        if asker.shared and not asker.recorded and asker.merge == 1 and not self._ended.is_set():
            key = _key_of(question)
            if key not in self._round.calls:
                self._start(asker, [key], [question.what])

    def abandon(self) -> None:
        self._next_round()

    def _next_round(self) -> None:
        """Calls that are still under way are left to end by themselves; those that have not begun are not made."""
        before, self._round = self._round, Round()
        before.stop.set()
        self._left_behind = self._left_behind or bool(before.left)

    def begin(self) -> None:
        for asker in self._askers:
            asker.begin(self._line(asker).memory)

    def serve(self, questions: Sequence[Question], context: StreamingContext) -> list[Answer]:
        """Raises :class:`~fluxion_flow.policy.engine.Interrupted` when the run is ending and cannot wait any more."""
        if self._ended.is_set():
            raise Interrupted(context.step, 0, None)
        answers: list[Answer | None] = [None] * len(questions)
        if self._record is not None:
            self._record.recall(context.step, questions, answers)
        fresh = [i for i, answer in enumerate(answers) if answer is None]
        for i in fresh:
            if questions[i].asker.recorded:
                answers[i] = self._at_hand(questions[i])
        open_ones = [i for i in fresh if answers[i] is None]
        if open_ones:
            made = self._serve([questions[i] for i in open_ones], context)
            for i, answer in zip(open_ones, made, strict=True):
                answers[i] = answer
        if self._record is not None:
            self._record.keep(context.step, [(questions[i], answers[i]) for i in fresh])
        self.report(context)
        return [answer for answer in answers if answer is not None]

    def report(self, context: StreamingContext) -> None:
        """Tell what has happened since the last time."""
        for line in self._lines.values():
            tally, line.tally = line.tally, Tally(line.tally.connection, line.tally.operator)
            breakers, line.breakers[:] = list(line.breakers), []
            if self._tell is not None:
                for facts in tally.facts():
                    self._tell("on_enrich", context, **facts)
                for facts in breakers:
                    self._tell("on_breaker", context, **facts)

    def end(self) -> None:
        """The run cannot wait any more: calls under way are given up. May be called from any thread."""
        self._ended.set()
        self._round.give_up()

    def close(self) -> None:
        self._ended.set()
        self._next_round()
        for pool in self._pools.values():
            pool.shutdown(wait=not self._left_behind, cancel_futures=True)
        clients, self._clients = self._clients, {}
        for client in clients.values():
            client.close()

    def _line(self, asker: Enrichment) -> Line:
        line = self._lines.get(id(asker))
        if line is None:
            line = self._lines[id(asker)] = self._new_line(asker)
            self._askers.append(asker)
        return line

    def _new_line(self, asker: Enrichment) -> Line:
        settings, target = asker.settings, asker.target
        breakers: list[dict[str, Any]] = []

        def heard(event: str, **facts: Any) -> None:
            if event == "breaker":
                before, after = facts["before"].name, facts["after"].name
                breakers.append({"name": facts["breaker"], "before": before, "after": after})

        cache = None
        if settings.cache is not None and asker.shared:
            key = (target.key, settings.cache)
            cache = self._caches.get(key)
            if cache is None:
                cache = self._caches[key] = AnswerCache(settings.cache, self._clock)
        return Line(
            target,
            PolicyRunner(settings.policy, step=str(asker.where), on_event=heard, clock=self._clock, redact=redact),
            self._threads(target.key, settings.concurrency),
            None if settings.limit is None else limiter_of(target.name, settings.limit),
            cache,
            Tally(target.name, asker.name),
            breakers,
        )

    def _threads(self, key: Hashable, number: int) -> ThreadPoolExecutor:
        pool = self._pools.get((key, number))
        if pool is None:
            pool = self._pools[key, number] = ThreadPoolExecutor(number, "fluxion-enrich")
        return pool

    def _serve(self, questions: Sequence[Question], context: StreamingContext) -> list[Answer]:
        keys: list[Hashable] = []
        fresh: dict[Hashable, Question] = {}
        seen: dict[Hashable, None] = {}
        for i, question in enumerate(questions):
            key = _key_of(question) if question.asker.shared else i
            self._line(enrichment_of(question)).tally.at_hand += key in seen
            if key not in self._round.calls:
                fresh.setdefault(key, question)
            seen[key] = None
            keys.append(key)
        for unit in units(fresh):
            self._start(enrichment_of(fresh[unit[0]]), unit, [fresh[key].what for key in unit])
        round_ = self._round
        round_.wait()
        if self._ended.is_set() and (round_.left or isinstance(round_.broken, Ended)):
            raise Interrupted(context.step, 0, None)
        self._next_round()
        if round_.broken is not None:
            raise round_.broken
        for key in seen:
            call, number = round_.calls[key]
            cache, answer = self._line(call.asker).cache, call.answers[number]
            if cache is not None and (answer.error is None or call.final):
                cache.put((call.asker.identity, call.whats[number]), answer)
        return [call.answers[number] for call, number in map(round_.calls.__getitem__, keys)]

    def _start(self, asker: Enrichment, keys: Sequence[Hashable], whats: list[Any]) -> None:
        call = Call(asker, whats)
        self._round.add(call, keys)
        self._line(asker).threads.submit(self._make, call, self._round)

    # -- on the threads of calls -----------------------------------------------------------------------------------

    def _make(self, call: Call, round_: Round) -> None:
        try:
            if round_.stop.is_set():
                raise Ended
            call.answers = [Answer(value) for value in self._attempts(call.asker, call.whats, round_.stop)]
        except EnrichError as error:
            call.answers = [Answer(error=error.again)] * len(call.whats)
            call.final = not error.retryable
        except BaseException as error:  # noqa: BLE001 - a mistake of ours must end the run, not hang it
            round_.broken = error
        finally:
            round_.ended()

    def _attempts(self, asker: Enrichment, whats: list[Any], stop: threading.Event) -> list[Any]:
        line = self._line(asker)
        attempt = 1
        while True:
            error = self._turn(asker, line, stop)
            if error is None:
                started = self._clock()
                try:
                    values = self._call(asker, whats)
                except Exception as raised:  # noqa: BLE001 - whatever a call raises is the policy's business
                    error = failure_of(asker, raised)
                    if line.runner.breaker is not None:
                        line.runner.breaker.failure(error, self._clock() - started)
                except BaseException:
                    line.runner.released()
                    raise
                else:
                    line.runner.succeeded(self._clock() - started)
                    line.tally.called("ok", self._clock() - started)
                    return values
                line.tally.called(outcome_of(error), self._clock() - started)
            else:
                line.tally.called("refused", 0.0)
            decision = line.runner.decide(error, attempt)
            if decision.kind != "retry":
                raise error
            attempt += 1
            _sleep(decision.delay, stop)

    def _turn(self, asker: Enrichment, line: Line, stop: threading.Event) -> EnrichError | None:
        """Wait for the rate limit and the breaker. An error: the call may not be made."""
        if line.limiter is not None:
            wait = line.limiter.reserve()
            if wait is None:
                text = f"{asker.title}: the rate limit would keep the call waiting for too long"
                return RateLimited(text, retryable=True)
            _sleep(wait, stop)
        while (wait := line.runner.begin()) > 0:
            breaker, config = line.runner.breaker, asker.settings.policy.breaker
            assert breaker is not None
            assert config is not None
            if config.when_open == "divert":
                text = f"{asker.title}: circuit breaker '{breaker.name}' is open; it may be asked again in {wait:.1f} s"
                return BreakerOpen(text, retryable=True)
            _sleep(wait, stop)
        return None

    def _call(self, asker: Enrichment, whats: list[Any]) -> list[Any]:
        client = self._clients.get(asker.target.key)
        if client is None:
            with self._opening:
                client = self._clients.get(asker.target.key)
                if client is None:
                    client = self._clients[asker.target.key] = asker.target.open(asker.settings)
        if len(whats) > 1:
            return list(asker.perform_many(client, whats))
        return [asker.perform(client, whats[0])]


class Ended(BaseException):
    """Nobody waits any more; the call at hand is given up."""


@dataclass(eq=False)
class Call:
    """One call, for one question or for several that it takes together. ``final``: asking again cannot help."""

    asker: Enrichment
    whats: list[Any]
    answers: list[Answer] = field(default_factory=list)
    final: bool = False


class Round:
    """The calls for one round of questions, which may begin before all questions are known."""

    def __init__(self) -> None:
        self.calls: dict[Hashable, tuple[Call, int]] = {}
        """By question, its call and its number in it."""
        self.left = 0
        """How many calls have not ended."""
        self.broken: BaseException | None = None
        self.stop = threading.Event()
        """Set when nobody waits any more: what has not begun is not made, and waits end."""
        self._done = threading.Event()
        self._done.set()
        self._lock = threading.Lock()

    def add(self, call: Call, keys: Sequence[Hashable]) -> None:
        """A call begins, for these questions."""
        self.calls.update((key, (call, number)) for number, key in enumerate(keys))
        with self._lock:
            self.left += 1
            self._done.clear()

    def ended(self) -> None:
        """One call has ended."""
        with self._lock:
            self.left -= 1
            if not self.left:
                self._done.set()

    def wait(self) -> None:
        """Wait for the calls, or for :meth:`give_up`."""
        if not self.stop.is_set():
            self._done.wait()

    def give_up(self) -> None:
        """Wait no more. May be called from any thread."""
        self.stop.set()
        self._done.set()


def _sleep(seconds: float, stop: threading.Event) -> None:
    """Wait on a thread of calls. Raises :class:`Ended` when nobody waits for the call any more."""
    if stop.is_set() or (seconds > 0 and stop.wait(seconds)):
        raise Ended


def _key_of(question: Question) -> Hashable:
    """Equal for questions that one call answers."""
    asker = enrichment_of(question)
    return (asker.target.key, asker.identity, question.what)


def enrichment_of(question: Question) -> Enrichment:
    """Who asks: the engine serves enrichments only."""
    assert isinstance(question.asker, Enrichment)
    return question.asker


def units(questions: Mapping[Hashable, Question]) -> list[list[Hashable]]:
    """Which questions go into one call: those of one operator that merges them, as many as it takes, in order."""
    groups: dict[Hashable, list[Hashable]] = {}
    sizes: dict[Hashable, int] = {}
    for key, question in questions.items():
        asker = enrichment_of(question)
        group = id(asker) if asker.merge > 1 else ("alone", key)
        sizes[group] = asker.merge
        groups.setdefault(group, []).append(key)
    return [keys[at : at + sizes[group]] for group, keys in groups.items() for at in range(0, len(keys), sizes[group])]


def outcome_of(error: EnrichError) -> str:
    """What a failure counts as: ``timeout``, ``refused`` (the call was not made), else ``error``."""
    if isinstance(error, CallTimedOut):
        return "timeout"
    return "refused" if isinstance(error, CallRefused) else "error"


def failure_of(asker: Enrichment, raised: Exception) -> EnrichError:
    """What a call raised, as an error that every document it fails can be given."""
    if isinstance(raised, EnrichError):
        return raised
    text = reason(raised) if isinstance(raised, FluxionError) else f"{type(raised).__name__}: {raised}"
    error = OperationFailed(f"{asker.title}: {text}", retryable=getattr(raised, "retryable", True))
    error.__cause__ = raised
    return error
