"""The dashboard in a real browser: what it shows, who may see it, and what becomes of the run and of its viewers."""

from __future__ import annotations

import io
import os
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from threading import Event
from urllib.error import HTTPError
from urllib.request import Request, urlopen

import pytest

from browser.chromium import Chromium, Page
from browser.terminal_text import open_terminal, press, wait_for_text
from pdum.nvenc import events
from pdum.nvenc._web.address import Address

from dashboards import Recorded
from event_streams import recorded
from loud import need_module

STREAM = recorded([f"holiday {number:02}.mkv" for number in range(9)], trouble=0.0, seed=3)
ACCENT = (0x5E, 0xEA, 0xD4)


class Held(Recorded):
    """A run that waits in its middle. It reports each request."""

    def __init__(self) -> None:
        super().__init__(STREAM)
        self.gate, self.came = Event(), Event()

    def __iter__(self) -> Iterator[events.Event]:
        yield from self.stream[: len(self.stream) // 2]
        self.gate.wait()
        yield from self.stream[len(self.stream) // 2 :]

    def _ask(self, *what: object) -> None:
        super()._ask(*what)
        self.came.set()


@contextmanager
def served() -> Iterator[tuple[Held, str, Callable[[], None]]]:
    """A run, the address of its dashboard, and what ends both."""
    need_module("textual_serve", "textual-serve")
    from pdum.nvenc._web.dashboard import WebDashboard

    run, dashboard = Held(), WebDashboard(Address(port=0))

    def end() -> None:
        run.gate.set()
        dashboard.close()

    dashboard.show(run, {"codec": "hevc", "cq": 28, "preset": "p5"})
    try:
        yield run, dashboard.url, end
    finally:
        end()


def viewers() -> set[int]:
    """The processes of viewers that this one has begun."""
    found = set()
    for path in Path("/proc").glob("[0-9]*/stat"):
        try:
            about = path.read_text().rpartition(")")[2].split()
            words = path.with_name("cmdline").read_bytes()
        except OSError:  # it has ended
            continue
        if int(about[1]) == os.getpid() and b"pdum.nvenc._web.viewer" in words:
            found.add(int(path.parent.name))
    return found


def shows_dashboard(page: Page, url: str) -> None:
    open_terminal(page, url)
    wait_for_text(page, "HEVC, cq 28, p5")
    wait_for_text(page, "holiday 08.mkv")


def test_it_shows_the_run_and_outlives_its_tabs(
    chromium: Chromium, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    pixels = need_module("PIL.Image", "pillow")
    (tmp_path / "json.py").write_text("raise SystemExit('a viewer has loaded what lies among the videos')")
    monkeypatch.chdir(tmp_path)
    with served() as (run, url, end), chromium.page("about:blank", 1000, 700) as page:
        shows_dashboard(page, url)
        token = url.partition("token=")[2]
        assert token not in page.evaluate("location.href + document.cookie"), "neither histories nor scripts learn it"
        page.evaluate("until(() => document.body.classList.contains('-first-byte'))")
        page.evaluate("new Promise(done => requestAnimationFrame(() => requestAnimationFrame(done)))")
        picture = pixels.open(io.BytesIO(page.screenshot())).convert("RGB")
        assert picture.tobytes().count(bytes(ACCENT)) > 50, "the colours of the dashboard are on the page"
        first = viewers()
        assert len(first) == 1
        with chromium.page("about:blank", 390, 700) as phone:
            open_terminal(phone, url)
            wait_for_text(phone, "1 Queue")
            press(phone, "p")
            run.came.wait()
            assert len(viewers()) == 2
        while viewers() != first:
            time.sleep(0.02)
        press(page, "q")
        press(page, "?")
        wait_for_text(page, "Close the tab to leave")
        press(page, "q")
        assert run.asked == [("pause",)], "neither q nor a tab that is closed ends the run"
        end()
        page.evaluate("until(() => document.body.classList.contains('-closed'))")
        wait_for_text(page, "9/9 files")
        assert "The run is over" in page.evaluate("document.getElementById('closed').innerText")
        assert viewers() == set()
        assert page.complaints() == []


def status(url: str, **headers: str) -> int:
    try:
        with urlopen(
            Request(url, headers={name.replace("_", "-"): value for name, value in headers.items()})
        ) as answer:
            return int(answer.status)
    except HTTPError as error:
        error.close()
        return error.code


WEBSOCKET = {
    "Connection": "Upgrade",
    "Upgrade": "websocket",
    "Sec_WebSocket_Version": "13",
    "Sec_WebSocket_Key": "AAAAAAAAAAAAAAAAAAAAAA==",
}


def test_nothing_is_seen_without_the_token(chromium: Chromium) -> None:
    with served() as (_, url, _end), chromium.page() as page:
        site, _, token = url.partition("?token=")
        port = site.rstrip("/").rpartition(":")[2]
        cookie = f"pdum-nvenc-{port}={token}"
        for path in ("", "ws", "static/js/textual.js", "download/x", "nothing"):
            for query in ("", "?token=", "?token=wrong", "?token=%ff", f"?token={token}x"):
                assert status(f"{site}{path}{query}") == 403, (path, query)
            assert status(f"{site}{path}?token=wrong", Cookie=cookie) == 403
        assert status(f"{site}ws", **WEBSOCKET) == 403
        assert status(f"{site}ws", Cookie=cookie, Origin="http://localhost:3000", **WEBSOCKET) == 403
        assert status(site, Cookie=cookie) == 200
        page.go(f"{site}?token=wrong")
        assert "needs the whole address" in page.evaluate("document.body.innerText")
        opened = f"new Promise(done => {{ const one = new WebSocket('{site.replace('http', 'ws')}ws?token=wrong');"
        assert page.evaluate(f"{opened} one.onopen = () => done('open'); one.onerror = () => done('refused'); }})") == (
            "refused"
        )
        assert viewers() == set()
