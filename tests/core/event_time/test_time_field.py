"""What a document's event time may be written as."""

from __future__ import annotations

from datetime import datetime, timezone
from decimal import Decimal
from typing import Any

import pytest

from fluxion_flow.core.environment import Environment
from fluxion_flow.core.event_time.time_field import parse_event_time
from fluxion_flow.core.expressions.operators.conversions import to_date
from fluxion_flow.core.values import to_millis
from fluxion_flow.errors import Problems, Where

SECOND = 1_735_689_601_000


def times(spec: Any, *values: Any) -> list[int | None]:
    problems = Problems()
    event_time = parse_event_time(spec, Where.at("source", "time_field"), problems)
    problems.raise_if_any()
    assert event_time is not None
    documents = [{} if value is ... else {"at": value} for value in values]
    return event_time.times(documents, Environment())


def test_dates_texts_and_milliseconds_are_times() -> None:
    date = datetime(2025, 1, 1, 0, 0, 1, tzinfo=timezone.utc)
    texts = ("2025-01-01T00:00:01Z", "2025-01-01T00:00:01.000Z", "2025-01-01 01:00:01 +01:00")
    numbers = (SECOND, float(SECOND), Decimal(SECOND))
    assert times("at", date, *texts, *numbers) == [SECOND] * 7
    assert times("$at", 5, date) == [5, SECOND]


def test_what_stands_for_no_time_is_none() -> None:
    nothing = (..., None, True, "soon", "2025-13-01T00:00:00Z", float("nan"), float("inf"), Decimal("NaN"), [], {})
    assert times("at", *nothing) == [None] * len(nothing)


@pytest.mark.parametrize(
    "text",
    [
        "2025-02-28T23:59:59Z",
        "2025-02-28T23:59:59.125Z",
        "2025-02-28",
        "2024-02-29T12:00:00+05:30",
        "Mar 3, 2025 10:00",
    ],
)
def test_a_text_means_what_todate_makes_of_it(text: str) -> None:
    assert times("at", text) == [to_millis(to_date(text))]
