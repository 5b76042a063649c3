"""JsonLogListener writes one JSON object a line, not too many, and no secrets."""

from __future__ import annotations

import json
import logging

import pytest

from fluxion_flow import StreamingContext
from fluxion_flow.connect.secrets import register_secret
from fluxion_flow.observe.listener import HOOKS, Listeners
from fluxion_flow.observe.logs import LOGGER, JsonLogListener

METADATA = {"environment": "test", "labels": {"team": "a"}}
FACTS = {
    "on_start": {},
    "on_opened": {},
    "on_closed": {},
    "on_fetched": {"documents": 500, "rejects": 0, "waited": 0.25},
    "on_traced": {"parents": ["00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01"], "started_ns": 1},
    "on_lag": {"lag": 12.0},
    "on_watermark": {"event_time_ms": 1700000000000, "lag_seconds": 2.5},
    "on_late": {"documents": 2},
    "on_batch": {"seconds": 0.5, "size_in": 500, "size_out": 20},
    "on_stage": {"stage": "stages[0].$set", "size_in": 500, "size_out": 20, "nanoseconds": None},
    "on_enrich": {
        "operator": "$httpCall",
        "connection": "crm",
        "seconds": 0.1,
        "outcome": "ok",
        "cached": False,
        "calls": 1,
    },
    "on_delivered": {"documents": 20, "seconds": 0.5},
    "on_queue": {"documents": 20},
    "on_retry": {"error": ConnectionError("no answer"), "delay": 0.5},
    "on_failure": {"error": ConnectionError("no answer"), "decision": "dead_letter"},
    "on_skipped": {"documents": 3},
    "on_dead_letter": {"documents": 4},
    "on_letters": {"letters": [{"id": "1"}]},
    "on_state": {"keys": 5, "size": 600},
    "on_checkpoint": {"seconds": 0.01},
    "on_breaker": {"name": "warehouse", "before": "CLOSED", "after": "OPEN"},
    "on_drain": {},
    "on_end": {},
}
LEVELS = {
    "INFO": {"on_start", "on_drain", "on_end"},
    "WARNING": {"on_late", "on_retry", "on_failure", "on_skipped", "on_dead_letter", "on_breaker"},
    "DEBUG": {
        *("on_opened", "on_closed", "on_fetched", "on_lag", "on_watermark", "on_batch", "on_stage"),
        *("on_enrich", "on_delivered"),
        *("on_queue", "on_state", "on_checkpoint"),
    },
}


def context(**changes):
    return StreamingContext(
        **{
            "pipeline": "orders",
            "step": "sink",
            "worker": 1,
            "connector": "http",
            "partition": "p1",
            "position": 40,
            "attempt": 2,
            "metadata": METADATA,
            **changes,
        }
    )


@pytest.fixture
def logged(caplog):
    """The JSON objects that were logged, at DEBUG and above."""
    caplog.set_level(logging.DEBUG, LOGGER)
    return lambda: [json.loads(message) for message in caplog.messages]


def test_every_hook_is_one_line_of_json(caplog, logged):
    listeners = Listeners([JsonLogListener()])
    for hook, facts in FACTS.items():
        listeners.tell(hook, context(), **facts)
    assert list(FACTS) == list(HOOKS)
    told = [hook.removeprefix("on_") for hook in HOOKS if hook not in ("on_letters", "on_traced")]
    assert [line["event"] for line in logged()] == told
    assert not any("\n" in message for message in caplog.messages)
    for line, record in zip(logged(), caplog.records, strict=True):
        assert line["level"] == record.levelname
        assert f"on_{line['event']}" in LEVELS[record.levelname]


def test_a_line_says_where_what_and_why(logged):
    JsonLogListener().on_retry(context(), error=ConnectionError("no answer"), delay=0.5)
    (line,) = logged()
    assert line.pop("time").endswith("+00:00")
    assert line == {
        "level": "WARNING",
        "event": "retry",
        "pipeline": "orders",
        "step": "sink",
        "worker": 1,
        "connector": "http",
        "environment": "test",
        "labels": {"team": "a"},
        "partition": "p1",
        "position": 40,
        "attempt": 2,
        "delay": 0.5,
        "error": {"class": "ConnectionError", "text": "no answer"},
    }


