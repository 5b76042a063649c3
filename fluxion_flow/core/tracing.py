"""Where the documents that a program made of a batch came from: some were dropped, some became several."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from typing import Any, overload

from .environment import Environment
from .program import DocumentError, Program
from .stages.shapes import Document


def traced(
    program: Program, documents: Sequence[Document], env: Environment, *, first: bool = False
) -> tuple[list[Document], list[int], list[DocumentError]]:
    """Documents through a program without a combine, passing over those that fail.

    Answers what came out; for each of these the index of the document that it came from; and the failures in order,
    each with the index of its document. ``first``: go no further than the first failure.
    """
    if program.asks:
        from .rounds import in_rounds

        return in_rounds(program, documents, env, first=first)
    out: list[Document] = []
    watched = Watched(documents, out)
    env.start(documents, len(program))
    env.iterator = watched
    failures: list[DocumentError] = []
    trusted, program.trusted = program.trusted, False  # the general tier does nothing twice, so random numbers stay
    try:
        while True:
            try:
                program.resume(out, env)
                break
            except DocumentError as error:
                del out[watched.starts[-1] :]
                failures.append(error)
                if first:
                    break
    finally:
        program.trusted = trusted
    return out, watched.indexes(), failures


def placed(program: Program, documents: list[Document], env: Environment) -> tuple[list[Document], list[int]]:
    """What comes out of a program, and the index of the document that each came from.

    ``env`` has the positions of what came out from here on. Raises
    :class:`~fluxion_flow.core.program.DocumentError`.
    """
    before = [env.positions[i] if env.positions else env.position + i for i in range(len(documents))]
    out, indexes, failures = traced(program, documents, env, first=True)
    if failures:
        raise failures[0]
    env.positions = [before[index] for index in indexes]
    return out, indexes


class Watched:
    """An iterator over documents that remembers how many had come out when each went in."""

    def __init__(self, documents: Sequence[Document], out: list[Document]) -> None:
        self.starts: list[int] = []
        self._documents = documents
        self._out = out

    def __iter__(self) -> Iterator[Document]:
        return self

    def __next__(self) -> Document:
        begun = len(self.starts)
        if begun == len(self._documents):
            raise StopIteration
        self.starts.append(len(self._out))
        return self._documents[begun]

    def __length_hint__(self) -> int:
        return len(self._documents) - len(self.starts)

    def indexes(self) -> list[int]:
        """For each document that came out, the index of the one that it came from."""
        ends = [*self.starts[1:], len(self._out)] if self.starts else []
        return [
            index for index, (start, end) in enumerate(zip(self.starts, ends, strict=True)) for _ in range(start, end)
        ]


class Origins(Sequence[int]):
    """The source positions of ``size`` documents that a program made; traced when somebody asks. Pickled as a list."""

    __slots__ = ("_places", "_size", "_trace")

    def __init__(self, size: int, trace: Callable[[], list[int]]) -> None:
        self._size = size
        self._trace: Callable[[], list[int]] | None = trace
        self._places: list[int] = []

    def _traced(self) -> list[int]:
        if self._trace is not None:
            self._places, self._trace = self._trace(), None
        return self._places

    def __len__(self) -> int:
        return self._size

    @overload
    def __getitem__(self, index: int) -> int: ...
    @overload
    def __getitem__(self, index: slice) -> Sequence[int]: ...
    def __getitem__(self, index: int | slice) -> int | Sequence[int]:
        return self._traced()[index]

    def __reduce__(self) -> tuple[Any, ...]:
        return list, (self._traced(),)


def numbers_among(places: Sequence[int]) -> list[int]:
    """For each document its number, from 0, among its neighbours that came from the same place."""
    found: list[int] = []
    last, number = None, 0
    for place in places:
        number = number + 1 if place == last else 0
        last = place
        found.append(number)
    return found
