"""The engines in Prometheus' words; read from the pool's status when somebody scrapes."""

import time
from collections.abc import Callable, Iterable, Sequence

from prometheus_client import Metric
from prometheus_client.core import CounterMetricFamily, GaugeMetricFamily
from prometheus_client.registry import Collector

from main_api.backends.engine import EngineStatus


class EngineCollector(Collector):
    """Register it with the process's registry: `registry.register(EngineCollector(pool.status))`."""

    def __init__(self, status: Callable[[], Sequence[EngineStatus]]) -> None:
        self._status = status

    def describe(self) -> Iterable[Metric]:
        """Name nothing: which engines there are changes, and two applications in one process are no conflict."""
        return ()

    def collect(self) -> Iterable[Metric]:
        ready = GaugeMetricFamily("twinport_engine_ready", "1 if the model's engine is loaded", labels=["model"])
        active = GaugeMetricFamily("twinport_engine_active_requests", "Requests that are answered", labels=["model"])
        uptime = GaugeMetricFamily("twinport_engine_loaded_seconds", "Seconds since it was loaded", labels=["model"])
        restarts = CounterMetricFamily("twinport_engine_restarts", "Starts after the first one", labels=["model"])
        for status in self._status():
            ready.add_metric([status.model], float(status.state == "ready"))
            active.add_metric([status.model], status.active)
            restarts.add_metric([status.model], status.restarts)
            if status.loaded_since is not None:
                uptime.add_metric([status.model], time.time() - status.loaded_since.timestamp())
        return [ready, active, uptime, restarts]
