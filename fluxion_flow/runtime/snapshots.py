"""State for the recovery store: plain data as bytes, written fast, read back without running any code.

The bytes are a pickle that may name nothing but the value types of documents (dates and decimals); the reader refuses
everything else, so a store from elsewhere cannot run code here.
"""

from __future__ import annotations

import io
import pickle
from typing import Any

from ..errors import FluxionError

_ALLOWED = {
    ("datetime", "datetime"),
    ("datetime", "timezone"),
    ("datetime", "timedelta"),
    ("decimal", "Decimal"),
    ("re", "_compile"),
    ("builtins", "set"),
    ("builtins", "frozenset"),
    ("fluxion_flow.core.values", "MISSING"),
}


class SnapshotError(FluxionError):
    """A stored state cannot be read as plain data."""


class _Reader(pickle.Unpickler):
    def find_class(self, module: str, name: str) -> Any:
        if (module, name) in _ALLOWED:
            return super().find_class(module, name)
        raise SnapshotError(f"a stored state names {module}.{name}, which is not plain data")


def pack(state: Any, *, shares: bool = True) -> bytes:
    """Plain data as bytes; what is packed may change afterwards.

    ``shares``: an object that occurs again is written once, so that names of fields are not held once a document. For
    small values without documents among them it takes ten times as long to look for those.
    """
    if shares:
        return pickle.dumps(state, protocol=5)
    out = io.BytesIO()
    pickler = pickle.Pickler(out, 5)
    pickler.fast = True
    pickler.dump(state)
    return out.getvalue()


def unpack(data: bytes) -> Any:
    """What :func:`pack` was given. Raises :class:`SnapshotError` for anything that is not plain data."""
    try:
        return _Reader(io.BytesIO(data)).load()
    except (pickle.UnpicklingError, EOFError, AttributeError, ValueError) as error:
        raise SnapshotError(f"a stored state cannot be read: {error}") from error
