"""What every connector must do, as tests: the one suite that all of ours pass, for yours as well.

Inherit from a class below in a test module and say how to make your source or sink; pytest does the rest::

    class TestMySource(ReplayableSourceContract):
        def make_source(self, documents):
            return MySource(server_with(documents))

    class TestMySink(SinkContract):
        def make_sink(self):
            return MySink(self.server)

        def delivered(self):
            return self.server.documents()

Nothing here needs pytest: each ``test_`` method is a plain method that raises :class:`AssertionError`.
"""

from __future__ import annotations

import copy
import gc
import json
from collections.abc import Callable, Sequence
from functools import partial
from typing import Any

from jsonschema import Draft202012Validator

from fluxion_flow.connect.options import to_json_schema
from fluxion_flow.connect.registry import Connector, Kind, check_sink, check_source, find_connector
from fluxion_flow.connect.spi import (
    Batch,
    Cursor,
    DeliveryError,
    Document,
    SinkWriter,
    SourceReader,
    StreamingSink,
    StreamingSource,
)
from fluxion_flow.errors import Problems, Where

DOCUMENTS: tuple[Document, ...] = tuple(
    {"n": n, "name": f"número {n}", "price": n / 4, "paid": n % 2 == 0, "note": None, "items": [{"qty": n}]}
    for n in range(23)
)
_READ_SIZES = (1, 2, 7, 1000)
_MOST_EMPTY_READS = 1000


def _is(actual: Any, expected: Any, fact: str) -> None:
    if actual != expected:
        raise AssertionError(f"{fact}\n  expected: {expected!r}\n  got:      {actual!r}")


def _holds(condition: object, fact: str) -> None:
    if not condition:
        raise AssertionError(fact)


def _plain_data(cursor: Cursor, whose: str) -> Cursor:
    """The cursor after a trip through JSON, which it must survive."""
    try:
        text = json.dumps(cursor, allow_nan=False)
    except (TypeError, ValueError) as error:
        raise AssertionError(f"the cursor of {whose} must be plain data: {error}, in {cursor!r}") from None
    copied = json.loads(text)
    _is(copied, cursor, f"the cursor of {whose} must be the same after a trip through JSON")
    return copied


def _must_fail(call: Callable[[], Any], name: str) -> Exception:
    """What ``call`` raises; it must raise something with a text."""
    try:
        call()
    except Exception as error:  # noqa: BLE001 - any exception is a failure
        _holds(str(error), f"a failed {name} must say why")
        return error
    raise AssertionError(f"a {name} was told to fail and did not")


def read_some(reader: SourceReader, max_documents: int) -> Batch | None:
    """The next batch that has documents or rejects; ``None``: complete."""
    for _ in range(_MOST_EMPTY_READS):
        batch = reader.read(max_documents)
        if batch is None or batch.documents or batch.rejects:
            return batch
    raise AssertionError(f"{_MOST_EMPTY_READS} reads in a row were empty, and the source does not complete")


def read_all(reader: SourceReader, max_documents: int = 7) -> list[Document]:
    """All documents from here to completion."""
    documents: list[Document] = []
    while (batch := read_some(reader, max_documents)) is not None:
        documents += batch.documents
    return documents


