"""Commands over a pipeline that joins a further stream."""

import json

import pytest

FLOW = """
    name: paid
    source: {type: files, path: orders.jsonl, time_field: $at}
    streams:
      payments: {source: {type: files, path: payments.jsonl, time_field: $at}}
    stages:
      - $streamJoin:
          from: payments
          localField: id
          foreignField: order
          within: {after: {size: 1, unit: minute}}
          as: paid
          pipeline: [{$project: {_id: 0, n: 1}}]
    sink: {type: stdio}
"""
ORDERS = '{"id": 1, "at": 1000}\n{"id": 2, "at": 2000}\n'
PAYMENTS = '{"order": 1, "n": 7, "at": 31000}\n{"order": 2, "n": 8, "at": 62001}\n'
JOINED = [{"id": 1, "at": 1000, "paid": [{"n": 7}]}, {"id": 2, "at": 2000, "paid": []}]


@pytest.fixture
def paid(write):
    write("orders.jsonl", ORDERS)
    write("payments.jsonl", PAYMENTS)
    return write("paid.yaml", FLOW)


def test_batch_takes_the_documents_of_every_stream(fluxion, paid):
    done = fluxion("batch", paid, "orders.jsonl", "--stream", "payments=payments.jsonl")
    assert (done.exit_code, done.stderr) == (0, "")
    assert [json.loads(line) for line in done.stdout.splitlines()] == JOINED
    missing = fluxion("batch", paid, "orders.jsonl")
    assert missing.stderr == "streams: stream 'payments' has no documents; give --stream payments=FILE\n"
    unknown = fluxion("batch", paid, "orders.jsonl", "--stream", "refunds=payments.jsonl")
    assert unknown.stderr == (
        "refunds=payments.jsonl: is no NAME=FILE with the name of a stream; the pipeline's streams: payments\n"
    )


def test_sample_reads_every_stream(fluxion, paid):
    done = fluxion("sample", paid)
    assert [json.loads(line) for line in done.stdout.splitlines()] == JOINED
    assert done.stderr == "read 2, 2 came out, 0 failed\n"


def test_verify_says_that_it_takes_one_stream(fluxion, paid):
    done = fluxion("verify", paid, "--input", "orders.jsonl")
    assert done.exit_code == 2
    assert done.stderr == (
        "streams: payments beside the source: documents of one stream can be given here; "
        "test it with `fluxion test`, whose tests give streams, workers and crash_after\n"
    )


def test_a_test_that_feeds_an_unknown_stream_says_so(fluxion, paid, write):
    write("paid.flowtest.yaml", "tests: [{name: one, source: [], streams: {payment: []}}]\n")
    done = fluxion("test", "paid.flowtest.yaml")
    assert done.exit_code != 0
    assert (
        "tests[0].streams.payment: the pipeline has no such stream; did you mean 'payments'?"
        in done.stdout + done.stderr
    )
