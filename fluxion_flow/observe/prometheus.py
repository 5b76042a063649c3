"""``PrometheusListener``: what a run tells, as Prometheus series.

Bytewax's own page (``BYTEWAX_DATAFLOW_API_ENABLED=1``, port 3030, ``/metrics``) shows ``prometheus_client.REGISTRY``,
so the series appear there without a server of ours. Which metrics there are is said in :mod:`.vocabulary`.
"""

from __future__ import annotations

import logging
from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any, Protocol

from ..core.context import StreamingContext
from .listener import StreamingMetricsListener
from .series import default_series, series_of, show_default
from .series_listener import SeriesListener

if TYPE_CHECKING:
    from prometheus_client import CollectorRegistry

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
    if not config.metrics or any(isinstance(one, PrometheusListener) and one.is_default for one in given):
        return ()
    try:
        return (PrometheusListener(),)
    except ValueError as error:
        log.warning("this run has no metrics: %s; give the others another name, or set metrics: false", error)
        return ()


class PrometheusListener(SeriesListener):
    """Counts what a run tells, by ``pipeline``, ``connector``, ``environment`` and ``worker``, and the user's labels.

    The user's labels are those of the pipeline's settings (``labels``), and ``labels`` given here, which win. Listeners
    of one registry share its series, whatever pipelines and labels they are for. Without a ``registry`` it is
    ``prometheus_client.REGISTRY``, where the series stand once anybody has imported ``prometheus_client``.

    Raises :class:`ValueError` for a label that Prometheus does not accept, and when the registry has metrics of these
    names from elsewhere.
    """

    def __init__(self, registry: CollectorRegistry | None = None, labels: Mapping[str, Any] | None = None) -> None:
        super().__init__(default_series() if registry is None else series_of(registry), labels)
        self._registry = registry
        self._shown = registry is not None or show_default()

    @property
    def registry(self) -> CollectorRegistry:
        """The registry that shows the series."""
        if self._registry is None:
            from prometheus_client import REGISTRY

            series_of(REGISTRY)
            return REGISTRY
        return self._registry

    @property
    def is_default(self) -> bool:
        """Whether the registry is ``prometheus_client.REGISTRY``."""
        return self.series is default_series()

    def on_batch(self, context: StreamingContext, *, seconds: float, size_in: int, size_out: int) -> None:
        if not self._shown:
            self._show()
        super().on_batch(context, seconds=seconds, size_in=size_in, size_out=size_out)

    def _show(self) -> None:
        try:
            self._shown = show_default()
        except ValueError as error:
            self._shown = True
            log.warning("this run's metrics are not shown: %s; give the others another name", error)
