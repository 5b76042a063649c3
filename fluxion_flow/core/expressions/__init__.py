"""Fluxion Core's expressions: operators by family, and the compiler that turns an expression into Python source."""

from __future__ import annotations

import importlib
import pkgutil

_loaded = False


def load() -> None:
    """Import every module of operators, once; importing one declares its operators."""
    global _loaded
    if _loaded:
        return
    _loaded = True
    from . import operators

    for module in pkgutil.iter_modules(operators.__path__):
        importlib.import_module(f"{operators.__name__}.{module.name}")