class SourceContract:
    """What every source that completes must do."""

    documents: Sequence[Document] = DOCUMENTS

    def make_source(self, documents: Sequence[Document]) -> StreamingSource:
        """A source that holds exactly these documents, in this order over its sorted partitions, and then completes."""
        raise NotImplementedError

    def _read_source(self, source: StreamingSource, max_documents: int) -> list[Document]:
        documents: list[Document] = []
        for partition in source.partitions():
            reader = source.open(partition, None)
            documents += read_all(reader, max_documents)
            reader.close()
        return documents

    def test_partitions_are_sorted_and_always_the_same(self) -> None:
        source = self.make_source(self.documents)
        names = source.partitions()
        _is(names, sorted(set(names)), "partitions must be different names in sorted order")
        _is(source.partitions(), names, "partitions must be the same when asked again")
        _holds(all(isinstance(name, str) for name in names), "names of partitions must be str")

    def test_everything_is_read_in_order(self) -> None:
        for size in _READ_SIZES:
            documents = self._read_source(self.make_source(self.documents), size)
            _is(documents, list(self.documents), f"read({size}) must give every document once, in order")

    def test_a_source_without_documents_completes(self) -> None:
        _is(self._read_source(self.make_source([]), 5), [], "an empty source must complete")

    def test_no_batch_is_larger_than_asked_for(self) -> None:
        for size in _READ_SIZES:
            source = self.make_source(self.documents)
            for partition in source.partitions():
                reader = source.open(partition, None)
                while (batch := read_some(reader, size)) is not None:
                    _holds(len(batch.documents) <= size, f"read({size}) gave {len(batch.documents)} documents")
                    _is(batch.partition, partition, "a batch must name its partition")
                    if len(batch.positions):
                        _is(len(batch.positions), len(batch.documents), "positions must be given for all documents")
                        _is(list(batch.positions), sorted(set(batch.positions)), "positions must grow")
                        _holds(batch.position <= batch.positions[0], "a batch's position is that of its first record")
                reader.close()

    def test_a_complete_partition_stays_complete(self) -> None:
        source = self.make_source(self.documents)
        for partition in source.partitions():
            reader = source.open(partition, None)
            read_all(reader)
            _is(reader.read(5), None, "a read after completion must say complete again")
            _plain_data(reader.cursor, "a complete reader")
            reader.close()

    def test_cursors_are_versioned_plain_data_that_later_reads_leave_alone(self) -> None:
        source = self.make_source(self.documents)
        for partition in source.partitions():
            reader = source.open(partition, None)
            seen = []
            while True:
                cursor = reader.cursor
                _plain_data(cursor, "a reader")
                _holds(isinstance(cursor, dict) and "v" in cursor, f"a cursor must hold its version 'v': {cursor!r}")
                seen.append((cursor, copy.deepcopy(cursor)))
                if read_some(reader, 3) is None:
                    break
            for cursor, as_it_was in seen:
                _is(cursor, as_it_was, "a later read must not change an earlier cursor")
            reader.close()

    def test_lag_is_unknown_or_falls_to_zero(self) -> None:
        source = self.make_source(self.documents)
        for partition in source.partitions():
            reader = source.open(partition, None)
            _holds((before := reader.lag()) is None or before >= 0, f"lag must not be negative: {before!r}")
            read_all(reader)
            _holds((after := reader.lag()) is None or after == 0, f"lag must be 0 at completion: {after!r}")
            reader.close()


