import subprocess
import sys

import pytest

import fluxion_flow


@pytest.mark.parametrize("name", fluxion_flow.__all__)
def test_every_public_name_is_there(name):
    assert getattr(fluxion_flow, name).__name__ == name
    assert name in dir(fluxion_flow)


def test_an_unknown_name_is_no_attribute():
    with pytest.raises(AttributeError) as caught:
        fluxion_flow.pipelin  # noqa: B018
    assert str(caught.value) == "module 'fluxion_flow' has no attribute 'pipelin'"


def test_the_design_names_are_public():
    named = "pipeline StreamingPipelineDefinition StreamingSource StreamingSink StreamingErrorPolicy "
    named += "StreamingRuntimeConfig StreamingContext StreamingMetricsListener run_batch env secret"
    assert set(named.split()) <= set(fluxion_flow.__all__)


@pytest.mark.parametrize(
    ("code", "forbidden"),
    [
        ("import fluxion_flow", ["bytewax", "yaml", "msgspec", "fluxion_flow.core", "fluxion_flow.dsl"]),
        ("from fluxion_flow import pipeline; pipeline('a')", ["bytewax", "httpx", "sqlalchemy", "prometheus_client"]),
    ],
)
def test_names_are_imported_when_they_are_used(code, forbidden):
    check = f"{code}\nimport sys\nprint([name for name in {forbidden} if name in sys.modules])"
    run = subprocess.run([sys.executable, "-c", check], capture_output=True, text=True, check=True)
    assert run.stdout.strip() == "[]"
