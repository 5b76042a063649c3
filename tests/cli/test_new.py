"""`fluxion new`: what it makes works as it is."""

import json

import jsonschema
import yaml

from fluxion_flow import StreamingPipelineDefinition


def test_a_new_project_is_checked_tested_and_run_as_it_is(here, fluxion, monkeypatch):
    made = fluxion("new", "orders-ltv")
    assert made.stdout == (
        "orders-ltv: 9 files. Next:\n  cd orders-ltv\n  fluxion test\n  fluxion run flows/orders-ltv.yaml\n"
    )
    monkeypatch.chdir(here / "orders-ltv")
    assert fluxion("check", "flows/orders-ltv.yaml").exit_code == 0
    assert fluxion("check", "flows/orders-ltv-kafka.yaml").exit_code == 0
    tested = fluxion("test")
    assert (tested.exit_code, tested.stdout.splitlines()[-1]) == (0, "2 passed")
    with open("data/orders.jsonl") as orders:
        batch = fluxion("batch", "flows/orders-ltv.yaml", input="".join(list(orders)[:4]))
    assert [json.loads(line) for line in batch.stdout.splitlines()] == [
        {"_id": "ada", "orders": 2, "value": 25.0},
        {"_id": "cleo", "orders": 1, "value": 3.75},
    ]


def test_the_compose_file_runs_the_pipeline_on_its_broker(here, fluxion, monkeypatch):
    fluxion("new", "clicks", "--into", "there")
    compose = yaml.safe_load((here / "there" / "compose.yaml").read_text())
    pipeline = compose["services"]["pipeline"]
    assert pipeline["command"][:2] == ["run", "flows/clicks-kafka.yaml"]
    monkeypatch.setenv("KAFKA", pipeline["environment"]["KAFKA"])
    definition = StreamingPipelineDefinition.from_file(here / "there" / "flows" / "clicks-kafka.yaml")
    definition.compile()
    listeners = compose["services"]["kafka"]["environment"]["KAFKA_ADVERTISED_LISTENERS"]
    assert pipeline["environment"]["KAFKA"] in listeners
    seconds = int(pipeline["stop_grace_period"].removesuffix("s"))
    assert seconds > definition.config.drain_timeout


def test_the_definitions_keep_to_the_schema_that_comes_with_them(here, fluxion):
    fluxion("new", "clicks")
    schema = json.loads((here / "clicks" / "fluxion.schema.json").read_text())
    for name in ("clicks.yaml", "clicks-kafka.yaml"):
        text = (here / "clicks" / "flows" / name).read_text()
        assert text.startswith("# yaml-language-server: $schema=../fluxion.schema.json\n")
        jsonschema.validate(yaml.safe_load(text), schema)


def test_nothing_is_written_over(here, fluxion, write):
    write("clicks/README.md", "mine")
    refused = fluxion("new", "clicks")
    assert refused.exit_code == 2
    assert refused.stderr == "clicks: holds README.md already; choose another name or directory\n"
    assert [path.name for path in (here / "clicks").iterdir()] == ["README.md"]


def test_a_name_that_is_none_is_refused(fluxion):
    refused = fluxion("new", "1 flow")
    assert refused.exit_code == 2
    assert refused.stderr == (
        "1 flow: is no name for a pipeline; use letters, digits, '-' and '_', such as orders-ltv\n"
    )
