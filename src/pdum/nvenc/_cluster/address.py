"""The addresses of schedulers, as people write them."""

from __future__ import annotations

import re

from .._errors import InvalidConfig

PORT = 8786
FORM = re.compile(r"(?:(?P<scheme>tcp|tls)://)?(?P<host>\[[0-9A-Fa-f:.]+\]|[^:/\s\[\]]+)(?::(?P<port>\d{1,5}))?/?")


def scheduler_address(text: str, *, has_tls: bool, may_be_any_port: bool = False) -> str:
    """``head``, ``head:8786`` or ``tcp://head:8786`` in full. With TLS, the scheme is ``tls``.

    ``may_be_any_port``: port 0 means a free one.
    """
    found = FORM.fullmatch(text.strip())
    if found is None or not (0 if may_be_any_port else 1) <= int(found["port"] or PORT) < 65536:
        raise InvalidConfig(f"Expected the address of a scheduler, such as tcp://head:{PORT}, got {text!r}.")
    if found["scheme"] == "tls" and not has_tls:
        raise InvalidConfig(f"{text} is encrypted: name the file that its scheduler uses with --tls (tls=…).")
    return f"{'tls' if has_tls else 'tcp'}://{found['host']}:{found['port'] or PORT}"


def host_of(address: str) -> str:
    return address.partition("://")[2].rpartition(":")[0]
