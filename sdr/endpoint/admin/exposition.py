"""From what was collected to the text that Prometheus reads."""

from prometheus_client import CollectorRegistry, ProcessCollector
from prometheus_client.exposition import choose_encoder
from prometheus_client.registry import Collector


def registry_of(*collectors: Collector) -> CollectorRegistry:
    """Return a registry of these, and of what the system knows about this process, where it tells."""
    registry = CollectorRegistry()
    for collector in collectors:
        registry.register(collector)
    ProcessCollector(registry=registry)
    return registry


def exposition(collector: Collector, accept: str = "") -> tuple[str, bytes]:
    """Return the media type and the text of all that is collected now.

    :param collector: a registry; or anything that collects, such as the sum of several processes.
    :param accept: the ``Accept`` header, by which Prometheus asks for OpenMetrics.
    """
    encode, media_type = choose_encoder(accept)
    return media_type, encode(collector)
