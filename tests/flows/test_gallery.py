"""The pipelines of the gallery, each on its own data, beside what plain Python makes of the same data."""

import importlib
import json
import sqlite3
import subprocess
import sys
from collections import defaultdict
from datetime import datetime, timedelta
from pathlib import Path

import pytest
from bytewax.testing import run_main

from fluxion_flow import StreamingPipelineDefinition

FLOWS = Path(__file__).parents[2] / "flows"
DATA = FLOWS / "data"


def lines(path):
    return [json.loads(line) for line in path.read_text(encoding="utf-8").splitlines()]


@pytest.fixture
def run(tmp_path, monkeypatch):
    """Runs a definition of the gallery; its output is in the folder that comes back."""

    def run(name):
        monkeypatch.chdir(FLOWS.parent)
        for variable in ("SIGNALS_OUT", "SESSIONS_OUT", "ROUTING_OUT", "TABLE_OUT", "SETTLED_OUT"):
            monkeypatch.setenv(variable, str(tmp_path))
        run_main(StreamingPipelineDefinition.from_file(FLOWS / f"{name}.yaml").compile())
        return tmp_path

    return run


def test_the_data_is_what_the_script_makes(tmp_path):
    done = subprocess.run(
        [sys.executable, DATA / "make_events.py", tmp_path], capture_output=True, text=True, check=True
    )
    made = "payments 936 settlements 908 clicks 1297 customer_changes 600 access.log 800"
    assert done.stdout.split() == made.split()
    for made in tmp_path.iterdir():
        assert made.read_bytes() == (DATA / made.name).read_bytes()


def test_cards_that_are_misused_are_told_of_and_late_payments_are_put_aside(run):
    out = run("fraud_signals")
    payments = lines(DATA / "payments.jsonl")
    late = {letter["doc"]["_id"] for letter in lines(out / "fraud-late.jsonl")}
    assert late == {"p-00388", "p-00415", "p-00612"}
    signals = lines(out / "fraud-signals.jsonl")
    assert len({signal["card"] for signal in signals}) == 5
    for signal in signals:
        begin, end = signal["from"][:19], signal["to"][:19]
        mine = [
            p for p in payments if p["card"] == signal["card"] and begin <= p["at"][:19] < end and p["_id"] not in late
        ]
        assert signal["payments"] == len(mine)
        assert signal["amount"] == pytest.approx(sum(p["amount"] for p in mine))
        assert signal["countries"] == sorted({p["country"] for p in mine})
        assert len(signal["reasons"]) >= 2


def test_payments_that_the_bank_does_not_settle_in_time_are_told_of(run):
    out = run("unsettled_payments")
    settled = defaultdict(list)
    for settlement in lines(DATA / "settlements.jsonl"):
        if settlement["status"] == "ok":
            settled[settlement["payment"]].append(datetime.fromisoformat(settlement["settledAt"][:-1]))
    expected = set()
    for payment in lines(DATA / "payments.jsonl"):
        paid = datetime.fromisoformat(payment["at"][:-1])
        if not any(paid <= time <= paid + timedelta(minutes=2) for time in settled[payment["_id"]]):
            expected.add(payment["_id"])
    assert len(expected) > 20
    assert sorted(p["payment"] for p in lines(out / "unsettled-payments.jsonl")) == sorted(expected)
    assert not (out / "unsettled-late.jsonl").exists() or not lines(out / "unsettled-late.jsonl")


def test_clicks_become_visits(run):
    out = run("click_sessions")
    by_visitor = defaultdict(list)
    for click in lines(DATA / "clicks.jsonl"):
        by_visitor[click["visitor"]].append((datetime.fromisoformat(click["at"][:-1]), click["page"]))
    visits = set()
    for visitor, clicks in by_visitor.items():
        visit = []
        for time, page in sorted(clicks):
            if visit and time - visit[-1][0] > timedelta(minutes=30):
                visits.add((visitor, len(visit), visit[0][1], visit[-1][1]))
                visit = []
            visit.append((time, page))
        visits.add((visitor, len(visit), visit[0][1], visit[-1][1]))
    found = lines(out / "sessions.jsonl")
    assert {(v["visitor"], v["clicks"], v["entry"], v["exit"]) for v in found} == visits
    assert all(v["bounced"] == (v["clicks"] == 1) for v in found)
    assert sum(v["ordered"] for v in found) > 10


