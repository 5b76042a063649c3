"""Alerts off the listener: rules over what a run tells, and those who are told when a threshold is passed."""

from .listener import Alerts
from .rules import AlertRule
from .targets import PagerDuty, Slack, Webhook

__all__ = ["AlertRule", "Alerts", "PagerDuty", "Slack", "Webhook"]
