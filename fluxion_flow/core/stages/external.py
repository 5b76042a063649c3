"""Collections of ``$lookup`` that stand outside: what of them Core knows, and who opens them."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Callable, Mapping, Sequence
from typing import Any

from ...errors import Where
from ..environment import Environment
from ..expressions.parse import Parser
from ..expressions.paths import path_in
from ..ordering import canonical
from ..outside import Asked, Asker, AskFailed
from ..values import MISSING
from .collections import FieldIndex, joined_values
from .inner import InnerPipeline
from .shapes import Document


class ExternalCollection(ABC):
    """A collection whose documents are asked for, all of them or those that hold a value in a field."""

    whole: bool
    """Whether all documents come with one answer; else they are asked for by value."""

    empty: bool = False
    """Whether a failure counts as no documents."""

    @abstractmethod
    def asker(self, field: tuple[str, ...]) -> Asker:
        """Asks for the documents that hold the value of its one argument in ``field``, or, without an argument, for
        all: a :class:`Loaded`.
        """


ALL = "all"
"""The question for all documents of a collection."""


class Loaded:
    """All documents of a collection, with what stages have made of them."""

    def __init__(self, documents: Sequence[Document]) -> None:
        self.documents = documents
        self.joins: dict[int, Any] = {}


_open: Callable[[Mapping[str, Any], Where, Parser], ExternalCollection | None] | None = None


def opens_collections(
    function: Callable[[Mapping[str, Any], Where, Parser], ExternalCollection | None],
) -> Callable[[Mapping[str, Any], Where, Parser], ExternalCollection | None]:
    """Decorator: the function reads the description of a collection that stands outside."""
    global _open
    _open = function
    return function


def open_collection(spec: Mapping[str, Any], where: Where, parser: Parser) -> ExternalCollection | None:
    """The collection that an object describes; ``None`` after reporting problems."""
    from ..expressions.registry import all_operators

    all_operators()  # whoever opens collections comes with the operators
    if _open is None:
        parser.problems.add(where, "takes the name of a collection, got an object")
        return None
    return _open(spec, where, parser)


class JoinByValue:
    """Joins documents that are asked for by the value that they are joined by.

    ``local`` is the path of the values in the document outside; where it is empty, the value is that of the variable
    ``name`` at ``path``, as it stands. What comes back is compared again, by MongoDB's rules.
    """

    def __init__(
        self,
        collection: ExternalCollection,
        foreign: tuple[str, ...],
        local: tuple[str, ...],
        name: str,
        path: tuple[str, ...],
        pipeline: InnerPipeline | None,
    ) -> None:
        self.asker = collection.asker(foreign)
        self._empty = collection.empty
        self._foreign = foreign
        self._local = local
        self._name = name
        self._path = path
        self._pipeline = pipeline

    def find(self, document: Document, env: Environment, variables: dict[str, Any]) -> list[Document]:
        """The joined documents: in the order of the values, and for each as they were answered."""
        if self._local:
            values = list({canonical(value): value for value in joined_values(document, self._local)}.values())
        else:
            value = variables[self._name] if self._name in variables else env.variables[self._name]
            value = path_in(value, self._path)
            values = [] if value is MISSING else [value]
        documents = self._matching(self._asked(values, env), values)
        return documents if self._pipeline is None else self._pipeline.run_for(documents, env.within(variables))

    def _asked(self, values: Sequence[Any], env: Environment) -> list[Document]:
        found: dict[Any, Document] = {}
        waits = False
        for value in values:
            try:
                answer = env.ask(self.asker, (value,))
            except Asked:
                waits = True
            except AskFailed:
                if not self._empty:
                    raise
            else:
                found.update((_identity(one), one) for one in answer)
        if waits:
            raise Asked
        return list(found.values())

    def _matching(self, documents: list[Document], values: Sequence[Any]) -> list[Document]:
        index = FieldIndex(documents, self._foreign, whole=not self._local)
        return [documents[i] for i in index.find(values)]


class JoinLoaded:
    """Joins documents of a collection that comes as a whole; ``over`` makes the join of its documents."""

    def __init__(self, collection: ExternalCollection, over: Callable[[Sequence[Document]], Any]) -> None:
        self.asker = collection.asker(())
        self._empty = collection.empty
        self._over = over

    def find(self, document: Document, env: Environment, variables: dict[str, Any]) -> list[Document]:
        try:
            loaded = env.ask(self.asker, ())
        except AskFailed:
            if not self._empty:
                raise
            return []
        join = loaded.joins.get(id(self))
        if join is None:
            join = loaded.joins[id(self)] = self._over(loaded.documents)
        found: list[Document] = join.find(document, env, variables)
        return found


def _identity(document: Document) -> Any:
    """What tells a document apart that several values have brought."""
    return ("_id", canonical(document["_id"])) if "_id" in document else id(document)