def test_orders_go_to_every_sink_that_wants_them(run):
    out = run("order_routing")
    with sqlite3.connect(out / "orders.db") as database:
        rows = database.execute("SELECT orderId, status, channel, value FROM orders").fetchall()
    assert len(rows) == 19_930
    large = {order["orderId"] for order in lines(out / "large-orders.jsonl")}
    assert large == {i for i, status, _, value in rows if status == "PAID" and value >= 300}
    web = [order["orderId"] for part in out.glob("web-orders-*.jsonl") for order in lines(part)]
    assert sorted(web) == sorted(i for i, _, channel, _ in rows if channel == "web")
    assert len(lines(out / "routing-failed.jsonl")) == 20_000 - len(rows)


def test_a_change_log_becomes_the_table_of_its_last_versions(run):
    out = run("customer_table")
    customers = {}
    for change in lines(DATA / "customer_changes.jsonl"):
        customers[change["customerId"]] = None if change["deleted"] else (change["version"], change["address"]["city"])
    with sqlite3.connect(out / "customers.db") as database:
        rows = database.execute("SELECT customerId, version, city FROM customers").fetchall()
    assert {i: (version, city) for i, version, city in rows} == {i: c for i, c in customers.items() if c}


def test_every_pipeline_of_the_gallery_has_tests_beside_it():
    tested = {path.name.removesuffix(".flowtest.yaml") for path in FLOWS.glob("*.flowtest.yaml")}
    definitions = {path.stem for path in FLOWS.glob("*.yaml") if not path.name.endswith(".flowtest.yaml")}
    modules = {path.stem for path in FLOWS.glob("*.py")} - {"__init__", "embedded"}
    assert tested == definitions | modules


def test_every_pipeline_of_the_gallery_is_on_its_page():
    page = (FLOWS.parent / "docs" / "gallery.md").read_text(encoding="utf-8")
    assert [path.name for path in FLOWS.glob("*.flowtest.yaml") if path.name.split(".")[0] not in page] == []


def test_the_canary_of_the_orders_agrees_with_them():
    canary = [Path(sys.executable).with_name("fluxion"), "canary", "--json", "--rate", "0.2", "-n", "500"]
    done = subprocess.run(
        [*canary, FLOWS / "orders_quickstart.yaml", FLOWS / "orders_canary.yaml"],
        cwd=FLOWS.parent, capture_output=True, text=True, check=False,
    )  # fmt: skip
    told = json.loads(done.stdout)
    assert done.returncode == 0, done.stderr
    assert told["sample"] > 50
    assert {row["difference"] for row in told["compared"]} == {0.0}


def test_orders_are_enriched_from_a_server_a_database_and_a_file(tmp_path, monkeypatch):
    monkeypatch.chdir(FLOWS.parent)
    monkeypatch.setenv("ORDERS_OUT", str(tmp_path))
    run_main(importlib.import_module("flows.enriched_orders").flow)
    rates = {"EUR": 1, "GBP": 1.17, "SEK": 0.09, "PLN": 0.23}
    with sqlite3.connect(tmp_path / "enriched.db") as database:
        rows = {row[0]: row[1:] for row in database.execute("SELECT * FROM enriched_orders")}
    with sqlite3.connect(tmp_path / "accounts.db") as database:
        accounts = {customer: (manager, less) for customer, manager, less in database.execute("SELECT * FROM accounts")}
    letters = lines(tmp_path / "dead-letters.jsonl")
    unrated = {letter["doc"]["orderId"] for letter in letters if letter["errInfo"]["code"] == "enrich"}
    checked = 0
    for line in (DATA / "orders.jsonl").read_bytes().splitlines()[:3000]:
        try:
            order = json.loads(line)
            value = sum(item["qty"] * item["price"] for item in order["items"])
        except (ValueError, TypeError, AttributeError):
            continue
        if order["status"] != "PAID":
            assert order["orderId"] not in rows
        elif order["currency"] not in rates:
            assert order["orderId"] in unrated
        elif order["orderId"] in rows:
            manager, discount = accounts.get(order["customer"]["id"], ("nobody", 0))
            customer, found, euros, products = rows[order["orderId"]]
            assert (customer, found) == (order["customer"]["id"], manager)
            assert euros == pytest.approx(value * rates[order["currency"]] * (1 - discount), abs=0.01)
            assert len(products.split(", ")) == len({item["sku"] for item in order["items"]})
            checked += 1
    assert checked > 1500
