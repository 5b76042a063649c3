"""The group of commands: its help, and mistakes in its own use."""

import subprocess
import sys

import click

from fluxion_flow.cli.main import COMMANDS, main


def test_the_help_lists_every_command_and_every_exit_code(fluxion):
    assert (
        fluxion("--help").stdout
        == """\
Usage: fluxion [OPTIONS] COMMAND [ARGS]...

  Streaming pipelines as data: run them, check them, look into them.

  A TARGET is a pipeline: a module (flows.orders), a Python file
  (flows/orders.py), a name in either (flows.orders:flow), or a definition file
  (orders.yaml, orders.json).

  Exit codes
    0   done; for run: completed, or drained after SIGTERM or SIGINT
    1   a run failed, or documents could not be processed
    2   the command line or a definition is wrong
    3   the checkpoint store is in use, or cannot be resumed from
    75  a run did not drain in time and was ended by force; the next run resumes

Options:
  --version   Show the version and exit.
  -h, --help  Show this message and exit.

Commands:
  run         Run a pipeline until its source completes.
  check       Check definitions and report every problem.
  explain     Show what a pipeline will do, without running it.
  batch       Run a pipeline's stages over JSON Lines, offline.
  sample      Read the first documents of a source, run the stages over...
  test        Run the tests in *.flowtest.yaml, in this directory and below...
  verify      Show that a pipeline gives the same result however it is run.
  drill       Drill failures on a copy of a pipeline, and report what its...
  canary      Run a sample of the documents through two pipelines and...
  dlq         Dead letters: list, show, replay and purge them.
  checkpoint  Checkpoint stores: make, look into, check, compare, copy and...
  new         Begin a project: a pipeline, its tests as data, a compose...
  stages      List the stages, or show one with examples.
  operators   List the operators, or show one with examples.
  connectors  List the connectors, or show one with its options.
  schema      Print the JSON Schema (2020-12) of definition files, made...
  completion  Print the completion script of a shell.
  top         Show how a run is doing.
"""
    )


def test_every_command_is_found_under_its_name_and_prints_json_on_demand():
    context = click.Context(main)
    for name in COMMANDS:
        command = main.get_command(context, name)
        assert command.name == name
        for each in command.commands.values() if isinstance(command, click.Group) else [command]:
            assert "--json" in [option for parameter in each.params for option in parameter.opts]


def test_a_mistyped_command_is_answered_with_the_closest_one(fluxion):
    result = fluxion("chek", "x.yaml")
    assert result.exit_code == 2
    assert result.stderr.endswith("Error: No such command 'chek'; did you mean 'check'?\n")


def test_an_unknown_command_is_answered_with_all_there_are(fluxion):
    assert fluxion("zzz").stderr.endswith(f"Error: No such command 'zzz'; there are {', '.join(COMMANDS)}\n")


def test_the_command_line_starts_without_the_engine_and_the_connectors():
    code = (
        "import sys\n"
        "from fluxion_flow.cli.main import main\n"
        "try: main(['--help'])\n"
        "except SystemExit: pass\n"
        "heavy = ('bytewax', 'msgspec', 'jsonschema', 'rich', 'yaml', 'fluxion_connectors', 'fluxion_flow.core')\n"
        "print('loaded:', [name for name in heavy if name in sys.modules])\n"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.splitlines()[-1] == "loaded: []"
