"""``fluxion completion``: what a shell needs to complete commands and options."""

from __future__ import annotations

import click
from click.shell_completion import get_completion_class

from .failures import json_option, print_json


@click.command("completion")
@click.argument("shell", type=click.Choice(["bash", "zsh", "fish"]))
@json_option
def command(shell: str, as_json: bool) -> None:
    """Print the completion script of a shell.

    \b
    bash  fluxion completion bash >> ~/.bashrc
    zsh   fluxion completion zsh >> ~/.zshrc
    fish  fluxion completion fish > ~/.config/fish/completions/fluxion.fish
    """
    from .main import main

    found = get_completion_class(shell)
    assert found is not None
    script = found(main, {}, "fluxion", "_FLUXION_COMPLETE").source()
    if as_json:
        print_json({"shell": shell, "script": script})
    else:
        click.echo(script)
