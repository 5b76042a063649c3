"""``fluxion top``: the status page of a run in a terminal."""

from __future__ import annotations

import os
import time
from typing import TYPE_CHECKING, Any

import click

from ..errors import FluxionError
from .failures import json_option, print_json

if TYPE_CHECKING:
    from rich.console import Console

DEFAULT = "http://127.0.0.1:8080"


class NoAnswer(FluxionError):
    """No run could be asked."""


@click.command("top")
@click.argument("addresses", metavar="[ADDRESS]...", nargs=-1)
@click.option(
    "--interval",
    type=click.FloatRange(min=0.2),
    metavar="SECONDS",
    default=2.0,
    show_default=True,
    help="How often the run is asked.",
)
@click.option("--once", is_flag=True, help="Show it once, and end.")
@json_option
def command(addresses: tuple[str, ...], interval: float, once: bool, as_json: bool) -> None:
    """Show how a run is doing.

    Rates by stage, lag, retries, dead letters, checkpoints: what its status page shows.

    An ADDRESS is that of a status page (`fluxion run --status-port 8080`): http://host:port, or the port alone;
    http://127.0.0.1:8080 unless given. One page tells of all processes of its run; several addresses are added up. The
    token, if the page wants one, is taken from the environment variable FLUXION_STATUS_TOKEN. With --json it is the
    status as data, once.
    """
    wanted = [_address(text) for text in addresses or (DEFAULT,)]
    token = os.environ.get("FLUXION_STATUS_TOKEN") or None
    if as_json:
        return print_json(_asked(wanted, token))
    from rich.console import Console

    console = Console()
    if once or not console.is_terminal:
        _show(console, _asked(wanted, token))
        return None
    return _watch(console, wanted, token, interval)


def _address(text: str) -> str:
    """An address in full: a port alone is one of this machine."""
    if text.isdigit():
        return f"http://127.0.0.1:{text}"
    return text if "://" in text else f"http://{text}"


def _asked(addresses: list[str], token: str | None) -> dict[str, Any]:
    """The status of all addresses as one. Raises :class:`NoAnswer`."""
    from ..observe.status.attention import attended
    from ..observe.status.merge import merged
    from ..observe.status.peers import NoStatus, ask

    try:
        if len(addresses) == 1:
            return dict(ask(addresses[0], token, "/all.json", patience=8.0))
        return attended(merged([ask(address, token) for address in addresses]))
    except (NoStatus, ValueError) as error:
        hint = "does a run serve its status there (--status-port)? A token is taken from FLUXION_STATUS_TOKEN"
        raise NoAnswer(f"{error}; {hint}") from None


def _show(console: Console, status: dict[str, Any]) -> None:
    from .top_view import view

    console.print(view(status))


def _watch(console: Console, addresses: list[str], token: str | None, interval: float) -> None:
    from rich.live import Live
    from rich.text import Text

    from .top_view import view

    shown: Any = view(_asked(addresses, token))  # an address that is wrong ends the command
    with Live(shown, console=console, screen=True, auto_refresh=False) as live:
        try:
            while True:
                time.sleep(interval)
                try:
                    shown = view(_asked(addresses, token))
                    live.update(shown, refresh=True)
                except NoAnswer as error:
                    live.update(Text(f"no answer: {error}", style="red"), refresh=True)
        except KeyboardInterrupt:
            pass
