"""The status page of a run: what it shows is gathered here, and it is served from the moment that workers are built."""

from __future__ import annotations

import threading
import weakref
from collections.abc import Callable, Mapping, Sequence
from typing import Any

from prometheus_client import CollectorRegistry

from ..connect.secrets import Reference, register_secret
from ..dsl.config import StreamingRuntimeConfig
from ..observe.alerts import Alerts
from ..observe.listener import StreamingMetricsListener
from ..observe.prometheus import PrometheusListener
from ..observe.status.history import History
from ..observe.status.journal import Journal
from ..observe.status.numbers import Numbers
from ..observe.status.peers import whole
from ..observe.status.server import StatusServer
from ..observe.status.status import Facts, Status
from .entry import Entry, entry
from .run import Run


class Observed:
    """What the status page of a run needs: listeners that are told like all others, and :meth:`begin`, which serves."""

    def __init__(self, config: StreamingRuntimeConfig, listeners: Sequence[StreamingMetricsListener]) -> None:
        self._config = config
        self._journal = Journal()
        found = [one for one in listeners if isinstance(one, PrometheusListener)]
        self._prometheus = found[0] if found else PrometheusListener(CollectorRegistry())
        self._alerts = [one for one in listeners if isinstance(one, Alerts)]
        own: tuple[StreamingMetricsListener, ...] = (self._journal, *(() if found else (self._prometheus,)))
        self.listeners = own
        self._lock = threading.Lock()
        self._server: StatusServer | None = None

    def begin(self, run: Run, graph: Mapping[str, Any], guarantee: str, unit: str) -> StatusServer:
        """Serve, if this worker is the first of the process to begin.

        ``graph`` is the pipeline as :class:`~fluxion_flow.observe.status.status.Facts` has it, ``unit`` what the source
        counts its lag in. Raises :class:`~fluxion_flow.observe.status.server.PortTaken`.
        """
        with self._lock:
            if self._server is None:
                self._server = self._serve(run, graph, guarantee, unit)
            return self._server

    def _serve(self, run: Run, graph: Mapping[str, Any], guarantee: str, unit: str) -> StatusServer:
        config = self._config
        assert config.status_port is not None
        place = entry() or Entry(None, 0)
        hosts = [address.rpartition(":")[0] for address in place.addresses.split(";") if address] or [""]
        workers = max(run.workers.current()[1] // len(hosts), 1)
        facts = Facts(
            pipeline=run.pipeline,
            version=run.version,
            graph=graph,
            guarantee=guarantee,
            environment=config.environment,
            labels=config.labels,
            process=place.process,
            processes=len(hosts),
            workers=workers,
            lag_unit=unit,
            store="" if place.store is None else str(place.store),
            stalled_after=config.stalled_after,
        )
        numbers = Numbers(self._prometheus.series, run.pipeline)
        history = History(numbers.counters)
        status = Status(
            facts, numbers, self._journal, history, run.pulse.silence, run.pulse.parts, _firing(self._alerts)
        )
        token = config.status_token.resolve() if isinstance(config.status_token, Reference) else config.status_token
        if token is not None:
            register_secret(token)
        ports = status_ports(config.status_port, hosts)
        addresses = [f"http://{_reached(host, config.status_host)}:{p}" for host, p in zip(hosts, ports, strict=True)]
        server = StatusServer(
            config.status_host,
            ports[place.process],
            token,
            live=status.live,
            ready=status.ready,
            own=status.to_dict,
            whole=lambda: whole(status.to_dict, place.process, addresses, token),
            registry=self._prometheus.registry,
        )
        history.start()
        weakref.finalize(run, _stop, server, history)
        return server


def status_ports(first: int, hosts: Sequence[str]) -> list[int]:
    """The port of each process of a run from its host: the first process of a host has ``first``, the next the next."""
    return [first + hosts[:number].count(host) for number, host in enumerate(hosts)]


def _stop(server: StatusServer, history: History) -> None:
    history.stop()
    server.stop()


def _firing(alerts: Sequence[Alerts]) -> Callable[[], list[Mapping[str, Any]]]:
    return lambda: [firing for each in alerts for firing in each.firing()]


def _reached(host: str, listens_on: str) -> str:
    """Where a process of the cluster is reached: on its own host, or on loopback if the page listens there only."""
    if listens_on in ("localhost", "127.0.0.1", "::1"):
        return "[::1]" if listens_on == "::1" else listens_on
    return host or "127.0.0.1"