class ReplayableSourceContract(SourceContract):
    """What every source must do that can be read again from a cursor."""

    def test_reading_goes_on_at_every_cursor(self) -> None:
        source = self.make_source(self.documents)
        for partition in source.partitions():
            for size in (1, 2, 5):
                reader = source.open(partition, None)
                cursors, parts = [reader.cursor], []
                while (batch := read_some(reader, size)) is not None:
                    parts.append(batch.documents)
                    cursors.append(reader.cursor)
                reader.close()
                for done, cursor in enumerate(cursors):
                    again = source.open(partition, _plain_data(cursor, "a reader"))
                    _is(again.cursor, cursor, "a reader opened at a cursor must stand at it")
                    expected = [document for part in parts[done:] for document in part]
                    _is(read_all(again), expected, f"opened at {cursor!r}, a reader must give what is left")
                    again.close()

    def test_a_second_reading_gives_the_same_positions_and_timestamps(self) -> None:
        source = self.make_source(self.documents)
        for partition in source.partitions():
            readings = []
            for size in (1, 4, 1000):
                reader = source.open(partition, None)
                places: list[tuple[int, int]] = []
                while (batch := read_some(reader, size)) is not None:
                    positions = batch.positions if len(batch.positions) else [batch.position] * len(batch.documents)
                    places += [(position, batch.timestamp) for position in positions]
                reader.close()
                readings.append(places)
            _is(readings[1:], readings[:-1], "positions and timestamps must not depend on how much one read takes")

    def break_next_read(self, source: StreamingSource) -> Callable[[], None] | None:
        """Make the source's next read fail; the function that is returned repairs it. ``None``: cannot be done."""
        return None

    def test_a_failed_read_can_be_repeated(self) -> None:
        source = self.make_source(self.documents)
        documents: list[Document] = []
        for partition in source.partitions():
            reader = source.open(partition, None)
            first = read_some(reader, 2)
            documents += first.documents if first is not None else []
            cursor = reader.cursor
            repair = self.break_next_read(source)
            if repair is not None:
                _must_fail(partial(reader.read, 2), "read")
                repair()
                _is(reader.cursor, cursor, "a failed read must leave the cursor where it was")
            documents += read_all(reader)
            reader.close()
        _is(documents, list(self.documents), "after a failed read, reading must go on at the same place")


class SinkContract:
    """What every sink must do. A new instance (pytest makes one for each test) starts with an empty target."""

    documents: Sequence[Document] = DOCUMENTS

    def make_sink(self) -> StreamingSink:
        """A sink to the target of this test; called again, one to the same target."""
        raise NotImplementedError

    def delivered(self) -> list[Document]:
        """What the target holds now, in order."""
        raise NotImplementedError

    def break_next_write(self, sink: StreamingSink, writer: SinkWriter) -> Callable[[], None] | None:
        """Make the writer's next write fail; the function that is returned repairs it. ``None``: cannot be done."""
        return None

    def refused_document(self) -> Document | None:
        """A document that the sink refuses while it takes the others of the batch. ``None``: there is none."""
        return None

    def _batch(self, first: int, end: int) -> Batch:
        return Batch(copy.deepcopy(list(self.documents[first:end])), "p", first, range(first, end))

    def _write_and_flush(self, writer: SinkWriter, batch: Batch) -> None:
        writer.write(batch)
        writer.flush()

    def test_what_was_flushed_is_delivered_in_order(self) -> None:
        writer = self.make_sink().open("0", None)
        for first, end in ((0, 3), (3, 3), (3, 10), (10, 11)):
            writer.write(self._batch(first, end))
        writer.flush()
        _is(self.delivered(), list(self.documents[:11]), "flush must return when everything accepted is delivered")
        writer.write(self._batch(11, 23))
        writer.flush()
        writer.close()
        _is(self.delivered(), list(self.documents[:23]), "later writes must come behind earlier ones")

    def test_flush_and_close_work_without_writes(self) -> None:
        writer = self.make_sink().open("0", None)
        writer.flush()
        writer.flush()
        _plain_data(writer.cursor, "a writer")
        writer.close()
        _is(self.delivered(), [], "a writer that got nothing must deliver nothing")

    def test_cursors_are_plain_data_that_later_writes_leave_alone(self) -> None:
        writer = self.make_sink().open("0", None)
        writer.write(self._batch(0, 2))
        writer.flush()
        cursor = writer.cursor
        _plain_data(cursor, "a writer")
        as_it_was = copy.deepcopy(cursor)
        writer.write(self._batch(2, 4))
        _is(writer.cursor, as_it_was, "a cursor must stand at the last flush, whatever was written since")
        writer.flush()
        _is(cursor, as_it_was, "a later flush must not change an earlier cursor")
        writer.close()

    def test_a_failed_write_can_be_repeated(self) -> None:
        sink = self.make_sink()
        writer = sink.open("0", None)
        writer.write(self._batch(0, 3))
        repair = self.break_next_write(sink, writer)
        if repair is not None:
            _must_fail(lambda: self._write_and_flush(writer, self._batch(3, 9)), "write")
            repair()
        writer.write(self._batch(3, 9))
        writer.flush()
        writer.close()
        _is(self.delivered(), list(self.documents[:9]), "a repeated write must lose nothing and repeat nothing")

    def test_a_refused_document_is_named_and_the_others_are_delivered(self) -> None:
        refused = self.refused_document()
        if refused is None:
            return
        writer = self.make_sink().open("0", None)
        batch = Batch([*self._batch(0, 2).documents, refused, *self._batch(2, 4).documents], "p")
        error = _must_fail(lambda: self._write_and_flush(writer, batch), "write")
        _holds(isinstance(error, DeliveryError), f"a refused document must raise a DeliveryError, not {error!r}")
        errors = error.errors if isinstance(error, DeliveryError) else {}
        _is(sorted(errors), [2], "a DeliveryError must name the refused document's index")
        _holds(str(errors[2]), "a DeliveryError must say why")
        writer.flush()
        writer.close()
        _is(self.delivered(), list(self.documents[:4]), "the other documents of the batch must be delivered")

    def test_a_crash_loses_nothing_and_with_replays_repeats_nothing(self) -> None:
        sink = self.make_sink()
        writer = sink.open("0", None)
        writer.write(self._batch(0, 5))
        writer.flush()
        cursor = _plain_data(writer.cursor, "a writer")
        writer.write(self._batch(5, 9))
        del writer, sink  # the crash: no flush, no close
        gc.collect()

        sink = self.make_sink()
        writer = sink.open("0", cursor)
        writer.write(self._batch(5, 12))
        writer.flush()
        writer.close()
        if sink.replays:
            _is(self.delivered(), list(self.documents[:12]), "opened at a cursor, later writes must be undone")
        else:
            missing = [document for document in self.documents[:12] if document not in self.delivered()]
            _is(missing, [], "everything must be delivered at least once")

    def test_a_crash_before_the_first_checkpoint_is_undone_with_replays(self) -> None:
        sink = self.make_sink()
        writer = sink.open("0", None)
        writer.write(self._batch(0, 5))
        del writer
        gc.collect()
        if not sink.replays:
            return
        writer = sink.open("0", None)
        writer.write(self._batch(0, 8))
        writer.flush()
        writer.close()
        _is(self.delivered(), list(self.documents[:8]), "opened without a cursor, a crashed run must leave nothing")


