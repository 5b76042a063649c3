"""`fluxion explain`: the texts themselves are tested with the compiler."""

import json


def test_text_is_what_is_shown_unless_said_otherwise(fluxion, copy_yaml):
    result = fluxion("explain", copy_yaml)
    assert result.exit_code == 0
    assert result.stdout.startswith("pipeline copy\n\nsource     files (path: in.jsonl)\n")
    assert "def run" not in result.stdout


def test_code(fluxion, copy_yaml):
    assert "def run(it, out, env):" in fluxion("explain", copy_yaml, "--code").stdout


def test_mermaid(fluxion, copy_yaml):
    assert fluxion("explain", copy_yaml, "--format", "mermaid").stdout.startswith("flowchart TD\n  source[(")


def test_json_in_either_way(fluxion, copy_yaml):
    first, second = fluxion("explain", copy_yaml, "--json"), fluxion("explain", copy_yaml, "--format", "json")
    assert first.stdout == second.stdout
    assert json.loads(first.stdout)["guarantee"]["level"] == "exactly once"


def test_the_settings_of_the_environment_are_the_ones_shown(fluxion, copy_yaml, monkeypatch):
    monkeypatch.setenv("FLUXION_BATCH_SIZE", "7")
    monkeypatch.setenv("FLUXION_ON_ERROR", "skip_and_continue")
    shown = fluxion("explain", copy_yaml).stdout
    assert "settings   batch_size: 7, emit: final; the others have their defaults\n" in shown
    assert "on error   skips the whole batch\n" in shown


def test_problems_are_told_one_a_line(fluxion, write):
    write("bad.yaml", "source: {type: files}\nsink: {type: stdio}\nstages: [{$sett: {}}]\n")
    result = fluxion("explain", "bad.yaml")
    assert (result.exit_code, result.stdout) == (2, "")
    assert result.stderr == (
        "source.path: required by connector 'files'\nstages[0]: unknown stage '$sett'; did you mean '$set'?\n"
    )


def test_problems_as_json(fluxion):
    result = fluxion("explain", "nothing.py", "--json")
    assert result.exit_code == 2
    assert json.loads(result.stdout) == {
        "problems": [{"where": "nothing.py", "what": "there is no such file", "hint": ""}]
    }
