"""Failures on command: which call of a memory source or sink raises what."""

from __future__ import annotations

import threading
from collections.abc import Collection, Mapping


class Failures:
    """Counts calls, from 1, and raises at the ones it was told.

    ``told`` is a collection of call numbers (each raises a :class:`ConnectionError`), a mapping of a number to the
    exception that it raises, or ``None``. The count goes on over all readers or writers of one source or sink, so a
    repeated call has another number. Raises :class:`TypeError` for anything else.
    """

    def __init__(self, told: Mapping[int, Exception | str] | Collection[int] | None, call: str) -> None:
        if told is not None and (isinstance(told, str) or not isinstance(told, Collection)):
            raise TypeError(f"failures are numbers of calls, or a mapping of them to exceptions, not {told!r}")
        self._call = call
        self._count = 0
        self._lock = threading.Lock()
        self._told: dict[int, Exception | str]
        if isinstance(told, Mapping):
            self._told = {int(number): error for number, error in told.items()}
        else:
            self._told = {number: f"told to fail at {call} {number}" for number in told or ()}

    def fail_next(self, error: Exception | str | None = None) -> None:
        """Have the next call raise ``error``, or a :class:`ConnectionError` with this text."""
        with self._lock:
            number = self._count + 1
            self._told[number] = f"told to fail at {self._call} {number}" if error is None else error

    def count(self) -> None:
        """Count a call, and raise if this is one that fails."""
        with self._lock:
            self._count += 1
            error = self._told.get(self._count)
        if error is not None:
            raise error if isinstance(error, Exception) else ConnectionError(error)
