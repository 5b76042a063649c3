"""A pipeline loads what it uses, and nothing else that takes long."""

from __future__ import annotations

import json
import subprocess
import sys

HEAVY = ("jsonschema", "yaml", "prometheus_client", "httpx", "sqlalchemy", "confluent_kafka", "click", "rich")

SCRIPT = """
import json, sys
from pathlib import Path
from fluxion_flow import pipeline

folder = Path(sys.argv[1])
(folder / "in.jsonl").write_text("".join(f'{{"n": {n}}}\\n' for n in range(40)))

def look(n):
    if n == 20:
        import prometheus_client  # somebody begins to look while the pipeline runs
    return n

flow = (
    pipeline("small")
    .source("files", path=str(folder / "in.jsonl"))
    .match({"n": {"$gte": 0}})
    .set({"n": {"$function": {"body": look, "args": ["$n"]}}})
    .sink("files", path=str(folder / "out.jsonl"))
    .config(batch_size=10)
    .compile()
)
loaded = sorted({name.partition(".")[0] for name in sys.modules})
ours = sorted(name for name in sys.modules if name.startswith(("fluxion_flow.enrich", "fluxion_connectors.")))
from bytewax.testing import run_main
run_main(flow)
from prometheus_client import REGISTRY
families = {family.name: family for family in REGISTRY.collect()}
fetched = sum(s.value for s in families["stream_fetched"].samples if s.labels.get("pipeline") == "small")
print(json.dumps({"loaded": loaded, "ours": ours, "fetched": fetched}))
"""


def test_a_small_pipeline_loads_little_and_its_metrics_are_there_for_who_looks(tmp_path):
    ran = subprocess.run(
        [sys.executable, "-c", SCRIPT, str(tmp_path)], check=True, capture_output=True, text=True, timeout=60
    )
    told = json.loads(ran.stdout)
    assert [name for name in HEAVY if name in told["loaded"]] == []
    assert {name.split(".")[1] for name in told["ours"]} == {"files"}
    assert told["fetched"] == 40
