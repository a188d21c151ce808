"""Addresses as people write them."""

from __future__ import annotations

import pytest

from pdum.nvenc import InvalidConfig
from pdum.nvenc._cluster.address import host_of, scheduler_address
from pdum.nvenc._hosts import is_loopback

pytestmark = pytest.mark.one_abi


@pytest.mark.parametrize(
    ("given", "has_tls", "full"),
    [
        ("head", False, "tcp://head:8786"),
        ("head:99", False, "tcp://head:99"),
        ("tcp://head", False, "tcp://head:8786"),
        ("tcp://10.0.0.1:8786/", False, "tcp://10.0.0.1:8786"),
        ("tcp://head:8786", True, "tls://head:8786"),
        ("tls://head", True, "tls://head:8786"),
        ("[::1]:5", False, "tcp://[::1]:5"),
    ],
)
def test_every_form_names_the_same_scheduler(given: str, has_tls: bool, full: str) -> None:
    assert scheduler_address(given, has_tls=has_tls) == full


@pytest.mark.parametrize(
    "wrong", ["", "http://head", "head:port", "head:0", "head:70000", "two words", "tcp://", "::1"]
)
def test_anything_else_is_refused(wrong: str) -> None:
    with pytest.raises(InvalidConfig, match="Expected the address of a scheduler, such as tcp://head:8786, got"):
        scheduler_address(wrong, has_tls=False)


def test_an_encrypted_scheduler_needs_a_file() -> None:
    with pytest.raises(InvalidConfig, match="--tls"):
        scheduler_address("tls://head", has_tls=False)


def test_only_this_machine_is_loopback() -> None:
    hosts = {host: is_loopback(host_of(f"tcp://{host}:1")) for host in ("localhost", "127.0.0.1", "[::1]", "10.0.0.1")}
    assert hosts == {"localhost": True, "127.0.0.1": True, "[::1]": True, "10.0.0.1": False}
    assert is_loopback("::1")
    assert not is_loopback("localhost.example")
    assert not is_loopback("127.example")