def test_what_is_not_known_is_left_out(logged):
    JsonLogListener().on_start(StreamingContext("orders", "start"))
    (line,) = logged()
    del line["time"]
    assert line == {"level": "INFO", "event": "start", "pipeline": "orders", "step": "start", "worker": 0}


def test_a_failure_that_ends_the_run_is_an_error_and_one_that_is_retried_is_told_by_the_retry(logged):
    listener = JsonLogListener()
    for decision in ("retry", "skip", "abort"):
        listener.on_failure(context(), error=ValueError("x"), decision=decision)
    assert [(line["level"], line["decision"]) for line in logged()] == [("WARNING", "skip"), ("ERROR", "abort")]


def test_events_that_are_alike_are_limited_and_the_rest_is_counted(logged):
    now = [0.0]
    listener = JsonLogListener(burst=2, interval=10.0, clock=lambda: now[0])
    for _ in range(100):
        listener.on_dead_letter(context(), documents=1)
    listener.on_dead_letter(context(step="source"), documents=1)
    now[0] = 10.0
    listener.on_dead_letter(context(), documents=1)
    listener.on_dead_letter(context(), documents=1)
    assert [(line["step"], line.get("suppressed")) for line in logged()] == [
        ("sink", None),
        ("sink", None),
        ("source", None),
        ("sink", 98),
        ("sink", None),
    ]


def test_errors_of_different_classes_are_not_alike_and_aborts_are_never_left_out(logged):
    listener = JsonLogListener(burst=1, clock=lambda: 0.0)
    for error in (ValueError("a"), ValueError("b"), KeyError("c")):
        listener.on_failure(context(), error=error, decision="skip")
        listener.on_failure(context(), error=error, decision="abort")
    assert [(line["decision"], line["error"]["text"]) for line in logged()] == [
        ("skip", "a"),
        ("abort", "a"),
        ("abort", "b"),
        ("skip", "'c'"),
        ("abort", "'c'"),
    ]


def test_nothing_is_made_of_what_the_level_leaves_out(caplog):
    caplog.set_level(logging.ERROR, LOGGER)
    listeners = Listeners([JsonLogListener()])
    for hook, facts in FACTS.items():
        listeners.tell(hook, context(), **facts)
    assert caplog.messages == []


def test_no_text_shows_a_secret(caplog, logged):
    register_secret('s3cret "quoted"')
    noisy = context(
        partition='x s3cret "quoted"', metadata={"environment": "e", "labels": {"a": 's3cret "quoted"', "n": 1}}
    )
    JsonLogListener().on_retry(noisy, error=ValueError('POST https://u:pw@h/?k=s3cret "quoted" failed'), delay=1.0)
    (line,) = logged()
    assert "s3cret" not in caplog.text
    assert line["error"]["text"] == "POST https://u:***@h/?k=*** failed"
    assert line["labels"] == {"a": "***", "n": 1}
    assert line["partition"] == "x ***"


def test_a_long_text_is_cut_after_its_secrets_are_taken_out(logged):
    register_secret("0123456789abcdef")
    JsonLogListener().on_retry(context(), error=ValueError("x" * 495 + "0123456789abcdef"), delay=1.0)
    (line,) = logged()
    assert line["error"]["text"] == "x" * 495 + "***"
    JsonLogListener().on_retry(context(), error=ValueError("y" * 1000), delay=1.0)
    assert logged()[1]["error"]["text"] == "y" * 500 + "…"


def test_numbers_that_json_does_not_have_are_texts(caplog, logged):
    JsonLogListener().on_lag(context(), lag=float("inf"))
    assert logged()[0]["lag"] == "inf"
    assert "Infinity" not in caplog.text


def test_any_logger_will_do(caplog):
    caplog.set_level(logging.INFO, "mine")
    JsonLogListener("mine").on_start(context())
    JsonLogListener(logging.getLogger("mine.too")).on_start(context())
    assert [record.name for record in caplog.records] == ["mine", "mine.too"]
