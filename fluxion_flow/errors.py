"""Problems of a definition, collected with the path where each stands, and the errors that carry them.

Nothing here depends on anything else of ours. A *where* is the path into a definition, printed the way a person
would write it: ``stages[2].$group.total``. A :class:`Problem` says where, what, and what to do next; a
:class:`Problems` collector gathers them so that one run reports everything that is wrong.
"""

from __future__ import annotations

import difflib
from collections.abc import Iterable, Iterator
from dataclasses import dataclass, field


@dataclass(frozen=True)
class Where:
    """A path into a definition, such as ``stages[2].$group.total``.

    ``parts`` holds names (``str``) and list positions (``int``) from the outside in. Paths are extended with ``/``:
    ``Where("stages") / 2 / "$group"``.
    """

    parts: tuple[str | int, ...] = ()

    @classmethod
    def at(cls, *parts: str | int) -> Where:
        return cls(parts)

    def __truediv__(self, part: str | int) -> Where:
        return Where((*self.parts, part))

    def __str__(self) -> str:
        text = ""
        for part in self.parts:
            if isinstance(part, int):
                text += f"[{part}]"
            else:
                text += f".{part}" if text else part
        return text or "definition"


@dataclass(frozen=True)
class Problem:
    """One thing wrong with a definition: where it stands, what is wrong, and what to do about it."""

    where: Where
    what: str
    hint: str = ""

    def __str__(self) -> str:
        return f"{self.where}: {self.what}; {self.hint}" if self.hint else f"{self.where}: {self.what}"


class FluxionError(Exception):
    """Base of every error that Fluxion Flow raises on purpose."""


class PipelineError(FluxionError):
    """A definition cannot be used as it is. ``problems`` holds every problem found, in the order of the definition."""

    def __init__(self, problems: Iterable[Problem]) -> None:
        self.problems = tuple(problems)
        super().__init__("\n".join(map(str, self.problems)))


@dataclass
class Problems:
    """Collects problems while a definition is checked.

    ``add`` never raises, so that checking goes on to the next mistake; ``raise_if_any`` ends the check.
    """

    found: list[Problem] = field(default_factory=list)

    def add(self, where: Where, what: str, hint: str = "") -> None:
        self.found.append(Problem(where, what, hint))

    def __bool__(self) -> bool:
        return bool(self.found)

    def __iter__(self) -> Iterator[Problem]:
        return iter(self.found)

    def raise_if_any(self) -> None:
        """Raise :class:`PipelineError` with everything found, each problem once."""
        if self.found:
            raise PipelineError(dict.fromkeys(self.found))


def did_you_mean(name: str, known: Iterable[str]) -> str:
    """A hint naming the known name closest to ``name``, or ``""`` when none is close."""
    known = list(known)
    close = difflib.get_close_matches(name, known, n=1, cutoff=0.6)
    if not close:
        folded = {k.lower(): k for k in known}
        close = [folded[name.lower()]] if name.lower() in folded else []
    return f"did you mean {close[0]!r}?" if close else ""
