"""What a database's error means: try again, this row is refused, or nothing will work until somebody acts.

Source of the codes: PostgreSQL's appendix "PostgreSQL Error Codes"; else a driver's classes and messages.
"""

from __future__ import annotations

import re
from typing import Any, Literal

from sqlalchemy.exc import DBAPIError, SQLAlchemyError, StatementError
from sqlalchemy.exc import TimeoutError as PoolTimeout

from fluxion_flow.connect.secrets import redact
from fluxion_flow.connect.sql.address import SqlError

Kind = Literal["unavailable", "row", "fatal"]

_UNAVAILABLE = re.compile(r"08|53|40001|40P01|55P03|57P0|57014|58030|25006")
_ROW = re.compile(r"22|23|44|42804|P0001")
_SQLITE_UNAVAILABLE = re.compile(r"locked|busy|disk I/O|is full|unable to open")
_MYSQL_UNAVAILABLE = {1040, 1205, 1213, 2002, 2003, 2006, 2013}
_NOT_LET_IN = re.compile(
    r"authentication failed|pg_hba|no password|(role|database|user) .* does not exist|Access denied"
)
_ROW_CLASSES = {"IntegrityError", "DataError"}


class DatabaseUnavailable(SqlError, ConnectionError):
    """The database cannot be reached, or gave way to somebody else (a deadlock, a lock, a restart): try again."""

    retryable = True


class RowRefused(SqlError):
    """One document cannot be a row of the table: a constraint, a type, a missing key."""


def kind_of(error: BaseException) -> Kind:
    """What an error that SQLAlchemy raised means for the work at hand."""
    if isinstance(error, PoolTimeout):
        return "unavailable"
    if not isinstance(error, DBAPIError):
        # A value that the driver cannot convert (an integer of 70 bits, a type it does not know) is the row's fault.
        row = isinstance(error, (StatementError, OverflowError, ValueError, TypeError))
        return "row" if row and not isinstance(error, UnicodeDecodeError) else "fatal"
    if error.connection_invalidated:
        return "unavailable"
    state = getattr(error.orig, "sqlstate", None)
    if state:
        return "unavailable" if _UNAVAILABLE.match(state) else "row" if _ROW.match(state) else "fatal"
    name = type(error.orig).__name__
    if name in _ROW_CLASSES:
        return "row"
    text = str(error.orig)
    if type(error.orig).__module__.startswith("sqlite3"):
        if "binding" in text or "not supported" in text:
            return "row"
        return "unavailable" if _SQLITE_UNAVAILABLE.search(text) else "fatal"
    if _NOT_LET_IN.search(text):
        return "fatal"
    if _mysql_code(error.orig) in _MYSQL_UNAVAILABLE:
        return "unavailable"
    # A driver that gives no code failed before the server answered: the connection was not made, or broke.
    return "unavailable" if name in ("OperationalError", "InterfaceError") and not _mysql_code(error.orig) else "fatal"


def _mysql_code(error: Any) -> int | None:
    code = error.args[0] if getattr(error, "args", ()) else None
    return code if isinstance(code, int) else None


def said(error: BaseException, doing: str) -> SqlError:
    """``error`` in our words: what was being done, and what the database said. Holds no secret and no bound value."""
    if isinstance(error, SqlError):
        return error
    cls = DatabaseUnavailable if kind_of(error) == "unavailable" else SqlError
    return cls(f"{doing}: {reason(error)}")


def reason(error: BaseException) -> str:
    """What the database said, on one line."""
    orig = error.orig if isinstance(error, StatementError) and error.orig is not None else error
    text = " ".join(str(orig).split()) if str(orig) else type(orig).__name__
    if not isinstance(error, (SQLAlchemyError, StatementError)):
        text = f"{type(error).__name__}: {text}"
    return redact(text)
