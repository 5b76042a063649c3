"""How long to wait before the next attempt: exponential, capped, with jitter.

After failed attempt *n* (from 1) the full wait is ``backoff * multiplier ** (n - 1)`` seconds, at most
``max_backoff`` (or ``backoff``, where that is longer). Jitter then spreads the workers that failed together:
``"full"`` takes anything from nothing to the full wait, ``"equal"`` at least half of it, ``"none"`` all of it. (The
terms are those of Amazon's note "Exponential backoff and jitter".)
"""

from __future__ import annotations

import random

from fluxion_flow.policy.model import Retry


def full_wait(retry: Retry, attempt: int) -> float:
    """Seconds to wait after failed attempt ``attempt`` (from 1), before jitter: exponential up to the cap."""
    cap = max(retry.max_backoff, retry.backoff)
    try:
        return min(retry.backoff * retry.multiplier ** (attempt - 1), cap)
    except OverflowError:
        return cap if retry.backoff else 0.0


def wait_before_retry(retry: Retry, attempt: int, rng: random.Random) -> float:
    """Seconds to wait after failed attempt ``attempt`` (from 1), jitter included. The same ``rng`` gives the same."""
    wait = full_wait(retry, attempt)
    if retry.jitter == "full":
        return wait * rng.random()
    if retry.jitter == "equal":
        return wait / 2 + wait / 2 * rng.random()
    return wait
