"""Copies a file of JSON Lines into a table, from where the table's own positions say: `write_file.py FILE URL ROWS`.

Run in a process of its own, to be killed. ROWS is the size of a batch.
"""

import sys
import time

from fluxion_connectors.files import FilesSource
from fluxion_connectors.sql import SqlSink

path, url, rows = sys.argv[1:4]
source = FilesSource(path, part_size=20_000)
sink = SqlSink(url, "copied", create_table={"id": "integer", "name": "string"})  # nothing there is unique
behind = sink.committed_cursors()
writer = sink.open("0", None)
readers = [source.open(partition, behind.get(partition)) for partition in source.partitions()]
print("started", flush=True)
while readers:
    for reader in list(readers):
        batch = reader.read(int(rows))
        if batch is None:
            readers.remove(reader)
            continue
        batch.cursor = reader.cursor
        writer.write(batch)
        time.sleep(0.002)
writer.flush()
writer.close()
