"""RecordingListener keeps what it is told."""

from __future__ import annotations

import doctest

import pytest

from fluxion_flow import StreamingContext
from fluxion_flow.observe import recording
from fluxion_flow.observe.recording import RecordingListener, Told


def test_a_call_is_kept_as_the_context_was_at_that_moment():
    listener = RecordingListener()
    context = StreamingContext("orders", "sink", 2, "http", "p1", 40, 3)
    listener.on_retry(context, error=ValueError("x"), delay=0.5)
    context.position = 80
    (told,) = listener.calls
    assert told == Told("on_retry", "orders", "sink", 2, "http", "p1", 40, 3, told.facts)
    assert told["delay"] == 0.5


def test_calls_are_found_by_hook_and_step():
    listener = RecordingListener()
    for step, documents in (("sink", 3), ("dead_letter sink", 1), ("sink", 4)):
        listener.on_delivered(StreamingContext("p", step), documents=documents, seconds=0.1)
    listener.on_checkpoint(StreamingContext("p", "source"), seconds=0.1)
    assert listener.total("on_delivered", "documents") == 8
    assert listener.total("on_delivered", "documents", step="sink") == 7
    assert listener.steps("on_delivered") == ["sink", "dead_letter sink"]
    assert [told.hook for told in listener.calls] == ["on_delivered"] * 3 + ["on_checkpoint"]
    listener.clear()
    assert listener.told("on_delivered") == []


def test_a_hook_that_does_not_exist_is_answered():
    with pytest.raises(ValueError) as caught:
        RecordingListener().told("on_retries")
    assert str(caught.value) == "unknown hook 'on_retries'; did you mean 'on_retry'?"


def test_the_example_is_true():
    assert doctest.testmod(recording).failed == 0
