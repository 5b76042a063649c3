"""``$sqlQuery``: a statement with bound parameters for a document."""

from __future__ import annotations

from collections.abc import Hashable, Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property
from typing import Any

from fluxion_flow.core.expressions.nodes import Const, Node
from fluxion_flow.core.expressions.operators.randomness import site
from fluxion_flow.core.expressions.parse import Parser
from fluxion_flow.core.expressions.registry import form
from fluxion_flow.enrich.asking import Enrichment
from fluxion_flow.enrich.connections import call_settings, check_names, read_connection, reference
from fluxion_flow.enrich.failures import QueryFailed
from fluxion_flow.enrich.http_call import asking
from fluxion_flow.enrich.on_error import read_on_error
from fluxion_flow.enrich.sql import OPTIONS, SqlClient, SqlTarget, bound
from fluxion_flow.enrich.statements import Statement, StatementError, parse_statement
from fluxion_flow.errors import Where

ARGUMENTS = (
    *("connection", "connectionRef", "connection_ref", "query", "sql", "params", "expectSingle", "expect_single"),
    *("maxRows", "max_rows", "onError", "on_error"),
)
MAX_ROWS = 10_000


@dataclass(frozen=True)
class SqlCall:
    """A statement and its values; ``limit`` is how many rows are wanted at most."""

    statement: Statement
    values: tuple[tuple[str, Any], ...]
    kinds: tuple[type, ...]
    """The classes of the values, so that 1, 1.0 and true are not the same question."""


@dataclass(frozen=True, eq=False, kw_only=True)
class SqlAsker(Enrichment):
    """Makes statements of the values of its arguments, which come in the order of ``names``."""

    target: SqlTarget
    statement: Statement
    names: tuple[str, ...]
    single: bool
    max_rows: int

    @property
    def shared(self) -> bool:
        return self.statement.reads or self.settings.cache is not None

    @cached_property
    def _text(self) -> Any:
        from sqlalchemy import text

        return text(self.statement.text)

    def question(self, values: tuple[Any, ...]) -> Hashable:
        given = [bound(value, self.title, name) for name, value in zip(self.names, values, strict=True)]
        return SqlCall(self.statement, tuple(zip(self.names, given, strict=True)), tuple(v.__class__ for v in given))

    def perform(self, client: SqlClient, what: Any) -> Any:
        rows = client.query(self._text, dict(what.values), limit=1 if self.single else self.max_rows + 1)
        if len(rows) > self.max_rows:
            text = f"{self.title}: there are more than {self.max_rows} rows; narrow the statement, or raise maxRows"
            raise QueryFailed(text)
        return rows

    def taken(self, value: Any) -> Any:
        if not self.single:
            return value
        return value[0] if value else None


@form(
    "$sqlQuery",
    arity="{connection, sql or query, params, expectSingle, maxRows, onError, …}",
    outside=True,
    examples=[
        (
            {"customerId": 7},
            {
                "$sqlQuery": {
                    "connection": "orders-db",
                    "sql": "select id, total from orders where customer_id = ? order by id",
                    "params": ["$customerId"],
                }
            },
            [{"id": 1, "total": 20.5}, {"id": 2, "total": 5.0}],
        ),
        (
            {"customerId": 7},
            {
                "$sqlQuery": {
                    "connection": "orders-db",
                    "query": "select total from orders where customer_id = :customer and id > :after",
                    "params": {"customer": "$customerId", "after": 1},
                    "expectSingle": True,
                }
            },
            {"total": 5.0},
        ),
    ],
)
def sql_query(spec: Any, where: Where, parser: Parser) -> Node:
    """The rows that a database answers to a statement with values of the document.

    ``connection`` names a connection of type ``sql``. ``sql`` (or ``query``) is the statement; ``?`` takes the values
    of the array ``params`` in order, ``:name`` those of the object ``params``. Values are bound, never spliced; ``??``
    is a question mark that is no parameter. Each row is a document with the names of the columns: timestamps become
    dates in UTC, numerics decimals, JSON objects and arrays. ``expectSingle`` gives the first row, null where there is
    none. More rows than ``maxRows`` (10,000) are an error. A statement that writes is committed by itself, for every
    document anew, and again on a replay. ``onError`` and the settings of calls are as in $httpCall.
    Fluxion: $sqlQuery.
    """
    if not isinstance(spec, Mapping):
        parser.problems.add(where, "takes an object of named arguments", "such as {connection: db, sql: select 1}")
        return Const(where, None)
    before = len(parser.problems.found)
    check_names(spec, ARGUMENTS, where, parser)
    name, place = reference(spec, where, parser)
    named = None
    if name is not None:
        named = read_connection(name, place, parser.resources, parser.problems, ("sql",), {"sql": OPTIONS})
    elif place.parts[-1] not in spec:
        parser.problems.add(where / "connection", "required", "name a connection of type sql")
    statement, at = _statement(spec, where, parser)
    names, nodes = _params(spec, where, parser, statement, at)
    single = _flag(spec, ("expectSingle", "expect_single"), where, parser)
    most = next((spec[key] for key in ("maxRows", "max_rows") if key in spec), MAX_ROWS)
    if isinstance(most, bool) or not isinstance(most, int) or most < 1:
        parser.problems.add(where / "maxRows", f"must be a whole number from 1 up, got {most!r}")
    on_error = read_on_error(spec, where, parser)
    if named is None or statement is None or len(parser.problems.found) > before:
        return Const(where, None)
    settings = call_settings(spec, where, parser.problems, named.settings)
    asker = SqlAsker(
        name="$sqlQuery",
        where=where,
        site=site(where),
        target=SqlTarget(named),
        settings=settings,
        identity=("sql", single, most),
        dead_letters=on_error.dead_letters,
        statement=statement,
        names=names,
        single=single,
        max_rows=most,
    )
    return asking(asker, nodes, on_error, parser)


