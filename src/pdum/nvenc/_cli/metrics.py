"""``--metrics``: figures for Prometheus while a command runs."""

from __future__ import annotations

from .._metrics.server import MetricsServer
from .._web.address import Address
from .standard_streams import complain


def serve_metrics(address: Address) -> MetricsServer:
    """Says where they are if the user cannot know it, and warns if others can read them."""
    server = MetricsServer(address.host, address.port)
    if address.port == 0:
        complain(f"Metrics: {server.url}")
    if not address.is_of_this_machine_only:
        complain(f"Anyone who reaches {server.url} can read the figures. They name no files.")
    return server
