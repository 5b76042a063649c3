"""Alerts of real runs, heard by a real HTTP server."""

from __future__ import annotations

import logging
import threading
import time

import pytest
from bytewax.testing import run_main
from fluxion_connectors.memory import MemorySink, MemorySource
from http_server import Answer

from fluxion_flow import StreamingContext, StreamingPipelineDefinition, pipeline
from fluxion_flow.observe.alerts import AlertRule, Alerts, PagerDuty, Slack, Webhook
from fluxion_flow.observe.alerts.sending import ATTEMPTS, QUEUE, Sender
from fluxion_flow.observe.alerts.targets import Notice

DOCUMENTS = [{"_id": n, "price": "poison" if n % 10 == 7 else 2} for n in range(100)]
"""Ten documents of these cannot be multiplied."""

DOUBLE = {"price": {"$multiply": ["$price", 2]}}


def spoken_by(context: StreamingContext, alerts: Alerts, **facts: float) -> None:
    alerts.on_lag(context, **facts)
    alerts.look()


def started(alerts: Alerts) -> StreamingContext:
    context = StreamingContext("orders", "source", partition="p0", metadata={"environment": "test"})
    alerts.on_start(context)
    return context


def test_poison_in_a_run_is_told_with_its_end(server):
    alerts = {
        "notify": [{"webhook": {"url": f"{server.url}/hook", "headers": {"X-Key": "hook-key-1"}}}],
        "rules": [{"when": "dead_letters", "above": 5, "severity": "critical", "name": "poison"}],
    }
    made = pipeline("poisoned").source(MemorySource(DOCUMENTS)).set(DOUBLE).sink(MemorySink("alerted"))
    made = made.on_error({"dead_letter": MemorySink("alerted-dead"), "granularity": "document"}).config(alerts=alerts)
    run_main(made.compile())
    wait_for(lambda: len(server.requests) >= 2, 60)
    told = [request.json() for request in server.requests]
    assert [(one["status"], one["alert"], one["severity"]) for one in told] == [
        ("firing", "poison", "critical"),
        ("resolved", "poison", "critical"),
    ]
    assert (told[0]["value"], told[0]["above"], told[0]["pipeline"]) == (10, 5, "poisoned")
    assert told[1]["text"].endswith("; the run has ended")
    assert {request.headers["x-key"] for request in server.requests} == {"hook-key-1"}


def wait_for(condition, seconds=20.0):
    until = time.monotonic() + seconds
    while not condition():
        assert time.monotonic() < until, "waited in vain"
        time.sleep(0.01)


def test_all_three_are_told_of_a_lag_and_of_its_end(server):
    targets = [
        Webhook(f"{server.url}/hook"),
        Slack(f"{server.url}/services/T/B/x"),
        PagerDuty("routing-key-of-test", f"{server.url}/v2/enqueue"),
    ]
    alerts = Alerts([AlertRule("lag", above=100)], targets, every=3600)
    context = started(alerts)
    for lag in (50.0, 150.0, 160.0, 20.0):
        spoken_by(context, alerts, lag=lag)
    assert alerts.flush(20)
    by_path = {path: [r.json() for r in server.requests if r.path == path] for path in ("/hook", "/services/T/B/x")}
    assert [one["status"] for one in by_path["/hook"]] == ["firing", "resolved"]
    assert [one["attachments"][0]["color"] for one in by_path["/services/T/B/x"]] == ["#b3261e", "#2e7d32"]
    events = [r.json() for r in server.requests if r.path == "/v2/enqueue"]
    assert [event["event_action"] for event in events] == ["trigger", "resolve"]
    assert events[0]["dedup_key"] == events[1]["dedup_key"]


def test_lags_of_partitions_add_up_and_a_closed_one_counts_no_more():
    alerts = Alerts([AlertRule("lag", above=100)], [], every=3600)
    first = started(alerts)
    second = StreamingContext("orders", "source", partition="p1")
    for context in (first, second):
        alerts.on_opened(context)
        alerts.on_lag(context, lag=60.0)
    alerts.look()
    (firing,) = alerts.firing()
    assert (firing["alert"], firing["value"], firing["above"]) == ("lag", 120, 100)
    alerts.on_closed(second)
    alerts.look()
    assert alerts.firing() == []


