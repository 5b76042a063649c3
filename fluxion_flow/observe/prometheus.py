"""``PrometheusListener``: what a run tells, as Prometheus series.

Bytewax's own page (``BYTEWAX_DATAFLOW_API_ENABLED=1``, port 3030, ``/metrics``) shows ``prometheus_client.REGISTRY``,
so the series appear there without a server of ours. Which metrics there are is said in :mod:`.vocabulary`.
"""

from __future__ import annotations

import logging
from collections.abc import Mapping, Sequence
from typing import Any, Protocol

from prometheus_client import REGISTRY, CollectorRegistry

from .listener import StreamingMetricsListener
from .series import series_of
from .series_listener import SeriesListener

log = logging.getLogger(__name__)


class WantsMetrics(Protocol):
    """The settings of a run, as far as they matter here."""

    @property
    def metrics(self) -> bool: ...


def default_listeners(config: WantsMetrics, given: Sequence[Any] = ()) -> tuple[StreamingMetricsListener, ...]:
    """The listeners that every run has: a :class:`PrometheusListener`, unless ``config.metrics`` is false.

    ``given`` are the listeners that the run has already: with a Prometheus listener for the same registry among them
    none is added, because everything would be counted twice. Never raises: a run must not fail for its metrics.
    """
    if not config.metrics or any(isinstance(one, PrometheusListener) and one.registry is REGISTRY for one in given):
        return ()
    try:
        return (PrometheusListener(),)
    except ValueError as error:
        log.warning("this run has no metrics: %s; give the others another name, or set metrics: false", error)
        return ()


class PrometheusListener(SeriesListener):
    """Counts what a run tells, by ``pipeline``, ``connector``, ``environment`` and ``worker``, and the user's labels.

    The user's labels are those of the pipeline's settings (``labels``), and ``labels`` given here, which win. Listeners
    of one registry share its series, whatever pipelines and labels they are for.

    Raises :class:`ValueError` for a label that Prometheus does not accept, and when the registry has metrics of these
    names from elsewhere.
    """

    def __init__(self, registry: CollectorRegistry = REGISTRY, labels: Mapping[str, Any] | None = None) -> None:
        super().__init__(series_of(registry), labels)
        self.registry = registry
