"""Operators of one's own."""

from __future__ import annotations


def enrich_operator() -> None:
    """Declare one."""
