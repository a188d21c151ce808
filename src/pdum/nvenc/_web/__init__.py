"""The dashboard in a browser. The run stays in the process that began it; each tab has a viewer, a process of its own.

A viewer gets the run's events through a socket (``feed``), draws the same dashboard as a terminal does, and passes keys
on to the run. textual-serve shows its terminal in the tab. When a tab is closed, its viewer ends and the run goes on.
"""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from .address import Address
    from .dashboard import WebDashboard


@contextmanager
def web_dashboard(address: Address) -> Iterator[WebDashboard]:
    """Serves a dashboard in the block. Raises InvalidConfig if the address cannot be used."""
    from .dashboard import WebDashboard

    dashboard = WebDashboard(address)
    try:
        yield dashboard
    finally:
        dashboard.close()
