"""Who is told of an alert: a webhook, a Slack channel, a PagerDuty service; each makes its own message of a notice."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import datetime, timezone
from typing import Any, Protocol

from ...connect.secrets import Reference, redact, register_secret
from .rules import AlertRule, Status

PAGERDUTY = "https://events.pagerduty.com/v2/enqueue"
"""Where PagerDuty takes events (Events API v2)."""

COLOURS = {"critical": "#b3261e", "error": "#b3261e", "warning": "#b26a00", "info": "#33691e"}
RESOLVED = "#2e7d32"


@dataclass(frozen=True)
class Notice:
    """One thing to tell: an alert began (``firing``) or ended (``resolved``).

    ``at`` and ``since`` are seconds since the epoch: now, and when the threshold was passed. ``source`` is the host and
    the process that speak. ``why`` says what else there is to say, such as that the run has ended.
    """

    status: Status
    rule: AlertRule
    value: float
    at: float
    since: float
    pipeline: str
    environment: str = ""
    labels: Mapping[str, str] = field(default_factory=dict)
    source: str = ""
    why: str = ""

    @property
    def key(self) -> str:
        """The same for the beginning and the end of an alert of one process of a pipeline."""
        return "/".join(part for part in (self.pipeline, self.environment, self.rule.name, self.source) if part)

    @property
    def text(self) -> str:
        """The notice in one line, without secrets."""
        rule = self.rule
        where = f"{self.pipeline} ({self.environment})" if self.environment else self.pipeline
        if self.status == "resolved":
            lasted = _span(self.at - self.since)
            return redact(f"{where}: {rule.name} is over after {lasted}{f'; {self.why}' if self.why else ''}")
        span = f" for {_span(rule.for_seconds)}" if rule.for_seconds else ""
        return redact(f"{where}: {rule.name}: {rule.when} is {self.value:,.6g}, above {rule.above:,.6g}{span}")


@dataclass(frozen=True)
class Message:
    """What is posted: JSON to an address."""

    url: str
    body: Mapping[str, Any]
    headers: Mapping[str, str] = field(default_factory=dict)


class Target(Protocol):
    """Who can be told."""

    def message(self, notice: Notice) -> Message:
        """The notice as this target takes it."""


@dataclass(frozen=True)
class Webhook:
    """An address of your own that takes the notice as JSON. ``headers`` go along; they may hold secrets."""

    url: Reference | str = field(repr=False)
    headers: Mapping[str, Reference | str] = field(default_factory=dict, repr=False)

    def message(self, notice: Notice) -> Message:
        rule = notice.rule
        body = {
            "schemaVersion": 1,
            "status": notice.status,
            "alert": rule.name,
            "pipeline": notice.pipeline,
            "environment": notice.environment,
            "labels": {name: redact(value) for name, value in notice.labels.items()},
            "severity": rule.severity,
            "measure": rule.when,
            "value": notice.value,
            "above": rule.above,
            "forSeconds": rule.for_seconds,
            "since": _iso(notice.since),
            "at": _iso(notice.at),
            "source": notice.source,
            "key": notice.key,
            "text": notice.text,
        }
        return Message(hidden(self.url), body, {name: hidden(value) for name, value in self.headers.items()})


@dataclass(frozen=True)
class Slack:
    """A Slack channel, by the address of an incoming webhook, which is a secret."""

    url: Reference | str = field(repr=False)

    def message(self, notice: Notice) -> Message:
        firing = notice.status == "firing"
        facts = [
            f"*Severity* {notice.rule.severity}",
            f"*Since* <!date^{int(notice.since)}^{{date_short_pretty}} {{time_secs}}|{_iso(notice.since)}>",
            *([f"*Where* {_slack_text(notice.source)}"] if notice.source else []),
        ]
        sign = ":rotating_light:" if firing else ":white_check_mark:"
        blocks = [
            {"type": "section", "text": {"type": "mrkdwn", "text": f"{sign} {_slack_text(notice.text)}"}},
            {"type": "context", "elements": [{"type": "mrkdwn", "text": fact} for fact in facts]},
        ]
        colour = COLOURS[notice.rule.severity] if firing else RESOLVED
        body = {"text": _slack_text(notice.text), "attachments": [{"color": colour, "blocks": blocks}]}
        return Message(hidden(self.url), body)


@dataclass(frozen=True)
class PagerDuty:
    """A PagerDuty service, by the routing key of its Events API v2 integration, which is a secret."""

    routing_key: Reference | str = field(repr=False)
    url: Reference | str = field(default=PAGERDUTY, repr=False)

    def message(self, notice: Notice) -> Message:
        event: dict[str, Any] = {
            "routing_key": hidden(self.routing_key),
            "event_action": "trigger" if notice.status == "firing" else "resolve",
            "dedup_key": notice.key[:255],
        }
        if notice.status == "firing":
            rule = notice.rule
            event["payload"] = {
                "summary": notice.text[:1024],
                "source": notice.source or notice.pipeline,
                "severity": rule.severity,
                "timestamp": _iso(notice.at),
                "component": notice.pipeline,
                "group": notice.environment or "fluxion-flow",
                "class": rule.when,
                "custom_details": {
                    "value": notice.value,
                    "above": rule.above,
                    "for_seconds": rule.for_seconds,
                    "since": _iso(notice.since),
                    **{name: redact(value) for name, value in notice.labels.items()},
                },
            }
        return Message(hidden(self.url) if self.url != PAGERDUTY else PAGERDUTY, event)


def hidden(value: Reference | str) -> str:
    """The value of a secret, from now on taken out of every text. Raises ``UnresolvedReference``."""
    found = value.resolve() if isinstance(value, Reference) else value
    register_secret(found)
    return found


def _slack_text(text: str) -> str:
    """Text in which Slack sees no control sequence."""
    return text.replace("&", "&amp;").replace("<", "&lt;").replace(">", "&gt;")


def _iso(seconds: float) -> str:
    return datetime.fromtimestamp(seconds, timezone.utc).isoformat(timespec="milliseconds")


def _span(seconds: float) -> str:
    if seconds < 120:
        return f"{seconds:.0f} s"
    return f"{seconds / 60:.0f} min" if seconds < 7200 else f"{seconds / 3600:.1f} h"
