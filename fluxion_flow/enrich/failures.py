"""Why a question to the outside has no answer.

Every error says whether asking again may help (``retryable``) and, for dead letters, what is known of the call
(``facts``: of an HTTP call ``url`` without its query, ``method``, ``httpStatusCode``, ``responseTimeMs``). No text of
an error holds a secret, a header, a query string or a bound value.
"""

from __future__ import annotations

import copy
from collections.abc import Mapping
from typing import Any

from fluxion_flow.connect.secrets import redact
from fluxion_flow.core.outside import AskFailed


class EnrichError(AskFailed):
    """A call of an enrichment failed. ``retry_after``: the seconds that the other side asks to wait."""

    def __init__(
        self,
        text: str,
        *,
        facts: Mapping[str, Any] | None = None,
        retryable: bool = False,
        retry_after: float | None = None,
    ) -> None:
        self.retry_after = retry_after
        super().__init__(redact(text), facts=facts, retryable=retryable)

    def again(self) -> EnrichError:
        """The same error, to be raised for another document."""
        fresh = copy.copy(self)
        fresh.__cause__ = self.__cause__
        return fresh

    def __reduce__(self) -> tuple[Any, ...]:
        return _made, (type(self), self.args, self.__dict__)


def _made(cls: type[EnrichError], args: tuple[Any, ...], state: dict[str, Any]) -> EnrichError:
    error = cls.__new__(cls, *args)
    error.args = args
    error.__dict__.update(state)
    return error


class CallRefused(EnrichError):
    """The call was not made: the document holds a value that cannot stand in it."""


class HttpStatusError(EnrichError):
    """The server answered with a status of 400 or more; ``status`` is it."""

    def __init__(self, text: str, *, status: int, **more: Any) -> None:
        self.status = status
        super().__init__(text, **more)


class ServerUnavailable(EnrichError):
    """The server or the database cannot be reached, or broke the connection off."""

    def __init__(self, text: str, **more: Any) -> None:
        super().__init__(text, **{"retryable": True, **more})


class CallTimedOut(ServerUnavailable):
    """There was no answer in time."""


class UnreadableAnswer(EnrichError):
    """The answer is not what it should be: no JSON, or not of the shape that was said."""


class QueryFailed(EnrichError):
    """The database refused a statement."""


class BreakerOpen(EnrichError):
    """The circuit breaker permits no call now."""


class RateLimited(EnrichError):
    """The rate limit would have kept the call waiting for longer than it may."""


class OperationFailed(EnrichError):
    """A function that an operator is made of raised an error, which is its cause."""
