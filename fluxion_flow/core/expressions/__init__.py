"""Fluxion Core's expressions: operators by family, and the compiler that turns an expression into Python source.

Operators come from Core's own modules and from entry points of the group ``fluxion_flow.operators``: each names a
module (or an object in one) whose import declares operators.
"""

from __future__ import annotations

import functools
import importlib
import pkgutil

ENTRY_POINTS = "fluxion_flow.operators"

_broken: dict[str, str] = {}


@functools.cache
def load_own() -> None:
    """Import Core's own modules of operators, once; importing one declares its operators."""
    from . import operators

    for module in pkgutil.iter_modules(operators.__path__):
        importlib.import_module(f"{operators.__name__}.{module.name}")


@functools.cache
def load_all() -> None:
    """Import every module of operators, once: Core's own, and those of entry points.

    A package of somebody's that cannot be imported is left out; :func:`broken` tells why.
    """
    from importlib import metadata

    load_own()
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
