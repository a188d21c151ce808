"""The address of the dashboard in a browser, as it is given. The command line loads this for each command."""

from __future__ import annotations

from dataclasses import dataclass

from .._errors import InvalidConfig
from .._hosts import is_loopback

LOOPBACK, PORT = "127.0.0.1", 8080


@dataclass(frozen=True, kw_only=True)
class Address:
    """Where browsers reach the dashboard."""

    host: str = LOOPBACK
    port: int = PORT
    is_chosen: bool = False
    """Whether the user has chosen it. If not, any other port will do."""

    @classmethod
    def of(cls, text: str) -> Address:
        """From ``"8081"``, ``"0.0.0.0:8080"``, ``"[::1]:8080"``."""
        host, _, port = text.rpartition(":")
        if not port.isdecimal() or int(port) > 65535 or (":" in host and not host.startswith("[")):
            raise InvalidConfig(f"Expected [HOST:]PORT, such as 8080 or 0.0.0.0:8080, got {text!r}.")
        return cls(host=host.strip("[]") or LOOPBACK, port=int(port), is_chosen=True)

    @property
    def is_of_this_machine_only(self) -> bool:
        return is_loopback(self.host)
