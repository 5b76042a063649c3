"""Which policy applies where: at the pipeline, its source, each stage and each sink.

The nearest policy wins as a whole. Only its granularity, its failure budget and its dead-letter sink, when it leaves
them open, come from the pipeline's.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, field, replace
from typing import Literal, NamedTuple

from fluxion_flow.errors import Problems, Where
from fluxion_flow.policy.model import StreamingErrorPolicy

StageKey = str | int
"""A stage's name, or its index among the pipeline's stages."""


class Scope(NamedTuple):
    """A place that has a policy. ``key``: the stage's name or index, the sink's name; ``None`` elsewhere."""

    kind: Literal["pipeline", "source", "stage", "sink"]
    key: StageKey | None = None

    @property
    def where(self) -> Where:
        """The path of this scope's policy in a definition."""
        if self.kind == "pipeline":
            return Where.at("on_error")
        outer = Where.at(f"{self.kind}s", self.key) if self.key is not None else Where.at(self.kind)
        return outer / "on_error"


@dataclass(frozen=True)
class PolicySet:
    """The policies of a pipeline, by scope. ``for_source``, ``for_stage`` and ``for_sink`` give what applies."""

    pipeline: StreamingErrorPolicy | None = None
    source: StreamingErrorPolicy | None = None
    stages: Mapping[StageKey, StreamingErrorPolicy] = field(default_factory=dict)
    sinks: Mapping[str, StreamingErrorPolicy] = field(default_factory=dict)

    def for_source(self) -> StreamingErrorPolicy:
        """The policy of reading. A source has nothing to divert, so an open breaker always holds it back."""
        policy = self._resolved(self.source)
        if policy.breaker is not None:
            policy = replace(policy, breaker=replace(policy.breaker, when_open="wait"))
        return policy

    def for_stage(self, name: str | None, index: int) -> StreamingErrorPolicy:
        """The policy of a stage: the one given for its index, else for its name, else the pipeline's."""
        nearest = self.stages.get(index)
        if nearest is None and name is not None:
            nearest = self.stages.get(name)
        return self._resolved(nearest)

    def for_sink(self, name: str) -> StreamingErrorPolicy:
        """The policy of delivering to the sink ``name``."""
        return self._resolved(self.sinks.get(name))

    def for_stream(self, own: StreamingErrorPolicy | None) -> StreamingErrorPolicy:
        """The policy of a further stream's source or of one of its stages, which may have one of its ``own``."""
        return self._resolved(own)

    def overridden_by(self, other: PolicySet) -> PolicySet:
        """These policies, with those that ``other`` gives in place of ours for the same scope."""
        return PolicySet(
            pipeline=self.pipeline if other.pipeline is None else other.pipeline,
            source=self.source if other.source is None else other.source,
            stages={**self.stages, **other.stages},
            sinks={**self.sinks, **other.sinks},
        )

    def scopes(self) -> Iterator[tuple[Scope, StreamingErrorPolicy]]:
        """Every scope that has a policy of its own, with that policy, from the outside in."""
        if self.pipeline is not None:
            yield Scope("pipeline"), self.pipeline
        if self.source is not None:
            yield Scope("source"), self.source
        for key, policy in self.stages.items():
            yield Scope("stage", key), policy
        for name, policy in self.sinks.items():
            yield Scope("sink", name), policy

    def check(self, problems: Problems, where: Callable[[Scope], Where] = lambda scope: scope.where) -> None:
        """Add to ``problems`` every policy that dead-letters without a sink, its own or the pipeline's."""
        for scope, policy in self.scopes():
            if policy.action == "dead_letter" and self._resolved(policy).dead_letter_sink is None:
                problems.add(
                    where(scope),
                    "dead_letter without a sink",
                    "say where to, such as {dead_letter: {type: files, path: dead.jsonl}}",
                )

    def _resolved(self, nearest: StreamingErrorPolicy | None) -> StreamingErrorPolicy:
        outer = self.pipeline or StreamingErrorPolicy()
        policy = outer if nearest is None else nearest.within(outer)
        return policy if policy.granularity is not None else policy.per_batch()
