"""The dashboard's socket."""

from __future__ import annotations

import errno
import socket

from .._errors import InvalidConfig
from .address import Address

EVERYWHERE = ("", "0.0.0.0", "::")
OTHER_PORT = 0
"""The system chooses one."""


def listen_at(address: Address) -> socket.socket:
    """A socket that listens there. Raises InvalidConfig if that cannot be done."""
    try:
        return _bound(address.host, address.port)
    except OSError as error:
        if error.errno == errno.EADDRINUSE and not address.is_chosen:
            return _bound(address.host, OTHER_PORT)
        raise InvalidConfig(_refusal(address, error)) from None


def url_of(address: Address, port: int) -> str:
    """Its URL, which names this machine if the dashboard listens on all of its addresses."""
    host = socket.gethostname() if address.host in EVERYWHERE else address.host
    return f"http://[{host}]:{port}/" if ":" in host else f"http://{host}:{port}/"


def _bound(host: str, port: int) -> socket.socket:
    family, kind, protocol, _, place = socket.getaddrinfo(host, port, type=socket.SOCK_STREAM)[0]
    found = socket.socket(family, kind, protocol)
    try:
        found.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        found.bind(place)
        found.listen()
    except BaseException:
        found.close()
        raise
    return found


def _refusal(address: Address, error: OSError) -> str:
    reasons = {
        errno.EADDRINUSE: "another program uses that port. Choose another one.",
        errno.EACCES: "ports below 1024 need root. Choose a higher one.",
        errno.EADDRNOTAVAIL: f"{address.host} is not an address of this machine. 0.0.0.0 means all of them.",
    }
    is_unknown = isinstance(error, socket.gaierror)
    reason = f"there is no host {address.host}." if is_unknown else reasons.get(error.errno or 0)
    return f"Cannot serve the dashboard at {address.host}:{address.port}: {reason or error.strerror}"
