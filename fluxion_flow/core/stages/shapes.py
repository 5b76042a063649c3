"""The shapes of stages: what the compiler must know of a stage to place it in a stream.

A stage answers with one of these shapes; neither the offline run nor the streaming compiler knows stages by name.
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, ClassVar

from ...errors import Problems, Where

if TYPE_CHECKING:
    from ..environment import Environment
    from ..expressions.emit import Emitter
    from ..outside import Asker
    from .group_fold import Fold
    from .group_home import Home

Document = dict[str, Any]


@dataclass(frozen=True, eq=False)
class Stage(ABC):
    """A checked stage. ``where`` is its place in the definition (``stages[2].$group``)."""

    where: Where

    asks: ClassVar[tuple[Asker, ...]] = ()
    """The operators in it that ask the outside; set on the stage itself by whoever parses it."""

    @property
    def name(self) -> str:
        """The stage's MongoDB name, such as ``$group``."""
        return next((str(p) for p in reversed(self.where.parts) if str(p).startswith("$")), str(self.where))


class PerDocument(Stage):
    """No memory between documents: adjacent ones fuse into one generated function over a batch."""

    @abstractmethod
    def emit(self, e: Emitter) -> None:
        """Write what happens to the current document ``e.doc``: change it, drop it (``e.drop()``) or multiply it."""


class KeyedState(ABC):
    """The memory of a keyed stage for some of the keys."""

    @abstractmethod
    def merge(
        self, partial: dict[Any, Any], origin: str, position: int = 0, indexes: Sequence[int] | None = None
    ) -> list[Any]:
        """Take in one batch's partial result; the keys that may have changed come back.

        ``origin`` names the source partition the batch came from; batches of one origin are merged in order.
        ``indexes`` are the places of the keys in the batch, where this is only a part of its partial result.
        """

    @abstractmethod
    def documents(self, keys: list[Any] | None = None) -> list[Document]:
        """The current documents of ``keys``, or of all keys in the order in which they were first seen."""

    @abstractmethod
    def order(self) -> list[tuple[str, int, int]]:
        """For every document of an ordered memory, where its key was first seen: origin, position, index."""

    @abstractmethod
    def dump(self, keys: Iterable[Any] | None = None) -> Any:
        """The state of ``keys``, or of all keys, as plain data; it is to be packed before the state changes again."""

    @abstractmethod
    def load(self, plain: Any) -> list[Any]:
        """Take over what ``dump`` gave, in the place of what is held for the same keys; these come back, in order."""

    @abstractmethod
    def discard(self, keys: Iterable[Any]) -> None:
        """Forget keys; those that are not held are passed over."""

    @abstractmethod
    def keys(self) -> list[Any]:
        """The keys that are held, in the order in which :meth:`dump` has them."""

    @abstractmethod
    def __contains__(self, key: Any) -> bool:
        """Whether a key is held."""

    @property
    def shares(self) -> bool:
        """Whether parts of the state are likely to be the same objects, so that packing them once is worth its cost."""
        return False

    @abstractmethod
    def absorb(self, other: Any) -> None:
        """Take in another memory of the same stage, which is used up; only where the stage is not ``ordered``."""

    @abstractmethod
    def __len__(self) -> int:
        """How many keys are held."""


class Keyed(Stage):
    """Combines documents by key: in the batch first, then partial results are merged."""

    @abstractmethod
    def emit_combine(self, e: Emitter) -> None:
        """Write source that adds the current document to the dict ``out`` (key -> partial result)."""

    def emit_share(self, e: Emitter) -> None:
        """Write source that appends what the current document gives to its group to the list ``out``."""
        raise NotImplementedError

    @property
    def folds(self) -> bool:
        """Whether documents may be added to the groups themselves: see :meth:`emit_share` and :meth:`fold`."""
        return False

    def fold(self, partitions: int) -> Fold:
        """The groups of a worker, of so many logical partitions, that the shares of documents are added to."""
        raise NotImplementedError

    @abstractmethod
    def state(self, ordered: bool = False, home: Home | None = None) -> KeyedState:
        """A new, empty memory. ``ordered``: for a result in the order of first sight however parts are merged.

        ``home``: of the groups in a fold of this stage.
        """

    @abstractmethod
    def split(self, partial: dict[Any, Any], partitions: int) -> dict[int, dict[Any, Any]]:
        """A partial result by logical partition; which one a key belongs to never depends on the process."""

    @property
    @abstractmethod
    def ordered(self) -> bool:
        """Whether a result depends on the order of the documents (``$push``, ``$first`` and their like)."""

    @property
    @abstractmethod
    def fingerprint(self) -> dict[str, Any]:
        """Plain data that says what a stored state means; another fingerprint, another meaning."""


class Whole(Stage):
    """Needs all documents: offline, inside a window, or at the completion of a bounded source."""

    @abstractmethod
    def run(self, documents: list[Document], env: Environment) -> list[Document]:
        """All documents in, all documents out. The list may be consumed, the documents are not changed."""


class Windowed(Stage):
    """Divides documents by event time; those of each window go through a pipeline of its own when it closes.

    What a window stage is beyond that stands in :mod:`~fluxion_flow.core.stages.windowed`; this is what places it.
    """

    @property
    @abstractmethod
    def fingerprint(self) -> dict[str, Any]:
        """Plain data that says what a stored state means; another fingerprint, another meaning."""


def check_windows(stages: Sequence[Stage], problems: Problems) -> None:
    """Report window stages that no documents with an event time can reach."""
    before: Stage | None = None
    for stage in stages:
        if isinstance(stage, Windowed) and before is not None:
            what = f"stands behind {before.name}, whose documents have no event time"
            problems.add(stage.where, what, "put it before; only per-document stages may stand before a window stage")
        if not isinstance(stage, PerDocument):
            before = before or stage
