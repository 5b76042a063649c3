"""Fluxion Core's expressions: operators by family, and the compiler that turns an expression into Python source.

Operators come from Core's own modules and from entry points of the group ``fluxion_flow.operators``: each names a
module (or an object in one) whose import declares operators.
"""

from __future__ import annotations

import importlib
import pkgutil
from importlib import metadata

ENTRY_POINTS = "fluxion_flow.operators"

_loaded = False
_broken: dict[str, str] = {}


def load() -> None:
    """Import every module of operators, once; importing one declares its operators.

    A package of somebody's that cannot be imported is left out; :func:`broken` tells why.
    """
    global _loaded
    if _loaded:
        return
    _loaded = True
    from . import operators

    for module in pkgutil.iter_modules(operators.__path__):
        importlib.import_module(f"{operators.__name__}.{module.name}")
    for entry in {(e.name, e.value): e for e in metadata.entry_points(group=ENTRY_POINTS)}.values():
        try:
            entry.load()
        except Exception as error:
            if entry.value.startswith("fluxion_flow."):
                raise
            _broken[entry.name] = f"operators '{entry.name}' ({entry.value}) cannot be imported: {error}"


def broken() -> list[str]:
    """Why packages of operators could not be imported, a line each."""
    return list(_broken.values())
