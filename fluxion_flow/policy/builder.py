"""The fluent builder of error policies: ``StreamingErrorPolicy.builder()``.

>>> from fluxion_flow.policy.model import StreamingErrorPolicy
>>> policy = (
...     StreamingErrorPolicy.builder()
...     .retry(5, backoff="200ms")
...     .retry_on(ConnectionError)
...     .circuit_breaker(failure_rate_threshold=30)
...     .granularity("document")
...     .skip()
...     .build()
... )
>>> policy.action, policy.granularity, policy.breaker.failure_rate_threshold
('skip', 'document', 30.0)
"""

from __future__ import annotations

from typing import Any

from fluxion_flow.errors import PipelineError, Problem, Problems, Where
from fluxion_flow.policy.fields import FieldError, readers
from fluxion_flow.policy.matching import ErrorClass
from fluxion_flow.policy.model import (
    Action,
    Callback,
    CircuitBreaker,
    FailureBudget,
    Granularity,
    Retry,
    StreamingErrorPolicy,
)


class PolicyBuilder:
    """Collects the parts of a policy. Each method returns the builder; ``build`` reports all that is wrong at once."""

    def __init__(self) -> None:
        self._retry: dict[str, Any] = {}
        self._retry_on: list[ErrorClass] = []
        self._ignore: list[ErrorClass] = []
        self._breaker: dict[str, Any] | None = None
        self._budget: dict[str, Any] | None = None
        self._callbacks: list[Callback] = []
        self._granularity: Any = None
        self._actions: list[tuple[Action, Any]] = []

    def retry(self, max_attempts: int | None, **options: Any) -> PolicyBuilder:
        """Try up to ``max_attempts`` times, the first included (``None``: for as long as it takes).

        ``options`` are those of :meth:`StreamingErrorPolicy.retry`.
        """
        self._retry = {"max_attempts": max_attempts, **options}
        return self

    def retry_on(self, *errors: ErrorClass) -> PolicyBuilder:
        """Retry these errors only: exception classes, or their names."""
        self._retry_on += errors
        return self

    def ignore(self, *errors: ErrorClass) -> PolicyBuilder:
        """Never retry these errors: exception classes, or their names."""
        self._ignore += errors
        return self

    def circuit_breaker(self, **settings: Any) -> PolicyBuilder:
        """Stop calling what keeps failing; ``settings`` are the fields of :class:`CircuitBreaker`."""
        self._breaker = settings
        return self

    def budget(
        self,
        percent: float | None = None,
        failures: int | None = None,
        within: float | str | None = None,
        minimum: int = FailureBudget.minimum,
    ) -> PolicyBuilder:
        """End the run once this much has been skipped or dead-lettered; see :class:`FailureBudget`."""
        self._budget = {"percent": percent, "failures": failures, "within": within, "minimum": minimum}
        return self

    def on_failure(self, callback: Callback) -> PolicyBuilder:
        """Call ``callback(error, facts)`` at every failed attempt. What it raises is logged, and changes nothing."""
        self._callbacks.append(callback)
        return self

    def granularity(self, granularity: Granularity) -> PolicyBuilder:
        """``"document"``: only the failing documents of a batch are given up; ``"batch"``: the whole batch."""
        self._granularity = granularity
        return self

    def fail(self) -> PolicyBuilder:
        """Finally, end the run. The default."""
        self._actions.append(("fail", None))
        return self

    def skip(self) -> PolicyBuilder:
        """Finally, drop what failed and go on."""
        self._actions.append(("skip", None))
        return self

    def dead_letter(self, sink: Any | None = None) -> PolicyBuilder:
        """Finally, write what failed to ``sink`` and go on. Without a sink: to the one of the scope outside."""
        self._actions.append(("dead_letter", sink))
        return self

    def build(self) -> StreamingErrorPolicy:
        """The policy. Raises :class:`PipelineError` with everything that is wrong with it."""
        problems = Problems()
        retries = self._retries(problems)
        breaker = None if self._breaker is None else _made(CircuitBreaker, self._breaker, problems, "circuit_breaker")
        budget = None if self._budget is None else _made(FailureBudget, self._budget, problems, "budget")
        fields = {"granularity": self._granularity, "callbacks": self._callbacks}
        for name, value in fields.items():
            try:
                readers(StreamingErrorPolicy)[name](value)
            except FieldError as error:
                problems.add(Where.at(name), error.what, error.hint)
        if len({action for action, _ in self._actions}) > 1:
            called = ", ".join(f"{action}()" for action, _ in self._actions)
            problems.add(Where.at("build"), f"more than one final action: {called}", "keep one")
        problems.raise_if_any()
        final: tuple[Action, Any] = self._actions[-1] if self._actions else ("fail", None)
        return StreamingErrorPolicy(
            action=final[0],
            retries=retries,
            breaker=breaker,
            dead_letter_sink=final[1],
            granularity=self._granularity,
            budget=budget,
            callbacks=tuple(self._callbacks),
        )

    def _retries(self, problems: Problems) -> Retry | None:
        given = dict(self._retry)
        for name, errors in (("retry_on", self._retry_on), ("ignore", self._ignore)):
            if errors:
                before = given.get(name, ())
                given[name] = [*(before if isinstance(before, (list, tuple, set, frozenset)) else [before]), *errors]
                if not self._retry:
                    problems.add(Where.at(name), "nothing is retried", "call retry(max_attempts) too")
        return _made(Retry, given, problems, "retry") if self._retry else None


def _made(cls: type, given: dict[str, Any], problems: Problems, name: str) -> Any:
    """An instance of a policy's part, or ``None`` after adding to ``problems`` what is wrong with it."""
    try:
        return cls(**given)
    except PipelineError as error:
        problems.found.extend(error.problems)
    except TypeError as error:
        problems.found.append(Problem(Where.at(name), str(error).partition("__init__() ")[2] or str(error)))
    return None
