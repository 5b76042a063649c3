"""A rule fires when its threshold has been passed for long enough, and is over as soon as it is not."""

from __future__ import annotations

import pytest

from fluxion_flow.observe.alerts import AlertRule
from fluxion_flow.observe.alerts.rules import RuleState


def told(rule: AlertRule, *measured: tuple[float, float]) -> list[str | None]:
    """What is told at each moment of ``(time, what is measured)``."""
    state = RuleState(rule)
    return [state.look(value, at) for at, value in measured]


def test_a_gauge_fires_when_it_has_been_above_for_so_long_and_is_over_at_once():
    rule = AlertRule("lag", above=100, for_seconds=10)
    assert told(rule, (0, 101), (5, 500), (9, 101), (10, 101), (11, 900), (12, 100), (13, 5)) == [
        *(None, None, None),
        "firing",
        None,
        "resolved",
        None,
    ]


def test_a_dip_begins_the_wait_anew():
    rule = AlertRule("lag", above=100, for_seconds=10)
    assert told(rule, (0, 101), (9, 100), (10, 101), (19, 101), (20, 101)) == [None] * 4 + ["firing"]


def test_a_count_is_taken_over_its_span():
    rule = AlertRule("dead_letters", above=10, within=60)
    assert told(rule, (0, 4), (30, 11), (31, 11), (59, 11), (90, 11), (91, 11)) == [
        *(None, "firing", None, None),
        "resolved",
        None,
    ]


def test_what_happened_before_the_first_look_counts():
    assert told(AlertRule("failures", above=0, within=60), (0, 1), (59, 1), (61, 1)) == ["firing", None, "resolved"]


@pytest.mark.parametrize(
    ("given", "answer"),
    [
        ({"when": "lags"}, "unknown measure 'lags'; known are lag, checkpoint_age, "),
        ({"when": "lag", "severity": "fatal"}, "unknown severity 'fatal'; known are critical, error, warning, info"),
        ({"when": "lag", "for_seconds": -1}, "for_seconds must not be negative, and within must be more than 0"),
        ({"when": "late", "within": 0}, "for_seconds must not be negative, and within must be more than 0"),
    ],
)
def test_a_rule_that_means_nothing_is_refused(given, answer):
    with pytest.raises(ValueError) as caught:
        AlertRule(**given, above=1)
    assert str(caught.value).startswith(answer)
