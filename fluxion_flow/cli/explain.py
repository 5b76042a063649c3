"""``fluxion explain``: what a pipeline will do, as text, as a Mermaid flowchart, or as JSON."""

from __future__ import annotations

import click

from .failures import json_option, print_json


@click.command("explain")
@click.argument("target")
@click.option(
    "--format",
    "form",
    type=click.Choice(["text", "mermaid", "json"]),
    default="text",
    show_default=True,
    help="How to show it.",
)
@click.option("--code", is_flag=True, help="With the source that is generated for the fused stages.")
@json_option
def command(target: str, form: str, code: bool, as_json: bool) -> None:
    """Show what a pipeline will do, without running it.

    Which stages run as one, what holds state and under which id, what happens to failures, where documents go, what is
    guaranteed and why, and the settings that apply here, those of the environment included. Secrets are never shown.
    """
    from ..compiler.explain import explain
    from . import loading

    found = explain(loading.plan(target), code=code)
    if as_json or form == "json":
        print_json(found.to_dict())
    elif form == "mermaid":
        from ..compiler.explain_mermaid import as_mermaid

        click.echo(as_mermaid(found))
    else:
        from ..compiler.explain_text import as_text

        click.echo(as_text(found))
