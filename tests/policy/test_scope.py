from __future__ import annotations

import pytest

from fluxion_flow.errors import Problems, Where
from fluxion_flow.policy.model import CircuitBreaker, FailureBudget, StreamingErrorPolicy
from fluxion_flow.policy.scope import PolicySet, Scope

FAIL = StreamingErrorPolicy.fail_fast()
SKIP = StreamingErrorPolicy.skip_and_continue()
RETRY = StreamingErrorPolicy.retry(3)
SINK = {"type": "memory"}
DEAD = StreamingErrorPolicy.dead_letter(SINK)
BUDGET = FailureBudget(failures=3)


def test_the_default_is_to_fail_by_the_batch() -> None:
    policies = PolicySet()
    default = FAIL.per_batch()
    assert [policies.for_source(), policies.for_stage("$set", 0), policies.for_sink("out")] == [default] * 3


def test_the_nearest_policy_wins() -> None:
    policies = PolicySet(
        pipeline=RETRY, source=SKIP, stages={1: DEAD, "$group": SKIP, "totals": DEAD}, sinks={"a": FAIL}
    )
    assert policies.for_source() == SKIP.per_batch()
    assert policies.for_stage("$set", 0) == RETRY.per_batch()
    assert policies.for_stage("$group", 1) == DEAD.per_batch()
    assert policies.for_stage("$group", 2) == SKIP.per_batch()
    assert policies.for_stage("totals", 3) == DEAD.per_batch()
    assert policies.for_stage(None, 4) == RETRY.per_batch()
    assert policies.for_sink("a") == FAIL.per_batch()
    assert policies.for_sink("b") == RETRY.per_batch()


def test_granularity_budget_and_sink_are_inherited_and_nothing_else() -> None:
    outer = (
        StreamingErrorPolicy.builder()
        .retry(3)
        .circuit_breaker()
        .budget(failures=3)
        .on_failure(print)
        .granularity("document")
        .dead_letter(SINK)
        .build()
    )
    policies = PolicySet(pipeline=outer, stages={0: SKIP, 1: StreamingErrorPolicy.dead_letter().per_batch()})
    assert policies.for_stage(None, 0) == StreamingErrorPolicy(
        action="skip", granularity="document", budget=BUDGET, dead_letter_sink=SINK
    )
    assert policies.for_stage(None, 1) == StreamingErrorPolicy(
        action="dead_letter", granularity="batch", budget=BUDGET, dead_letter_sink=SINK
    )


def test_own_granularity_budget_and_sink_stay() -> None:
    inner = StreamingErrorPolicy(
        action="dead_letter", granularity="document", budget=BUDGET, dead_letter_sink={"type": "files"}
    )
    outer = StreamingErrorPolicy(granularity="batch", budget=FailureBudget(percent=5), dead_letter_sink=SINK)
    assert PolicySet(pipeline=outer, sinks={"out": inner}).for_sink("out") == inner


def test_breaker_of_a_source_always_waits() -> None:
    policy = StreamingErrorPolicy(breaker=CircuitBreaker(when_open="divert"))
    policies = PolicySet(pipeline=policy)
    assert policies.for_source().breaker == CircuitBreaker(when_open="wait")
    assert policies.for_sink("out").breaker == CircuitBreaker(when_open="divert")


def test_overrides_replace_scope_by_scope() -> None:
    policies = PolicySet(pipeline=RETRY, source=FAIL, stages={0: SKIP, 1: SKIP}, sinks={"out": FAIL})
    assert policies.overridden_by(PolicySet(pipeline=SKIP, stages={1: DEAD})) == PolicySet(
        pipeline=SKIP, source=FAIL, stages={0: SKIP, 1: DEAD}, sinks={"out": FAIL}
    )


def test_dead_letter_without_any_sink_is_reported_at_every_scope() -> None:
    bare = StreamingErrorPolicy.dead_letter()
    policies = PolicySet(pipeline=bare, source=DEAD, stages={1: bare, "totals": bare}, sinks={"out": RETRY.then(bare)})
    problems = Problems()
    policies.check(problems)
    says = "dead_letter without a sink; say where to, such as {dead_letter: {type: files, path: dead.jsonl}}"
    assert [str(p) for p in problems] == [
        f"on_error: {says}",
        f"stages[1].on_error: {says}",
        f"stages.totals.on_error: {says}",
        f"sinks.out.on_error: {says}",
    ]
    problems = Problems()
    PolicySet(pipeline=DEAD, sinks={"out": bare}).check(problems)
    assert not problems
    PolicySet(sinks={"out": bare}).check(problems, lambda scope: Where.at("sink", "on_error"))
    assert [str(p.where) for p in problems] == ["sink.on_error"]


@pytest.mark.parametrize(
    ("scope", "text"),
    [(Scope("pipeline"), "on_error"), (Scope("source"), "source.on_error"), (Scope("stage", 0), "stages[0].on_error")],
)
def test_scope_knows_its_path(scope: Scope, text: str) -> None:
    assert str(scope.where) == text
