"""Alerts off the listener: rules over what a run tells, and those who are told when a threshold is passed.

Names are imported when they are first used: most runs have no alerts.
"""

from __future__ import annotations

from importlib import import_module
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from .listener import Alerts
    from .rules import AlertRule
    from .targets import PagerDuty, Slack, Webhook

__all__ = ["AlertRule", "Alerts", "PagerDuty", "Slack", "Webhook"]

_MODULES = {
    "Alerts": "listener",
    "AlertRule": "rules",
    "PagerDuty": "targets",
    "Slack": "targets",
    "Webhook": "targets",
}


def __getattr__(name: str) -> Any:
    if name not in _MODULES:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    return getattr(import_module(f"{__name__}.{_MODULES[name]}"), name)
