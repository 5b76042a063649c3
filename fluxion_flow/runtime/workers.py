"""Which worker this thread is, and keys that Bytewax routes to a wanted worker."""

from __future__ import annotations

import threading
from functools import lru_cache

_MASK = (1 << 64) - 1


class Workers:
    """Index and number of the workers of one run, by thread.

    Bytewax says them when it builds a dynamic sink on the worker's own thread, before anything runs; thread locals
    would not last, because a worker's Python thread state is made anew at each call.
    """

    def __init__(self) -> None:
        self._by_thread: dict[int, tuple[int, int]] = {}

    def enter(self, index: int, count: int) -> None:
        """This thread is worker ``index`` of ``count``."""
        self._by_thread[threading.get_ident()] = (index, count)

    def current(self) -> tuple[int, int]:
        """Index and number of workers; ``(0, 1)`` before the run has started."""
        return self._by_thread.get(threading.get_ident(), (0, 1))

    def part(self) -> str:
        """The name of this worker's own part of a keyed step: one that Bytewax routes to this very worker."""
        return local_part(*self.current())


@lru_cache(maxsize=1024)
def local_part(index: int, count: int) -> str:
    """The smallest number, as text, whose key is routed to worker ``index`` of ``count``.

    Were the routing to change, the parts would still be as many as the workers, each in one place only; batches
    would travel to reach it.
    """
    return next(str(n) for n in range(1_000_000) if route(str(n)) % count == index)


def route(key: str) -> int:
    """The number that Bytewax takes modulo the number of workers to route a key: SipHash-1-3 with zero keys.

    Bytewax hashes a key with Rust's default hasher, which is that function over the UTF-8 text and a byte 255.
    """
    data = key.encode() + b"\xff"
    v0, v1, v2, v3 = 0x736F6D6570736575, 0x646F72616E646F6D, 0x6C7967656E657261, 0x7465646279746573

    def rounds(times: int) -> None:
        nonlocal v0, v1, v2, v3
        for _ in range(times):
            v0 = (v0 + v1) & _MASK
            v1 = _rotate(v1, 13) ^ v0
            v0 = _rotate(v0, 32)
            v2 = (v2 + v3) & _MASK
            v3 = _rotate(v3, 16) ^ v2
            v0 = (v0 + v3) & _MASK
            v3 = _rotate(v3, 21) ^ v0
            v2 = (v2 + v1) & _MASK
            v1 = _rotate(v1, 17) ^ v2
            v2 = _rotate(v2, 32)

    whole = len(data) // 8 * 8
    for start in range(0, whole, 8):
        word = int.from_bytes(data[start : start + 8], "little")
        v3 ^= word
        rounds(1)
        v0 ^= word
    last = int.from_bytes(data[whole:], "little") | (len(data) & 0xFF) << 56
    v3 ^= last
    rounds(1)
    v0 ^= last
    v2 ^= 0xFF
    rounds(3)
    return v0 ^ v1 ^ v2 ^ v3


def _rotate(word: int, by: int) -> int:
    return (word << by | word >> (64 - by)) & _MASK
