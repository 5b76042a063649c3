"""A dataflow as Bytewax's guide writes it: read lines, decode, filter, map, encode, write lines."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import bytewax.operators as op
from bytewax.connectors.files import FileSink, FileSource
from bytewax.dataflow import Dataflow
from bytewax.testing import run_main
from flow_jobs import FILTER, GROUP, STATELESS, german, valued, wanted


def run(job: str, source: Path, target: Path, loads: Callable[[str], Any], dumps: Callable[[Any], str]) -> None:
    """The job with this decoder and this encoder."""
    flow = Dataflow("by-hand")
    lines = op.input("lines", flow, FileSource(source))
    orders = op.map("decode", lines, loads)
    if job == GROUP:
        paid = op.filter("wanted", orders, wanted)
        netted = op.map("net", paid, lambda o: (o["customerId"], o["price"] * (1 - o["discount"])))
        totals = op.fold_final("total", netted, lambda: (0, 0.0, 0.0), _add)
        texts = op.map("encode", totals, lambda pair: (pair[0], dumps(_group(pair))))
    else:
        kept = op.filter("wanted", orders, german if job == FILTER else wanted)
        made = op.map("value", kept, valued) if job == STATELESS else kept
        texts = op.map("encode", made, lambda document: (document["_id"], dumps(document)))
    op.output("out", texts, FileSink(target))
    run_main(flow)


def _add(state: tuple[int, float, float], net: float) -> tuple[int, float, float]:
    count, revenue, most = state
    return count + 1, revenue + net, max(most, net)


def _group(pair: tuple[str, tuple[int, float, float]]) -> dict[str, Any]:
    customer, (orders, revenue, most) = pair
    return {"_id": customer, "orders": orders, "revenue": revenue, "most": most}
