"""The statements that write rows, in each database's own words. Names are quoted, values are bound."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from sqlalchemy import Table, and_, bindparam, delete, insert
from sqlalchemy.dialects import mysql, postgresql, sqlite
from sqlalchemy.sql import Executable

from fluxion_flow.connect.sql.address import SqlError

UPSERTS = ("sqlite", "postgresql", "mysql", "mariadb")
"""Databases that we know the upsert of."""


def insert_rows(table: Table) -> Executable:
    """Insert rows; their columns are those of the parameters that it is executed with."""
    return insert(table)


def upsert_rows(table: Table, columns: Sequence[str], keys: Sequence[str], dialect: str) -> Executable:
    """Insert rows of these columns; where a row with the same keys is there, set its other columns.

    Raises :class:`SqlError` for a database whose upsert is not known.
    """
    others = [name for name in columns if name not in keys]
    if dialect in ("mysql", "mariadb"):
        statement = mysql.insert(table)
        new = statement.inserted
        return statement.on_duplicate_key_update({name: new[name] for name in others or keys})
    if dialect not in UPSERTS:
        raise SqlError(f"no upsert is known for {dialect}; use mode: insert, or one of {', '.join(UPSERTS)}")
    module: Any = postgresql if dialect == "postgresql" else sqlite
    found = module.insert(table)
    elements = [table.c[key] for key in keys]
    if not others:
        return found.on_conflict_do_nothing(index_elements=elements)  # type: ignore[no-any-return]
    return found.on_conflict_do_update(  # type: ignore[no-any-return]
        index_elements=elements, set_={name: found.excluded[name] for name in others}
    )


def delete_rows(table: Table, keys: Sequence[str]) -> Executable:
    """Delete the rows with these keys."""
    same = [table.c[key] == bindparam(f"key_{number}", type_=table.c[key].type) for number, key in enumerate(keys)]
    return delete(table).where(and_(*same))
