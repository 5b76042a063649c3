"""Runs a definition in a process of its own, slowly enough to be killed:
`run_flow.py DEFINITION STORE WORKERS PAUSE [ADDRESSES PROCESS]`.

PAUSE is the number of seconds that every read takes, so that a kill meets the run at any stage of its work. ADDRESSES
are those of all processes of one run, joined by semicolons.
"""

import json
import os
import sys
import time
from datetime import timedelta
from pathlib import Path

from bytewax.recovery import RecoveryConfig, init_db_dir
from bytewax.testing import cluster_main

from fluxion_flow.compiler import compile_definition
from fluxion_flow.dsl.model import StreamingPipelineDefinition
from fluxion_flow.runtime.drain import install_signal_handlers

definition_path, store_path, workers, pause = sys.argv[1:5]
addresses, process = (sys.argv[5].split(";"), int(sys.argv[6])) if len(sys.argv) > 5 else ([], 0)
store = Path(store_path)
if not store.exists() and process == 0:
    fresh = store.with_suffix(".new")
    fresh.mkdir(parents=True, exist_ok=True)
    for old in fresh.iterdir():
        old.unlink()
    init_db_dir(fresh, 2)
    os.replace(fresh, store)  # a kill while the store is made must not leave half of one

while not store.exists():
    time.sleep(0.01)  # the first process makes it

definition = StreamingPipelineDefinition.from_dict(json.loads(Path(definition_path).read_text())).resolved()
source = definition.source.open()
opened = type(source).open


def slow_open(self, partition, cursor):
    reader = opened(self, partition, cursor)
    read = reader.read

    def slow_read(max_documents):
        time.sleep(float(pause))
        return read(max_documents)

    reader.read = slow_read
    return reader


type(source).open = slow_open
install_signal_handlers()
flow = compile_definition(definition)
print("started", flush=True)
cluster_main(
    flow,
    addresses,
    process,
    worker_count_per_proc=int(workers),
    epoch_interval=timedelta(milliseconds=20),
    recovery_config=RecoveryConfig(store, timedelta(0)),
)
