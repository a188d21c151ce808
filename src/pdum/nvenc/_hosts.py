"""Hosts as people write them in addresses."""

from __future__ import annotations


def is_loopback(host: str) -> bool:
    """Whether only this machine can connect to the host: ``localhost``, ``127.0.0.1``, ``::1`` or ``[::1]``."""
    from ipaddress import ip_address  # the command line loads this module for each command

    try:
        return ip_address(host.strip("[]")).is_loopback
    except ValueError:
        return host == "localhost"
