"""The dashboard with a pilot: the requests of its keys to the run, and the screen."""

from __future__ import annotations

import asyncio
import os
import pty
import re
import signal
import subprocess
import sys
from collections.abc import Awaitable, Callable
from typing import Any

import pytest

from pdum.nvenc import events
from pdum.nvenc._text import visible
from pdum.nvenc._tui.app import Dashboard
from pdum.nvenc._tui.lines import Lines
from pdum.nvenc._tui.signals import HEARD
from pdum.nvenc._tui.theme import PALETTES
from pdum.nvenc._view.run_parts import Job
from pdum.nvenc._view.settings_line import settings_line

from dashboards import Playing, Recorded, check_snapshot, colours_of, playing, text_of
from event_streams import HOSTILE_NAMES, engines, recorded

SIZES = [(200, 60), (80, 24), (40, 12), (15, 4)]
HALF = recorded(12, trouble=0.4, seed=2)
HALF = HALF[: len(HALF) // 2]


def play(run: Recorded, act: Callable[[Playing], Awaitable[None]], size: tuple[int, int] = (160, 45)) -> None:
    async def main() -> None:
        async with playing(run, size) as dashboard:
            await act(dashboard)

    asyncio.run(main())


def chosen(app: Dashboard, panel: str) -> Job:
    job = app.query_one(f"#{panel}", Lines).chosen
    assert isinstance(job, Job)
    return job


def test_pause_and_resume() -> None:
    run = Recorded(HALF)

    async def act(dashboard: Playing) -> None:
        await dashboard.press("p")
        assert run.asked == [("pause",)]
        await dashboard.add(events.RunPaused(at=9.0, paused=True))
        assert "paused" in dashboard.lines()[0]
        await dashboard.press("p")
        assert run.asked == [("pause",), ("resume",)]

    play(run, act)


class AskedByNumber(dict[int, Job]):
    """Jobs that must not be iterated over."""

    def __iter__(self) -> Any:
        raise AssertionError("a picture goes through all jobs")

    items = keys = values = __iter__


def test_a_picture_costs_the_rows_that_are_seen() -> None:
    """However many jobs there are; half of them are over."""
    jobs = 400
    queued = [
        events.JobQueued(at=0.0, job=number, source=f"{number % 7}/{number}.mkv", destination="", source_bytes=10)
        for number in range(jobs)
    ]
    ended = [events.JobCancelled(at=1.0, job=number) for number in range(jobs // 2)]
    progress = events.RunProgress(at=1.0, jobs=jobs, jobs_done=0, frames=1, total=2, fps=1.0, eta=1.0)
    run = Recorded([*queued, *ended, progress])

    async def act(dashboard: Playing) -> None:
        app = dashboard.app
        app.state.jobs = AskedByNumber(app.state.jobs)
        for key in ("2", "G", "1", "down", "G", "4", "3"):
            await dashboard.press(key)
            app.draw()
        await dashboard.add(events.JobFailed(at=2.0, job=jobs - 1, error="E", message="broken"))
        assert chosen(app, "queue").number == jobs - 2, "the one before it, since that is the last now"
        assert chosen(app, "done").number == 0

    play(run, act)


def test_skip_takes_the_chosen_file() -> None:
    run = Recorded(HALF)

    async def act(dashboard: Playing) -> None:
        await dashboard.press("down", "down")
        job = chosen(dashboard.app, "queue")
        await dashboard.press("s")
        assert run.asked == [("skip", job.number)]
        assert any(visible(job.name) in message for message in dashboard.messages())

    play(run, act)


def test_the_choice_stays_with_its_file_while_others_come_and_go() -> None:
    async def act(dashboard: Playing) -> None:
        await dashboard.press("down", "down", "down")
        job = chosen(dashboard.app, "queue")
        first = dashboard.app.state.working_jobs()[0]
        await dashboard.add(events.JobCancelled(at=9.0, job=first.number))
        assert chosen(dashboard.app, "queue") is job

    play(Recorded(HALF), act)


def test_retry_takes_the_chosen_file_that_failed() -> None:
    run = Recorded(HALF)

    async def act(dashboard: Playing) -> None:
        states = [job.state for job in dashboard.app.state.ended_jobs()[::-1]]
        await dashboard.press("2", *["down"] * states.index("failed"), "r")
        assert run.asked == [("retry", chosen(dashboard.app, "done").number)]
        failed = {job.number for job in dashboard.app.state.jobs.values() if job.state == "failed"}
        run.asked.clear()
        await dashboard.press("R")
        assert {what[1] for what in run.asked} == failed

    play(run, act)


def test_finished_jobs_are_not_retried() -> None:
    run = Recorded(HALF)

    async def act(dashboard: Playing) -> None:
        states = [job.state for job in dashboard.app.state.ended_jobs()[::-1]]
        await dashboard.press("2", *["down"] * states.index("finished"), "r")
        assert run.asked == []

    play(run, act)


def test_engines_one_more_and_one_less() -> None:
    run = Recorded(HALF)

    async def act(dashboard: Playing) -> None:
        await dashboard.press("minus")
        await dashboard.press("minus")
        assert run.asked == [("set_engines", 1)]
        assert "1 engine" in dashboard.lines()[0]
        await dashboard.press("plus")
        assert run.asked[-1] == ("set_engines", 2)
        await dashboard.add(events.EnginesChanged(at=9.0, engines=engines()[:1]))
        assert "1 engine" in dashboard.lines()[0]

    play(run, act)


def test_a_refusal_of_the_run_is_shown() -> None:
    run = Recorded(HALF, refuses=ValueError("[red]3 engines[/red] came,\nthis machine has 2"))

    async def act(dashboard: Playing) -> None:
        await dashboard.press("plus")
        assert dashboard.messages() == ["ValueError: [red]3 engines[/red] came, this machine has 2"]
        assert dashboard.app.wanted_engines == 2

    play(run, act)


def test_quit_drains_then_cancels_then_leaves() -> None:
    run = Recorded(HALF)

    async def act(dashboard: Playing) -> None:
        dashboard.app.source.thread = _Alive()  # type: ignore[assignment]
        await dashboard.press("q")
        assert run.asked == [("drain",)]
        assert "finishing" in dashboard.lines()[0]
        await dashboard.press("ctrl+c")
        assert run.asked == [("drain",), ("cancel",)]
        assert "stopping" in dashboard.lines()[0]
        await dashboard.pilot.press("q")
        await dashboard.pilot.pause()
        assert dashboard.app.return_value == 130

    play(run, act)


class _Alive:
    """A run with a thread that never ends."""

    def is_alive(self) -> bool:
        return True


@pytest.mark.parametrize(("trouble", "code"), [(0.0, 0), (1.0, 1)])
def test_a_run_that_is_over_stays_until_a_key_is_pressed(trouble: float, code: int) -> None:
    run = Recorded(recorded(20, trouble=trouble, seed=1))

    async def act(dashboard: Playing) -> None:
        assert "✓ done, q leaves " in dashboard.lines()[0]
        assert "took" in dashboard.lines()[0]
        await dashboard.press("p")
        assert run.asked == []
        await dashboard.pilot.press("q")
        await dashboard.pilot.pause()
        assert dashboard.app.return_value == code

    play(run, act)


def test_a_run_that_cannot_begin_is_an_error() -> None:
    class NoEngine(Exception):
        pass

    def make_run() -> Recorded:
        raise NoEngine("nothing encodes here")

    async def main() -> Dashboard:
        app = Dashboard(make_run)
        async with app.run_test() as pilot:
            await pilot.pause()
            app.source.thread.join()
            app.tick()
        return app

    assert isinstance(asyncio.run(main()).source.error, NoEngine)


def test_help_and_details_open_and_close() -> None:
    async def act(dashboard: Playing) -> None:
        await dashboard.press("question_mark")
        assert "pause, and go on" in dashboard.text()
        await dashboard.press("escape")
        assert "pause, and go on" not in dashboard.text()
        await dashboard.press("enter")
        assert chosen(dashboard.app, "queue").source in dashboard.text()
        await dashboard.press("q")
        assert not dashboard.app.leaving

    play(Recorded(HALF), act)


def test_the_queue_counts_what_waits() -> None:
    async def act(dashboard: Playing) -> None:
        state = dashboard.app.state
        waiting, working = len(state.waiting_jobs()), len(state.working_jobs())
        assert waiting
        assert working
        for size in ((160, 45), (80, 24)):
            await dashboard.pilot.resize_terminal(*size)
            await dashboard.settle()
            assert re.search(rf"─ Queue {waiting} ─", dashboard.text())
        assert f" 1 Queue {waiting} " in dashboard.text()
        assert len(state.queue) == waiting + working

    play(Recorded(HALF), act)


def test_lines_of_the_log_that_are_too_long_can_be_read() -> None:
    said = f"No hardware encoder is used. {'It is not there. ' * 9}THE END"

    async def act(dashboard: Playing) -> None:
        await dashboard.press("3", "end")
        assert "THE END" not in dashboard.text()
        await dashboard.press("enter")
        assert "THE END" in dashboard.text()
        await dashboard.press("escape", "up", "enter")
        assert "source" in dashboard.text(), "a line about the end of a file leads to all that is known of it"

    ended = next(event for event in HALF if isinstance(event, events.JobFinished))
    stream = [*HALF[: HALF.index(ended) + 1], events.Notice(at=99.0, message=said, level="warning")]
    play(Recorded(stream), act, (80, 24))


def test_settings_are_in_the_head() -> None:
    async def act(dashboard: Playing) -> None:
        dashboard.app.settings = {"codec": "hevc", "preset": "p5", "cq": 28, "audio": "copy"}
        for width, is_shown in ((160, True), (80, True), (40, False)):
            await dashboard.pilot.resize_terminal(width, 24)
            await dashboard.settle()
            assert ("HEVC, cq 28, p5  ━" in dashboard.lines()[1]) == is_shown

    play(Recorded(HALF), act)


@pytest.mark.parametrize(
    ("settings", "shown"),
    [
        ({}, ""),
        ({"codec": "h264"}, "H.264"),
        ({"codec": "av1", "preset": "p7", "cq": 30, "quality": 28}, "AV1, quality 28, p7"),
        ({"codec": "hevc", "lossless": True, "cq": None}, "HEVC, lossless"),
        ({"codec": "h264", "quality": 28, "target": "xpsnr=38", "preset": "p4"}, "H.264, xpsnr=38, p4"),
        ({"codec": "h264", "quality": "28 = h264 cq 23.1", "preset": "p4"}, "H.264, quality 28, p4"),
        ({"codec": "new", "bitrate": 5_000_000}, "new, bitrate 5000000"),
    ],
)
def test_settings_in_a_few_words(settings: dict[str, object], shown: str) -> None:
    assert settings_line(settings) == shown


def test_colours_are_by_ratio() -> None:
    stream: list[events.Event] = [events.RunStarted(at=0.0, engines=(), jobs=3, started=0.0)]
    for job, after in enumerate([300, 950, 1200]):
        stream.append(events.JobQueued(at=0.0, job=job, source=f"/v/{job}.mkv", destination="x", source_bytes=1000))
        stream.append(
            events.JobFinished(at=1.0, job=job, destination="x", frames=1, source_bytes=1000, size=after, seconds=1.0)
        )

    async def act(dashboard: Playing) -> None:
        found = colours_of(dashboard.app.export_screenshot())
        palette = PALETTES[True]
        assert [found[text] for text in ("-70 %", "-5 %", "+20 %")] == [palette.good, palette.marginal, palette.bigger]

    play(Recorded(stream), act)


@pytest.mark.parametrize("size", SIZES)
@pytest.mark.parametrize("names", [[], HOSTILE_NAMES, [f"{number}.mkv" for number in range(500)]], ids=len)
def test_all_sizes_and_names(size: tuple[int, int], names: list[str]) -> None:
    stream = recorded(names, gpus=2, longest=300)

    async def act(dashboard: Playing) -> None:
        await dashboard.press("2", "3", "4", "end", "question_mark", "escape", "d", "1", "end", "enter")
        lines = dashboard.lines()
        assert len(lines) <= size[1]
        assert all(visible(line) == line for line in lines)

    play(Recorded(stream[: len(stream) * 2 // 3]), act, size)


def test_names_are_shown_as_they_are() -> None:
    names = [name.replace("/", "_") for name in HOSTILE_NAMES]
    stream: list[events.Event] = [events.RunStarted(at=0.0, engines=engines(), jobs=len(names), started=0.0)]
    for job, name in enumerate(names):
        stream.append(events.JobQueued(at=0.0, job=job, source=f"/v/{name}", destination="x", source_bytes=1000))

    async def act(dashboard: Playing) -> None:
        text = dashboard.text()
        assert [name for name in names if visible(name)[:12].strip() not in text] == []

    play(Recorded(stream), act)


def test_a_terminal_that_changes_its_size() -> None:
    async def act(dashboard: Playing) -> None:
        assert "Folders" in dashboard.text()
        await dashboard.pilot.resize_terminal(60, 20)
        await dashboard.settle()
        assert all(len(line) <= 60 for line in dashboard.lines())
        assert "4 Folders" in dashboard.text()
        await dashboard.press("4")
        assert "/video/holiday" in dashboard.text()

    play(Recorded(HALF), act)


@pytest.mark.parametrize("size", [(160, 45), (80, 24)], ids=str)
def test_tab_goes_round_the_lists(size: tuple[int, int]) -> None:
    async def act(dashboard: Playing) -> None:
        seen = []
        for key in ("tab", "tab", "tab", "tab", "shift+tab"):
            await dashboard.press(key)
            assert dashboard.app.focused is not None
            seen.append(dashboard.app.focused.id)
            assert dashboard.app.focused.title in dashboard.text()  # type: ignore[attr-defined]
        assert seen == ["done", "log", "folders", "queue", "folders"]

    play(Recorded(HALF), act, size)


def test_many_engines_scroll() -> None:
    async def act(dashboard: Playing) -> None:
        text = dashboard.text()
        assert "GPU 0" in text
        assert "Queue" in text

    play(Recorded(recorded(40, gpus=8, each=3)[:400]), act, (80, 24))


def is_grey(colour: str) -> bool:
    parts = [int(colour[place : place + 2], 16) for place in (1, 3, 5)]
    return max(parts) - min(parts) < 8


def test_no_color(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("NO_COLOR", "1")

    async def act(dashboard: Playing) -> None:
        colours = {colour for colour in colours_of(dashboard.app.export_screenshot()).values() if colour}
        assert all(is_grey(colour) for colour in colours), colours
        assert os.environ["NO_COLOR"] == "1", "what is written after the dashboard has no colours either"

    play(Recorded(HALF), act)


SHOWN = """
from event_streams import recorded
from dashboards import Recorded
from pdum.nvenc._tui import run_dashboard
print("code", run_dashboard(lambda: Recorded(recorded(3, trouble=0.0))))
"""


ENDLESS = """
import os
from threading import Event
from event_streams import recorded
from dashboards import Recorded
from pdum.nvenc._tui import run_dashboard
stream, cancelled = recorded(3, trouble=0.0), Event()
class Endless(Recorded):
    def __iter__(self):
        yield from stream[:-1]
        os.write(1, b"READY")
        cancelled.wait()
        yield stream[-1]
    def cancel(self):
        cancelled.set()
print("code", run_dashboard(lambda: Endless(stream)))
"""


def shown(program: str, **streams: int) -> subprocess.Popen[bytes]:
    environment = {**os.environ, "PYTHONPATH": os.pathsep.join(sys.path), "TERM": "xterm-256color"}
    return subprocess.Popen([sys.executable, "-c", program], env=environment, **streams)  # type: ignore[call-overload,no-any-return]


def test_there_has_to_be_a_terminal() -> None:
    pipe = subprocess.PIPE
    _, said = shown(SHOWN, stdin=pipe, stdout=pipe, stderr=pipe).communicate(b"")
    assert b"InvalidConfig: The dashboard needs a terminal" in said


def read_until(terminal: int, wanted: bytes) -> bytes:
    text = b""
    while wanted not in text:
        text += os.read(terminal, 65536)
    return text


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGHUP])
def test_a_signal_stops_the_run_and_leaves(number: signal.Signals) -> None:
    ours, theirs = pty.openpty()
    process = shown(ENDLESS, stdin=theirs, stdout=theirs, stderr=theirs)
    os.close(theirs)
    read_until(ours, b"READY")
    process.send_signal(number)
    text = read_until(ours, f"code {128 + number}".encode())
    assert process.wait() == 0
    os.close(ours)
    assert b"\x1b[?1049l" in text


def test_handlers_of_signals_come_back() -> None:
    before = [signal.getsignal(number) for number in HEARD]

    async def act(dashboard: Playing) -> None:
        assert [signal.getsignal(number) for number in HEARD] != before

    play(Recorded(HALF), act)
    assert [signal.getsignal(number) for number in HEARD] == before


def test_a_real_terminal_is_left_as_it_was() -> None:
    ours, theirs = pty.openpty()
    process = shown(SHOWN, stdin=theirs, stdout=theirs, stderr=theirs)
    os.close(theirs)
    text = read_until(ours, b"done")
    os.write(ours, b"q")
    text += read_until(ours, b"code 0")
    assert process.wait() == 0
    os.close(ours)
    assert text.rindex(b"\x1b[?1049l") > text.rindex(b"\x1b[?1049h"), "the other screen is back"
    assert b"\x1b[?25h" in text[text.rindex(b"\x1b[?1049h") :], "and the cursor"


@pytest.mark.parametrize("size", [(160, 45), (80, 24)], ids=lambda size: f"{size[0]}x{size[1]}")
def test_looks_as_it_did(size: tuple[int, int]) -> None:
    """When you store the picture again, look at it: that is its purpose."""
    names = [f"The {number + 10}th day of the long holiday in the south of Spain, uncut.mkv" for number in range(14)]
    stream = recorded(names, gpus=2, trouble=0.3, seed=11)

    async def act(dashboard: Playing) -> None:
        dashboard.app.settings = {"codec": "hevc", "preset": "p5", "cq": 28}
        await dashboard.settle()
        check_snapshot(f"dashboard-{size[0]}x{size[1]}", dashboard.app.export_screenshot())

    play(Recorded(stream[: len(stream) * 6 // 10]), act, size)


def test_snapshots_can_fail(tmp_path: object, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("PDUM_UPDATE_SNAPSHOTS", raising=False)

    async def act(dashboard: Playing) -> None:
        with pytest.raises(AssertionError, match="the screen is not that of"):
            check_snapshot("dashboard-80x24", dashboard.app.export_screenshot())
        assert text_of(dashboard.app.export_screenshot())

    play(Recorded([]), act, (80, 24))


def test_each_machine_of_a_cluster_has_its_panels() -> None:
    """Two machines with a GPU 0 each, one without a GPU, and one that joins late."""

    def engine(index: int, node: str, gpu_id: int | None = 0) -> events.EngineInfo:
        kind = "software" if gpu_id is None else "nvenc"
        return events.EngineInfo(index=index, kind=kind, gpu_id=gpu_id, gpu_name="NVIDIA L4", node=node)

    there = (engine(0, "alpha"), engine(1, "beta"), engine(2, "gamma", None))
    run = Recorded([events.RunStarted(at=0.0, engines=there, jobs=0, started=0.0)])

    async def act(dashboard: Playing) -> None:
        shown = "\n".join(dashboard.lines())
        for heading in ("alpha · GPU 0 · NVIDIA L4", "beta · GPU 0 · NVIDIA L4", "gamma · CPU · no hardware encoder"):
            assert shown.count(heading) == 1
        await dashboard.add(events.EngineLost(at=1.0, engine=1, reason="Its process has ended."))
        assert dashboard.app.wanted_engines == 2
        await dashboard.add(events.EngineJoined(at=2.0, engine=engine(3, "delta")))
        await dashboard.add(events.EngineJoined(at=2.0, engine=there[1]))
        shown = "\n".join(dashboard.lines())
        assert "delta · GPU 0 · NVIDIA L4" in shown
        assert "beta · GPU 0 · NVENC 0 has joined" in shown
        assert dashboard.app.wanted_engines == 4

    play(run, act)
