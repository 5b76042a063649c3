"""A real Prometheus scrapes a real run; the rules and the dashboard name only what it finds there."""

from __future__ import annotations

import json
import re
import subprocess
import time
import urllib.parse
from pathlib import Path

import pytest
import yaml
from conftest import DOCUMENTS, POISON
from runs import get, needs, wait_for

from fluxion_flow.observe.vocabulary import METRICS
from tests.servers.ports import free_neighbours

DEPLOY = Path(__file__).parents[3] / "deploy"
RULES = DEPLOY / "prometheus" / "fluxion-flow.rules.yml"
DASHBOARD = DEPLOY / "grafana" / "fluxion-flow.json"
NAME = re.compile(r"\bstream_[a-z_]+\b")


def expressions_of_the_dashboard() -> list[str]:
    dashboard = json.loads(DASHBOARD.read_text())
    found = [target["expr"] for panel in dashboard["panels"] for target in panel.get("targets", ())]
    return found + [each["expr"] for each in dashboard["annotations"]["list"]]


def with_values(expression: str) -> str:
    """An expression of the dashboard as Grafana sends it."""
    return expression.replace("$__rate_interval", "1m").replace("$pipeline", ".*").replace("$environment", ".*")


@pytest.fixture(scope="module")
def prometheus(followed, tmp_path_factory):
    """The port of a Prometheus that has scraped both processes of the run a few times."""
    needs("prometheus")
    port, _ = followed
    folder = tmp_path_factory.mktemp("prometheus")
    own = free_neighbours(1)
    config = {
        "global": {"scrape_interval": "500ms", "evaluation_interval": "500ms"},
        "rule_files": [str(RULES)],
        "scrape_configs": [
            {"job_name": "flow", "static_configs": [{"targets": [f"127.0.0.1:{port}", f"127.0.0.1:{port + 1}"]}]}
        ],
    }
    (folder / "prometheus.yml").write_text(yaml.safe_dump(config))
    with (folder / "log").open("w") as log:
        server = subprocess.Popen(
            [
                "prometheus",
                f"--config.file={folder / 'prometheus.yml'}",
                f"--storage.tsdb.path={folder / 'data'}",
                f"--web.listen-address=127.0.0.1:{own}",
            ],
            stdout=log,
            stderr=subprocess.STDOUT,
        )
    try:
        wait_for(lambda: _count(own, "min(count_over_time(up[5m]))") >= 4, server)
        yield own
    finally:
        server.terminate()
        server.wait(30)


def ask(port: int, query: str) -> list:
    answer = json.loads(get(port, f"/api/v1/query?{urllib.parse.urlencode({'query': query})}"))
    assert answer["status"] == "success", answer
    return answer["data"]["result"]


def _count(port: int, query: str) -> float:
    found = ask(port, query)
    return float(found[0]["value"][1]) if found else 0.0


def test_promtool_accepts_the_rules_and_their_tests():
    needs("promtool")
    for command in (["check", "rules", RULES.name], ["test", "rules", "fluxion-flow.rules.test.yml"]):
        done = subprocess.run(["promtool", *command], cwd=RULES.parent, capture_output=True, text=True)
        assert done.returncode == 0, done.stdout + done.stderr


def test_every_rule_has_a_test_that_fires():
    tests = yaml.safe_load((RULES.parent / "fluxion-flow.rules.test.yml").read_text())["tests"]
    fired = {case["alertname"] for test in tests for case in test["alert_rule_test"] if case["exp_alerts"]}
    assert fired == {rule["alert"] for group in yaml.safe_load(RULES.read_text())["groups"] for rule in group["rules"]}


def test_rules_and_dashboard_name_only_what_a_scrape_gives(prometheus):
    families = json.loads(get(prometheus, "/api/v1/metadata"))["data"]
    counters = {name for name, facts in families.items() if facts[0]["type"] == "counter"}
    scraped = set(families) | {f"{name}_total" for name in counters}  # OpenMetrics names a counter's family without it
    assert {metric.name for metric in METRICS} <= scraped
    named = {
        name
        for text in (*expressions_of_the_dashboard(), RULES.read_text(), json.dumps(json.loads(DASHBOARD.read_text())))
        for name in NAME.findall(text)
    }
    own = {re.sub(r"_(bucket|sum|count)$", "", name) for name in named}
    assert own <= scraped, own - scraped
    assert len(own) > 20


def test_the_dashboards_queries_are_answered(prometheus):
    empty = []
    for expression in expressions_of_the_dashboard():
        if not ask(prometheus, with_values(expression)):
            empty.append(expression)
    unused = ("stream_state_size", "stream_watermark", "stream_enrich", "stream_breaker", "stream_late", "changes(")
    assert [one for one in empty if not any(name in one for name in unused)] == []


def test_prometheus_adds_the_processes_up(prometheus):
    assert _count(prometheus, "sum(stream_fetched_total)") == DOCUMENTS
    assert _count(prometheus, 'sum(stream_delivered_total{step="sink"})') == DOCUMENTS - POISON
    assert _count(prometheus, "sum(stream_dead_letters_total)") == POISON
    assert _count(prometheus, "count(count by (worker) (stream_start_timestamp_seconds))") == 2


def test_the_rules_are_loaded_and_none_fires_for_a_run_that_is_well(prometheus):
    groups = json.loads(get(prometheus, "/api/v1/rules"))["data"]["groups"]
    rules = [rule for group in groups for rule in group["rules"]]
    until = time.monotonic() + 20
    while any(rule["health"] == "unknown" for rule in rules) and time.monotonic() < until:
        time.sleep(0.2)
        groups = json.loads(get(prometheus, "/api/v1/rules"))["data"]["groups"]
        rules = [rule for group in groups for rule in group["rules"]]
    assert {rule["health"] for rule in rules} == {"ok"}, [rule.get("lastError") for rule in rules]
    assert [rule["name"] for rule in rules if rule["state"] == "firing"] == []
