"""The benchmarks' page says what was measured: it is made of the committed figures, and so are the computed ones."""

import json
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]
FOLDER = ROOT / "docs" / "benchmarks"


@pytest.fixture(scope="module", autouse=True)
def benchmarks_on_the_path():
    sys.path.insert(0, str(ROOT / "benchmarks"))
    yield
    sys.path.remove(str(ROOT / "benchmarks"))


def test_the_page_is_the_one_that_its_figures_give():
    import page

    assert (ROOT / "docs" / "benchmarks.md").read_text() == page.text(FOLDER), "run benchmarks/run_all.py --page"


def test_the_readme_has_the_numbers_of_the_page():
    import page

    readme = (ROOT / "README.md").read_text()
    assert "Measured side by side: " in readme
    assert page.in_readme(readme, FOLDER) == readme, "run benchmarks/run_all.py --page"


def test_every_plot_of_the_page_is_there():
    text = (ROOT / "docs" / "benchmarks.md").read_text()
    plots = {line.partition("](")[2].rstrip(")") for line in text.splitlines() if line.startswith("![")}
    assert plots
    assert not [plot for plot in plots if not (ROOT / "docs" / plot).is_file()]


def test_a_row_is_reached_on_the_right_side_of_its_target():
    from measured import Row

    faster = Row("job", "rival", 2.0, [1.0, 2.5, 3.0]).as_data()
    assert (faster["median"], faster["low"], faster["high"], faster["reached"]) == (2.5, 1.0, 3.0, True)
    assert not Row("job", "rival", 2.6, [1.0, 2.5, 3.0]).as_data()["reached"]
    assert Row("job", "rival", 1.03, [1.01, 1.02, 1.2], at_least=False).as_data()["reached"]
    assert not Row("job", "rival", 1.01, [1.01, 1.02, 1.2], at_least=False).as_data()["reached"]


def test_what_could_not_be_measured_stands_on_the_page(tmp_path):
    import page

    results = json.loads((FOLDER / "results.json").read_text())
    results["benches"] = [{"bench": "bench_kafka", "seconds": 1, "rows": [], "failure": "RuntimeError: no broker"}]
    (tmp_path / "results.json").write_text(json.dumps(results))
    text = page.text(tmp_path)
    assert "- `bench_kafka`: RuntimeError: no broker" in text
    assert "Not computed: a measurement that the model needs is missing" in text


def test_a_thousand_workers_are_held_up_by_the_exchange_and_one_by_its_core():
    import scaling

    given = scaling.Measured(stateless=5e-6, keyed=2e-6, two=1.8, broker=500_000, checkpoint=0.2)
    one, ten, thousand = (scaling.scaled(workers, given) for workers in (1, 10, 1000))
    assert (one.stateless, one.keyed, one.connections) == (pytest.approx(200_000), pytest.approx(500_000), 0)
    assert one.limit == "the core of the worker"
    assert ten.stateless == 10 * one.stateless
    assert ten.brokers == pytest.approx(4)
    assert 2 * one.keyed / (1 + 0.1111) == pytest.approx(scaling.scaled(2, given).keyed, rel=1e-3)
    assert thousand.limit.startswith("the exchange: a batch meets 1000 workers")
