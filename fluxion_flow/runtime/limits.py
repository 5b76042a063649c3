"""How much state a step may hold in one process, and the clear end of a run that would hold more."""

from __future__ import annotations

from dataclasses import dataclass

from ..errors import FluxionError
from .failure import RunFailed
from .run import Run

FEWER_KEYS = "forget keys by a time to live (ttl), or group by fewer keys"


@dataclass(frozen=True)
class Limits:
    """The most keys and the most bytes of one step in one process; bytes as a checkpoint holds them."""

    keys: int | None = None
    bytes: int | None = None


class StateTooLarge(FluxionError):
    """A step holds more state than it may."""


class Watched:
    """The sizes of a step's parts in this process, which the listeners are told, and the limits on their sum."""

    def __init__(self, run: Run, step: str, limits: Limits, unit: str = "keys", advice: str = FEWER_KEYS) -> None:
        """``advice`` is what else can be done when a limit is reached than to raise it or to run more processes."""
        self._run = run
        self._advice = advice
        self._step = step
        self._limits = limits
        self._unit = unit
        self._keys: dict[str, int] = {}
        self._sizes: dict[str, int] = {}
        self._least: dict[str, int] = {}

    def too_many(self, part: str, count: int) -> bool:
        """Whether all parts hold more keys than they may, those counted in that can be forgotten."""
        self._keys[part] = count
        return self._limits.keys is not None and sum(self._keys.values()) > self._limits.keys

    def keys(self, part: str, count: int) -> None:
        """Take note of how many keys a part holds now. Raises :class:`RunFailed` when all hold too many."""
        if self.too_many(part, count):
            self._stop(f"{sum(self._keys.values()):,} {self._unit}", "max_keys", f"{self._limits.keys:,}")

    def too_large(self, part: str, size: int) -> bool:
        """Whether all parts have more bytes than they may, the superseded ones counted in."""
        self._sizes[part] = size
        return self._limits.bytes is not None and sum(self._sizes.values()) > self._limits.bytes

    def written(self, part: str, keys: int, size: int, least: int) -> None:
        """A part has been written: with ``size`` bytes in all, of which ``least`` are surely needed.

        Raises :class:`RunFailed` when all parts need too many.
        """
        self._sizes[part], self._least[part] = size, least
        if self._limits.bytes is not None and sum(self._least.values()) > self._limits.bytes:
            self._stop(f"{sum(self._least.values()):,} bytes", "max_bytes", f"{self._limits.bytes:,}")
        listeners = self._run.listeners
        if listeners.wants("on_state"):
            context = self._run.context(self._step)
            context.partition = part
            listeners.tell("on_state", context, keys=keys, size=size)

    def _stop(self, size: str, setting: str, limit: str) -> None:
        error = StateTooLarge(
            f"its state holds {size} in this process, and {setting} allows {limit}; raise {setting}, run more "
            f"processes, {self._advice}. Nothing is lost: the next run resumes from the last checkpoint"
        )
        raise RunFailed(self._run.pipeline, self._step, error) from None
