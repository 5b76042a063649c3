"""The guarantee follows from the source, the sinks and the policies."""

import pytest
from bytewax.inputs import DynamicSource, FixedPartitionedSource
from bytewax.outputs import DynamicSink
from bytewax.testing import TestingSource
from fluxion_connectors.memory import MemorySink, MemorySource

from fluxion_flow import StreamingErrorPolicy, pipeline
from fluxion_flow.compiler.guarantee import LEVELS, guarantee
from fluxion_flow.compiler.plan import make_plan

GROUP = {"_id": "$customer", "n": {"$sum": 1}}


class KeyedSink(MemorySink):
    keyed = True


class BytewaxSink(DynamicSink):
    def build(self, step_id, worker_index, worker_count):
        raise NotImplementedError


class BytewaxStream(DynamicSource):
    def build(self, step_id, worker_index, worker_count):
        raise NotImplementedError


def of(builder):
    return guarantee(make_plan(builder.build()))


def flow(*sinks, source=None):
    builder = pipeline("orders").source(source or MemorySource([]))
    for sink in sinks:
        builder = builder.sink(sink)
    return builder


@pytest.mark.parametrize(
    ("sink", "level", "reason"),
    [
        (MemorySink(replays=True), "exactly once", "the sink takes back what it wrote after the checkpoint"),
        (KeyedSink(), "effectively once", "the sink writes by key: a document that is written again changes nothing"),
        (MemorySink(), "at least once", "what was written after the checkpoint is written again"),
        (
            BytewaxSink(),
            "at least once",
            "what a Bytewax sink (BytewaxSink) wrote after the checkpoint is written again",
        ),
    ],
    ids=["takes back", "by key", "appends", "bytewax"],
)
def test_the_level_is_that_of_the_sink(sink, level, reason):
    found = of(flow(sink))
    assert (found.level, found.reason, found.needs) == (level, reason, "a checkpoint store (-r)")
    assert str(found) == f"{level}, with a checkpoint store (-r)"
    assert found.notes == ()


def test_only_exactly_once_cannot_be_raised():
    assert of(flow(MemorySink(replays=True))).raised_by == ""
    assert of(flow(KeyedSink())).raised_by == "a sink that takes back what it wrote, such as files"
    assert of(flow(MemorySink())).raised_by == "a sink that takes back what it wrote (files), or one that writes by key"


def test_the_weakest_sink_decides_and_each_is_told():
    found = of(flow(MemorySink("kept", replays=True), KeyedSink("upserted"), MemorySink("appended")))
    assert [sink.level for sink in found.sinks] == ["exactly once", "effectively once", "at least once"]
    assert found.level == "at least once"
    assert found.level == min((sink.level for sink in found.sinks), key=LEVELS.index)


@pytest.mark.parametrize("source", ["stdio", BytewaxStream()], ids=["stdio", "bytewax stream"])
def test_a_source_that_cannot_be_read_again_gives_at_most_once(source):
    builder = pipeline("orders").source(source, **({"bounded": True} if source != "stdio" else {}))
    if source != "stdio":
        builder = pipeline("orders").source(source)
    found = of(builder.sink(MemorySink(replays=True)))
    name = "stdio" if source == "stdio" else "BytewaxStream"
    assert str(found) == "at most once"
    assert found.reason == f"source '{name}' cannot be read again: what was read and not yet delivered is lost"
    assert found.raised_by == "a source that goes on from a cursor, such as files"


def test_a_partitioned_bytewax_source_is_read_again():
    source = TestingSource([{"n": 1}])
    assert isinstance(source, FixedPartitionedSource)
    assert of(flow(MemorySink(replays=True), source=source)).level == "exactly once"


def test_updates_send_a_document_again():
    unbounded = MemorySource([], bounded=False)
    assert of(flow(MemorySink("a"), MemorySink("b"), source=unbounded).group(GROUP)).notes == (
        "group sends a document again whenever it changes, and sinks MemorySink, MemorySink-2 keep them all: "
        "the last one of an _id counts",
    )
    assert of(flow(KeyedSink(), source=unbounded).group(GROUP)).notes == (
        "group sends a document again whenever it changes: the last one of an _id counts",
    )
    assert of(flow(MemorySink()).group(GROUP)).notes == ()


def test_the_notes_say_what_is_left_out_by_which_step():
    builder = (
        flow(MemorySink())
        .match({"a": 1}, on_error="skip_and_continue")
        .set({"b": 2})
        .set({"c": 3}, on_error=StreamingErrorPolicy.dead_letter(MemorySink("dead")).per_document())
    )
    assert of(builder).notes == (
        "batches in which a document fails in stages[0].$match are left out, and nothing tells which",
        "documents that fail in stages[2].$set are left out, and the dead letters tell which",
    )


def test_one_policy_for_everything_is_one_note_for_documents():
    policy = StreamingErrorPolicy.dead_letter(MemorySink("dead", replays=True)).per_document()
    found = of(flow(MemorySink()).set({"b": 2}).on_error(policy))
    assert found.notes == ("documents that fail in any step are left out, and the dead letters tell which",)
    assert [(letters.sink, letters.level) for letters in found.dead_letters] == [("MemorySink", "exactly once")]


def test_dead_letter_sinks_do_not_weaken_the_level():
    policy = StreamingErrorPolicy.dead_letter(MemorySink("dead"))
    assert of(flow(MemorySink(replays=True)).on_error(policy)).level == "exactly once"


class TransactionalSink(MemorySink):
    transactional = True


def test_a_transactional_sink_needs_no_checkpoint_store():
    found = of(flow(TransactionalSink()).set({"b": 1}))
    assert (found.level, found.needs, str(found), found.notes) == ("exactly once", "", "exactly once", ())
    letters = StreamingErrorPolicy.dead_letter(MemorySink("dead"))
    assert of(flow(TransactionalSink()).set({"b": 1}, on_error=letters)).notes == (
        "without a checkpoint store (-r) dead letters come again when a run is started again",
        "batches in which a document fails in stages[0].$set are left out, and the dead letters tell which",
    )


@pytest.mark.parametrize(
    ("builder", "raised_by"),
    [
        (
            flow(TransactionalSink("a"), TransactionalSink("b")),
            "a pipeline for this sink alone, so that it can say where the source stands, or a sink that writes by key",
        ),
        (
            pipeline("orders")
            .source(MemorySource([]))
            .sink(TransactionalSink(), on_error=StreamingErrorPolicy.skip_and_continue()),
            "no policy at the sink that gives documents up (skip, dead_letter), so that the sink can say where it "
            "stands, or a sink that writes by key",
        ),
        (
            flow(TransactionalSink()).group(GROUP),
            "a sink that takes back what it wrote (files), or one that writes by key",
        ),
    ],
    ids=["several sinks", "policy", "state"],
)
def test_what_would_let_a_transactional_sink_store_the_position_is_said(builder, raised_by):
    found = of(builder)
    assert (found.level, found.raised_by) == ("at least once", raised_by)
