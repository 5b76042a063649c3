"""A flow whose answers are recorded; it is killed at a document the first time. Run by test_record."""

import os

from fluxion_flow import pipeline

FOLDER = os.environ["RECORDED"]


def fall_over(document_id):
    """Kill the process at document 150, once."""
    marker = os.path.join(FOLDER, "killed")
    if document_id == 150 and not os.path.exists(marker):
        open(marker, "w").close()
        os._exit(9)
    return document_id


flow = (
    pipeline("recorded")
    .source("files", path=os.path.join(FOLDER, "in.jsonl"))
    .connection("counter", type="http", url=os.environ["COUNTER"], record=True)
    .function("fall_over", fall_over)
    .set({"n": {"$httpCall": {"connection": "counter", "path": "/of/{id}", "pathParams": {"id": "$id"}}}})
    .set({"again": {"$function": {"body": "fall_over", "args": ["$id"], "lang": "python"}}})
    .sink("files", path=os.path.join(FOLDER, "out.jsonl"))
    .config(batch_size=20)
    .compile()
)
