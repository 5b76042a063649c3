from __future__ import annotations

import pytest

from fluxion_flow.connect.spi import DeliveryError
from fluxion_flow.errors import FluxionError
from fluxion_flow.policy.matching import all_match, any_matches, class_name, every_error, matches, root


class StageError(FluxionError):
    pass


class Timeout(ConnectionError):
    pass


Timeout.__module__ = "shop.client.errors"


def caused(error: Exception, cause: Exception) -> Exception:
    error.__cause__ = cause
    return error


@pytest.mark.parametrize(
    ("entry", "matched"),
    [
        (ConnectionError, True),
        (OSError, True),
        (Timeout, True),
        (ValueError, False),
        ("Timeout", True),
        ("ConnectionError", True),
        ("OSError", True),
        ("Exception", True),
        ("object", False),
        ("builtins.OSError", True),
        ("shop.client.errors.Timeout", True),
        ("shop.client.Timeout", True),
        ("shop.Timeout", True),
        ("sho.Timeout", False),
        ("other.Timeout", False),
        ("timeout", False),
    ],
)
def test_error_matches_by_class_subclass_and_name(entry: type[BaseException] | str, matched: bool) -> None:
    assert matches(Timeout(), [entry]) is matched


def test_undelivered_documents_are_looked_at_one_by_one() -> None:
    error = DeliveryError({0: Timeout(), 3: ValueError()})
    assert any_matches(error, ["ValueError"])
    assert not all_match(error, ["ValueError"])
    assert all_match(error, ["ValueError", "ConnectionError"])
    assert all_match(error, ["DeliveryError"])


def test_wrapper_of_ours_matches_as_itself_and_as_what_it_wraps() -> None:
    error = caused(StageError("stages[1]"), ZeroDivisionError("division by zero"))
    assert all_match(error, ["ZeroDivisionError"])
    assert all_match(error, [StageError])
    assert not any_matches(error, ["ValueError"])
    assert isinstance(root(error), ZeroDivisionError)
    assert every_error(error) == [error, error.__cause__]


def test_foreign_errors_are_not_unwrapped() -> None:
    error = caused(ValueError("outer"), KeyError("inner"))
    assert not any_matches(error, [KeyError])
    assert root(error) is error


def test_class_names_are_bare_for_builtins_and_dotted_otherwise() -> None:
    assert [class_name(c) for c in (ValueError, Timeout, "httpx.ConnectError")] == [
        "ValueError",
        "shop.client.errors.Timeout",
        "httpx.ConnectError",
    ]
