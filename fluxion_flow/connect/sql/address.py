"""The address of a database, and the driver that it needs."""

from __future__ import annotations

from sqlalchemy import URL, make_url
from sqlalchemy.exc import ArgumentError, NoSuchModuleError

from fluxion_flow.connect.secrets import register_secret
from fluxion_flow.errors import FluxionError

DRIVERS = {
    "postgres": "postgresql+psycopg",
    "postgresql": "postgresql+psycopg",
    "mysql": "mysql+pymysql",
    "mariadb": "mariadb+pymysql",
}
_INSTALL = {
    "postgresql": "pip install 'fluxion-flow[postgres]'",
    "mysql": "pip install 'fluxion-flow[mysql]'",
    "mariadb": "pip install 'fluxion-flow[mysql]'",
}


class SqlError(FluxionError):
    """A database refused what was asked of it, or there is none; asking again changes nothing."""

    retryable = False


def parse_url(text: str) -> URL:
    """The URL of a database with the driver that we use. Raises :class:`ValueError`, without the URL in its text."""
    try:
        url = make_url(text)
    except (ArgumentError, ValueError):
        raise ValueError("is no database URL, such as sqlite:///orders.db or postgresql://user@host/name") from None
    return url.set(drivername=DRIVERS.get(url.drivername, url.drivername))


def database_url(text: str) -> URL:
    """Like :func:`parse_url`, with the driver found. The password is a secret from now on.

    Raises :class:`SqlError` when the driver is not installed or there is none for such a URL.
    """
    try:
        url = parse_url(text)
    except ValueError as error:
        raise SqlError(f"url {error}") from None
    if url.password is not None:
        register_secret(str(url.password))
    backend = url.get_backend_name()
    try:
        url.get_dialect().import_dbapi()
    except NoSuchModuleError:
        known = "use sqlite, postgresql, mysql or mariadb"
        raise SqlError(f"url: no database is known by {backend!r}; {known}") from None
    except ModuleNotFoundError as error:
        install = _INSTALL.get(backend, f"pip install {error.name}")
        raise SqlError(f"url: {backend} needs the package {error.name!r}, which is not installed; {install}") from None
    return url
