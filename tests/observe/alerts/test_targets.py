"""Each target gets the notice in its own form, and no secret is in it."""

from __future__ import annotations

from fluxion_flow import secret
from fluxion_flow.connect.secrets import redact, register_secret
from fluxion_flow.observe.alerts import AlertRule, PagerDuty, Slack, Webhook
from fluxion_flow.observe.alerts.targets import PAGERDUTY, Notice

RULE = AlertRule("lag", above=10_000, for_seconds=120, name="falling-behind", severity="critical")
PLACE = {"pipeline": "orders", "environment": "prod", "labels": {"team": "a"}, "source": "host-1 process 0"}
FIRING = Notice("firing", RULE, 12_345.0, 1_764_000_120.5, 1_764_000_000.0, **PLACE)
RESOLVED = Notice("resolved", RULE, 3.0, 1_764_000_600.0, 1_764_000_000.0, **PLACE)


def test_a_notice_in_one_line():
    assert FIRING.text == "orders (prod): falling-behind: lag is 12,345, above 10,000 for 2 min"
    assert RESOLVED.text == "orders (prod): falling-behind is over after 10 min"
    ended = Notice("resolved", RULE, 3.0, 30.0, 0.0, pipeline="orders", why="the run has ended")
    assert ended.text == "orders: falling-behind is over after 30 s; the run has ended"


def test_a_webhook_gets_everything():
    message = Webhook("http://host/hook", {"Authorization": "Bearer webhook-token-1"}).message(FIRING)
    assert message.url == "http://host/hook"
    assert message.headers == {"Authorization": "Bearer webhook-token-1"}
    assert message.body == {
        "schemaVersion": 1,
        "status": "firing",
        "alert": "falling-behind",
        "pipeline": "orders",
        "environment": "prod",
        "labels": {"team": "a"},
        "severity": "critical",
        "measure": "lag",
        "value": 12_345.0,
        "above": 10_000,
        "forSeconds": 120,
        "since": "2025-11-24T16:00:00.000+00:00",
        "at": "2025-11-24T16:02:00.500+00:00",
        "source": "host-1 process 0",
        "key": "orders/prod/falling-behind/host-1 process 0",
        "text": FIRING.text,
    }
    assert Webhook("http://host/hook").message(RESOLVED).body["status"] == "resolved"


def test_slack_gets_an_attachment_of_blocks():
    body = Slack("https://hooks.slack.test/services/T0/B0/x").message(FIRING).body
    assert body["text"] == FIRING.text
    (attachment,) = body["attachments"]
    assert attachment["color"] == "#b3261e"
    section, context = attachment["blocks"]
    assert section["text"] == {"type": "mrkdwn", "text": f":rotating_light: {FIRING.text}"}
    assert [element["text"] for element in context["elements"]] == [
        "*Severity* critical",
        "*Since* <!date^1764000000^{date_short_pretty} {time_secs}|2025-11-24T16:00:00.000+00:00>",
        "*Where* host-1 process 0",
    ]
    over = Slack("https://hooks.slack.test/services/T0/B0/x").message(RESOLVED).body
    assert over["attachments"][0]["color"] == "#2e7d32"
    assert over["attachments"][0]["blocks"][0]["text"]["text"] == f":white_check_mark: {RESOLVED.text}"


def test_slack_sees_no_control_sequence_in_a_name():
    notice = Notice("firing", RULE, 1.0, 1.0, 1.0, pipeline="<!channel> & co")
    assert Slack("https://h.test/x").message(notice).body["text"].startswith("&lt;!channel&gt; &amp; co: ")


def test_pagerduty_gets_an_event_that_opens_and_one_that_closes():
    message = PagerDuty("routing-key-0123456789").message(FIRING)
    assert message.url == PAGERDUTY == "https://events.pagerduty.com/v2/enqueue"
    assert message.body == {
        "routing_key": "routing-key-0123456789",
        "event_action": "trigger",
        "dedup_key": "orders/prod/falling-behind/host-1 process 0",
        "payload": {
            "summary": FIRING.text,
            "source": "host-1 process 0",
            "severity": "critical",
            "timestamp": "2025-11-24T16:02:00.500+00:00",
            "component": "orders",
            "group": "prod",
            "class": "lag",
            "custom_details": {
                "value": 12_345.0,
                "above": 10_000,
                "for_seconds": 120,
                "since": "2025-11-24T16:00:00.000+00:00",
                "team": "a",
            },
        },
    }
    assert PagerDuty("routing-key-0123456789").message(RESOLVED).body == {
        "routing_key": "routing-key-0123456789",
        "event_action": "resolve",
        "dedup_key": "orders/prod/falling-behind/host-1 process 0",
    }


def test_no_secret_shows(monkeypatch):
    register_secret("label-s3cret")
    notice = Notice("firing", RULE, 1.0, 1.0, 1.0, pipeline="orders", labels={"owner": "label-s3cret"})
    assert "label-s3cret" not in str(Webhook("http://host/").message(notice).body)
    monkeypatch.setenv("SLACK_URL_OF_TEST", "https://hooks.slack.test/services/s3cret-path")
    for target in (Slack(secret("SLACK_URL_OF_TEST")), Webhook("http://h.test/s3cret-hook"), PagerDuty("key-s3cret-9")):
        assert "s3cret" not in repr(target)
        message = target.message(notice)
        assert "s3cret" not in redact(f"cannot post to {message.url} {message.body}")
