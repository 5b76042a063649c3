"""DuckDB on one thread, with the schema given."""

from __future__ import annotations

from pathlib import Path

import duckdb
from flow_jobs import FILTER, GROUP

COLUMNS = (
    "{_id: 'VARCHAR', customerId: 'VARCHAR', status: 'VARCHAR', channel: 'VARCHAR', country: 'VARCHAR', "
    "quantity: 'BIGINT', price: 'DOUBLE', discount: 'DOUBLE', placedAt: 'VARCHAR'}"
)
STATELESS_SQL = """
    SELECT _id, customerId, net, size, net * quantity AS total
    FROM (SELECT *, price * (1 - discount) AS net, CASE WHEN quantity >= 8 THEN 'bulk' ELSE 'small' END AS size
          FROM orders WHERE status = 'PAID' AND price >= 20)
"""
GROUP_SQL = """
    SELECT customerId AS _id, count(*) AS orders, sum(net) AS revenue, max(net) AS most
    FROM (SELECT customerId, price * (1 - discount) AS net FROM orders WHERE status = 'PAID' AND price >= 20)
    GROUP BY customerId
"""
FILTER_SQL = "SELECT * FROM orders WHERE status = 'PAID' AND country = 'DE'"


def run(job: str, source: Path, target: Path) -> None:
    """The job."""
    query = {GROUP: GROUP_SQL, FILTER: FILTER_SQL}.get(job, STATELESS_SQL)
    database = duckdb.connect(config={"threads": 1})
    orders = f"read_json('{source}', format='newline_delimited', columns={COLUMNS})"
    database.execute(f"COPY (WITH orders AS (SELECT * FROM {orders}) {query}) TO '{target}' (FORMAT json)")
