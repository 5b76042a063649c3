"""How calls are made: at once, how long, how often, what is kept. Said by a connection, overridden by a call.

===================  =============================================================================================
option               meaning
===================  =============================================================================================
``concurrency``      calls at the same time, for each worker
``connectTimeoutMs``, ``readTimeoutMs``  how long to wait for a connection, and for each part of an answer
``timeoutMs``        how long a call may take in all
``retry``            Resilience4j's retry: ``maxAttempts, waitDurationMs, multiplier, retryOn, ignore``
``circuitBreaker``   Resilience4j's circuit breaker; connections and calls that give one name share one
``rateLimit``        Resilience4j's rate limiter: ``limitForPeriod, limitRefreshPeriodMs, timeoutDurationMs``
``cache``            ``ttlMs, maxEntries, negativeTtlMs``, or how long alone (``"5m"``); ``false``: none
``record``           keep the answers, so that a replay gives them again
===================  =============================================================================================

Each is known in snake_case too, and durations in text (``timeout: 30s``).
"""

from __future__ import annotations

from collections.abc import Collection, Mapping
from dataclasses import dataclass, field, replace
from typing import Any

from fluxion_flow.connect.options import Option, seconds, validate_given
from fluxion_flow.errors import Problems, Where
from fluxion_flow.policy.model import StreamingErrorPolicy
from fluxion_flow.policy.parse import parse_policy


@dataclass(frozen=True)
class RateLimit:
    """At most ``limit`` calls in each period of ``period`` seconds; ``patience``: how long a call may wait for its turn
    (``None``: as long as it takes).
    """

    limit: int
    period: float = 1.0
    patience: float | None = None


@dataclass(frozen=True)
class CacheSettings:
    """``ttl`` seconds for an answer, ``negative_ttl`` for an answer of nothing and for a final failure."""

    ttl: float
    entries: int = 10_000
    negative_ttl: float | None = None


@dataclass(frozen=True)
class Settings:
    """How calls to one connection from one operator are made. Durations are in seconds."""

    policy: StreamingErrorPolicy = field(default_factory=StreamingErrorPolicy)
    limit: RateLimit | None = None
    cache: CacheSettings | None = None
    concurrency: int = 32
    connect_timeout: float = 5.0
    read_timeout: float = 5.0
    timeout: float | None = None
    record: bool = False


_SCALARS = (
    Option("concurrency", "integer", "Calls at the same time, for each worker.", 32, minimum=1),
    Option("connect_timeout", "duration", "How long to wait for a connection.", 5.0, minimum=0.001),
    Option("read_timeout", "duration", "How long to wait for each part of an answer.", 5.0, minimum=0.001),
    Option("timeout", "duration", "How long a call may take in all.", None, minimum=0.001),
    Option("record", "boolean", "Keep the answers, so that a replay gives them again.", False),
)
_RATE_LIMIT = (
    Option("limit_for_period", "integer", "Calls in a period.", minimum=1),
    Option("limit_refresh_period", "duration", "How long a period is.", 1.0, minimum=0.001),
    Option("timeout_duration", "duration", "How long a call may wait for its turn.", None),
)
_CACHE = (
    Option("ttl", "duration", "How long an answer is kept."),
    Option("max_entries", "integer", "How many answers are kept.", 10_000, minimum=1),
    Option("negative_ttl", "duration", "How long an empty answer or a final failure is kept.", None),
)
_SPANS = frozenset(option.name for option in (*_SCALARS, *_RATE_LIMIT, *_CACHE) if option.type == "duration")
_BLOCKS = ("retry", "circuit_breaker", "rate_limit", "cache")
_ALSO = {"max_concurrent_calls": "concurrency", "max_size": "max_entries", "max_concurrency": "concurrency"}

NAMES = frozenset({*(option.name for option in _SCALARS), *_BLOCKS})


def snake(name: str) -> str:
    """``maxAttempts`` as ``max_attempts``."""
    return "".join(f"_{c.lower()}" if c.isupper() else c for c in name)


def meant(name: str, known: Collection[str]) -> tuple[str, bool]:
    """The option that a name means, in snake_case, and whether it gives milliseconds."""
    plain = snake(name)
    plain = _ALSO.get(plain, plain)
    if plain not in known and plain.endswith("_ms") and plain.removesuffix("_ms") in _SPANS:
        return plain.removesuffix("_ms"), True
    return plain, False


def is_setting(name: str) -> bool:
    """Whether a name is one of these options."""
    return meant(name, NAMES)[0] in NAMES


