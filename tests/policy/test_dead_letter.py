from __future__ import annotations

import copy
import pickle
import re
from datetime import datetime, timezone
from decimal import Decimal
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from fluxion_flow.errors import FluxionError
from fluxion_flow.policy.dead_letter import dead_letter_id, envelope, fingerprint
from fluxion_flow.policy.engine import Decision, GaveUp


def at(second: int, millis: int = 0) -> datetime:
    return datetime(2024, 5, 1, 12, 0, second, millis * 1000, tzinfo=timezone.utc)


NOW = 1_714_564_805_250
KAFKA = {"type": "kafka", "topic": "orders.v1", "partition": 3, "offset": 1041, "key": "c7", "ts": NOW, "headers": []}
BASIC: dict[str, Any] = {
    "pipeline": "orders-ltv",
    "pipeline_version": "f00d",
    "operator": "stages[1].$set",
    "error": ZeroDivisionError("division by zero"),
    "code": "stage",
    "attempts": 3,
    "first_failure_ms": NOW - 2250,
    "now_ms": NOW,
    "source": KAFKA,
}


def test_dead_letter_of_a_document() -> None:
    document = {"total": 1, "parts": Decimal("0"), "at": at(1), "pattern": re.compile("x"), "raw": b"\x00"}
    letter = envelope(**BASIC, document=document, window={"start": NOW - 5250, "end": at(10)})
    assert letter == {
        "schemaVersion": 1,
        "id": "dd331b96565abd12395d36ec05f5b222",
        "processorName": "orders-ltv",
        "pipelineVersion": "f00d",
        "dlqTime": at(5, 250),
        "operatorName": "stages[1].$set",
        "attempts": 3,
        "firstFailureTime": at(3),
        "errInfo": {"reason": "division by zero", "type": "ZeroDivisionError", "code": "stage"},
        "doc": document,
        "_stream_meta": {
            "source": {**KAFKA, "ts": at(5, 250)},
            "window": {"start": at(0), "end": at(10)},
        },
    }
    assert list(letter) == [
        *("schemaVersion", "id", "processorName", "pipelineVersion", "dlqTime", "operatorName", "attempts"),
        *("firstFailureTime", "errInfo", "doc", "_stream_meta"),
    ]
    assert letter["doc"] is document


def test_dead_letter_of_a_record_that_could_not_be_decoded() -> None:
    letter = envelope(**{**BASIC, "code": "decode", "first_failure_ms": None}, raw=b"{oops\xff")
    assert letter["raw"] == "e29vcHP/"
    assert "doc" not in letter
    assert letter["firstFailureTime"] == letter["dlqTime"]


def test_secrets_leave_the_reason_and_the_address() -> None:
    letter = envelope(
        **{**BASIC, "error": ConnectionError("401 for https://x?token=hunter2")},
        document={},
        https={"url": "https://x?token=hunter2", "method": "GET", "httpStatusCode": 401, "responseTimeMs": 12},
        redact=lambda text: text.replace("hunter2", "***"),
    )
    assert letter["errInfo"]["reason"] == "401 for https://x?token=***"
    assert letter["_stream_meta"]["https"] == {
        "url": "https://x?token=***",
        "method": "GET",
        "httpStatusCode": 401,
        "responseTimeMs": 12,
    }


class Unprintable(Exception):
    def __str__(self) -> str:
        raise ValueError


def wrapped() -> FluxionError:
    error = FluxionError("stages[1].$set.unit: division by zero")
    error.__cause__ = ZeroDivisionError("division by zero")
    return error


@pytest.mark.parametrize(
    ("error", "reason", "type_"),
    [
        (KeyError("a"), "'a'", "KeyError"),
        (ValueError(), "ValueError", "ValueError"),
        (Unprintable(), "Unprintable", "Unprintable"),
        (wrapped(), "stages[1].$set.unit: division by zero", "ZeroDivisionError"),
        (GaveUp(Decision("skip"), KeyError("a"), 3, 0), "'a'", "KeyError"),
    ],
)
def test_error_is_told_by_its_own_text_and_its_root_class(error: Exception, reason: str, type_: str) -> None:
    assert envelope(**{**BASIC, "error": error}, document={})["errInfo"] == {
        "reason": reason,
        "type": type_,
        "code": "stage",
    }


