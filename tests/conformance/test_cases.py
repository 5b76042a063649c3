"""MongoDB's meaning: the case files beside the checkout, but for cases that MongoDB's manual contradicts."""

import json
from pathlib import Path

import pytest

EXCEPTIONS = json.loads((Path(__file__).parent / "exceptions.json").read_text(encoding="utf8"))
"""Cases that the manual contradicts, by id, each with what the manual says."""


@pytest.fixture(scope="module")
def result(score):
    return score()


def test_every_failing_case_is_an_exception(result):
    assert {case: verdict for case, verdict in result.failures.items() if case not in EXCEPTIONS} == {}


def test_every_exception_still_fails(result):
    assert [case for case in EXCEPTIONS if case not in result.failures] == []


def test_every_exception_gives_the_sentence_that_decides():
    assert [case for case, reason in EXCEPTIONS.items() if len(reason) < 40 or not reason.endswith(".")] == []


def test_exceptions_are_sorted():
    assert list(EXCEPTIONS) == sorted(EXCEPTIONS)


@pytest.mark.parametrize(
    ("file", "percent"), [("documentdb.jsonl", 97.5), ("mingo.jsonl", 99.0), ("fluxion_docs.jsonl", 100.0)]
)
def test_exceptions_are_few(result, file, percent):
    assert result.share(file) >= percent


def test_ints_and_doubles_are_told_apart(result, score):
    """Of the cases whose values are right, nearly all have the right kinds of numbers too."""
    typed = score("--types")
    shares = {file: typed.counts[file][0] / result.counts[file][0] for file in typed.counts}
    assert {file: share for file, share in shares.items() if share < 0.98} == {}
