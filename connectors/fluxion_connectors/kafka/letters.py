"""Dead letters as the records that failed: original key, value, headers and time, and why, in Kafka Connect's headers.

====================================  =======================================================
``__connect.errors.topic``            the source's topic (``.partition``, ``.offset``: the place in it)
``__connect.errors.connector.name``   the pipeline
``__connect.errors.stage``            ``VALUE_CONVERTER``, ``TRANSFORMATION``, ``TASK_PUT`` or ``TASK_POLL``
``__connect.errors.class.name``       the step, such as ``stages[1].$set``
``__connect.errors.exception.…``      ``class.name`` and ``message`` of the error
``__fluxion.letter.id``               the letter's id: the same for the same record and step
``__fluxion.attempts``                how often it was tried
====================================  =======================================================

A header that is not known is left out: Connect's ``task.id`` and ``exception.stacktrace`` always. Where the record as
it came is not known, because the source is no Kafka topic, the document stands in its place as Extended JSON.
Source: Apache Kafka, KIP-298 and ``DeadLetterQueueReporter``.
"""

from __future__ import annotations

import base64
from collections.abc import Mapping, Sequence
from typing import Any

from fluxion_connectors.kafka.outgoing import Errors, Headers, Outgoing, column, milliseconds, to_bytes, topic_name
from fluxion_flow.connect.encoding import encode_document, from_extended
from fluxion_flow.connect.expressions import Expression
from fluxion_flow.connect.spi import Batch, Document

STAGES = {"decode": "VALUE_CONVERTER", "sink": "TASK_PUT", "source": "TASK_POLL"}
"""Connect's name for where it failed, by the code of a letter; others are transformations."""


class LetterEncoder:
    """Makes records of dead letters."""

    def __init__(self, topic: Expression) -> None:
        self._topic = topic

    def encode(self, batch: Batch) -> tuple[list[Outgoing], Sequence[int], Errors]:
        """The records, the index of each one's letter, and why other letters make no record."""
        errors: Errors = {}
        topics = list(column(self._topic, batch, topic_name, errors))
        records: list[Outgoing] = []
        kept: list[int] = []
        for index, (letter, topic) in enumerate(zip(batch.documents, topics, strict=True)):
            if index in errors:
                continue
            try:
                records.append(_record(letter, topic))
            except (ValueError, KeyError, TypeError) as error:
                errors[index] = ValueError(f"is no dead letter: {type(error).__name__}: {error}")
            else:
                kept.append(index)
        return records, kept, errors


def _record(letter: Document, topic: str) -> Outgoing:
    source: Mapping[str, Any] = from_extended(letter["_stream_meta"]["source"])
    raw = letter.get("raw")
    value = base64.b64decode(raw) if raw is not None else encode_document(letter["doc"])
    headers: Headers = [(item["k"], to_bytes(item["v"])) for item in source.get("headers") or ()]
    headers += [(name, str(said).encode()) for name, said in _why(letter, source).items() if said is not None]
    return topic, value, to_bytes(source.get("key")), headers, milliseconds(source.get("ts"))


def _why(letter: Document, source: Mapping[str, Any]) -> dict[str, Any]:
    error = letter["errInfo"]
    kafka = source.get("topic") is not None
    return {
        "__connect.errors.topic": source.get("topic"),
        "__connect.errors.partition": source.get("partition") if kafka else None,
        "__connect.errors.offset": source.get("offset", source.get("position")) if kafka else None,
        "__connect.errors.connector.name": letter["processorName"],
        "__connect.errors.stage": STAGES.get(error["code"], "TRANSFORMATION"),
        "__connect.errors.class.name": letter["operatorName"],
        "__connect.errors.exception.class.name": error["type"],
        "__connect.errors.exception.message": error["reason"],
        "__fluxion.letter.id": letter["id"],
        "__fluxion.attempts": letter["attempts"],
    }
