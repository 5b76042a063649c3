"""The table of metrics keeps to Prometheus' conventions, and the page to the table."""

from __future__ import annotations

from pathlib import Path

import pytest

from fluxion_flow.observe.listener import HOOKS
from fluxion_flow.observe.vocabulary import METRICS, RESERVED_LABELS, with_table

PAGE = Path(__file__).parents[2] / "docs" / "metrics.md"


def test_the_page_has_the_table():
    page = PAGE.read_text(encoding="utf-8")
    assert with_table(page) == page, "run: python -m fluxion_flow.observe.vocabulary docs/metrics.md"


def test_a_page_without_a_place_for_the_table_is_answered():
    with pytest.raises(ValueError) as caught:
        with_table("# Metrics\n<!-- metrics: begin -->\n")
    assert str(caught.value) == (
        "the page has no place for the table; write <!-- metrics: begin --> and <!-- metrics: end --> where it belongs"
    )


def test_the_vocabulary_is_complete():
    names = {"stream.batch.duration", "stream.batch.size", "stream.lag", "stream.retries", "stream.failures"}
    assert names | {"stream.backpressure"} <= {metric.dotted for metric in METRICS}
    assert set(HOOKS) - {metric.hook for metric in METRICS} == {"on_closed", "on_traced", "on_letters", "on_end"}


@pytest.mark.parametrize("metric", METRICS, ids=lambda metric: metric.name)
def test_a_prometheus_name_is_the_dotted_name_with_its_unit(metric):
    assert metric.name.startswith(metric.dotted.replace(".", "_"))
    assert metric.name.endswith("_total") == (metric.kind == "counter")
    if metric.unit == "seconds":
        assert metric.name.removesuffix("_total").endswith("_seconds")
    assert bool(metric.buckets) == (metric.kind == "histogram")
    assert list(metric.buckets) == sorted(set(metric.buckets))
    assert set(metric.labels) <= RESERVED_LABELS
    assert metric.meaning.endswith(".")
    assert "|" not in metric.meaning
