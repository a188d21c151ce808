"""Serves the figures to Prometheus."""

from __future__ import annotations

import socket
import threading
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from types import TracebackType
from typing import TYPE_CHECKING, Any

from .._errors import InvalidConfig
from .run_metrics import RunMetrics
from .text import CONTENT_TYPE

if TYPE_CHECKING:
    from typing_extensions import Self


HOST, PORT = "127.0.0.1", 9464
PATH = "/metrics"


class MetricsServer:
    """Serves ``http://HOST:PORT/metrics`` until it is closed.

    ::

        with MetricsServer() as metrics, EncoderPool() as pool:
            pool.encode_files(jobs, on_event=metrics.take)

    Args:
        host: the address to listen at. Anyone who reaches it can read the figures, so the default is this machine only.
        port: 0: any free port.
    """

    def __init__(self, host: str = HOST, port: int = PORT) -> None:
        if not (isinstance(port, int) and 0 <= port < 65536):
            raise InvalidConfig(f"Expected a number from 0 to 65535, got port={port!r}.")
        self.metrics = RunMetrics()
        self.take = self.metrics.take
        try:
            self._server = _Server((host, port), self.metrics)
        except OSError as error:
            raise InvalidConfig(
                f"Cannot serve metrics at {host}:{port}: {error.strerror or error}. Choose another address or port."
            ) from None
        self._thread = threading.Thread(target=self._server.serve_forever, args=(0.1,), name="pdum-nvenc metrics",
                                        daemon=True)  # fmt: skip
        self._thread.start()

    @property
    def url(self) -> str:
        host, port = self._server.server_address[:2]
        return f"http://[{host!s}]:{port}{PATH}" if ":" in str(host) else f"http://{host!s}:{port}{PATH}"

    def close(self) -> None:
        if self._thread.is_alive():
            self._server.shutdown()
            self._thread.join()
        self._server.server_close()

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None
    ) -> None:
        self.close()


class _Server(ThreadingHTTPServer):
    daemon_threads = True
    allow_reuse_address = True

    def __init__(self, address: tuple[str, int], metrics: RunMetrics) -> None:
        self.metrics = metrics
        self.address_family = socket.AF_INET6 if ":" in address[0] else socket.AF_INET
        super().__init__(address, _Handler)


class _Handler(BaseHTTPRequestHandler):
    server: _Server
    timeout = 10
    """Seconds that a connection may do nothing."""

    def do_GET(self) -> None:  # the name is http.server's
        if self.path.partition("?")[0] != PATH:
            self.send_error(404, f"The figures are at {PATH}")
            return
        body = self.server.metrics.text().encode()
        self.send_response(200)
        self.send_header("Content-Type", CONTENT_TYPE)
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        if self.command != "HEAD":
            self.wfile.write(body)

    do_HEAD = do_GET  # noqa: N815

    def log_message(self, *_: Any) -> None:
        """Says nothing: the program's output is its user's."""
