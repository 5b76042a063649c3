import datetime
import math

import pytest

from fluxion_flow import PipelineError, StreamingPipelineDefinition
from fluxion_flow.dsl.files import NotReadable, read_data_file, read_json, read_yaml

UTC = datetime.timezone.utc


@pytest.mark.parametrize(
    ("text", "value"),
    [
        ("yes", "yes"),
        ("NO", "NO"),
        ("on", "on"),
        ("true", True),
        ("False", False),
        ("null", None),
        ("~", None),
        ("", None),
        ("010", 10),
        ("-7", -7),
        ("0x1F", 31),
        ("0o17", 15),
        ("1_000", "1_000"),
        ("12:30:00", "12:30:00"),
        ("1e3", 1000.0),
        (".5", 0.5),
        ("-.inf", -math.inf),
        ("1.2.3", "1.2.3"),
        ("2024-05-01", datetime.datetime(2024, 5, 1, tzinfo=UTC)),
        ("2024-05-01T10:00:00.5+02:00", datetime.datetime(2024, 5, 1, 8, 0, 0, 500_000, tzinfo=UTC)),
        ("2024-05-01 10:00:00", datetime.datetime(2024, 5, 1, 10, tzinfo=UTC)),
        ('"2024-05-01"', "2024-05-01"),
        ("$$ROOT.a", "$$ROOT.a"),
        ("${HOME:-x}", "${HOME:-x}"),
    ],
)
def test_yaml_scalars_mean_what_they_look_like(text, value):
    found = read_yaml(f"value: {text}")["value"]
    assert found == value
    assert type(found) is type(value)


def test_yaml_merges_and_repeats_what_an_anchor_names():
    text = "base: &base {a: 1, b: 2}\nsame: *base\nmore: {<<: *base, b: 3}"
    assert read_yaml(text) == {"base": {"a": 1, "b": 2}, "same": {"a": 1, "b": 2}, "more": {"a": 1, "b": 3}}


@pytest.mark.parametrize(
    ("text", "answer"),
    [
        ("a: 1\nb: 2\na: 3", "line 3, column 1: not YAML: the key 'a' stands twice"),
        ("a: b: c", "line 1, column 5: not YAML: mapping values are not allowed here"),
        (
            "stages: [1",
            "line 1, column 11: not YAML: while parsing a flow sequence, expected ',' or ']', but got '<stream end>'",
        ),
        ("a: 2024-13-01", "line 1, column 4: not YAML: month must be in 1..12"),
        ("a: \x01", "line 1, column 4: not YAML: special characters are not allowed"),
        (
            "a: 1\n---\nb: 2",
            "line 2, column 1: not YAML: expected a single document in the stream, but found another document",
        ),
        (
            "a: !!python/object/apply:os.system [x]",
            "line 1, column 4: not YAML: could not determine a constructor for the tag "
            "'tag:yaml.org,2002:python/object/apply:os.system'",
        ),
        ("a: " + "9" * 5000, "line 1, column 4: not YAML: the number has too many digits"),
        ("&a [*a]", "is nested too deeply"),
        ("[" * 3000, "is nested too deeply"),
    ],
)
def test_yaml_mistakes_say_line_and_column(text, answer):
    with pytest.raises(NotReadable) as caught:
        read_yaml(text)
    assert str(caught.value) == answer


def test_yaml_that_unfolds_without_end_is_refused():
    lines = ["a0: &a0 [x, x, x, x, x, x, x, x, x, x]"]
    lines += [f"a{i}: &a{i} [{', '.join([f'*a{i - 1}'] * 10)}]" for i in range(1, 12)]
    with pytest.raises(NotReadable) as caught:
        read_yaml("\n".join(lines))
    assert str(caught.value) == "holds more than 1,000,000 values"


@pytest.mark.parametrize(
    ("text", "answer"),
    [
        ('{"a": 1, "a": 2}', "the key 'a' stands twice in one object"),
        ('{\n  "a": }', "line 2, column 8: not JSON: expecting value"),
        ("9" * 5000, "a number in it has too many digits"),
        ("[" * 100_000, "is nested too deeply"),
    ],
)
def test_json_mistakes_are_answered(text, answer):
    with pytest.raises(NotReadable) as caught:
        read_json(text)
    assert str(caught.value) == answer


@pytest.mark.parametrize(
    ("name", "content", "answer"),
    [
        ("orders.toml", b"", "is neither YAML nor JSON by its name; call it .yaml, .yml or .json"),
        ("orders.yaml", None, "cannot be read (No such file or directory); correct the path"),
        ("orders.yaml", b"name: \xff", "is not UTF-8 text (byte 6); save it as UTF-8"),
        ("orders.yaml", b"name: a: b", "line 1, column 8: not YAML: mapping values are not allowed here"),
        ("orders.json", b'{"name": orders}', "line 1, column 10: not JSON: expecting value"),
    ],
)
def test_a_file_that_cannot_be_read_is_named(tmp_path, name, content, answer):
    path = tmp_path / name
    if content is not None:
        path.write_bytes(content)
    with pytest.raises(PipelineError) as caught:
        StreamingPipelineDefinition.from_file(path)
    assert str(caught.value) == f"{path}: {answer}"


def test_a_byte_order_mark_is_no_part_of_a_file(tmp_path):
    path = tmp_path / "a.json"
    path.write_bytes(b"\xef\xbb\xbf[1]")
    assert read_data_file(path) == [1]
