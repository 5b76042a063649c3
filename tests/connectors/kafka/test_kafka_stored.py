"""Dead letters on a topic: listed, replayed and purged by `fluxion dlq`."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest
from bytewax.testing import run_main
from click.testing import CliRunner
from servers.kafka import Kafka, new_topic, produce, records

from fluxion_flow import StreamingPipelineDefinition
from fluxion_flow.cli.main import main


def fluxion(*arguments: str) -> Any:
    done = CliRunner().invoke(main, ["dlq", *arguments, "--json"])
    assert done.exit_code == 0, (done.output, done.exception)
    return json.loads(done.stdout)


def test_letters_on_a_topic_are_listed_replayed_and_purged(
    real_cluster: Kafka, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    source, sink, dead = (new_topic(real_cluster, 2) for _ in range(3))
    for partition in (0, 1):
        produce(real_cluster, source, [b'{"n": 1}', b'{"n": "x"}', b'{"n": '], partition)
    kafka = {"type": "kafka", "bootstrap_servers": real_cluster.bootstrap}
    definition: dict[str, Any] = {
        "name": "poison",
        "source": {**kafka, "topic": source, "stop_at_end": True},
        "stages": [{"$set": {"m": {"$add": ["$n", 1]}}}],
        "sink": {**kafka, "topic": sink},
        "on_error": {"dead_letter": {**kafka, "topic": dead}, "granularity": "document"},
    }
    run_main(StreamingPipelineDefinition.from_dict(definition).compile())
    Path("p.json").write_text(json.dumps(definition))

    letters = fluxion("ls", "p.json")["letters"]
    assert sorted(letter["step"] for letter in letters) == ["source", "source", "stages[0].$set", "stages[0].$set"]

    definition["stages"] = [{"$set": {"m": {"$toString": "$n"}}}]
    Path("p.json").write_text(json.dumps(definition))
    done = fluxion("replay", "p.json")
    assert (done["replayed"], done["delivered"], done["dead_lettered"]) == (4, {"sink": 2}, 2)
    written = [json.loads(message.value()) for message in records(real_cluster, sink)]
    assert sorted(written, key=str) == [{"n": "x", "m": "x"}] * 2 + [{"n": 1, "m": 2}] * 2
    states = {letter["id"]: (letter["attempts"], letter["state"]) for letter in fluxion("ls", "p.json")["letters"]}
    assert sorted(states.values()) == [(1, "replayed"), (1, "replayed"), (2, "pending"), (2, "pending")]
    assert fluxion("replay", "p.json", "--step", "stages[0]")["replayed"] == 0

    purged = fluxion("purge", "p.json", "--all", "--yes")
    assert (purged["found"], purged["stored"], purged["removed"]) == (4, 6, 6)
    assert fluxion("ls", "p.json")["letters"] == []


def test_what_stands_behind_a_letter_that_stays_stays_too(
    real_cluster: Kafka, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    dead = new_topic(real_cluster, 1)
    letters = [{"id": f"{n}", "processorName": "p", "operatorName": "sink", "doc": {}} for n in range(4)]
    produce(real_cluster, dead, [json.dumps(letter).encode() for letter in letters], 0)
    place = f"type=kafka,topic={dead},bootstrap_servers={real_cluster.bootstrap}"
    purged = fluxion("purge", "--from", place, "--id", "0", "--id", "1", "--id", "3", "--yes")
    assert (purged["stored"], purged["removed"]) == (3, 2)
    assert [letter["id"] for letter in fluxion("ls", "--from", place)["letters"]] == ["2", "3"]
