"""Event time: when a record happened, how far its source partition has come, which windows it belongs to."""

from .clock import NEVER, Clock, PartitionClock
from .spans import HoppingSpans, SessionSpans, Spans
from .time_field import EventTime, parse_event_time

__all__ = [
    "NEVER",
    "Clock",
    "EventTime",
    "HoppingSpans",
    "PartitionClock",
    "SessionSpans",
    "Spans",
    "parse_event_time",
]
