"""What a run tells of itself."""

from fluxion_flow import StreamingContext
from fluxion_flow.cli.counts import CountingListener, added, as_data, in_words
from fluxion_flow.cli.progress import line


def step(name, partition=""):
    return StreamingContext("orders", name, partition=partition)


def counted():
    listener = CountingListener()
    listener.on_fetched(step("source"), documents=500, rejects=0, waited=0.0)
    listener.on_lag(step("source", "a"), lag=900)
    listener.on_lag(step("source", "b"), lag=80)
    listener.on_lag(step("source", "a"), lag=20)
    listener.on_dead_letter(step("source"), documents=2)
    listener.on_dead_letter(step("stages[0].$set"), documents=3)
    listener.on_skipped(step("source"), documents=1)
    listener.on_retry(step("sink"), error=OSError(), delay=0.1)
    listener.on_delivered(step("sinks.small"), documents=10, seconds=0.0)
    listener.on_delivered(step("sinks.all"), documents=400, seconds=0.0)
    listener.on_delivered(step("dead_letter sink"), documents=5, seconds=0.0)
    return listener.counts()


def test_records_that_could_not_be_decoded_were_read_too_and_dead_letters_are_not_delivered():
    assert counted() == {
        "read": 503,
        "dead_lettered": 5,
        "skipped": 1,
        "retries": 1,
        "delivered": {"small": 10, "all": 400},
        "left": {"a": 20, "b": 80},
    }


def test_the_counts_of_several_processes_are_added():
    assert added([counted(), counted()]) == {
        "read": 1006,
        "dead_lettered": 10,
        "skipped": 2,
        "retries": 2,
        "delivered": {"small": 20, "all": 800},
        "left": {"a": 20, "b": 80},
    }
    assert in_words("none", added([]), 0.0) == "none: read 0, delivered 0 in 0.0 s"


def test_the_end_in_words():
    assert in_words("orders", counted(), 1.25) == (
        "orders: read 503, delivered 400 to all and 10 to small, dead-lettered 5, skipped 1, retries 1 in 1.2 s"
    )


def test_the_end_as_data():
    assert as_data("orders", counted(), 1.23456, 1, "why") == {
        "pipeline": "orders",
        "exit_code": 1,
        "seconds": 1.235,
        "read": 503,
        "delivered": {"small": 10, "all": 400},
        "dead_lettered": 5,
        "skipped": 1,
        "retries": 1,
        "error": "why",
    }


def test_the_line_of_progress():
    assert line("orders", counted(), 61_000.4, 2.2) == (
        "orders  read 503  delivered 410  dead-lettered 5  skipped 1  61,000/s  left 100  2 s"
    )
    assert line("orders", added([]), 0, 0) == "orders  read 0  delivered 0  0/s  0 s"
