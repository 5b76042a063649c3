"""``config.alerts`` as data: rules with thresholds, and who is told; every problem with its place.

.. code-block:: yaml

    config:
      alerts:
        notify: {slack: {url: "${secret:SLACK_URL}"}}
        rules:
          - {when: lag, above: 10000, for: 2m}
          - {when: dead_letters, above: 100, within: 10m, severity: critical, name: poison}
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import fields
from typing import Any

from fluxion_flow.connect.options import seconds
from fluxion_flow.connect.secrets import Reference, UnresolvedReference
from fluxion_flow.dsl.alert_settings import AlertSettings
from fluxion_flow.dsl.hidden import hidden_text
from fluxion_flow.errors import Problems, Where, did_you_mean
from fluxion_flow.observe.alerts.rules import COUNTS, MEASURES, SEVERITIES, AlertRule
from fluxion_flow.observe.alerts.targets import PAGERDUTY, PagerDuty, Slack, Target, Webhook
from fluxion_flow.policy.fields import shown

TARGETS: Mapping[str, Callable[..., Target]] = {"webhook": Webhook, "slack": Slack, "pagerduty": PagerDuty}
NEEDED = {"webhook": "url", "slack": "url", "pagerduty": "routing_key"}
RULE_KEYS = ("when", "above", "for", "within", "name", "severity")
EXAMPLE = "such as {notify: {slack: {url: ...}}, rules: [{when: lag, above: 10000, for: 2m}]}"


def read_alerts(given: Any, where: Where, problems: Problems) -> AlertSettings:
    """Alerts as a person writes them. Everything wrong goes to ``problems``."""
    if isinstance(given, AlertSettings):
        return given
    if not isinstance(given, Mapping):
        problems.add(where, f"must be a mapping of alerts, got {shown(given)}", EXAMPLE)
        return AlertSettings()
    for key in given:
        if key not in ("rules", "notify"):
            hint = did_you_mean(str(key), ("rules", "notify")) or "known are rules, notify"
            problems.add(where / str(key), "unknown key of alerts", hint)
    rules = given.get("rules")
    if not isinstance(rules, (list, tuple)) or not rules:
        problems.add(where / "rules", f"must be a list of rules, got {shown(rules)}", EXAMPLE)
        rules = []
    found = [_rule(rule, where / "rules" / i, problems) for i, rule in enumerate(rules)]
    names = [rule.name for rule in found if rule is not None]
    for name in {name for name in names if names.count(name) > 1}:
        problems.add(where / "rules", f"two alerts have the name {name!r}", "give each a name of its own")
    targets = _targets(given.get("notify"), where / "notify", problems)
    return AlertSettings(tuple(rule for rule in found if rule is not None), tuple(targets))


def _rule(given: Any, where: Where, problems: Problems) -> AlertRule | None:
    if not isinstance(given, Mapping):
        problems.add(where, f"must be a rule, got {shown(given)}", "such as {when: lag, above: 10000, for: 2m}")
        return None
    before = len(problems.found)
    for key in given:
        if key not in RULE_KEYS:
            hint = did_you_mean(str(key), RULE_KEYS) or f"known are {', '.join(RULE_KEYS)}"
            problems.add(where / str(key), "unknown key of a rule", hint)
    when, above, severity = given.get("when"), given.get("above"), given.get("severity", "error")
    if when not in MEASURES:
        hint = did_you_mean(str(when), MEASURES) or f"known are {', '.join(MEASURES)}"
        problems.add(where / "when", f"must be what is measured, got {shown(when)}", hint)
    if isinstance(above, bool) or not isinstance(above, (int, float)):
        problems.add(where / "above", f"must be a number, got {shown(above)}")
    if severity not in SEVERITIES:
        hint = did_you_mean(str(severity), SEVERITIES) or f"known are {', '.join(SEVERITIES)}"
        problems.add(where / "severity", f"unknown severity {shown(severity)}", hint)
    if "within" in given and when in MEASURES and when not in COUNTS:
        problems.add(where / "within", f"is for counts; {when} is looked at as it stands", "leave it out")
    spans = {
        "for_seconds": _span(given.get("for", 0), where / "for", problems),
        "within": _span(given.get("within", 300), where / "within", problems, zero=False),
    }
    name = given.get("name", "")
    if not isinstance(name, str):
        problems.add(where / "name", f"must be a text, got {shown(name)}")
    if len(problems.found) > before:
        return None
    return AlertRule(str(when), float(above), name=name, severity=severity, **spans)  # type: ignore[arg-type]


def _span(given: Any, where: Where, problems: Problems, *, zero: bool = True) -> float:
    try:
        found = seconds(given) if isinstance(given, str) else given
    except ValueError:
        found = None
    if isinstance(found, bool) or not isinstance(found, (int, float)) or found < 0 or (found == 0 and not zero):
        least = "" if zero else " of more than 0"
        problems.add(where, f"must be a duration{least}: seconds, or a text such as 30s or 5m, got {shown(given)}")
        return 1.0
    return float(found)


def _targets(given: Any, where: Where, problems: Problems) -> list[Target]:
    listed = given if isinstance(given, (list, tuple)) else [given]
    if given is None or not listed:
        problems.add(where, "nobody is told", f"name one of {', '.join(TARGETS)}, such as {{slack: {{url: ...}}}}")
        return []
    found = []
    for i, item in enumerate(listed):
        place = where / i if isinstance(given, (list, tuple)) else where
        found += _target(item, place, problems)
    return found


def _target(given: Any, where: Where, problems: Problems) -> list[Target]:
    if any(isinstance(given, kind) for kind in (Webhook, Slack, PagerDuty)):
        return [given]
    if not isinstance(given, Mapping) or len(given) != 1 or not isinstance(next(iter(given.values())), Mapping):
        problems.add(where, f"must name one of {', '.join(TARGETS)}, got {shown(given)}", "such as {slack: {url: ...}}")
        return []
    ((kind, options),) = given.items()
    if kind not in TARGETS:
        problems.add(
            where / str(kind), "cannot be told", did_you_mean(str(kind), TARGETS) or f"known are {', '.join(TARGETS)}"
        )
        return []
    known = tuple(field.name for field in fields(TARGETS[kind]))  # type: ignore[arg-type]
    before = len(problems.found)
    for key in options:
        if key not in known:
            hint = did_you_mean(str(key), known) or f"known are {', '.join(known)}"
            problems.add(where / kind / str(key), "unknown option", hint)
    if not options.get(NEEDED[kind]):
        problems.add(where / kind / NEEDED[kind], "required")
    values = {key: _hidden(value, where / kind / str(key), problems) for key, value in options.items() if key in known}
    return [TARGETS[kind](**values)] if len(problems.found) == before else []


def _hidden(value: Any, where: Where, problems: Problems) -> Any:
    """A value that is not to be printed; whether it has one is found out now."""
    if isinstance(value, Mapping):
        return {str(key): _hidden(item, where / str(key), problems) for key, item in value.items()}
    if isinstance(value, Reference):
        try:
            value.resolve()
        except UnresolvedReference as error:
            problems.add(where, error.what, error.hint)
        return value
    if not isinstance(value, str) or not value:
        problems.add(where, f"must be a text, got {shown(value)}")
        return value
    return hidden_text(value, where)


def _is(target: Target, kind: str) -> bool:
    return isinstance(target, TARGETS[kind])  # type: ignore[arg-type]


def _target_data(target: Target) -> dict[str, Any]:
    values = {field.name: getattr(target, field.name) for field in fields(target)}  # type: ignore[arg-type]
    return {name: value for name, value in values.items() if value not in ({}, PAGERDUTY)}


def _rule_data(rule: AlertRule) -> dict[str, Any]:
    data: dict[str, Any] = {"when": rule.when, "above": rule.above}
    optional = {"for": rule.for_seconds, "within": rule.within, "name": rule.name, "severity": rule.severity}
    usual = {"for": 0.0, "within": 300.0, "name": rule.when, "severity": "error"}
    return data | {key: value for key, value in optional.items() if value != usual[key]}


def alerts_data(alerts: AlertSettings) -> dict[str, Any]:
    """As a definition file holds it; references stay references."""
    notify = [{kind: _target_data(target)} for target in alerts.notify for kind in TARGETS if _is(target, kind)]
    return {"notify": notify, "rules": [_rule_data(rule) for rule in alerts.rules]}