def test_a_checkpoint_that_does_not_come_is_told(monkeypatch):
    now = [1000.0]
    monkeypatch.setattr(time, "monotonic", lambda: now[0])
    alerts = Alerts([AlertRule("checkpoint_age", above=60)], [], every=3600)
    context = started(alerts)
    alerts.on_opened(context)
    for moment, firing in ((1060.0, False), (1061.0, True)):
        now[0] = moment
        alerts.look()
        assert bool(alerts.firing()) == firing
    alerts.on_checkpoint(context, seconds=0.1)
    alerts.look()
    assert alerts.firing() == []


def test_a_slow_address_does_not_slow_the_run(server):
    gate = threading.Event()
    server.handler = lambda request: Answer(200 if gate.wait(20) else 500)
    alerts = Alerts([AlertRule("lag", above=0)], [Webhook(server.url)], every=3600)
    context = started(alerts)
    spoken_by(context, alerts, lag=1.0)
    wait_for(lambda: len(server.requests) == 1)  # and it does not answer
    for _ in range(QUEUE + 50):
        spoken_by(context, alerts, lag=0.0)
        spoken_by(context, alerts, lag=2.0)
    assert len(server.requests) == 1, "the run went on while the first notice was on its way"
    assert alerts._sender.dropped > 0
    gate.set()
    assert alerts.flush(30)
    assert server.requests[-1].json()["status"] == "firing", "the newest notice is the one that says how things stand"


def test_an_address_that_is_busy_is_tried_again(server):
    server.script = [Answer(503), Answer(429), Answer(fault="reset"), Answer(200)]
    sender = Sender([Webhook(server.url)], first_wait=0.001)
    sender.send(Notice("firing", AlertRule("lag", above=1), 2.0, 1.0, 1.0, "orders"))
    assert sender.flush(20)
    assert len(server.requests) == ATTEMPTS


@pytest.mark.parametrize(
    ("answers", "message"),
    [
        ([404], "an alert could not be sent to Slack, tried 1 time: HTTP 404"),
        ([500] * ATTEMPTS, "an alert could not be sent to Slack, tried 4 times: HTTP 500"),
    ],
)
def test_what_cannot_be_sent_is_logged_without_its_address(server, caplog, answers, message):
    server.script = [Answer(status) for status in answers]
    with caplog.at_level(logging.WARNING):
        sender = Sender([Slack(f"{server.url}/services/s3cret")], first_wait=0.001)
        sender.send(Notice("firing", AlertRule("lag", above=1), 2.0, 1.0, 1.0, "orders"))
        assert sender.flush(20)
    assert caplog.messages == [message]
    assert "s3cret" not in caplog.text


def test_alerts_go_into_data_and_back_without_their_secrets(monkeypatch):
    monkeypatch.setenv("SLACK_URL_OF_TEST", "https://hooks.slack.test/services/s3cret")
    data = {
        "name": "orders",
        "source": {"type": "files", "path": "/tmp/none.jsonl"},
        "sink": {"type": "files", "path": "/tmp/none-out.jsonl"},
        "config": {
            "alerts": {
                "notify": [
                    {"slack": {"url": {"$secret": "SLACK_URL_OF_TEST"}}},
                    {"pagerduty": {"routing_key": "written-out-s3cret"}},
                ],
                "rules": [{"when": "lag", "above": 10, "for": "2m"}, {"when": "late", "above": 0, "within": 60}],
            },
            "status_port": 8080,
            "status_token": "written-out-s3cret-2",
        },
    }
    definition = StreamingPipelineDefinition.from_dict(data)
    assert "s3cret" not in repr(definition)
    written = definition.to_dict()
    assert "s3cret" not in str(written)
    assert written["config"] == {
        "status_port": 8080,
        "status_token": {"$secret": "CONFIG_STATUS_TOKEN"},
        "alerts": {
            "notify": [
                {"slack": {"url": {"$secret": "SLACK_URL_OF_TEST"}}},
                {"pagerduty": {"routing_key": {"$secret": "CONFIG_ALERTS_NOTIFY_1_PAGERDUTY_ROUTING_KEY"}}},
            ],
            "rules": [
                {"when": "lag", "above": 10.0, "for": 120.0},
                {"when": "late", "above": 0.0, "within": 60.0},
            ],
        },
    }
    monkeypatch.setenv("CONFIG_STATUS_TOKEN", "another-s3cret-3")
    monkeypatch.setenv("CONFIG_ALERTS_NOTIFY_1_PAGERDUTY_ROUTING_KEY", "another-s3cret-4")
    assert StreamingPipelineDefinition.from_dict(written).to_dict() == written
