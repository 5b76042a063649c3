"""Several processes as one status, and what of it needs a look."""

from __future__ import annotations

import pytest

from fluxion_flow.observe.status.attention import attention
from fluxion_flow.observe.status.merge import merged


def status(process=0, **changes):
    """The status of a process that has read 100 documents and given one up."""
    rates = {"fetched": 10.0, "delivered": 9.0, "dead_letters": 0.0, "retries": 0.0, "skipped": 0.0, "failures": 0.0}
    given_up = {"dead_letters": 1.0, "skipped": 0.0, "retries": 0.0, "failures": 1.0, "late": 0.0}
    return {
        "pipeline": "orders",
        "time": 1000.0 + process,
        "processes": [
            {
                "process": process,
                "state": "running",
                "live": True,
                "ready": True,
                "why": "at work",
                "workers": [process],
                "checkpoint": {"age": 3.0 + process, "at": 1.0, "seconds": 0.1},
            }
        ],
        "totals": {"fetched": 100.0, "delivered": 99.0, **given_up},
        "rates": rates,
        "source": {"name": "source", **dict.fromkeys(given_up, 0.0), "rates": rates},
        "stages": [
            {
                "name": "stages[0].$set",
                "in": 100.0,
                "out": 99.0,
                "seconds": 0.5,
                "busy": 0.2,
                **given_up,
                "rates": rates,
            }
        ],
        "sinks": [
            {"name": "sink", "delivered": 99.0, "rate": 9.0, "queue": 5.0, "seconds": 0.1 + 0.2 * process, "busy": 0.1}
            | {**given_up, "dead_letters": 0.0, "rates": rates}
        ],
        "lag": {"unit": "records", "total": 7.0, "partitions": {f"p{process}": 7.0}},
        "state": [{"step": "group", "keys": 4.0, "bytes": 100.0}],
        "watermarks": [{"step": "w", "at": 500.0 + process, "lag": 10.0 - process}],
        "breakers": [],
        "enrichments": [{"operator": "$httpCall", "connection": "crm", "cached": 1.0, "outcomes": {"ok": 3.0}}],
        "failures": [{"step": "sink", "class": "E", "text": "no", "count": 1, "first": 800.0, "last": 900.0 + process}],
        "letters": [{"step": "sink", "time": 900.0 + process}],
        "alerts": [],
        "history": {"time": [998.2, 999.2 + process], "lag": [1.0, 7.0], "fetched": [5.0, 10.0]},
        **changes,
    }


def test_numbers_of_processes_add_up():
    both = merged([status(1), status(0)])
    assert [one["process"] for one in both["processes"]] == [0, 1]
    assert both["totals"]["fetched"] == 200
    assert both["rates"]["delivered"] == 18
    (stage,) = both["stages"]
    assert (stage["in"], stage["out"], stage["busy"], stage["rates"]["fetched"]) == (200, 198, 0.4, 20)
    (sink,) = both["sinks"]
    assert (sink["delivered"], sink["queue"], sink["seconds"]) == (198, 10, pytest.approx(0.2))
    assert both["lag"] == {"unit": "records", "total": 14, "partitions": {"p1": 7, "p0": 7}}
    assert both["state"] == [{"step": "group", "keys": 8, "bytes": 200}]
    assert both["watermarks"] == [{"step": "w", "at": 500.0, "lag": 10.0}]
    assert both["enrichments"][0]["outcomes"] == {"ok": 6}
    assert both["failures"] == [{"step": "sink", "class": "E", "text": "no", "count": 2, "first": 800, "last": 901}]
    assert both["history"] == {"time": [998.0, 999.0, 1000.0], "lag": [2.0, 8.0, 14.0], "fetched": [10.0, 15.0, 20.0]}


def test_one_process_is_its_own_status():
    assert merged([status()]) == status()


def test_what_cannot_be_added_is_said():
    with pytest.raises(ValueError, match="there is no status to show"):
        merged([])
    with pytest.raises(ValueError, match="these are different pipelines: orders, returns; ask for one at a time"):
        merged([status(), status(pipeline="returns")])


def test_all_is_well():
    assert attention(merged([status(0), status(1)])) == []


def test_what_needs_a_look_is_said_the_worst_first():
    rates = {**status()["rates"], "dead_letters": 12.34, "retries": 1.0}
    sick = status(
        source={**status()["source"], "rates": {**status()["rates"], "failures": 3.0}},
        stages=[{**status()["stages"][0], "rates": {**rates, "retries": 0.0}}],
        sinks=[{**status()["sinks"][0], "rates": {**rates, "dead_letters": 0.0}}],
        breakers=[{"step": "sink", "name": "crm", "state": "open", "worker": "0"}],
        alerts=[{"alert": "behind", "measure": "lag", "value": 12345.0, "above": 10.0}],
        history={"time": [900.0, 960.0], "lag": [1000.0, 5000.0]},
        processes=[
            {**status()["processes"][0], "checkpoint": {"age": 500.0}},
            {**status(1)["processes"][0], "live": False, "why": "a worker has made no progress for 301 s"},
        ],
    )
    sick["sinks"][0]["busy"] = 1.9
    assert [(one["level"], one["text"]) for one in attention(sick)] == [
        ("trouble", "process 1: a worker has made no progress for 301 s"),
        ("trouble", "alert behind: lag is 12,345, above 10"),
        ("trouble", "sink: circuit breaker 'crm' is open"),
        ("trouble", "source fails again and again"),
        ("trouble", "sink is tried again and again: E: no"),
        ("look", "stages[0].$set: 12 documents a second go to the dead letters"),
        ("look", "the last checkpoint is 500 s old"),
        ("look", "the lag grows: 5,000 records now, 1,000 a minute ago; sink takes 95% of the time, 0.1 s a batch"),
    ]
