"""``fluxion schema``: the JSON Schema of definitions, for editors."""

from __future__ import annotations

import click

from .failures import json_option, print_json


@click.command("schema")
@json_option
def command(as_json: bool) -> None:
    """Print the JSON Schema (2020-12) of definition files, made from what is installed here.

    An editor with a YAML language server completes and checks definitions by it: put this line at the top of a file,
    or map *.yaml to the schema in the editor's settings.

    \b
    fluxion schema > fluxion.schema.json
    # yaml-language-server: $schema=fluxion.schema.json
    """
    from ..dsl.schema import definition_schema

    print_json(definition_schema())
