"""``--web``: a dashboard in the browser, in addition to all other output."""

from __future__ import annotations

import asyncio
import json
import os
import re
import shutil
import signal
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from urllib.error import HTTPError
from urllib.request import urlopen

import pytest

from pdum.nvenc._cli import exits

from clips import Tool, command, make_clip
from loud import need_module
from simulator import environment

FAST, SLOW = 300.0, 0.1
"""Frames a second of an engine. With the slow ones, a file lasts until the run is interrupted."""


@pytest.fixture(autouse=True)
def textual_serve() -> None:
    need_module("textual_serve", "textual-serve")


@pytest.fixture
def clips(tmp_path: Path) -> Path:
    for number in range(4):
        make_clip(tmp_path / f"clip{number}.mkv", 60, seed=number)
    return tmp_path


@contextmanager
def encoding(*arguments: object, fps: float = FAST) -> Iterator[subprocess.Popen[str]]:
    environ = environment(gpus=[{"name": "RTX 4090", "fps_1080p": fps}], backend="codec")
    arguments = ("encode", "-c", "h264", "--web-address", "0", *arguments)
    pipe = subprocess.PIPE
    with subprocess.Popen(
        command(*arguments), env=environ, stdout=pipe, stderr=pipe, text=True, start_new_session=True
    ) as process:
        try:
            yield process
        finally:
            process.kill()


def url_in(text: str) -> str:
    found = re.search(r"http://127\.0\.0\.1:\d+/\?token=[\w-]{20,}", text)
    assert found is not None, text
    return found[0]


def test_json_and_quiet_keep_their_promises(clips: Path) -> None:
    log = clips / "run.log"
    with encoding("--json", "--log", log, clips) as process:
        lines, complaints = process.communicate()
    notices = [event["message"] for line in lines.splitlines() if (event := json.loads(line))["event"] == "notice"]
    assert [message for message in notices if "/?token=" in message] == [f"Dashboard: {url_in(lines)}"]
    assert complaints == ""
    assert process.returncode == exits.DONE
    assert "run_finished" in log.read_text()
    assert "token" not in log.read_text(), "others may read the log"
    with encoding("--quiet", "-o", clips / "other", clips) as process:
        shown, complaints = process.communicate()
    assert shown == ""
    assert url_in(complaints)


async def watch_and_interrupt(url: str, process: subprocess.Popen[str]) -> str:
    """What a viewer is sent until the end. Ctrl-C comes to all processes of the terminal, twice."""
    import aiohttp

    site, _, query = url.partition("?")
    text, awaited = "", ["clip9.mkv", "cancelled"]
    async with aiohttp.ClientSession() as session, session.ws_connect(f"{site}ws?{query}&width=140&height=40") as page:
        async for message in page:
            if message.type == aiohttp.WSMsgType.BINARY:
                text += message.data.decode(errors="replace")
            if awaited and awaited[0] in text:
                awaited.pop(0)
                os.killpg(process.pid, signal.SIGINT)
    return text


def test_ctrl_c_is_for_the_run_and_viewers_see_its_end(clips: Path) -> None:
    for number in range(4, 12):  # more than enough, however long the viewer takes to come
        shutil.copy(clips / "clip3.mkv", clips / f"clip{number}.mkv")
    with encoding(clips, fps=SLOW) as process:
        assert process.stdout is not None
        url = url_in(process.stdout.readline())
        with pytest.raises(HTTPError, match="403"):
            urlopen(url.partition("?")[0])
        text = asyncio.run(watch_and_interrupt(url, process))
        process.communicate()
    assert process.returncode == exits.INTERRUPTED
    assert "12/12 files" in text


def test_wrong_arguments(tool: Tool, clips: Path) -> None:
    assert tool("encode", "--web", "--tui", clips)[0] == exits.USAGE
    assert "--tui and --web conflict" in tool.err
    assert tool("encode", "--web-address", "Videos", clips)[0] == exits.USAGE
    assert "Expected [HOST:]PORT, such as 8080 or 0.0.0.0:8080, got 'Videos'" in tool.err
    assert tool("encode", "--web", "--port", "8081", clips)[0] == exits.USAGE
    assert tool.err.endswith("--port: use --web-address, for example :8081.\n")


def test_the_extra_is_named(tool: Tool, clips: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    for module in ("textual_serve", "aiohttp"):
        for name in [name for name in sys.modules if name.startswith(("textual_serve.", "pdum.nvenc._web."))]:
            monkeypatch.delitem(sys.modules, name)
        with monkeypatch.context() as without:
            without.setitem(sys.modules, module, None)
            assert tool("encode", "--web", "--engine", "software", clips)[0] == exits.CANNOT
        assert (
            tool.err == f"pdum-nvenc: This command needs the Python package {module}: pip install 'pdum-nvenc[web]'.\n"
        )
    assert not (clips / "compressed").exists() or not list((clips / "compressed").glob("*.mkv"))
