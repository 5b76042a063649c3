"""`fluxion check`."""

import json


def test_a_good_definition(fluxion, copy_yaml):
    result = fluxion("check", copy_yaml)
    assert result.exit_code == 0
    assert (
        result.stdout
        == """\
copy.yaml: ok
  guarantee  exactly once, with a checkpoint store (-r): the sink takes back what it wrote after the checkpoint
  stages     stages[0].$set  per document
"""
    )


def test_every_problem_of_every_target(fluxion, copy_yaml, write):
    write(
        "bad.yaml",
        """
        name: bad
        source: {type: files}
        stages:
          - $match: {status: PAID}
          - $set: {unit: {$divide: [1]}}
          - $group: {_id: $c, total: {$sumx: $v}}
        sink: {type: nowhere}
        """,
    )
    write("broken.yaml", "name: [\n")
    result = fluxion("check", "bad.yaml", copy_yaml, "broken.yaml", "flows.nothing")
    assert result.exit_code == 2
    assert (
        result.stdout
        == """\
bad.yaml: 4 problems
  source.path: required by connector 'files'
  stages[1].$set.unit.$divide: takes 2 arguments, got 1
  stages[2].$group.total: unknown accumulator '$sumx'; did you mean '$sum'?
  sink.type: unknown connector 'nowhere'; installed: eventhubs, files, http, kafka, memory, sql, stdio
copy.yaml: ok
  guarantee  exactly once, with a checkpoint store (-r): the sink takes back what it wrote after the checkpoint
  stages     stages[0].$set  per document
broken.yaml: 1 problem
  line 2, column 1: not YAML: while parsing a flow node, expected the node content, but found '<stream end>'
flows.nothing: 1 problem
  there is no module 'flows.nothing'; name a module, a Python file or a definition file
"""
    )


def test_what_only_the_whole_shows_is_reported_too(fluxion, write):
    write(
        "open.yaml",
        """
        source: {type: files, path: in.jsonl, follow: true}
        stages: [{$sort: {a: 1}}]
        sink: {type: stdio}
        """,
    )
    assert fluxion("check", "open.yaml").stdout == (
        "open.yaml: 1 problem\n"
        "  stages[0].$sort: needs every document, but source 'files' never completes; "
        "sort inside a window, or use a bounded source\n"
    )


def test_the_environment_s_settings_are_checked_too(fluxion, copy_yaml, monkeypatch):
    monkeypatch.setenv("FLUXION_BATCH_SIZE", "many")
    result = fluxion("check", copy_yaml)
    assert result.exit_code == 2
    assert result.stdout == (
        "copy.yaml: 1 problem\n  FLUXION_BATCH_SIZE: must be an integer of at least 1, got 'many'\n"
    )


def test_json(fluxion, copy_yaml, write):
    write("bad.yaml", "name: bad\nsource: {type: files}\nsink: {type: stdio}\n")
    result = fluxion("check", copy_yaml, "bad.yaml", "--json")
    assert result.exit_code == 2
    data = json.loads(result.stdout)
    good, bad = data["targets"]
    assert data["ok"] is False
    assert bad == {
        "target": "bad.yaml",
        "ok": False,
        "problems": [{"where": "source.path", "what": "required by connector 'files'", "hint": ""}],
    }
    assert good["guarantee"]["summary"] == "exactly once, with a checkpoint store (-r)"
    assert good["stages"] == [{"where": "stages[0].$set", "shape": "per document", "streaming": "any source"}]
