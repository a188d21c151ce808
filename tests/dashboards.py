"""The dashboard without a terminal: it shows a recorded run, and its requests to the run are recorded."""

from __future__ import annotations

import asyncio
import os
import re
from collections.abc import AsyncIterator, Iterator, Sequence
from contextlib import asynccontextmanager
from html import unescape
from pathlib import Path
from xml.etree import ElementTree

from rich.cells import cell_len
from textual.pilot import Pilot

from pdum.nvenc import events
from pdum.nvenc._tui.app import Dashboard

SNAPSHOTS = Path(__file__).parent / "tui" / "snapshots"
UPDATE = "PDUM_UPDATE_SNAPSHOTS"
CELL = 12.2
"""The width of a character in the pictures."""
SVG = "{http://www.w3.org/2000/svg}"


class Recorded:
    """A run with given events. It records the requests that it gets, and ends when it is cancelled."""

    def __init__(self, stream: Sequence[events.Event], *, refuses: Exception | None = None) -> None:
        self.stream = stream
        self.asked: list[tuple[object, ...]] = []
        self._refuses = refuses

    def __iter__(self) -> Iterator[events.Event]:
        return iter(self.stream)

    def _ask(self, *what: object) -> None:
        self.asked.append(what)
        if self._refuses is not None:
            raise self._refuses

    def pause(self) -> None:
        self._ask("pause")

    def resume(self) -> None:
        self._ask("resume")

    def skip(self, job: int) -> None:
        self._ask("skip", job)

    def retry(self, job: int) -> None:
        self._ask("retry", job)

    def set_engines(self, engines: int) -> None:
        self._ask("set_engines", engines)

    def drain(self) -> None:
        self._ask("drain")

    def cancel(self) -> None:
        self._ask("cancel")


class Playing:
    """A dashboard that has read all events, with methods that press its keys."""

    def __init__(self, app: Dashboard, pilot: Pilot[int]) -> None:
        self.app = app
        self.pilot = pilot

    async def press(self, *keys: str) -> None:
        await self.pilot.press(*keys)
        await self.settle()

    async def settle(self) -> None:
        """Waits until nothing changes any more."""
        await self.app.workers.wait_for_complete()
        await self._all_heard()
        self.app.draw()
        await self._all_heard()

    async def _all_heard(self) -> None:
        """Waits until all widgets have handled their messages and those that follow. A pause waits at most a second."""
        await self.pilot.pause()
        for _ in range(3):  # a key goes from a widget to its screen, to the app
            for one in (self.app.focused, self.app.screen, self.app):
                heard = asyncio.Event()
                if one is not None and one.call_later(heard.set):
                    await heard.wait()
        await self.pilot.pause()

    async def add(self, *more: events.Event) -> None:
        for event in more:
            self.app.apply(event)
        await self.settle()

    def lines(self) -> list[str]:
        return text_of(self.app.export_screenshot())

    def text(self) -> str:
        return "\n".join(self.lines())

    def messages(self) -> list[str]:
        found = list(self.app._notifications)
        assert not any(one.markup for one in found)
        return [one.message for one in found]


@asynccontextmanager
async def playing(run: Recorded, size: tuple[int, int] = (160, 45)) -> AsyncIterator[Playing]:
    app = Dashboard(lambda: run)
    app.usage.stop()  # the GPUs of a recorded run are not those of this machine
    app.NOTIFICATION_TIMEOUT = 3600  # type: ignore[misc]  # seconds: a slow machine sees all messages, too
    async with app.run_test(size=size) as pilot:
        await pilot.pause()
        app.source.thread.join()
        while list(app.source.take(0)) or not app.source.is_exhausted:
            app.tick()
        playing = Playing(app, pilot)
        await playing.settle()
        yield playing


def _texts(svg: str) -> dict[float, list[tuple[float, str, str]]]:
    """The pieces of text of each row: their column, style name and text."""
    rows: dict[float, list[tuple[float, str, str]]] = {}
    for text in ElementTree.fromstring(svg).iter(f"{SVG}text"):
        if "clip-path" in text.attrib:
            place = (float(text.attrib["x"]), text.attrib.get("class", ""), text.text or "")
            rows.setdefault(float(text.attrib["y"]), []).append(place)
    return rows


def text_of(svg: str) -> list[str]:
    """The screen's text, row by row."""
    rows, lines = _texts(svg), []
    for y in sorted(rows):
        line = ""
        for x, _, text in sorted(rows[y]):
            line += " " * (round(x / CELL) - cell_len(line)) + text
        lines.append(line.replace("\xa0", " ").rstrip())
    return lines


def colours_of(svg: str) -> dict[str, str]:
    """The colour of each piece of text."""
    styles = dict(re.findall(r"\.([\w-]+-r\d+) \{ fill: (#\w+)", svg))
    return {
        text.replace("\xa0", " ").strip(): styles.get(style, "")
        for row in _texts(svg).values()
        for _, style, text in row
    }


def normalised(svg: str) -> str:
    """The picture without parts that differ between pictures of the same screen, and without network resources."""
    svg = re.sub(r"@font-face \{.*?\}\s*", "", svg, flags=re.DOTALL)
    return re.sub(r"terminal-\d+", "terminal", svg)


def described(svg: str) -> str:
    """Rows of text with the colour of each piece, for comparing snapshots."""
    styles = dict(re.findall(r"\.([\w-]+-r\d+) \{ fill: (#\w+)", svg))
    rows = _texts(svg)
    return "\n".join(
        " ".join(f"{styles.get(style, '-')}|{unescape(text)}" for _, style, text in sorted(rows[y]))
        for y in sorted(rows)
    )


def check_snapshot(name: str, svg: str) -> None:
    """Compares with the picture of that name. ``PDUM_UPDATE_SNAPSHOTS=1`` stores it instead: look at the change."""
    path = SNAPSHOTS / f"{name}.svg"
    if os.environ.get(UPDATE):
        path.write_text(normalised(svg))
        return
    assert path.is_file(), f"there is no {path}: run with {UPDATE}=1 and look at it"
    assert described(normalised(svg)) == described(path.read_text()), (
        f"the screen is not that of {path}; {UPDATE}=1 stores it"
    )
