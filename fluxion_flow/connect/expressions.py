"""Aggregation expressions among a connector's options: ``key: {$concat: [$region, "-", $id]}``.

An option of type ``expression`` reaches the connector as an :class:`Expression`: checked with the definition, compiled
by Fluxion Core, evaluated by a sink's writer for a whole batch at once. A connector imports this class and nothing of
Core.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence
from functools import cached_property
from itertools import repeat
from typing import Any

from fluxion_flow.connect.spi import Batch, Document
from fluxion_flow.core.environment import Environment
from fluxion_flow.core.expressions.nodes import Node, constant_of
from fluxion_flow.core.expressions.parse import Parser
from fluxion_flow.core.program import DocumentError, Program
from fluxion_flow.core.resources import Resources
from fluxion_flow.core.stages.project import Inclusion
from fluxion_flow.core.values import MISSING
from fluxion_flow.errors import Problems, Where

Values = tuple[Sequence[Any], Mapping[int, Exception]]
"""One value a document (``None`` where it is null or missing), and by index why a document has none."""


class Expression:
    """A compiled expression. ``constant``: it has the same ``value`` for every document (``None`` if it has not).

    ``given`` is an expression as data, a Python function of a document, or an ``Expression``, which is taken as it is.
    Raises :class:`~fluxion_flow.errors.PipelineError` for what is no expression.

    >>> shout = Expression({"$toUpper": "$name"})
    >>> shout.values(Batch([{"name": "ada"}, {"name": None}, {}]))
    (['ADA', '', ''], {})
    >>> Expression("orders").constant, Expression("orders").value
    (True, 'orders')
    """

    def __init__(
        self,
        given: Any,
        where: Where = Where.at("expression"),  # noqa: B008 - frozen
        resources: Resources | None = None,
    ) -> None:
        self.where = where
        self.function: Callable[[Document], Any] | None = None
        self._seed = resources.seed if resources is not None else 0
        if isinstance(given, Expression):
            self.__dict__.update(given.__dict__)
            return
        self.constant = False
        self.value: Any = None
        if callable(given):
            self.function = given
            return
        problems = Problems()
        self._node = parse_expression(given, where, problems, resources)
        problems.raise_if_any()
        value = constant_of(self._node)
        self.constant = value is not MISSING
        self.value = value if self.constant else None

    def __repr__(self) -> str:
        return f"<expression {self.where}>"

    @cached_property
    def _program(self) -> Program:
        return Program((Inclusion(self.where, {"v": self._node}),))

    def values(self, batch: Batch) -> Values:
        """The value for every document of a batch.

        An error stands in the second part, under the index of its document, whose value is ``None`` then.
        ``{$meta: "stream.source.…"}``, ``$$NOW`` and ``$rand`` mean what they mean in the pipeline's stages.
        """
        if self.constant:
            return [self.value] * len(batch.documents), {}
        if self.function is not None:
            return self._called(self.function, batch.documents)
        env = environment(batch, seed=self._seed)
        try:
            return [made.get("v") for made in self._program.run(batch.documents, env)], {}
        except DocumentError:
            return self._one_by_one(batch.documents, env)

    def converted(self, batch: Batch, convert: Callable[[Any], Any], errors: dict[int, Exception]) -> Iterable[Any]:
        """The values as ``convert`` makes them, one for every document of a batch; ``None`` where there is an error.

        What fails is added to ``errors`` by the index of its document, where none stands there yet. ``convert`` raises
        :class:`ValueError` for a value that it does not take.
        """
        values, failed = self.values(batch)
        if not failed:
            try:
                if self.constant:
                    return repeat(convert(self.value), len(batch.documents))
                return list(map(convert, values))
            except ValueError:
                pass
        for index, error in failed.items():
            errors.setdefault(index, error)
        made: list[Any] = []
        for index, value in enumerate(values):
            try:
                made.append(None if index in failed else convert(value))
            except ValueError as error:
                errors.setdefault(index, error)
                made.append(None)
        return made

    def _one_by_one(self, documents: Sequence[Document], env: Environment) -> Values:
        values: list[Any] = []
        errors: dict[int, Exception] = {}
        env.start(documents, 1)
        for index, document in enumerate(documents):
            env.at(index)
            made: list[Document] = []
            try:
                self._program.one(document, made, env)
                values.append(made[0].get("v"))
            except DocumentError as error:
                values.append(None)
                errors[index] = error
        return values, errors

    @staticmethod
    def _called(function: Callable[[Document], Any], documents: Sequence[Document]) -> Values:
        values: list[Any] = []
        errors: dict[int, Exception] = {}
        for index, document in enumerate(documents):
            try:
                values.append(function(document))
            except Exception as error:  # noqa: BLE001 - it is the user's function, and fails for this document
                values.append(None)
                errors[index] = error
        return values, errors


def parse_expression(given: Any, where: Where, problems: Problems, resources: Resources | None = None) -> Node:
    """The parsed form of an expression; what is wrong with it is added to ``problems``.

    So is an operator that asks the outside: a writer has no desk that serves its questions.
    """
    parser = Parser(problems, resources)
    node = parser.expression(given, where)
    if parser.asks:
        what = f"{parser.asks[0].title} cannot be asked in an option of a connector"
        problems.add(where, what, "ask in a $set stage, and name its field here")
    return node


def environment(batch: Batch, **more: Any) -> Environment:
    """What Core may know of a batch. ``more`` goes to :class:`~fluxion_flow.core.environment.Environment`."""
    stream: dict[str, Any] = {"source": batch.meta.get("source", {})}
    if "window" in batch.meta:
        stream["window"] = batch.meta["window"]
    known = {
        "partition": batch.partition,
        "position": batch.position,
        "positions": batch.positions,
        "timestamp": batch.timestamp,
        "meta": {"stream": stream},
        "records": batch.meta.get("records"),
    }
    return Environment(**{**known, **more})
