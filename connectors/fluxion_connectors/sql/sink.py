"""Documents into a table: one transaction a batch, with the source's position in it.

A batch is committed before ``write`` returns, so no lock outlives a call. Documents that the database refuses are found
by halving the batch behind savepoints. What then happens with the batch depends on the error policy, which this sink
cannot know: so nothing is committed at first, the good rows are *held*, and the refused ones are named. They are
committed with the next ``write`` or ``flush``, which is when the policy has decided to go on; a run that stops instead
leaves nothing of the batch behind, and reads it again.

A connection that breaks during a commit leaves open whether it took place. The next call looks into ``fluxion_cursors``
for the number of that commit and, if it is there, writes none of those documents again.
"""

from __future__ import annotations

import copy
import uuid
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from itertools import repeat
from typing import Any

from sqlalchemy import Connection, Engine, Table
from sqlalchemy.exc import SQLAlchemyError

from fluxion_connectors.sql import positions
from fluxion_connectors.sql.database import engine_of, shown
from fluxion_connectors.sql.failures import RowRefused, kind_of, reason, said
from fluxion_connectors.sql.rows import Change, RowMaker, key_of
from fluxion_connectors.sql.statements import UPSERTS, delete_rows, insert_rows, upsert_rows
from fluxion_connectors.sql.tables import create_missing, define_table, find_table, is_unique
from fluxion_flow.connect.expressions import Expression
from fluxion_flow.connect.spi import Batch, Cursor, DeliveryError, Document, SinkWriter, StreamingSink
from fluxion_flow.connect.sql.address import SqlError, database_url

_DATABASE_ERRORS = (SQLAlchemyError, OSError, OverflowError, ValueError, TypeError)


class SqlSink(StreamingSink):
    """Rows of one table.

    ``mode`` is ``insert`` or ``upsert``, which takes ``keys``: columns that the table holds unique. ``columns`` maps
    columns to field paths; ``row`` gives an object of columns and values instead. ``extra_fields`` is ``refuse`` or
    ``ignore``. ``create_table`` maps columns to types. ``position_name`` is the name under which ``fluxion_cursors``
    keeps the source's positions; ``None`` makes it of the pipeline's, the sink's and the table's name.

    Raises :class:`SqlError` when the URL's driver is missing.
    """

    def __init__(
        self,
        url: str,
        table: str,
        *,
        mode: str = "insert",
        keys: Sequence[str] = (),
        columns: Mapping[str, str] | None = None,
        row: Expression | None = None,
        extra_fields: str = "refuse",
        delete_when: str | None = None,
        create_table: Mapping[str, Any] | None = None,
        db_schema: str | None = None,
        transactional: bool = True,
        position_name: str | None = None,
    ) -> None:
        if mode not in ("insert", "upsert"):
            raise ValueError(f"mode must be 'insert' or 'upsert', got {mode!r}")
        if mode == "upsert" and not keys:
            raise ValueError("mode 'upsert' needs keys")
        if row is not None and columns is not None:
            raise ValueError("columns and row both say what goes into a row")
        self._url = database_url(url)
        self.table = table
        self.schema = db_schema
        self.mode = mode
        self.keys = tuple(keys or ())
        self.columns = columns
        self.row = row
        self.ignore_fields = extra_fields == "ignore"
        self.delete_when = delete_when
        self.create_table = create_table
        self._position_name = position_name
        self.transactional = transactional
        self.keyed = mode == "upsert"

    @property
    def position_name(self) -> str:
        """The name that the source's positions are kept under."""
        return self._position_name or ".".join(filter(None, (self.owner, self.schema, self.table)))

    def beside(self, name: str) -> SqlSink:
        """The same table, with positions under a name of their own."""
        made = copy.copy(self)
        made._position_name = f"{self.position_name}.{name}"
        return made

    def __repr__(self) -> str:
        return f"SqlSink({shown(self._url)!r}, table={self.table!r})"

    def committed_cursors(self) -> dict[str, Cursor]:
        """Raises :class:`DatabaseUnavailable` when the database cannot be asked."""
        if not self.transactional:
            return {}
        engine = engine_of(self._url)
        table = positions.positions_table(self.schema)
        try:
            with engine.connect() as connection:
                if not engine.dialect.has_table(connection, table.name, schema=table.schema):
                    return {}
                return positions.stored(connection, table, self.position_name)
        except _DATABASE_ERRORS as error:
            raise said(error, f"reading the positions of table {self.table!r}") from None
        finally:
            engine.dispose()

    def open(self, part: str, cursor: Cursor | None) -> SqlWriter:
        """Raises :class:`DatabaseUnavailable`, and :class:`SqlError` for a table that does not fit."""
        engine = engine_of(self._url, writes=True)
        try:
            return SqlWriter(self, engine, self._prepared(engine))
        except _DATABASE_ERRORS as error:
            engine.dispose()
            raise said(error, f"opening table {self.table!r}") from None
        except BaseException:
            engine.dispose()
            raise

    def probe(self) -> str:
        """Raises :class:`DatabaseUnavailable`, and :class:`SqlError` for a table that is not there."""
        engine = engine_of(self._url)
        try:
            with engine.connect() as connection:
                if self.create_table is not None and not engine.dialect.has_table(
                    connection, self.table, schema=self.schema
                ):
                    return f"connected; table {self.table!r} will be created"
                find_table(connection, self.table, self.schema)
            return f"connected; table {self.table!r} is there"
        except _DATABASE_ERRORS as error:
            raise said(error, f"opening table {self.table!r}") from None
        finally:
            engine.dispose()

    def _prepared(self, engine: Engine) -> Table:
        """The table, created if it was asked for, and known to hold the keys unique."""
        if self.create_table is not None:
            create_missing(engine, define_table(self.table, self.schema, self.create_table, self.keys))
        if self.transactional:
            create_missing(engine, positions.positions_table(self.schema))
        with engine.connect() as connection:
            table = find_table(connection, self.table, self.schema)
            if self.mode == "upsert" and engine.dialect.name not in UPSERTS:
                upsert_rows(table, (), self.keys, engine.dialect.name)
            if self.mode == "upsert" and not is_unique(connection, table, self.keys):
                names = ", ".join(self.keys)
                raise SqlError(
                    f"table {self.table!r} does not hold {names} unique, so rows cannot be found by them; "
                    f"add a primary key or a unique index on exactly ({names})"
                )
        return table


