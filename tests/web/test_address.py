"""Addresses of the dashboard in the browser."""

from __future__ import annotations

import socket

import pytest

from pdum.nvenc import InvalidConfig
from pdum.nvenc._web.address import Address
from pdum.nvenc._web.listening import listen_at, url_of

pytestmark = pytest.mark.one_abi


@pytest.mark.parametrize(
    ("text", "host", "port", "is_local"),
    [
        ("8081", "127.0.0.1", 8081, True),
        (":8081", "127.0.0.1", 8081, True),
        ("0.0.0.0:80", "0.0.0.0", 80, False),
        ("localhost:1", "localhost", 1, True),
        ("[::1]:8080", "::1", 8080, True),
        ("workstation:8080", "workstation", 8080, False),
    ],
)
def test_addresses(text: str, host: str, port: int, is_local: bool) -> None:
    found = Address.of(text)
    assert (found.host, found.port, found.is_of_this_machine_only) == (host, port, is_local)


@pytest.mark.parametrize("text", ["", "Videos", "host:", "1:2:3", "8080:", "70000", "-1", "a:b"])
def test_what_is_no_address(text: str) -> None:
    with pytest.raises(InvalidConfig, match=r"Expected \[HOST:\]PORT, such as 8080"):
        Address.of(text)


def test_urls() -> None:
    assert url_of(Address(), 8080) == "http://127.0.0.1:8080/"
    assert url_of(Address.of("[::1]:80"), 81) == "http://[::1]:81/"
    assert url_of(Address.of("0.0.0.0:80"), 80) == f"http://{socket.gethostname()}:80/"


def test_a_port_that_is_in_use() -> None:
    with listen_at(Address(port=0)) as taken:
        port = taken.getsockname()[1]
        with pytest.raises(InvalidConfig, match=f"127.0.0.1:{port}: another program uses that port"):
            listen_at(Address(port=port, is_chosen=True))
        with listen_at(Address(port=port)) as other:
            assert other.getsockname()[1] not in (0, port)


@pytest.mark.parametrize(
    ("text", "said"),
    [("192.0.2.1:8080", "192.0.2.1 is not an address of this machine"), ("no.such.invalid:80", "there is no host")],
)
def test_addresses_that_cannot_be_used(text: str, said: str) -> None:
    with pytest.raises(InvalidConfig, match=said):
        listen_at(Address.of(text))