class TransactionalSinkContract(SinkContract):
    """What a sink must do that stores the source's positions with the documents (``transactional``)."""

    owner = "contract.sink"

    def _owned(self) -> StreamingSink:
        """A sink as the runtime prepares it for a stateless pipeline."""
        sink = self.make_sink()
        sink.owner = self.owner
        return sink

    def _with_cursor(self, first: int, end: int, partition: str = "p") -> Batch:
        batch = self._batch(first, end)
        batch.partition, batch.cursor = partition, end - 1
        return batch

    def test_a_sink_says_that_it_is_transactional_and_begins_without_positions(self) -> None:
        sink = self._owned()
        _is(sink.transactional, True, "a transactional sink must say so")
        _is(dict(sink.committed_cursors()), {}, "an empty target must hold no positions")

    def test_positions_are_there_with_their_documents(self) -> None:
        writer = self._owned().open("0", None)
        writer.write(self._with_cursor(0, 3))
        writer.write(self._with_cursor(3, 7))
        writer.write(self._with_cursor(7, 9, "q"))
        writer.flush()
        positions = dict(self._owned().committed_cursors())
        _is(positions, {"p": 6, "q": 8}, "a flush must store the last position of every source partition")
        _is(self.delivered(), list(self.documents[:9]), "a flush must store the documents with the positions")
        writer.write(self._with_cursor(9, 12))
        writer.flush()
        writer.close()
        _is(dict(self._owned().committed_cursors()), {"p": 11, "q": 8}, "positions must move on, and others stay")

    def test_a_crash_leaves_exactly_the_documents_of_the_positions(self) -> None:
        writer = self._owned().open("0", None)
        writer.write(self._with_cursor(0, 5))
        writer.flush()
        old = _plain_data(writer.cursor, "a writer")
        writer.write(self._with_cursor(5, 8))
        writer.flush()
        writer.write(self._with_cursor(8, 11))
        del writer  # the crash: no flush, no close
        gc.collect()

        for cursor in (old, None):  # whatever checkpoint the next run has, or none
            held = self._owned().committed_cursors()["p"] + 1
            _holds(held in (8, 11), f"a crash must leave the positions of a write, not {held - 1}")
            writer = self._owned().open("0", cursor)
            writer.flush()
            _is(self.delivered(), list(self.documents[:held]), "documents and positions must be there together")
            writer.close()


