"""Error policies as data: what happens when a batch fails in a source, in a stage or in a sink.

A policy is frozen, and two that say the same are equal. Durations are seconds once inside; every constructor takes
numbers of seconds or text such as ``"500ms"``, ``"5s"``, ``"2m"``. A constructor that is given nonsense raises
:class:`~fluxion_flow.errors.PipelineError` with all that is wrong.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field, replace
from typing import TYPE_CHECKING, Any, Literal

from fluxion_flow.errors import PipelineError, Problem, Where
from fluxion_flow.policy.fields import (
    attempts,
    callables,
    choice,
    duration,
    error_classes,
    lasts,
    number,
    optional,
    percentage,
    read_fields,
    reads,
    text,
    whole_number,
)
from fluxion_flow.policy.matching import ErrorClass

if TYPE_CHECKING:
    from fluxion_flow.policy.builder import PolicyBuilder

Action = Literal["fail", "skip", "dead_letter"]
Granularity = Literal["batch", "document"]
Jitter = Literal["full", "equal", "none"]
Callback = Callable[[BaseException, Mapping[str, Any]], None]
"""Called with the error and the facts of the failure: ``step``, ``attempt``, ``decision``, ``delay`` (seconds)."""


@dataclass(frozen=True)
class Retry:
    """The same batch again, with exponential backoff.

    ``max_attempts`` counts all attempts, the first included, as Fluxion's ``maxAttempts`` does: 1 never retries;
    ``None`` retries for as long as it takes. ``backoff`` (seconds) is the wait after the first failure, multiplied
    by ``multiplier`` after each further one, up to ``max_backoff``. With a list in ``retry_on`` only its
    errors are retried; those in ``ignore`` never are.
    """

    max_attempts: int | None = field(metadata=reads(attempts))
    backoff: float = field(default=0.2, metadata=lasts(duration()))
    multiplier: float = field(default=2.0, metadata=reads(number(1)))
    max_backoff: float = field(default=30.0, metadata=lasts(duration()))
    jitter: Jitter = field(default="equal", metadata=reads(choice("full", "equal", "none")))
    retry_on: tuple[ErrorClass, ...] = field(default=(), metadata=reads(error_classes))
    ignore: tuple[ErrorClass, ...] = field(default=(), metadata=reads(error_classes))
    name: str | None = field(default=None, metadata=reads(optional(text)))

    def __post_init__(self) -> None:
        read_fields(self, Where.at("retry"))


@dataclass(frozen=True)
class CircuitBreaker:
    """When to stop calling what keeps failing, and how to find out that it works again.

    Names, meanings and defaults are those of Fluxion's resilience page, whose breaker is Resilience4j's; see
    :mod:`fluxion_flow.policy.breaker`. Thresholds are percentages, durations seconds; a time-based window's size is
    seconds too. All policies of a process that give the same ``name`` share one breaker; without a name each step
    of a worker has its own. ``when_open``: ``"wait"`` holds the stream back until a call is permitted again,
    ``"divert"`` answers at once with the policy's final action.
    """

    name: str | None = field(default=None, metadata=reads(optional(text)))
    failure_rate_threshold: float = field(default=50.0, metadata=reads(percentage))
    slow_call_rate_threshold: float = field(default=100.0, metadata=reads(percentage))
    slow_call_duration_threshold: float = field(default=60.0, metadata=lasts(duration(zero=False)))
    wait_duration_in_open_state: float = field(default=10.0, metadata=lasts(duration(zero=False)))
    permitted_calls_in_half_open_state: int = field(default=2, metadata=reads(whole_number(1)))
    minimum_number_of_calls: int = field(default=10, metadata=reads(whole_number(1)))
    sliding_window_size: int = field(default=100, metadata=reads(whole_number(1)))
    sliding_window_type: Literal["COUNT_BASED", "TIME_BASED"] = field(
        default="TIME_BASED",
        metadata=reads(choice("COUNT_BASED", "TIME_BASED", aliases={"0": "COUNT_BASED", "1": "TIME_BASED"})),
    )
    record: tuple[ErrorClass, ...] = field(default=(), metadata=reads(error_classes))
    ignore: tuple[ErrorClass, ...] = field(default=(), metadata=reads(error_classes))
    when_open: Literal["wait", "divert"] = field(default="wait", metadata=reads(choice("wait", "divert")))

    def __post_init__(self) -> None:
        read_fields(self, Where.at("circuit_breaker"))


@dataclass(frozen=True)
class FailureBudget:
    """How much may be skipped or dead-lettered before the run stops.

    It stops when the failed documents reach ``failures``, or reach ``percent`` of all documents once ``minimum`` of
    them are settled; counted over the last ``within`` seconds, or over the whole run. Each step of each worker
    counts for itself.
    """

    percent: float | None = field(default=None, metadata=reads(optional(percentage)))
    failures: int | None = field(default=None, metadata=reads(optional(whole_number(1))))
    within: float | None = field(default=None, metadata=lasts(optional(duration(zero=False))))
    minimum: int = field(default=100, metadata=reads(whole_number(1)))

    def __post_init__(self) -> None:
        where = Where.at("budget")
        read_fields(self, where)
        if self.percent is None and self.failures is None:
            raise PipelineError([Problem(where, NO_LIMIT, LIMITS)])

    def __str__(self) -> str:
        limits = [f"{self.percent:g} %"] if self.percent is not None else []
        limits += [str(self.failures)] if self.failures is not None else []
        return " or ".join(limits) + (f" in {self.within:g} s" if self.within is not None else "")


NO_LIMIT = "sets no limit"
LIMITS = "give percent, failures or both"


@dataclass(frozen=True)
class StreamingErrorPolicy:
    """What to do about a failure: whether to try again, and what the final action is.

    ``dead_letter_sink`` is whatever names a sink: a definition's mapping, a ``StreamingSink``, a Bytewax sink; it is
    not looked into here, nor shown. ``None`` in ``granularity``, ``budget`` and ``dead_letter_sink`` takes the value
    of the scope outside; a granularity given nowhere is ``"batch"``.
    """

    action: Action = field(default="fail", metadata=reads(choice("fail", "skip", "dead_letter")))
    retries: Retry | None = None
    breaker: CircuitBreaker | None = None
    dead_letter_sink: Any | None = field(default=None, hash=False, repr=False)
    granularity: Granularity | None = field(default=None, metadata=reads(optional(choice("batch", "document"))))
    budget: FailureBudget | None = None
    callbacks: tuple[Callback, ...] = field(default=(), metadata=reads(callables))

    def __post_init__(self) -> None:
        if isinstance(self.dead_letter_sink, Mapping):
            object.__setattr__(self, "dead_letter_sink", _copied(self.dead_letter_sink))
        read_fields(self, Where())

    @classmethod
    def fail_fast(cls) -> StreamingErrorPolicy:
        """End the run with an error that names pipeline, step and source position. The default."""
        return cls()

    @classmethod
    def skip_and_continue(cls) -> StreamingErrorPolicy:
        """Drop what failed, count it, log it, go on."""
        return cls(action="skip")

    @classmethod
    def dead_letter(cls, sink: Any | None = None) -> StreamingErrorPolicy:
        """Write what failed to ``sink``, enveloped, and go on. Without a sink: to the one of the scope outside."""
        return cls(action="dead_letter", dead_letter_sink=sink)

    @classmethod
    def retry(
        cls,
        max_attempts: int | None,
        *,
        backoff: float | str = Retry.backoff,
        multiplier: float = Retry.multiplier,
        max_backoff: float | str = Retry.max_backoff,
        jitter: Jitter = Retry.jitter,
        retry_on: Any = (),
        ignore: Any = (),
    ) -> StreamingErrorPolicy:
        """Try up to ``max_attempts`` times in all, then end the run, or do what :meth:`then` says.

        >>> policy = StreamingErrorPolicy.retry(5).then(StreamingErrorPolicy.skip_and_continue())
        >>> policy.action, policy.retries.max_attempts
        ('skip', 5)
        """
        retries = Retry(
            max_attempts=max_attempts,
            backoff=backoff,  # type: ignore[arg-type]  # read into seconds by Retry
            multiplier=multiplier,
            max_backoff=max_backoff,  # type: ignore[arg-type]
            jitter=jitter,
            retry_on=retry_on,
            ignore=ignore,
        )
        return cls(retries=retries)

    @staticmethod
    def builder() -> PolicyBuilder:
        """A fluent builder, for policies that combine several of these."""
        from fluxion_flow.policy.builder import PolicyBuilder

        return PolicyBuilder()

    def then(self, other: StreamingErrorPolicy) -> StreamingErrorPolicy:
        """This policy, with the final action of ``other`` once its attempts have run out.

        What ``other`` sets besides (sink, breaker, granularity, budget, callbacks) is taken over too. Raises
        :class:`PipelineError` when ``other`` retries itself.
        """
        if other.retries is not None:
            raise PipelineError([Problem(Where.at("then"), SECOND_RETRY, ONE_RETRY)])
        return replace(
            self,
            action=other.action,
            dead_letter_sink=_first(other.dead_letter_sink, self.dead_letter_sink),
            breaker=_first(other.breaker, self.breaker),
            granularity=_first(other.granularity, self.granularity),
            budget=_first(other.budget, self.budget),
            callbacks=(*self.callbacks, *other.callbacks),
        )

    def per_document(self) -> StreamingErrorPolicy:
        """The same, for the failing documents of a batch alone: the others go on."""
        return replace(self, granularity="document")

    def per_batch(self) -> StreamingErrorPolicy:
        """The same, for the whole batch in which something failed."""
        return replace(self, granularity="batch")

    def within(self, outer: StreamingErrorPolicy) -> StreamingErrorPolicy:
        """This policy inside the scope of ``outer``: what is inherited when it is ``None`` is filled in."""
        return replace(
            self,
            dead_letter_sink=_first(self.dead_letter_sink, outer.dead_letter_sink),
            granularity=_first(self.granularity, outer.granularity),
            budget=_first(self.budget, outer.budget),
        )


SECOND_RETRY = "a retry cannot follow a retry"
ONE_RETRY = "raise max_attempts of the first one"


def _first(value: Any, otherwise: Any) -> Any:
    return otherwise if value is None else value


def _copied(value: Any) -> Any:
    """A copy of plain data, so that a policy does not change with what it was made from; other objects stay."""
    if isinstance(value, Mapping):
        return {key: _copied(item) for key, item in value.items()}
    return [_copied(item) for item in value] if isinstance(value, list) else value
