"""Runs a definition from Kafka in a process of its own, slowly.

`run_topic_flow.py DEFINITION STORE WORKERS PAUSE [NUMBER ADDRESS ADDRESS …]`

PAUSE is the number of seconds that every read takes. NUMBER is this process's among those of the ADDRESSES; the STORE
is there already then.
"""

import json
import os
import sys
import threading
import time
from datetime import timedelta
from pathlib import Path

from bytewax.recovery import RecoveryConfig, init_db_dir
from bytewax.testing import cluster_main
from fluxion_connectors.kafka import KafkaSource

from fluxion_flow.compiler import compile_definition
from fluxion_flow.dsl.model import StreamingPipelineDefinition

definition_path, store_path, workers, pause, *cluster = sys.argv[1:]
store = Path(store_path)
if not store.exists():
    fresh = store.with_suffix(".new")
    fresh.mkdir(parents=True, exist_ok=True)
    for old in fresh.iterdir():
        old.unlink()
    init_db_dir(fresh, 2)
    os.replace(fresh, store)

spec = json.loads(Path(definition_path).read_text())
opened = KafkaSource.open
first = threading.Event()


def open_slowly(self, partition, cursor):
    reader = opened(self, partition, cursor)
    read = reader.read

    def slow_read(max_documents):
        time.sleep(float(pause))
        batch = read(max_documents)
        if batch is not None and batch.documents and not first.is_set():
            first.set()
            print("reading", flush=True)
        return batch

    reader.read = slow_read
    return reader


KafkaSource.open = open_slowly
cluster_main(
    compile_definition(StreamingPipelineDefinition.from_dict(spec).resolved()),
    cluster[1:],
    int(cluster[0]) if cluster else 0,
    worker_count_per_proc=int(workers),
    epoch_interval=timedelta(milliseconds=50),
    recovery_config=RecoveryConfig(store, timedelta(0)),
)
print("complete", flush=True)
