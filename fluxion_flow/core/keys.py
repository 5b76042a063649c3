"""Group keys: which logical partition one belongs to, the same in every process and on every machine."""

from __future__ import annotations

import zlib
from typing import Any


def stable_hash(key: Any) -> int:
    """A hash of a canonical key that depends on nothing but the key (Python's own differs between processes).

    Keys that are equal have equal hashes: numbers by Python's numeric hash, which no seed changes.
    """
    kind = key.__class__
    if kind is str:
        return zlib.crc32(key.encode("utf-8", "surrogatepass"))
    if kind is tuple:
        total = len(key)
        for item in key:
            total = (total * 1_000_003 ^ stable_hash(item)) & 0xFFFFFFFF
        return total
    if key is None:
        return 7
    if kind is bytes:
        return zlib.crc32(key)
    return hash(key) & 0xFFFFFFFF
