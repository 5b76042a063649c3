"""One run of one contender in a process of its own: prints seconds, CPU seconds and peak memory (MiB) as JSON.

    python benchmarks/flow_run.py RIVAL JOB SOURCE TARGET

The clock starts when everything is imported and has run once, over a few orders: start-up is measured by itself.
"""

from __future__ import annotations

import importlib
import json
import sys
import tempfile
import time
from pathlib import Path

from flow_orders import write_orders
from resident import peak_mebibytes


def main(rival: str, job: str, source: str, target: str) -> None:
    module = importlib.import_module(f"rivals.{rival}")
    with tempfile.TemporaryDirectory() as folder:
        few = Path(folder) / "few.jsonl"
        write_orders(few, 100)
        module.run(job, few, Path(folder) / "out.jsonl")
    started, cpu = time.perf_counter(), time.process_time()
    module.run(job, Path(source), Path(target))
    seconds, cpu_seconds = time.perf_counter() - started, time.process_time() - cpu
    print(json.dumps({"seconds": seconds, "cpu": cpu_seconds, "mib": peak_mebibytes()}))


if __name__ == "__main__":
    main(*sys.argv[1:])