@dataclass
class _Work:
    """Changes to be committed together with the cursors that they lead to. ``documents`` are what they came from."""

    changes: list[Change] = field(default_factory=list)
    documents: list[Document] = field(default_factory=list)
    cursors: dict[str, Cursor] = field(default_factory=dict)

    def __bool__(self) -> bool:
        return bool(self.changes or self.cursors)


class SqlWriter(SinkWriter):
    """Writes batches to one table over a connection of its own."""

    def __init__(self, sink: SqlSink, engine: Engine, table: Table) -> None:
        self._sink = sink
        self._engine = engine
        self._dialect = engine.dialect.name
        self._table = table
        self._positions = positions.positions_table(sink.schema)
        self._doing = f"writing to table {sink.table!r}"
        self._maker = RowMaker(
            table,
            self._dialect,
            sink.columns,
            sink.keys,
            ignore_fields=sink.ignore_fields,
            delete_when=sink.delete_when,
        )
        self._held = _Work()
        self._doubtful: tuple[str, _Work] | None = None
        self._name = uuid.uuid4().hex[:24]
        self._commits = 0

    def write(self, batch: Batch) -> None:
        """Raises :class:`DeliveryError` for documents that the table refuses, :class:`DatabaseUnavailable` when the
        same may work later, and :class:`SqlError` when it will not.
        """
        done = self._settled()
        work = _Work()
        rows, failed = self._rows(batch)
        errors: dict[int, Exception] = {}
        places: list[int] = []
        for index, (document, row) in enumerate(zip(batch.documents, rows, strict=True)):
            if id(document) in done:
                continue
            if index in failed:
                errors[index] = failed[index]
                continue
            try:
                work.changes.append(self._maker.change(document, row))
                work.documents.append(document)
                places.append(index)
            except RowRefused as error:
                errors[index] = error
        if self._sink.transactional and batch.cursor is not None:
            work.cursors[batch.partition] = batch.cursor
        refused = self._commit(work, whole=not errors)
        errors.update((places[number], error) for number, error in refused.items())
        if errors:
            self._hold(work, refused)
            raise DeliveryError(dict(sorted(errors.items())))

    def flush(self) -> None:
        """Commits what was held. Raises like :meth:`write`, but names no documents."""
        self._settled()
        if self._held:
            self._commit(_Work(), whole=True)

    def close(self) -> None:
        self._engine.dispose()

    def _rows(self, batch: Batch) -> tuple[Iterable[Any], Mapping[int, Exception]]:
        """What ``row`` makes of each document: ``None`` without it, nothing at all for null."""
        if self._sink.row is None:
            return repeat(None, len(batch.documents)), {}
        rows, failed = self._sink.row.values(batch)
        return ({} if row is None else row for row in rows), failed

    def _hold(self, work: _Work, refused: Mapping[int, Exception]) -> None:
        """Keep what is good of a batch until the policy has decided about the rest."""
        good = [number for number in range(len(work.changes)) if number not in refused]
        self._held.changes += [work.changes[number] for number in good]
        self._held.documents += [work.documents[number] for number in good]
        self._held.cursors.update(work.cursors)

    def _settled(self) -> set[int]:
        """Find out about a commit in doubt: the identities of the documents that it turns out to have written."""
        if self._doubtful is None:
            return set()
        number, work = self._doubtful
        try:
            with self._engine.connect() as connection:
                took_place = positions.committed(connection, self._positions, self._sink.position_name, number)
        except _DATABASE_ERRORS as error:
            raise said(error, self._doing) from None
        self._doubtful = None
        if not took_place:
            return set()
        self._held = _Work()
        return {id(document) for document in work.documents}

    def _commit(self, work: _Work, *, whole: bool) -> dict[int, RowRefused]:
        """Run what is held and ``work`` in one transaction and commit it if all of it is good and ``whole`` is true.

        Answers the changes of ``work`` that were refused, by number. Raises when what was held is refused now, or when
        the trouble is not with single rows.
        """
        held = self._held
        if not (work or held):
            return {}
        self._commits += 1
        number = f"{self._name}-{self._commits}"
        cursors = {**held.cursors, **work.cursors}
        try:
            with self._engine.connect() as connection:
                refused = self._apply(connection, [*held.changes, *work.changes])
                for_held = {n: error for n, error in refused.items() if n < len(held.changes)}
                if for_held:
                    raise next(iter(for_held.values()))
                if refused or not whole:
                    connection.rollback()
                    return {n - len(held.changes): error for n, error in refused.items()}
                positions.store(connection, self._positions, self._dialect, self._sink.position_name, cursors, number)
                try:
                    connection.commit()
                except _DATABASE_ERRORS:
                    if cursors:
                        self._doubtful = number, _Work(documents=[*held.documents, *work.documents])
                    raise
        except _DATABASE_ERRORS as error:
            raise said(error, self._doing) from None
        self._held = _Work()
        return {}

    def _apply(self, connection: Connection, changes: Sequence[Change]) -> dict[int, RowRefused]:
        """Execute the changes in order; answers the ones that were refused and are not in the transaction."""
        refused: dict[int, RowRefused] = {}
        for first, run in _runs(changes):
            self._try(connection, run, first, refused)
        return refused

    def _try(
        self, connection: Connection, changes: Sequence[Change], first: int, refused: dict[int, RowRefused]
    ) -> None:
        """Execute changes of one shape, or find the ones that cannot be, by halves."""
        savepoint = connection.begin_nested()
        try:
            self._execute(connection, changes)
            savepoint.commit()
            return
        except _DATABASE_ERRORS as error:
            if kind_of(error) != "row":
                raise  # after a deadlock, for one, MySQL has no savepoint any more to go back to
            savepoint.rollback()
            if len(changes) == 1:
                refused[first] = RowRefused(f"{self._doing}: {reason(error)}")
                return
        half = len(changes) // 2
        self._try(connection, changes[:half], first, refused)
        self._try(connection, changes[half:], first + half, refused)

    def _execute(self, connection: Connection, changes: Sequence[Change]) -> None:
        keys = self._sink.keys
        if changes[0].delete:
            rows = [
                {f"key_{n}": value for n, value in enumerate(key_of(change, keys))} for change in _last(changes, keys)
            ]
            connection.execute(delete_rows(self._table, keys), rows)
        elif self._sink.mode == "upsert":
            statement = upsert_rows(self._table, list(changes[0].row), keys, self._dialect)
            connection.execute(statement, [change.row for change in _last(changes, keys)])
        else:
            connection.execute(insert_rows(self._table), [change.row for change in changes])


def _runs(changes: Sequence[Change]) -> Iterable[tuple[int, Sequence[Change]]]:
    """Neighbours of the same shape, each run with the number of its first change."""
    first = 0
    for number in range(1, len(changes) + 1):
        if number == len(changes) or not changes[number].is_like(changes[first]):
            yield first, changes[first:number]
            first = number


def _last(changes: Sequence[Change], keys: Sequence[str]) -> list[Change]:
    """The last change of every key."""
    return list({key_of(change, keys): change for change in changes}.values())
