"""Listeners are told what they want to hear, and change nothing in a run."""

from __future__ import annotations

import logging

from fluxion_flow import StreamingContext, StreamingMetricsListener
from fluxion_flow.connect.secrets import register_secret
from fluxion_flow.observe.listener import HOOKS, Listeners
from fluxion_flow.observe.recording import RecordingListener


class Failing(StreamingMetricsListener):
    def __init__(self, error):
        self.error = error

    def on_delivered(self, context, *, documents, seconds):
        raise self.error


class Unprintable(Exception):
    def __str__(self):
        raise RuntimeError("no text")


def test_a_failing_listener_keeps_nobody_from_hearing(caplog):
    recorded = RecordingListener()
    listeners = Listeners([Failing(ValueError("broken")), recorded])
    with caplog.at_level(logging.WARNING):
        listeners.tell("on_delivered", StreamingContext("p", "sink"), documents=3, seconds=0.1)
    assert recorded.total("on_delivered", "documents") == 3
    assert caplog.messages == ["listener Failing.on_delivered failed: ValueError: broken"]


def test_a_listener_that_goes_on_failing_is_a_warning_only_once(caplog):
    listeners = Listeners([Failing(ValueError("broken"))])
    with caplog.at_level(logging.DEBUG):
        for _ in range(3):
            listeners.tell("on_delivered", StreamingContext("p", "sink"), documents=3, seconds=0.1)
    assert [record.levelname for record in caplog.records] == ["WARNING", "DEBUG", "DEBUG"]


def test_what_a_listener_raises_is_logged_without_secrets(caplog):
    register_secret("hush-hush-9")
    listeners = Listeners([Failing(ValueError("cannot post to http://ada:pw@host with hush-hush-9"))])
    listeners.tell("on_delivered", StreamingContext("p", "sink"), documents=3, seconds=0.1)
    assert caplog.messages == [
        "listener Failing.on_delivered failed: ValueError: cannot post to http://ada:***@host with ***"
    ]


def test_an_error_that_cannot_be_printed_does_not_leave_either(caplog):
    Listeners([Failing(Unprintable())]).tell("on_delivered", StreamingContext("p", "s"), documents=1, seconds=0.1)
    assert caplog.messages == ["listener Failing.on_delivered failed: Unprintable: (its text cannot be read)"]


def test_only_hooks_that_somebody_overrides_are_wanted():
    listeners = Listeners([Failing(ValueError())])
    assert [hook for hook in HOOKS if listeners.wants(hook)] == ["on_delivered"]
    assert [hook for hook in HOOKS if Listeners([RecordingListener()]).wants(hook)] == list(HOOKS)
    assert not any(map(Listeners([]).wants, HOOKS))
