"""`fluxion batch`."""

import json

import pytest

LINES = '{"a":1}\n\n{"a":5}\n'


@pytest.fixture
def sorted_stages(write):
    return write("stages.json", '[{"$set": {"b": {"$add": ["$a", 1]}}}, {"$sort": {"b": -1}}]')


def test_the_stages_of_a_pipeline_over_standard_input(fluxion, copy_yaml):
    result = fluxion("batch", copy_yaml, input=LINES)
    assert (result.exit_code, result.stdout, result.stderr) == (0, '{"a":1,"b":2}\n{"a":5,"b":6}\n', "")


def test_stages_of_a_file_over_a_file_into_a_file(fluxion, sorted_stages, write, here):
    result = fluxion("batch", "--stages", sorted_stages, write("in.jsonl", LINES), "-o", "out.jsonl")
    assert (result.exit_code, result.stdout) == (0, "")
    assert (here / "out.jsonl").read_text() == '{"a":5,"b":6}\n{"a":1,"b":2}\n'


def test_the_stages_of_a_definition_file_without_its_source_and_sink(fluxion, write):
    write("part.yaml", "stages:\n  - {$group: {_id: null, n: {$sum: $a}}, name: total}\n")
    assert fluxion("batch", "--stages", "part.yaml", input=LINES).stdout == '{"_id":null,"n":6}\n'


def test_bad_lines_are_told_by_number_and_nothing_is_run(fluxion, copy_yaml):
    result = fluxion("batch", copy_yaml, input='{"a":1}\nnope\n{"a":2}\n[1]\n')
    assert (result.exit_code, result.stdout) == (1, "")
    assert result.stderr == (
        "line 2: is not valid JSON: invalid character (byte 4)\n"
        "line 4: is not a JSON object but an array\n"
        "nothing was run: 2 lines are no JSON objects; mend them, or use --skip-bad-lines\n"
    ).replace("invalid character (byte 4)", _reason("nope"))


def _reason(text):
    from fluxion_flow.connect.encoding import decode_document

    with pytest.raises(ValueError) as raised:
        decode_document(text.encode())
    return str(raised.value).removeprefix("is not valid JSON: ")


def test_bad_lines_may_be_skipped(fluxion, copy_yaml):
    result = fluxion("batch", copy_yaml, "--skip-bad-lines", input='{"a":1}\n[1]\n{"a":2}\n')
    assert (result.exit_code, result.stdout) == (0, '{"a":1,"b":2}\n{"a":2,"b":3}\n')
    assert result.stderr == "line 2: is not a JSON object but an array\n"


def test_many_bad_lines_are_counted(fluxion, copy_yaml):
    result = fluxion("batch", copy_yaml, input="[]\n" * 25)
    assert result.stderr.splitlines()[19:] == [
        "line 20: is not a JSON object but an array",
        "and 5 more lines",
        "nothing was run: 25 lines are no JSON objects; mend them, or use --skip-bad-lines",
    ]


def test_a_document_that_a_stage_cannot_take_is_told_by_its_line(fluxion, copy_yaml):
    result = fluxion("batch", copy_yaml, input='{"a":1}\n\n{"a":"x"}\n')
    assert (result.exit_code, result.stdout) == (1, "")
    assert result.stderr == "line 3: stages[0].$set.b.$add: $add takes numbers and dates, got string\n"


def test_behind_a_stage_that_needs_everything_no_line_is_told(fluxion, write):
    write("late.json", '[{"$sort": {"a": 1}}, {"$set": {"b": {"$add": ["$a", 1]}}}]')
    result = fluxion("batch", "--stages", "late.json", input='{"a":1}\n{"a":"x"}\n')
    assert result.stderr == "stages[1].$set.b.$add: $add takes numbers and dates, got string\n"


def test_extended_json_keeps_types(fluxion, write):
    write("add.json", '[{"$set": {"b": {"$add": ["$a", 1]}}}]')
    line = '{"a":{"$numberDecimal":"1.10"},"at":{"$date":"2024-05-01T00:00:00.000Z"}}\n'
    result = fluxion("batch", "--stages", "add.json", "--extended-json", input=line)
    assert result.stdout == line.replace("}}\n", '},"b":{"$numberDecimal":"2.10"}}\n')


def test_json_tells_the_summary_on_standard_error(fluxion, copy_yaml):
    result = fluxion("batch", copy_yaml, "--json", "--skip-bad-lines", input='{"a":1}\n[1]\n')
    assert (result.exit_code, result.stdout) == (0, '{"a":1,"b":2}\n')
    assert json.loads(result.stderr) == {
        "read": 1,
        "bad_lines": [{"line": 2, "error": "is not a JSON object but an array"}],
        "written": 1,
    }


def test_json_tells_problems_on_standard_error(fluxion, write):
    write("bad.json", '[{"$sett": {}}]')
    result = fluxion("batch", "--stages", "bad.json", "--json", input="")
    assert result.exit_code == 2
    assert json.loads(result.stderr)["problems"] == [
        {"where": "stages[0]", "what": "unknown stage '$sett'", "hint": "did you mean '$set'?"}
    ]


def test_an_input_that_is_not_there(fluxion, copy_yaml):
    result = fluxion("batch", copy_yaml, "nothing.jsonl")
    assert (result.exit_code, result.stderr) == (2, "nothing.jsonl: cannot be read (No such file or directory)\n")


def test_an_output_that_cannot_be_written(fluxion, copy_yaml):
    result = fluxion("batch", copy_yaml, "-o", "no/such/directory", input='{"a":1}\n')
    assert (result.exit_code, result.stderr) == (
        1,
        "no/such/directory: cannot be written (No such file or directory)\n",
    )


def test_the_command_line_must_name_stages_and_at_most_one_input(fluxion, copy_yaml, sorted_stages):
    assert fluxion("batch").stderr.endswith("Error: give a TARGET, or --stages FILE\n")
    assert fluxion("batch", copy_yaml, "a", "b").stderr.endswith("Error: there is one INPUT, got a b\n")
    assert fluxion("batch", "--stages", sorted_stages, "a", "b").exit_code == 2
