"""The address of the dashboard in a browser."""

from __future__ import annotations

import errno
import socket
from dataclasses import dataclass
from ipaddress import ip_address

from .._errors import InvalidConfig

LOOPBACK, PORT = "127.0.0.1", 8080
EVERYWHERE = ("", "0.0.0.0", "::")
OTHER_PORT = 0
"""The system chooses one."""


@dataclass(frozen=True, kw_only=True)
class Address:
    """Where browsers reach the dashboard."""

    host: str = LOOPBACK
    port: int = PORT
    is_chosen: bool = False
    """Whether the user has chosen it. Otherwise another port does as well."""

    @classmethod
    def of(cls, text: str) -> Address:
        """From ``"8081"``, ``"0.0.0.0:8080"``, ``"[::1]:8080"``."""
        host, _, port = text.rpartition(":")
        if not port.isdecimal() or int(port) > 65535 or (":" in host and not host.startswith("[")):
            raise InvalidConfig(f"Expected [HOST:]PORT, such as 8080 or 0.0.0.0:8080, got {text!r}.")
        return cls(host=host.strip("[]") or LOOPBACK, port=int(port), is_chosen=True)

    @property
    def is_of_this_machine_only(self) -> bool:
        try:
            return ip_address(self.host).is_loopback
        except ValueError:
            return self.host == "localhost"

    def url_of(self, port: int) -> str:
        """Its URL, which names this machine if the dashboard listens on all of its addresses."""
        host = socket.gethostname() if self.host in EVERYWHERE else self.host
        return f"http://[{host}]:{port}/" if ":" in host else f"http://{host}:{port}/"

    def listening(self) -> socket.socket:
        """A socket that listens there. Raises InvalidConfig if that cannot be done."""
        try:
            return self._bound(self.port)
        except OSError as error:
            if error.errno == errno.EADDRINUSE and not self.is_chosen:
                return self._bound(OTHER_PORT)
            raise InvalidConfig(self._refusal(error)) from None

    def _bound(self, port: int) -> socket.socket:
        family, kind, protocol, _, place = socket.getaddrinfo(self.host, port, type=socket.SOCK_STREAM)[0]
        found = socket.socket(family, kind, protocol)
        try:
            found.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
            found.bind(place)
            found.listen()
        except BaseException:
            found.close()
            raise
        return found

    def _refusal(self, error: OSError) -> str:
        reasons = {
            errno.EADDRINUSE: "another program uses that port. Choose another one.",
            errno.EACCES: "ports below 1024 need root. Choose a higher one.",
            errno.EADDRNOTAVAIL: f"{self.host} is not an address of this machine. 0.0.0.0 means all of them.",
        }
        reason = (
            f"there is no host {self.host}." if isinstance(error, socket.gaierror) else reasons.get(error.errno or 0)
        )
        return f"Cannot serve the dashboard at {self.host}:{self.port}: {reason or error.strerror}"
