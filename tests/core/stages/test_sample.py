"""Chance that a replay repeats."""

from fluxion_flow.core.batch import run_batch

DOCUMENTS = [{"n": n} for n in range(1000)]


def test_sample_is_the_same_for_the_same_input_and_seed():
    stages = [{"$sample": {"size": 10}}]
    first = run_batch(DOCUMENTS, stages, seed=1)
    assert len({d["n"] for d in first}) == 10
    assert run_batch(DOCUMENTS, stages, seed=1) == first
    assert run_batch(DOCUMENTS, stages, seed=2) != first


def test_sample_rate_keeps_about_its_part_the_same_in_a_replay():
    stages = [{"$sampleRate": 0.3}]
    kept = run_batch(DOCUMENTS, stages)
    assert 200 < len(kept) < 400
    assert run_batch(DOCUMENTS, stages) == kept
    assert run_batch(DOCUMENTS, stages, seed=7) != kept


def test_a_seed_of_its_own_makes_the_sample_rate_independent_of_the_run():
    stages = [{"$sampleRate": {"rate": 0.5, "seed": 42}}]
    assert run_batch(DOCUMENTS, stages, seed=1) == run_batch(DOCUMENTS, stages, seed=2)


def test_what_another_document_drops_changes_no_chance():
    kept = run_batch(DOCUMENTS, [{"$sampleRate": 0.5}])
    later = run_batch(DOCUMENTS, [{"$match": {"n": {"$gte": 500}}}, {"$sampleRate": 0.5}])
    assert later == [d for d in kept if d["n"] >= 500]
