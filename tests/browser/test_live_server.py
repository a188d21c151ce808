"""The server of examples/live without a browser: its command, and clients that are none of its pages."""

from __future__ import annotations

import asyncio
import json
import os
import re
import signal
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import aiohttp
import pytest

from browser.chromium import Chromium
from browser.live_site import Site, live_site, picture, watch

SIZE = (160, 96)


@pytest.fixture
def site() -> Iterator[Site]:
    with live_site(SIZE, backend="software") as one:
        yield one


async def close_code(url: str, text: str) -> int | None:
    async with aiohttp.ClientSession() as session, session.ws_connect(f"{url}stream") as socket:
        await socket.send_str(text)
        async for message in socket:
            assert message.type in (aiohttp.WSMsgType.TEXT, aiohttp.WSMsgType.BINARY)
        return socket.close_code


WRONG = ["", "nothing", "[]", "{}", "7", '"ack"', '{"ack": 1, "lost": 2}', '{"fly": 1}', '{"ack": -1}', '{"ack": true}',
         '{"ack": 1e400}', '{"ack": "1"}', '{"size": 3}', '{"size": [0, 5]}', '{"size": [1, 2, 3]}', '{"link": 0}',
         '{"link": "fast"}', '{"drop": 1000000}', '{"ping": null}', '{"size": [1e9, 1]}', "[" * 4000]  # fmt: skip


def test_a_wrong_message_ends_only_its_own_viewer(site: Site, caplog: pytest.LogCaptureFixture) -> None:
    for text in WRONG:
        assert asyncio.run(close_code(site.url, text)) == aiohttp.WSCloseCode.POLICY_VIOLATION, text
    site.run(until_nobody_watches(site))
    assert asyncio.run(first_picture(site.url))["keyframe"]
    assert caplog.records == []


async def until_nobody_watches(site: Site) -> None:
    while site.show.viewers:
        await asyncio.sleep(0)


async def first_picture(url: str) -> dict[str, object]:
    """The header of the first picture that a viewer gets."""
    async with aiohttp.ClientSession() as session, session.ws_connect(f"{url}stream") as socket:
        async for message in socket:
            if message.type is aiohttp.WSMsgType.BINARY:
                length = int.from_bytes(message.data[:4], "little")
                header: dict[str, object] = json.loads(message.data[4 : 4 + length])
                return header
    raise AssertionError("no picture came")


def test_pages_of_other_servers_are_not_let_in(site: Site) -> None:
    async def main() -> None:
        async with aiohttp.ClientSession() as session:
            with pytest.raises(aiohttp.WSServerHandshakeError, match="403"):
                await session.ws_connect(f"{site.url}stream", headers={"Origin": "http://elsewhere.example"})
            own = site.url.rstrip("/")
            await (await session.ws_connect(f"{site.url}stream", headers={"Origin": own})).close()

    asyncio.run(main())


def test_nothing_is_drawn_for_nobody(site: Site) -> None:
    assert site.show.live.statistics.encoded == 0
    asyncio.run(first_picture(site.url))
    assert site.show.live.statistics.encoded >= 1


@pytest.fixture
def command(root: Path) -> list[str]:
    return [sys.executable, str(root / "examples" / "live"), "--port", "0", "--render", "numpy"]


def test_one_command_serves_the_page(command: list[str], chromium: Chromium, tmp_path: Path) -> None:
    without_gpus = {**os.environ, "CUDA_VISIBLE_DEVICES": ""}
    pipe = subprocess.PIPE
    with subprocess.Popen(command, cwd=tmp_path, env=without_gpus, stdout=pipe, stderr=pipe, text=True) as server:
        try:
            assert server.stdout is not None
            line = server.stdout.readline()
            found = re.fullmatch(r"Open (http://127\.0\.0\.1:\d+/) in a browser\. .*\n", line)
            assert found, line
            with chromium.page(found[1], 900, 420) as page:
                watch(page)
                assert picture(page).number >= 0
                server.send_signal(signal.SIGINT)
                _, errors = server.communicate(timeout=60)
        finally:
            server.kill()
    assert server.returncode == 0, errors
    assert "Traceback" not in errors
    assert "Encoding in software" in errors


@pytest.mark.parametrize("wrong", ["--port=99999", "--fps=0", "--max-size=0x0", "--host=256.0.0.1", "--backend=nvenc"])
def test_wrong_arguments_are_told_in_a_line(command: list[str], wrong: str) -> None:
    without_gpus = {**os.environ, "CUDA_VISIBLE_DEVICES": ""}
    done = subprocess.run([*command, wrong], env=without_gpus, capture_output=True, text=True, timeout=120)
    assert done.returncode in (1, 2)
    assert "Traceback" not in done.stderr
    assert done.stderr.strip()
