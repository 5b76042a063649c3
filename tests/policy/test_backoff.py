from __future__ import annotations

import random

import pytest
from hypothesis import given
from hypothesis import strategies as st

from fluxion_flow.policy.backoff import full_wait, wait_before_retry
from fluxion_flow.policy.model import Retry

RETRIES = st.builds(
    Retry,
    max_attempts=st.just(5),
    backoff=st.floats(0, 100),
    multiplier=st.floats(1, 10),
    max_backoff=st.floats(0, 1000),
    jitter=st.sampled_from(["full", "equal", "none"]),
)


@pytest.mark.parametrize(
    ("retry", "waits"),
    [
        (Retry(9, backoff="200ms", jitter="none"), [0.2, 0.4, 0.8, 1.6, 3.2]),
        (Retry(9, backoff=1, multiplier=1, jitter="none"), [1, 1, 1, 1, 1]),
        (Retry(9, backoff=1, multiplier=3, max_backoff="10s", jitter="none"), [1, 3, 9, 10, 10]),
        (Retry(9, backoff=0, jitter="none"), [0, 0, 0, 0, 0]),
        (Retry(9, backoff="1m", multiplier=1, jitter="none"), [60, 60, 60, 60, 60]),
    ],
)
def test_wait_grows_by_the_multiplier_up_to_the_cap(retry: Retry, waits: list[float]) -> None:
    rng = random.Random(1)
    assert [wait_before_retry(retry, attempt, rng) for attempt in range(1, 6)] == pytest.approx(waits)


@given(RETRIES, st.integers(1, 10_000), st.integers())
def test_jitter_stays_within_its_bounds(retry: Retry, attempt: int, seed: int) -> None:
    full = full_wait(retry, attempt)
    wait = wait_before_retry(retry, attempt, random.Random(seed))
    least = {"full": 0.0, "equal": full / 2, "none": full}[retry.jitter]
    assert 0 <= full <= max(retry.max_backoff, retry.backoff)
    assert least <= wait <= full


@given(RETRIES, st.integers(1, 100), st.integers())
def test_the_same_random_numbers_give_the_same_waits(retry: Retry, attempt: int, seed: int) -> None:
    first, second = random.Random(seed), random.Random(seed)
    assert [wait_before_retry(retry, attempt, first) for _ in range(3)] == [
        wait_before_retry(retry, attempt, second) for _ in range(3)
    ]


@given(RETRIES, st.integers(1, 200))
def test_full_wait_never_shrinks(retry: Retry, attempt: int) -> None:
    assert full_wait(retry, attempt) <= full_wait(retry, attempt + 1)
