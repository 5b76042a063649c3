"""The quickstart, run in real processes, against a plain Python computation of the same."""

import base64
import json
import math
import os
import runpy
import subprocess
import sys
from collections import Counter, defaultdict
from dataclasses import dataclass, field
from pathlib import Path

import pytest

from fluxion_flow import StreamingPipelineDefinition

ROOT = Path(__file__).parents[2]
ORDERS = ROOT / "flows" / "data" / "orders.jsonl"
PYTHON_FORM = "flows.orders_quickstart"
YAML_FORM = "fluxion_flow.flow:load('flows/orders_quickstart.yaml')"


@dataclass
class Expected:
    """What the flow must give: customers by id, the poison orders by id with the operator that fails, the bad lines."""

    customers: dict[str, dict] = field(default_factory=dict)
    poison: dict[str, str] = field(default_factory=dict)
    malformed: Counter = field(default_factory=Counter)


def is_number(value):
    return isinstance(value, (int, float)) and not isinstance(value, bool)


def failing_operator(items):
    """The expression operator that cannot work on ``items``, or None."""
    if items is None:
        return None
    if not isinstance(items, list):
        return "$map"
    numbers = [value for item in items for value in (item["qty"], item["price"])]
    return None if all(value is None or is_number(value) for value in numbers) else "$multiply"


def order_value(items):
    return math.fsum(i["qty"] * i["price"] for i in items or [] if i["qty"] is not None and i["price"] is not None)


@pytest.fixture(scope="module")
def expected():
    result = Expected()
    values = defaultdict(list)
    for line in ORDERS.read_bytes().splitlines():
        try:
            order = json.loads(line.decode("utf-8"))
        except ValueError:
            order = None
        if not isinstance(order, dict):
            result.malformed[line] += 1
        elif order["status"] != "PAID":
            continue
        elif operator := failing_operator(order["items"]):
            result.poison[order["orderId"]] = operator
        else:
            values[order["customer"]["id"]].append(order_value(order["items"]))
    for customer, spent in values.items():
        result.customers[customer] = {"_id": customer, "orders": len(spent), "lifetimeValue": math.fsum(spent)}
    return result


@dataclass
class Run:
    customers: list[dict]
    dead_letters: list[dict]
    out: Path


def read_json_lines(path):
    return [json.loads(line) for line in path.read_bytes().splitlines()]


def run_quickstart(out, *arguments):
    command = [sys.executable, "-m", "bytewax.run", *map(str, arguments)]
    environment = {**os.environ, "ORDERS_OUT": str(out)}
    run = subprocess.run(command, cwd=ROOT, env=environment, capture_output=True, text=True)
    assert run.returncode == 0, run.stderr
    return Run(read_json_lines(out / "customers.jsonl"), read_json_lines(out / "dead-letters.jsonl"), out)


@pytest.fixture(
    scope="module",
    params=[[PYTHON_FORM], [PYTHON_FORM, "-w", "2"], ["flows/orders_quickstart.py"], [YAML_FORM]],
    ids=["python", "two workers", "by file name", "yaml"],
)
def run(request, tmp_path_factory):
    return run_quickstart(tmp_path_factory.mktemp("quickstart") / "out", *request.param)


def test_every_customer_comes_out_once_with_the_exact_lifetime_value(run, expected):
    assert len(run.customers) == len(expected.customers)
    assert {customer["_id"]: customer for customer in run.customers} == expected.customers


def test_every_poison_order_is_a_dead_letter_that_names_stage_and_operator(run, expected):
    letters = [letter for letter in run.dead_letters if "raw" not in letter]
    assert {letter["operatorName"] for letter in letters} == {"stages[1].$set"}
    assert Counter(letter["doc"]["orderId"] for letter in letters) == Counter(expected.poison.keys())
    silent = [
        letter["errInfo"]["reason"]
        for letter in letters
        if expected.poison[letter["doc"]["orderId"]] not in letter["errInfo"]["reason"]
    ]
    assert silent == []


def test_every_malformed_line_is_a_dead_letter_with_its_bytes(run, expected):
    letters = [letter for letter in run.dead_letters if "raw" in letter]
    assert Counter(base64.b64decode(letter["raw"]).rstrip(b"\n") for letter in letters) == expected.malformed
    assert [letter for letter in letters if not letter["errInfo"]["reason"]] == []


def test_every_dead_letter_has_its_own_id_and_names_the_pipeline(run):
    assert len({letter["id"] for letter in run.dead_letters}) == len(run.dead_letters) == 65
    assert {letter["processorName"] for letter in run.dead_letters} == {"orders-quickstart"}


def test_dead_letter_ids_are_the_same_in_every_run(tmp_path):
    first, second = (run_quickstart(tmp_path / name, PYTHON_FORM) for name in ("first", "second"))
    assert sorted(letter["id"] for letter in first.dead_letters) == sorted(
        letter["id"] for letter in second.dead_letters
    )


def test_the_yaml_is_the_same_definition_as_the_python(monkeypatch):
    monkeypatch.chdir(ROOT)
    for name in ("ORDERS_FILE", "ORDERS_OUT"):
        monkeypatch.delenv(name, raising=False)
    in_python = runpy.run_path("flows/orders_quickstart.py")["definition"].to_dict()
    in_yaml = StreamingPipelineDefinition.from_file("flows/orders_quickstart.yaml").to_dict()
    plain = json.dumps(in_yaml).replace("${ORDERS_FILE:-flows/data/orders.jsonl}", "flows/data/orders.jsonl")
    assert json.loads(plain.replace("${ORDERS_OUT:-out}", "out")) == in_python


def test_with_a_checkpoint_store_a_second_run_repeats_nothing(tmp_path, expected):
    store = tmp_path / "store"
    store.mkdir()
    subprocess.run([sys.executable, "-m", "bytewax.recovery", store, "1"], check=True, capture_output=True)
    recovery = ["-r", store, "-s", "1", "-b", "0", "-w", "2"]
    first = run_quickstart(tmp_path / "out", PYTHON_FORM, *recovery)
    second = run_quickstart(tmp_path / "out", PYTHON_FORM, *recovery)
    assert {customer["_id"]: customer for customer in first.customers} == expected.customers
    assert sorted(second.customers, key=lambda customer: customer["_id"]) == sorted(
        first.customers, key=lambda customer: customer["_id"]
    )
    assert len(second.dead_letters) == 65