def read_settings(given: Mapping[str, Any], where: Where, problems: Problems, before: Settings) -> Settings:
    """The settings that ``given`` says, over those ``before``. Everything wrong is added to ``problems``."""
    scalars: dict[str, Any] = {}
    blocks: dict[str, tuple[str, Any]] = {}
    for key, value in given.items():
        name, milliseconds = meant(str(key), NAMES)
        if name in _BLOCKS:
            blocks[name] = (str(key), value)
        elif name in NAMES:
            scalars[key if not milliseconds else f"{name}\0{key}"] = value
    found = _checked(_SCALARS, scalars, where, problems, "a connection")
    changes: dict[str, Any] = dict(found)
    changes["policy"] = _policy(blocks, where, problems, before.policy)
    if "rate_limit" in blocks:
        key, value = blocks["rate_limit"]
        changes["limit"] = _rate_limit(value, where / key, problems)
    if "cache" in blocks:
        key, value = blocks["cache"]
        changes["cache"] = _cache(value, where / key, problems)
    return replace(before, **changes)


def _checked(
    options: tuple[Option, ...], given: Mapping[str, Any], where: Where, problems: Problems, owner: str
) -> dict[str, Any]:
    """The values of ``options``, converted; ``"name\\0key"`` stands for a value in milliseconds under ``key``."""
    found: dict[str, Any] = {}
    names = [option.name for option in options]
    for key, value in given.items():
        name, _, shown = key.partition("\0")
        name = meant(name, names)[0]
        if shown:
            if isinstance(value, bool) or not isinstance(value, (int, float)):
                problems.add(where / shown, "must be a number of milliseconds")
                continue
            value = value / 1000
        before = len(problems.found)
        one = Problems()
        read = validate_given(options, {name: value}, where, one, owner)
        place = where / (shown or key)
        problems.found += [replace(p, where=place) if len(p.where.parts) <= len(place.parts) else p for p in one]
        if len(problems.found) == before:
            found.update(read)
    return found


def _block(
    options: tuple[Option, ...], given: Mapping[str, Any], where: Where, problems: Problems, owner: str
) -> dict[str, Any] | None:
    names = [option.name for option in options]
    keyed = {}
    for key, value in given.items():
        name, milliseconds = meant(str(key), names)
        keyed[f"{name}\0{key}" if milliseconds else str(key)] = value
    before = len(problems.found)
    found = _checked(options, keyed, where, problems, owner)
    for option in options:
        if option.name not in found and len(problems.found) == before:
            if option.required:
                problems.add(where / option.camel_name, f"required by {owner}")
            found[option.name] = option.default
    return found if len(problems.found) == before else None


def _rate_limit(value: Any, where: Where, problems: Problems) -> RateLimit | None:
    if value is None or value is False:
        return None
    if not isinstance(value, Mapping):
        problems.add(where, "must be a mapping", "such as {limitForPeriod: 50, limitRefreshPeriodMs: 1000}")
        return None
    found = _block(_RATE_LIMIT, value, where, problems, "rateLimit")
    if found is None:
        return None
    return RateLimit(found["limit_for_period"], found["limit_refresh_period"], found["timeout_duration"])


def _cache(value: Any, where: Where, problems: Problems) -> CacheSettings | None:
    if value is None or value is False:
        return None
    if isinstance(value, (str, int, float)) and value is not True:
        try:
            return CacheSettings(seconds(value))
        except ValueError:
            problems.add(where, f"is no duration: {value!r}", 'such as "5m"')
            return None
    if not isinstance(value, Mapping):
        problems.add(where, "must be a mapping, or a duration", "such as {ttlMs: 60000, maxEntries: 10000}")
        return None
    found = _block(_CACHE, value, where, problems, "cache")
    return None if found is None else CacheSettings(found["ttl"], found["max_entries"], found["negative_ttl"])


def _policy(
    blocks: Mapping[str, tuple[str, Any]], where: Where, problems: Problems, before: StreamingErrorPolicy
) -> StreamingErrorPolicy:
    given = {blocks[name][0]: blocks[name][1] for name in ("retry", "circuit_breaker") if name in blocks}
    if not given:
        return before
    retried = "retry" in blocks and blocks["retry"][1] not in (None, False)
    spec = {key: value for key, value in given.items() if retried or snake(key) != "retry"}
    read = parse_policy(spec, where, problems) if spec else StreamingErrorPolicy()
    breaker = read.breaker
    raw = blocks.get("circuit_breaker", ("", None))[1]
    if breaker is not None and isinstance(raw, Mapping) and not {"when_open", "whenOpen"} & set(raw):
        breaker = replace(breaker, when_open="divert")
    return replace(
        before,
        retries=read.retries if "retry" in blocks else before.retries,
        breaker=breaker if "circuit_breaker" in blocks else before.breaker,
    )
