"""Documents through a stage that asks the outside: all are tried, what they ask is served together, and again.

One round has every document ask what it can ask without an answer. A document whose expressions ask one after another
takes one round for each; documents that are done, or have failed, take part in no further one.
"""

from __future__ import annotations

from collections.abc import Sequence

from ..errors import Where
from .environment import Environment
from .outside import Asked, AskFailed
from .program import DocumentError, Program
from .stages.shapes import Document
from .tracing import Watched

MAX_ROUNDS = 1000
"""More questions one after another than this are taken for a document that never ceases to ask."""


def in_rounds(
    program: Program, documents: Sequence[Document], env: Environment, *, first: bool = False
) -> tuple[list[Document], list[int], list[DocumentError]]:
    """Documents through a program that asks.

    Answers what came out; for each of these the index of the document that it came from; and the failures in order,
    each with the index of its document. ``first``: ask nothing more once a document has failed.
    """
    if env.answers is None:
        raise AskFailed("nobody is there who could be asked: an enrichment cannot stand here")
    positions = [env.positions[i] if env.positions else env.position + i for i in range(len(documents))]
    made: dict[int, list[Document]] = {}
    failures: dict[int, DocumentError] = {}
    waiting = list(range(len(documents)))
    try:
        for _ in range(MAX_ROUNDS):
            env.positions = [positions[i] for i in waiting]
            waiting = _round(program, documents, waiting, env, made, failures)
            if not waiting or (first and failures):
                break
            env.answers.serve()
        else:
            text = f"asked {MAX_ROUNDS} times, each time something else"
            failures.update({i: program.failure(i, Where(), AskFailed(text)) for i in waiting})
    finally:
        env.answers.abandon()
    env.positions = positions
    env.start(documents, len(program))
    out = [document for i in sorted(made) for document in made[i]]
    indexes = [i for i in sorted(made) for _ in made[i]]
    env.changes[0] = len(out) - len(documents)
    return out, indexes, [failures[i] for i in sorted(failures)]


def _round(
    program: Program,
    documents: Sequence[Document],
    waiting: list[int],
    env: Environment,
    made: dict[int, list[Document]],
    failures: dict[int, DocumentError],
) -> list[int]:
    """Try the documents that wait; those that still do come back."""
    assert env.answers is not None
    env.answers.begin()
    chosen = [documents[i] for i in waiting]
    out: list[Document] = []
    watched = Watched(chosen, out)
    env.start(chosen, len(program))
    env.iterator = watched
    asked: list[int] = []
    failed: set[int] = set()
    while True:
        try:
            program.resume(out, env)
            break
        except Asked:
            asked.append(waiting[len(watched.starts) - 1])
        except DocumentError as error:
            error.index = waiting[len(watched.starts) - 1]
            failures[error.index] = error
            failed.add(error.index)
        del out[watched.starts[-1] :]
    left = {*asked, *failed}
    for at, index in enumerate(waiting):
        if index not in left:
            end = watched.starts[at + 1] if at + 1 < len(watched.starts) else len(out)
            made[index] = out[watched.starts[at] : end]
    return asked


def within_a_round(program: Program, documents: Sequence[Document], env: Environment) -> list[Document]:
    """The same for a pipeline inside a stage, whose outer document waits when one of its inner documents does.

    Raises :class:`Asked` once all inner documents have asked what they can.
    """
    out: list[Document] = []
    watched = Watched(documents, out)
    env.start(documents, len(program))
    env.iterator = watched
    asked = False
    while True:
        try:
            program.resume(out, env)
            break
        except Asked:
            asked = True
            del out[watched.starts[-1] :]
    if asked:
        raise Asked
    return out