class ConnectorContract:
    """What a connector must say of itself."""

    type: str
    """The connector's type: the name of its entry point."""

    sources: Sequence[dict[str, Any]] = ()
    """Options (without ``type``) of good source definitions."""

    sinks: Sequence[dict[str, Any]] = ()
    """Options (without ``type``) of good sink definitions."""

    @property
    def connector(self) -> Connector:
        return find_connector(self.type)

    def _check(self, kind: Kind, options: dict[str, Any]) -> list[str]:
        problems = Problems()
        check = check_source if kind == "source" else check_sink
        check({"type": self.type, **options}, Where.at(kind), problems)
        return list(map(str, problems))

    def _good(self, kind: Kind) -> Sequence[dict[str, Any]]:
        return self.sources if kind == "source" else self.sinks

    def test_it_is_found_by_its_type_and_documented(self) -> None:
        connector = self.connector
        _is(connector.type, self.type, "the descriptor's type must be the entry point's name")
        _holds(connector.title and connector.doc, "a connector must have a title and a text")
        _holds(connector.kinds, "a connector must be a source, a sink or both")
        for option in (*connector.source_options, *connector.sink_options):
            _holds(option.doc, f"option {option.name!r} must be documented")
            _is(option.name, option.name.lower(), "options are named in snake_case")

    def test_option_names_are_different(self) -> None:
        for options in (self.connector.source_options, self.connector.sink_options):
            names = [option.name for option in options]
            _is(sorted(set(names)), sorted(names), "an option must be declared once")

    def test_good_definitions_have_no_problems(self) -> None:
        for kind in sorted(self.connector.kinds):
            _holds(self._good(kind), f"give at least one good {kind} definition")
            for options in self._good(kind):
                _is(self._check(kind, options), [], f"{options!r} must be a good {kind}")
                schema = to_json_schema(self.connector.options(kind))
                Draft202012Validator.check_schema(schema)
                _is([e.message for e in Draft202012Validator(schema).iter_errors(options)], [], "so says the schema")

    def test_bad_options_are_problems_with_their_path(self) -> None:
        for kind in sorted(self.connector.kinds):
            good = dict(self._good(kind)[0])
            for option in self.connector.options(kind):
                without = {name: value for name, value in good.items() if name != option.name}
                if option.required:
                    expected = f"{kind}.{option.name}: required by connector '{self.type}'"
                    _holds(expected in self._check(kind, without), f"leaving out {option.name!r} must be a problem")
                if option.type not in ("any", "expression"):
                    found = self._check(kind, {**without, option.name: object()})
                    start = f"{kind}.{option.name}: must be "
                    _holds(any(text.startswith(start) for text in found), f"a wrong {option.name!r} must be a problem")
            unknown = self._check(kind, {**good, "no_such_option": 1})
            start = f"{kind}.no_such_option: unknown option of connector '{self.type}'"
            _holds(any(text.startswith(start) for text in unknown), "an unknown option must be a problem")
