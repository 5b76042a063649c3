"""Asking the outside: how an expression gets an answer from a server or a database without Core knowing any.

An operator of this kind is a node like any other (:class:`~fluxion_flow.core.expressions.nodes.Ask`); what it generates
calls ``env.ask``. The table of a batch's answers either holds the answer already, or the question is noted and
:class:`Asked` ends the document's pass. When all documents of the batch have been tried, the questions are put to the
:class:`Outside` together, and the documents that waited are evaluated again (:mod:`~fluxion_flow.core.rounds`). The
outside hears of each question at once, so that it can set to work while further documents are tried.
So an operator is evaluated only where it is reached, documents keep their order, and a document that waits for nobody
is evaluated once. An evaluation must come to the same questions again: it may depend on the document, the answers, and
what a replay repeats, not on a clock.
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Callable, Hashable, Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Protocol

from ..errors import FluxionError, Problems
from .context import StreamingContext
from .values import EvaluationError

if TYPE_CHECKING:
    from .environment import Environment
    from .resources import Resources


class Asked(BaseException):
    """The document at hand waits for an answer. No ``Exception``: nothing that handles errors may take it for one."""


class AskFailed(EvaluationError):
    """A question has no answer. ``facts`` are what is known of it besides the text, for dead letters.

    ``retryable`` tells whether asking again may help.
    """

    def __init__(self, text: str, *, facts: Mapping[str, Any] | None = None, retryable: bool = False) -> None:
        self.facts: Mapping[str, Any] = facts or {}
        self.retryable = retryable
        super().__init__(text)


@dataclass(frozen=True, slots=True)
class Answer:
    """What came back: a value, or a function that makes the error anew for every document that it fails."""

    value: Any = None
    error: Callable[[], FluxionError] | None = None


class Asker(ABC):
    """One operator at one place in a definition, for everything that is known of its question before a document."""

    site: int
    """A number for the place, as :func:`~fluxion_flow.core.expressions.operators.randomness.site` makes it."""

    @property
    @abstractmethod
    def title(self) -> str:
        """What to call it in messages: ``$httpCall to 'users'``."""

    @property
    def shared(self) -> bool:
        """Whether documents with the same question may have the same answer. Without, every document asks anew."""
        return True

    @property
    def recorded(self) -> bool:
        """Whether a replay must be given the answers of the first run."""
        return False

    @abstractmethod
    def question(self, values: tuple[Any, ...]) -> Hashable:
        """The question for the values of the operator's arguments. Equal questions have equal answers.

        Raises :class:`AskFailed` where there can be none.
        """

    def taken(self, value: Any) -> Any:
        """What the expression's value is, of an answer."""
        return value

    @property
    def fails_to_dead_letters(self) -> bool:
        """Whether documents without an answer go to the dead letters, whatever the stage's policy says."""
        return False

    def check(self, problems: Problems) -> None:  # noqa: B027
        """Add what keeps it from being asked here and now (secrets without a value). Opens nothing."""

    def facts(self) -> list[str]:
        """What a person wants to know before a run, a line each. No secrets."""
        return []


@dataclass(frozen=True, slots=True)
class Question:
    """A question that a document has: who asks what, and the document's place for a record of answers."""

    asker: Asker
    what: Hashable
    partition: str
    place: int
    turn: int = 0
    """How often the document has asked this before in the same evaluation, where every time counts."""


class Outside(ABC):
    """Whoever answers questions. Used by one thread at a time."""

    @abstractmethod
    def serve(self, questions: Sequence[Question], context: StreamingContext) -> list[Answer]:
        """An answer for each question, in order; they are served at the same time as far as they may be."""

    @abstractmethod
    def peek(self, question: Question) -> Answer | None:
        """The answer, when it is at hand without any waiting."""

    def expect(self, question: Question) -> None:  # noqa: B027
        """The next :meth:`serve` will bring this question. Whoever can may set to work while others are thought up."""

    def abandon(self) -> None:  # noqa: B027
        """What was expected will not be put: nobody waits for its answer any more."""

    def begin(self) -> None:  # noqa: B027
        """A batch begins: what has changed outside may be seen from now on, and all its documents see the same."""

    def end(self) -> None:  # noqa: B027
        """There is no time any more: give up what is under way. May be called from any thread."""

    def close(self) -> None:  # noqa: B027
        """Let go of connections and threads."""


class OpenOutside(Protocol):
    """Opens what answers questions: ``tell(hook, context, **facts)`` hears of calls, ``record`` keeps answers."""

    def __call__(self, resources: Resources, tell: Callable[..., None] | None, record: Any) -> Outside: ...


_open: OpenOutside | None = None


def opens_outside(function: OpenOutside) -> OpenOutside:
    """Decorator: the function opens what answers questions."""
    global _open
    _open = function
    return function


def open_outside(resources: Resources, tell: Callable[..., None] | None = None, record: Any = None) -> Outside:
    """What answers the questions of one worker. Raises ``RuntimeError`` where nothing can ask any."""
    if _open is None:
        from .expressions.registry import all_operators

        all_operators()  # whoever answers comes with the operators
    if _open is None:
        raise RuntimeError("no operator is loaded that asks the outside")
    return _open(resources, tell, record)


class Answers:
    """The answers that the documents of one batch have had, and the questions that wait for the next round."""

    def __init__(self, outside: Callable[[], Outside], context: StreamingContext) -> None:
        self._open = outside
        self._opened: Outside | None = None
        self._context = context
        self._known: dict[Hashable, Answer] = {}
        self._waiting: dict[Hashable, Question] = {}
        self._turns: dict[tuple[str, int], tuple[int, int]] = {}

    @property
    def _outside(self) -> Outside:
        if self._opened is None:
            self._opened = self._open()
            self._opened.begin()
        return self._opened

    def ask(self, asker: Asker, values: tuple[Any, ...], env: Environment) -> Any:
        """The answer to a question of the document at hand.

        Raises :class:`Asked` when there is none yet, and the error that the answer is.
        """
        what = asker.question(values)
        key: Hashable = (asker.site, what)
        turn = 0 if asker.shared else self._turn(asker.site, env)
        if asker.recorded or not asker.shared:
            key = (asker.site, what, env.partition, env.place(), turn)
        answer = self._known.get(key)
        if answer is None:
            question = Question(asker, what, env.partition, env.place(), turn)
            answer = self._outside.peek(question)
            if answer is None:
                if key not in self._waiting:
                    self._waiting[key] = question
                    self._outside.expect(question)
                raise Asked
            self._known[key] = answer
        if answer.error is not None:
            raise answer.error()
        return asker.taken(answer.value)

    def _turn(self, site: int, env: Environment) -> int:
        """How often the document at hand has come by here before, in this evaluation."""
        place = env.place()
        last, turn = self._turns.get((env.partition, site), (place, -1))
        turn = turn + 1 if last == place else 0
        self._turns[env.partition, site] = (place, turn)
        return turn

    def begin(self) -> None:
        """A round begins: every document of it is evaluated from its start."""
        self._turns.clear()

    def serve(self) -> None:
        """Have the questions that wait answered."""
        waiting, self._waiting = self._waiting, {}
        answers = self._outside.serve(list(waiting.values()), self._context)
        self._known.update(zip(waiting, answers, strict=True))

    def abandon(self) -> None:
        """Nobody waits any more: forget the questions that have not been served."""
        if self._waiting:
            self._waiting.clear()
            self._outside.abandon()

    def forget_failures(self) -> None:
        """Ask again, the next time, what had no answer."""
        self._known = {key: answer for key, answer in self._known.items() if answer.error is None}