def test_time_that_is_no_date_stays_as_it_is() -> None:
    letter = envelope(**{**BASIC, "source": {"ts": 10**30}}, document={}, window={"start": float("nan"), "end": None})
    assert letter["_stream_meta"]["source"] == {"ts": 10**30}
    assert letter["_stream_meta"]["window"]["end"] is None


def test_nothing_that_was_given_is_changed() -> None:
    source, document, window = dict(KAFKA), {"a": [1, {"b": 2}]}, {"start": 1, "end": 2}
    before = copy.deepcopy((source, document, window))
    envelope(**{**BASIC, "source": source}, document=document, window=window)
    assert (source, document, window) == before


def id_of(**changed: Any) -> str:
    given = {"document": {"a": 1}, **BASIC, **changed}
    return str(envelope(**given)["id"])


@pytest.mark.parametrize(
    "changed",
    [
        {"attempts": 1},
        {"now_ms": 0, "first_failure_ms": None},
        {"error": KeyError(), "code": "sink"},
        {"pipeline_version": "beef"},
        {"document": {"a": 2}},
        {"source": {"topic": "orders.v1", "partition": 3, "offset": 1041}},
        {"source": {"topic": "orders.v1"}, "partition": 3, "position": 1041},
        {"source": {"topic": "orders.v1", "partition": 3, "position": 1041}},
    ],
)
def test_id_is_the_same_for_the_same_record_and_step(changed: dict[str, Any]) -> None:
    assert id_of(**changed) == id_of()


def test_id_differs_by_pipeline_step_place_and_index() -> None:
    ids = [
        id_of(),
        id_of(pipeline="other"),
        id_of(operator="stages[2].$set"),
        id_of(index=1),
        id_of(position=1042),
        id_of(partition=4),
        id_of(source={**KAFKA, "topic": "orders.v2"}),
        id_of(source={**KAFKA, "offset": 0}),
        id_of(source={}),
    ]
    assert len(set(ids)) == len(ids)


def test_id_comes_from_the_document_where_the_place_is_unknown() -> None:
    one = {"source": {}, "document": {"a": 1, "b": [at(1), None]}}
    same = {"source": {"type": "stdio"}, "document": {"b": [at(1), None], "a": 1}}
    assert id_of(**one) == id_of(**same)
    assert id_of(**one) != id_of(source={}, document={"a": 1.0, "b": [at(1), None]})
    assert id_of(source={}, document=None, raw=b"a") != id_of(source={}, document=None, raw=b"b")


def test_ids_do_not_change_between_versions() -> None:
    assert dead_letter_id(pipeline="p", operator="sink", source=KAFKA, payload={}) == "486110859140cd8023b59c454586a987"
    assert (
        fingerprint({"a": [1, 2.5, "ä", None, True, at(1), Decimal("1.0"), b"x", re.compile("x", re.I)]})
        == "d754ef1e103a5c2a159f0b48486f606b"
    )


VALUES = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text() | st.binary() | st.decimals(),
    lambda inner: st.lists(inner, max_size=4) | st.dictionaries(st.text(max_size=3), inner, max_size=4),
    max_leaves=20,
)


def shuffled(value: Any) -> Any:
    if isinstance(value, dict):
        return {key: shuffled(item) for key, item in reversed(value.items())}
    return [shuffled(item) for item in value] if isinstance(value, list) else value


@given(VALUES)
def test_fingerprint_ignores_the_order_of_keys_only(value: Any) -> None:
    assert fingerprint(value) == fingerprint(shuffled(pickle.loads(pickle.dumps(value))))
    assert fingerprint([value]) != fingerprint(value)
    assert fingerprint([value, 1]) != fingerprint([value, "1"])


def test_fingerprint_survives_depth_and_odd_keys() -> None:
    deep: Any = 1
    for _ in range(100_000):
        deep = [deep]
    assert len(fingerprint(deep)) == 32
    assert fingerprint({1: "a", "1": "b", None: object()}) == fingerprint({None: object(), "1": "b", 1: "a"})
