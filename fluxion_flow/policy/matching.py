"""Which errors a list of exception classes and class names means: ``retry_on``, ``ignore``, ``record``.

An entry is a class, or a name as a definition file holds it: ``ConnectionError`` (any class of that name) or
``httpx.ConnectError`` (that class of the package, in whichever of its modules it lives). A class matches with all
its subclasses, so names are looked for along the whole method resolution order.
"""

from __future__ import annotations

from collections.abc import Sequence

from fluxion_flow.connect.spi import DeliveryError
from fluxion_flow.errors import FluxionError

ErrorClass = type[BaseException] | str
"""An exception class, or the name of one."""


def matches(error: BaseException, wanted: Sequence[ErrorClass]) -> bool:
    """Whether ``error`` itself is of one of the wanted classes, by class, subclass or name along its ancestry."""
    return any(_is_a(type(error), entry) for entry in wanted)


def any_matches(error: BaseException, wanted: Sequence[ErrorClass]) -> bool:
    """Whether ``error``, or one of the errors that it stands for, is of one of the wanted classes.

    A :class:`DeliveryError` stands for the errors of its documents; an error of ours that was raised from another
    (``raise StageError(...) from error``) stands for that other one.
    """
    return matches(error, wanted) or any(any_matches(inner, wanted) for inner in _stands_for(error))


def all_match(error: BaseException, wanted: Sequence[ErrorClass]) -> bool:
    """Whether ``error``, or every error that it stands for, is of one of the wanted classes."""
    if matches(error, wanted):
        return True
    inner = _stands_for(error)
    return bool(inner) and all(all_match(each, wanted) for each in inner)


def every_error(error: BaseException) -> list[BaseException]:
    """``error`` and all the errors that it stands for, the outermost first."""
    return [error, *(each for inner in _stands_for(error) for each in every_error(inner))]


def root(error: BaseException) -> BaseException:
    """The error underneath our own wrappers: what went wrong, rather than where it was noticed."""
    while isinstance(error, FluxionError) and error.__cause__ is not None and error.__cause__ is not error:
        error = error.__cause__
    return error


def class_name(cls: ErrorClass) -> str:
    """The name under which a definition file holds an exception class: bare for builtins, else with its module."""
    if isinstance(cls, str):
        return cls
    return cls.__qualname__ if cls.__module__ == "builtins" else f"{cls.__module__}.{cls.__qualname__}"


def _stands_for(error: BaseException) -> Sequence[BaseException]:
    if isinstance(error, DeliveryError):
        return tuple(error.errors.values())
    if isinstance(error, FluxionError) and error.__cause__ is not None and error.__cause__ is not error:
        return (error.__cause__,)
    return ()


def _is_a(cls: type, entry: ErrorClass) -> bool:
    if not isinstance(entry, str):
        return issubclass(cls, entry)
    package, _, name = entry.rpartition(".")
    for ancestor in cls.__mro__:
        if ancestor is object:
            continue
        if entry in (ancestor.__name__, ancestor.__qualname__, f"{ancestor.__module__}.{ancestor.__qualname__}"):
            return True
        if package and ancestor.__name__ == name and f"{ancestor.__module__}.".startswith(f"{package}."):
            return True
    return False
