"""A run's dashboard in a browser, from the first address to the last picture."""

from __future__ import annotations

from collections.abc import Mapping

from .._tui.controls import EventRun
from .access_token import NAME
from .address import Address
from .feed import Feed
from .listening import listen_at, url_of
from .server import WebServer


class WebDashboard:
    """Serves from the beginning. Browsers that come before the run wait for it."""

    def __init__(self, address: Address) -> None:
        listening = listen_at(address)
        self._feed = Feed()
        self._server = WebServer(listening, self._feed.path)
        try:
            self._server.start()
        except BaseException:
            self._feed.close()
            raise
        self.url = f"{url_of(address, listening.getsockname()[1])}?{NAME}={self._server.token.value}"
        """The URL with the token. Anyone who has it can see the run and control it."""

    def show(self, run: EventRun, settings: Mapping[str, object]) -> None:
        self._feed.show(run, settings)

    def close(self) -> None:
        """Waits until open pages show the end of the run, for a few seconds at most."""
        self._feed.close()
        self._server.stop()