def _statement(spec: Mapping[str, Any], where: Where, parser: Parser) -> tuple[Statement | None, Where]:
    given = [name for name in ("sql", "query") if name in spec]
    if not given:
        parser.problems.add(where / "sql", "required", "such as SELECT name FROM users WHERE id = ?")
        return None, where / "sql"
    if len(given) > 1:
        parser.problems.add(where / "query", "given beside sql", "keep one of the two")
    text, place = spec[given[0]], where / given[0]
    if not isinstance(text, str) or text.startswith("$"):
        parser.problems.add(place, "must be a text that does not depend on the document", "its values stand in params")
        return None, place
    try:
        return parse_statement(text), place
    except StatementError as error:
        parser.problems.add(place, error.what, error.hint)
        return None, place


def _params(
    spec: Mapping[str, Any], where: Where, parser: Parser, statement: Statement | None, at: Where
) -> tuple[tuple[str, ...], Sequence[Node]]:
    """The names of the parameters and their expressions."""
    params, place = spec.get("params", []), where / "params"
    if isinstance(params, Mapping) and not any(str(key).startswith("$") for key in params):
        nodes = {str(name): parser.expression(value, place / str(name)) for name, value in params.items()}
        if statement is not None:
            if statement.positions:
                parser.problems.add(place, "must be an array, because the statement has ?", "or write :name in it")
                return (), ()
            for name in nodes:
                if name not in statement.names:
                    there = (
                        f"it has {', '.join(f':{n}' for n in statement.names)}" if statement.names else "it has none"
                    )
                    parser.problems.add(place / name, f"the statement has no :{name}", there)
            for name in statement.names:
                if name not in nodes:
                    parser.problems.add(at, f"has no value for :{name}", f"give params: {{{name}: …}}")
        return tuple(nodes), tuple(nodes.values())
    if not isinstance(params, (list, tuple)):
        parser.problems.add(place, "must be an array of expressions, or an object of them by name")
        return (), ()
    listed = tuple(parser.expression(value, place / i) for i, value in enumerate(params))
    if statement is not None and statement.names:
        parser.problems.add(place, "must be an object, because the statement has :name", "or write ? in it")
    elif statement is not None and statement.positions != len(listed):
        what = f"has {statement.positions} ?, but there are {len(listed)} params"
        parser.problems.add(at, what, "give a value for each")
    return tuple(f"p{i}" for i in range(len(listed))), listed


def _flag(spec: Mapping[str, Any], names: tuple[str, ...], where: Where, parser: Parser) -> bool:
    for name in names:
        if name in spec:
            if not isinstance(spec[name], bool):
                parser.problems.add(where / name, f"must be true or false, got {spec[name]!r}")
            return bool(spec[name])
    return False
