"""Front ends on real runs of a pool, on the simulated driver: they show what the run then reports."""

from __future__ import annotations

import asyncio
import io
import threading
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
from rich.console import Console
from textual.pilot import Pilot

from frames import Nv12
from pdum.nvenc import EncoderPool, EngineInfo, Plan, Run
from pdum.nvenc._cli.plain import show
from pdum.nvenc._report.report import report_page
from pdum.nvenc._tui.app import Dashboard
from pdum.nvenc._view.run_state import RunState
from pool_tasks import Pictures

from dashboards import text_of
from simulator import Simulator

MACHINE: list[dict[str, Any]] = [{"name": "RTX 4090", "fps_1080p": 150}]
WIDE = (160, 45)


async def until(pilot: Pilot[int], app: Dashboard, holds: Callable[[], bool]) -> None:
    """Lets the run go on. Pytest's time limit ends a run that never gets there."""
    while not holds():
        await asyncio.sleep(0.02)
        app.tick()
        await pilot.pause()


class Gated(Pictures):
    """Waits in its pictures for permission to go on, so that a test has time."""

    def __init__(self, frames: int, offset: int) -> None:
        super().__init__(frames, offset)
        self.gate = threading.Event()

    def prepare(self, lanes: int) -> Plan:
        self.fail_at = None  # it may have been interrupted before it is begun again
        return super().prepare(lanes)

    def frames(self, first: int, engine: EngineInfo) -> Iterator[Nv12]:
        for place, frame in enumerate(super().frames(first, engine), first):
            while place >= 20 and not self.gate.wait(0.01):
                if self.fail_at is not None:
                    raise OSError("interrupted")
            yield frame


class Held:
    """Tasks that wait for their gates, and the run that does them."""

    def __init__(self, pool: EncoderPool, count: int = 5, frames: int = 80) -> None:
        self.tasks = [Gated(frames, 1000 * number) for number in range(count)]
        self.pool = pool
        self.run: Run | None = None

    def start(self) -> Run:
        self.run = self.pool.start(self.tasks)
        return self.run

    def open(self, tasks: slice = slice(None)) -> None:
        for task in self.tasks[tasks]:
            task.gate.set()


def test_a_run_from_its_beginning_to_its_end(simulator: Simulator, tmp_path: Path) -> None:
    async def main(held: Held) -> None:
        app = Dashboard(held.start)
        async with app.run_test(size=WIDE) as pilot:
            await until(pilot, app, lambda: len(app.state.working_jobs()) == 2)
            await until(pilot, app, lambda: 0 in app.usage.usage and len(app.usage.usage[0].sessions or ()) == 2)
            app.draw()
            await pilot.pause()
            text = "\n".join(text_of(app.export_screenshot()))
            assert "GPU 0 · NVIDIA GeForce RTX 4090" in text
            assert "NVENC 1" in text
            assert "encoder " in text
            assert "2 sessions" in text
            held.open()
            await until(pilot, app, lambda: app.state.is_over)
            assert app.state.sums().finished == len(held.tasks)
            assert app.result == 0

    with simulator.machine(gpus=MACHINE, state=str(tmp_path / "state")), EncoderPool() as pool:
        held = Held(pool)
        asyncio.run(main(held))
        assert held.run is not None
        report = held.run.wait()
    for task in held.tasks:
        task.check()
    assert report.frames == sum(task.count for task in held.tasks)


def test_keys_steer_the_run(simulator: Simulator) -> None:
    async def main(held: Held) -> None:
        app = Dashboard(held.start)
        async with app.run_test(size=WIDE) as pilot:
            await until(pilot, app, lambda: len(app.state.working_jobs()) == 2)
            await pilot.press("p")
            await until(pilot, app, lambda: app.status == "paused")
            await pilot.press("p")
            await until(pilot, app, lambda: app.status == "running")
            await pilot.press("end", "s")
            await until(pilot, app, lambda: app.state.sums().skipped == 1)
            await pilot.press("2", "home", "r")
            await until(pilot, app, lambda: any(job.attempts == 2 for job in app.state.jobs.values()))
            await pilot.press("minus")
            await until(pilot, app, lambda: app.wanted_engines == 1)
            held.open(slice(4))
            await until(pilot, app, lambda: app.state.engines[1].state == "off")
            await pilot.press("plus")
            await until(pilot, app, lambda: app.state.engines[1].state != "off")
            held.open()
            await until(pilot, app, lambda: app.state.is_over)
            assert app.state.sums().finished == len(held.tasks)

    with simulator.machine(gpus=MACHINE), EncoderPool() as pool:
        held = Held(pool)
        asyncio.run(main(held))


def test_quit_ends_what_is_at_work(simulator: Simulator) -> None:
    async def main(held: Held) -> Dashboard:
        app = Dashboard(held.start)
        async with app.run_test(size=WIDE) as pilot:
            await until(pilot, app, lambda: len(app.state.working_jobs()) == 2)
            await pilot.press("q")
            await until(pilot, app, lambda: app.state.sums().cancelled == 4)
            held.open()
            await until(pilot, app, lambda: app.return_value is not None)
        return app

    with simulator.machine(gpus=MACHINE), EncoderPool() as pool:
        held = Held(pool, count=6)
        app = asyncio.run(main(held))
    sums = app.state.sums()
    assert app.return_value == 130
    assert (sums.finished, sums.cancelled, sums.failed) == (2, 4, 0)


def test_quit_twice_stops_at_once(simulator: Simulator) -> None:
    async def main(held: Held) -> Dashboard:
        app = Dashboard(held.start)
        async with app.run_test(size=WIDE) as pilot:
            await until(pilot, app, lambda: len(app.state.working_jobs()) == 2)
            await pilot.press("q", "q")
            await until(pilot, app, lambda: app.return_value is not None)
        return app

    with simulator.machine(gpus=MACHINE), EncoderPool() as pool:
        held = Held(pool)
        app = asyncio.run(main(held))
    assert app.return_value == 130
    assert app.state.sums().cancelled == 5


def test_plain_mode_and_reports_show_the_same_run(simulator: Simulator) -> None:
    file = io.StringIO()
    with simulator.machine(gpus=MACHINE), EncoderPool() as pool:
        tasks = [Pictures(120, 1000 * number, fail_at=60 if number == 2 else None) for number in range(5)]
        kept: list[Any] = []
        run = pool.start(tasks, on_event=kept.append)
        show(run, Console(file=file, width=100))
        report = run.wait()
    state = RunState(kept)
    assert state.is_over
    assert len(report.errors) == state.sums().failed == 1
    lines = file.getvalue().splitlines()
    assert sum(" in 0:0" in line and "→" in line for line in lines) == 4
    assert sum("no frame 60" in line for line in lines) == 1
    page = report_page(state, {})
    assert "no frame 60" in page
    assert page.count('class="engine"') == 2


@pytest.fixture(autouse=True)
def _nothing_is_left() -> None:
    """Forgets what was learned about the last test's machine."""
    from pdum.nvenc._machine import availability as _availability
    from pdum.nvenc._machine import capabilities as _capabilities

    _availability._reasons.clear()
    _capabilities._found.clear()
