"""The dead letter: one document a failed document or record, with what is needed to understand and to replay it.

Its form is that of Atlas Stream Processing's dead letter queue, with additions (``schemaVersion``, ``id``,
``pipelineVersion``, ``attempts``, ``firstFailureTime``, ``raw``). Dates are aware datetimes and values stay as they
are in the document: the sink that writes a dead letter encodes it.
"""

from __future__ import annotations

import base64
import hashlib
import re
from collections.abc import Callable, Mapping
from datetime import datetime
from decimal import Decimal
from typing import Any, Literal

from fluxion_flow.core.values import EvaluationError, from_millis, to_millis
from fluxion_flow.policy.engine import GaveUp
from fluxion_flow.policy.matching import root

SCHEMA_VERSION = 1

Code = Literal["source", "decode", "stage", "enrich", "sink", "late"]
"""Where a failure belongs: reading, decoding, a stage, an enrichment, delivery, or a document after its window."""


def envelope(
    *,
    pipeline: str,
    pipeline_version: str,
    operator: str,
    error: BaseException,
    code: Code,
    attempts: int,
    first_failure_ms: int | None,
    now_ms: int,
    source: Mapping[str, Any],
    document: Mapping[str, Any] | None = None,
    raw: bytes | None = None,
    partition: Any = None,
    position: Any = None,
    index: int = 0,
    window: Mapping[str, Any] | None = None,
    https: Mapping[str, Any] | None = None,
    before: Mapping[str, Any] | None = None,
    redact: Callable[[str], str] = str,
) -> dict[str, Any]:
    """The dead letter of ``document``, or of the record ``raw`` that could not be decoded.

    ``operator`` is the step that failed (``stages[1].$set``); ``error`` why. Times are milliseconds since the epoch;
    ``first_failure_ms=None`` means now. ``source`` is what is known of the record's origin; ``partition`` and
    ``position`` say where in the source it stood, as far as ``source`` does not (its ``partition``, its ``offset``
    or ``position``); ``index`` counts the documents that came of this one record, from 0. Times in
    ``source["ts"]``, ``window["start"]`` and ``window["end"]`` may be milliseconds too. ``before`` is the letter that
    was replayed and failed again: its attempts and its first failure count on, ``replays`` is one more, and the id
    stays where it failed at the same step. ``redact`` takes secrets out of the reason and of the request's address.
    """
    if isinstance(error, GaveUp):
        error = error.error
    meta: dict[str, Any] = {"source": _with_dates(source, "ts")}
    if window is not None:
        meta["window"] = _with_dates(window, "start", "end")
    if https is not None:
        meta["https"] = {key: redact(value) if isinstance(value, str) else value for key, value in https.items()}
    letter: dict[str, Any] = {
        "schemaVersion": SCHEMA_VERSION,
        "id": dead_letter_id(
            pipeline=pipeline,
            operator=operator,
            source=source,
            partition=partition,
            position=position,
            index=index,
            payload=raw if document is None else document,
        ),
        "processorName": pipeline,
        "pipelineVersion": pipeline_version,
        "dlqTime": from_millis(now_ms),
        "operatorName": operator,
        "attempts": attempts,
        "firstFailureTime": from_millis(now_ms if first_failure_ms is None else first_failure_ms),
        "errInfo": {"reason": redact(_reason(error)), "type": type(root(error)).__qualname__, "code": code},
    }
    if document is not None:
        letter["doc"] = document
    if raw is not None:
        letter["raw"] = base64.b64encode(raw).decode("ascii")
    letter["_stream_meta"] = meta
    return letter if before is None else _again(letter, before, index)


def _again(letter: dict[str, Any], before: Mapping[str, Any], index: int) -> dict[str, Any]:
    """A letter of a replay, as the next one of the letter that was replayed."""
    same = letter["operatorName"] == before["operatorName"] and index == 0
    ids = {"id": before["id"] if same else fingerprint([before["id"], letter["operatorName"], index])}
    if not same:
        ids["replayOf"] = before["id"]
    return {
        **letter,
        **ids,
        "attempts": letter["attempts"] + before.get("attempts", 0),
        "firstFailureTime": before.get("firstFailureTime", letter["firstFailureTime"]),
        "replays": before.get("replays", 0) + 1,
    }


def dead_letter_id(
    *,
    pipeline: str,
    operator: str,
    source: Mapping[str, Any],
    payload: Any,
    partition: Any = None,
    position: Any = None,
    index: int = 0,
) -> str:
    """32 hexadecimal digits that are the same for the same record and step, at any time, on any worker.

    They come from the pipeline's and the step's name, the record's place in the source and ``index``. Where the
    place is not known, the document (or the raw record) itself takes its place.
    """
    partition = source.get("partition") if partition is None else partition
    if position is None:
        position = source.get("position") if source.get("offset") is None else source.get("offset")
    where = [source.get("topic"), source.get("path"), partition, position, index]
    return fingerprint([pipeline, operator, where if position is not None else payload])


def fingerprint(value: Any) -> str:
    """32 hexadecimal digits of plain data: the same for equal data of the same types, whatever the order of keys."""
    digest = hashlib.sha256()
    waiting = [value]
    while waiting:
        item = waiting.pop()
        if isinstance(item, Mapping):
            keys = sorted(item, key=lambda key: (type(key).__name__, str(key)))
            digest.update(b"{%d:" % len(keys))
            for key in reversed(keys):
                waiting += (item[key], key)
        elif isinstance(item, (list, tuple)):
            digest.update(b"[%d:" % len(item))
            waiting.extend(reversed(item))
        else:
            kind, body = _scalar(item)
            digest.update(b"%s%d:%s" % (kind, len(body), body))
    return digest.hexdigest()[:32]


def _scalar(value: Any) -> tuple[bytes, bytes]:
    """A letter for the type of a value that holds no others, and its bytes."""
    if value is None:
        return b"n", b""
    if isinstance(value, str):
        return b"s", value.encode("utf-8", "surrogatepass")
    if isinstance(value, bool):
        return b"b", b"1" if value else b"0"
    if isinstance(value, (int, float, Decimal)):
        return type(value).__name__[:1].encode(), repr(value).encode()
    if isinstance(value, datetime):
        return b"t", str(to_millis(value)).encode()
    if isinstance(value, (bytes, bytearray)):
        return b"y", bytes(value)
    if isinstance(value, re.Pattern):
        return b"r", repr((value.flags, value.pattern)).encode("utf-8", "surrogatepass")
    return b"o", type(value).__qualname__.encode()


def _reason(error: BaseException) -> str:
    """The error's own text, or its class where it has none."""
    try:
        text = str(error)
    except Exception:  # noqa: BLE001 - an error that cannot be printed must still make a dead letter
        text = ""
    return text or type(error).__qualname__


def _with_dates(meta: Mapping[str, Any], *names: str) -> dict[str, Any]:
    """A copy in which these members are dates where they were milliseconds."""
    return {key: _date(value) if key in names else value for key, value in meta.items()}


def _date(value: Any) -> Any:
    if isinstance(value, bool) or not isinstance(value, (int, float)):
        return value
    try:
        return from_millis(value)
    except EvaluationError:
        return value
