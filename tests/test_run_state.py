"""The state of a run is consistent after every event, and its sums are those of the events."""

from __future__ import annotations

from dataclasses import replace

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from pdum.nvenc import events
from pdum.nvenc._text import change, duration, one_line, size, verdict, visible
from pdum.nvenc._view.draw import engine_line
from pdum.nvenc._view.job_lists import EndedJobs, JobQueue
from pdum.nvenc._view.run_parts import AT_WORK, ENDED, Job
from pdum.nvenc._view.run_state import RunState, trial_text

from event_streams import HOSTILE_NAMES, engines, nonsense, recorded, runs

pytestmark = pytest.mark.one_abi

STATES = {"queued", "prepared"} | AT_WORK | ENDED


def require_rows(rows: JobQueue | EndedJobs, jobs: list[Job]) -> None:
    assert [rows[row] for row in range(len(rows))] == jobs
    assert [rows.row_of(job.number) for job in jobs] == list(range(len(jobs)))
    assert rows.row_of(-1) is None
    with pytest.raises(IndexError):
        rows[len(jobs)]


def check(state: RunState) -> None:
    assert 0.0 <= state.fraction <= 1.0
    assert len(state.jobs) <= state.total_jobs
    assert sorted(state.ended) == sorted(number for number, job in state.jobs.items() if job.is_over)
    sums = state.sums()
    assert sums.jobs == len(state.jobs) == len(state.waiting_jobs()) + len(state.working_jobs()) + sums.ended
    require_rows(state.queue, [*state.working_jobs(), *state.waiting_jobs()])
    require_rows(state.done, state.ended_jobs()[::-1])
    assert list(state.folders()) == sorted({job.folder for job in state.jobs.values()})
    assert list(state.folder_sums) == [state.folder_sums[row] for row in range(len(state.folder_sums))]
    assert [state.folder_sums.row_of(name) for name, _ in state.folder_sums] == list(range(len(state.folder_sums)))
    folders = list(state.folders().values())
    for name in ("jobs", "finished", "skipped", "failed", "cancelled", "source_bytes", "size", "saved"):
        assert sum(getattr(folder, name) for folder in folders) == getattr(sums, name)
    assert sums.saved == sum(job.saved for job in state.jobs.values())
    for job in state.jobs.values():
        assert job.state in STATES
        assert 0 <= job.frames_done <= job.frames
        assert 0.0 <= job.fraction <= 1.0
        assert set(job.rates) == {one.info.index for one in state.engines.values() if one.job == job.number}
        assert not (job.is_over and job.rates)
    for index, engine in state.engines.items():
        assert engine.info.index == index
        assert 0.0 <= engine.fraction <= 1.0
        assert (engine.state == "working") == (engine.job is not None)
        if engine.job is not None:
            assert state.jobs[engine.job].state == "running"
        for before, after in zip(engine.spans, engine.spans[1:], strict=False):
            assert before.end is not None
            assert before.begin <= before.end <= after.begin
        assert 0.0 <= engine.busy(state.now) <= state.now + 1e-6
    if state.is_over:
        assert all(job.is_over for job in state.jobs.values())
    assert all(line.text.isprintable() or visible(line.text) == line.text for line in state.log)


@settings(max_examples=60, deadline=None)
@given(stream=runs() | nonsense())
def test_every_prefix_is_consistent(stream: list[events.Event]) -> None:
    state = RunState()
    check(state)
    for event in stream:
        state.apply(event)
        check(state)


@settings(max_examples=40, deadline=None)
@given(stream=runs())
def test_sums_are_those_of_the_events(stream: list[events.Event]) -> None:
    state = RunState(stream)
    finished = [event for event in stream if isinstance(event, events.JobFinished)]
    sums, end = state.sums(), stream[-1]
    assert isinstance(end, events.RunFinished)
    assert (sums.finished, sums.failed, sums.skipped, sums.cancelled) == (
        end.finished,
        end.failed,
        end.skipped,
        end.cancelled,
    )
    assert sums.saved == sum(event.source_bytes - event.size for event in finished)
    assert state.is_over
    assert state.fraction == 1.0
    pieces = [event for event in stream if isinstance(event, events.PieceFinished)]
    assert sum(engine.frames_total for engine in state.engines.values()) == sum(one.last - one.first for one in pieces)


@settings(max_examples=20, deadline=None)
@given(stream=runs(), data=st.data())
def test_a_log_that_begins_in_the_middle_makes_sense(stream: list[events.Event], data: st.DataObject) -> None:
    state = RunState()
    for event in stream[data.draw(st.integers(0, len(stream))) :]:
        state.apply(event)
        check(state)


def test_a_job_that_is_retried_counts_once() -> None:
    queued = events.JobQueued(at=0.0, job=0, source="/a/b.mkv", destination="/a/c.mkv", source_bytes=100)
    failed = events.JobFailed(at=1.0, job=0, error="InvalidFrame", message="broken")
    state = RunState([queued, failed])
    assert (state.sums().failed, state.ended) == (1, [0])
    state.apply(replace(queued, at=2.0))
    assert (state.sums().failed, state.ended, state.jobs[0].state, state.jobs[0].attempts) == (0, [], "queued", 2)
    done = events.JobFinished(at=3.0, job=0, destination="/a/c.mkv", frames=10, source_bytes=100, size=40, seconds=1.0)
    state.apply(done)
    assert (state.sums().finished, state.sums().saved) == (1, 60)


@pytest.mark.parametrize(
    ("message", "shown"),
    [
        ("/a/b.mkv is no video.", "is no video."),
        ("/a/b.mkv: no frame", "no frame"),
        ("no frame", "no frame"),
        ("/a/b.mkv", "/a/b.mkv"),
    ],
)
def test_reasons_do_not_begin_with_the_name_shown_next_to_them(message: str, shown: str) -> None:
    state = RunState([events.JobQueued(at=0.0, job=0, source="/a/b.mkv", destination="x")])
    state.apply(events.JobFailed(at=1.0, job=0, error="E", message=message))
    assert (state.jobs[0].reason, state.jobs[0].why) == (message, shown)
    assert state.log[-1].text == f"b.mkv: {shown}"


def test_pieces_that_another_engine_takes_over_shrink() -> None:
    first, second = engines()
    state = RunState([events.RunStarted(at=0.0, engines=(first, second), jobs=1, started=0.0)])
    state.apply(events.PieceStarted(at=0.0, job=0, engine=0, piece=0, first=0, last=100))
    state.apply(events.PieceStarted(at=1.0, job=0, engine=1, piece=1, first=50, last=100))
    moved = {"first": 0, "last": 50, "frames": 25, "job_frames": 30, "job_total": 100}
    state.apply(events.Progress(at=1.1, job=0, engine=0, piece=0, fps=25.0, speed=1.0, eta=2.0, **moved))
    assert state.engines[0].fraction == 0.5
    assert state.jobs[0].fraction == 0.3
    assert set(state.jobs[0].rates) == {0, 1}


def test_engines_that_are_not_wanted_end_what_they_have_begun() -> None:
    first, second = engines()
    state = RunState([events.RunStarted(at=0.0, engines=(first, second), jobs=1, started=0.0)])
    state.apply(events.PieceStarted(at=0.0, job=0, engine=1, piece=0, first=0, last=100))
    state.apply(events.EnginesChanged(at=1.0, engines=(first,)))
    assert state.engines[1].state == "working"
    state.apply(events.PieceFinished(at=2.0, job=0, engine=1, piece=0, first=0, last=100, size=10, seconds=2.0))
    assert state.engines[1].state == "off"
    state.apply(events.EnginesChanged(at=3.0, engines=(first, second)))
    assert [engine.state for engine in state.engines.values()] == ["idle", "idle"]


def test_gaps_are_what_lies_between_pieces() -> None:
    (engine,) = engines(each=1)
    state = RunState([events.RunStarted(at=0.0, engines=(engine,), jobs=1, started=0.0)])
    for piece, (begin, end) in enumerate([(0.0, 1.0), (1.01, 2.0), (2.3, 3.0)]):
        state.apply(events.PieceStarted(at=begin, job=0, engine=0, piece=piece, first=0, last=9))
        state.apply(events.PieceFinished(at=end, job=0, engine=0, piece=piece, first=0, last=9, size=1, seconds=1.0))
    assert state.engines[0].gaps() == [(2.0, 2.3)]
    assert state.engines[0].busy(3.0) == pytest.approx(2.69)


def test_five_hundred_jobs() -> None:
    state = RunState(recorded(500, gpus=2, longest=400))
    check(state)
    assert state.sums().jobs == 500


@pytest.mark.parametrize("name", HOSTILE_NAMES)
def test_names_hold_nothing_that_a_terminal_acts_upon(name: str) -> None:
    shown = visible(name)
    assert not any(ord(one) < 0x20 or 0x7F <= ord(one) < 0xA0 or 0xD800 <= ord(one) < 0xE000 for one in shown)
    assert not set(shown) & set("\u202a\u202b\u202c\u202d\u202e\u2066\u2067\u2068\u2069")
    shown.encode()


@given(name=st.text() | st.text(st.characters(categories=["Cs", "Cc", "Cf", "L"])))
def test_any_name_is_one_line_that_can_be_written(name: str) -> None:
    assert visible(visible(name)) == visible(name)
    assert len(visible(name).splitlines()) <= 1
    visible(name).encode()


def test_different_names_look_different() -> None:
    assert visible("a\nb") != visible("a b")
    assert visible("a\x00b") != visible("ab")
    assert visible("plain name.mkv") == "plain name.mkv"
    assert one_line("two\n  lines") == "two lines"


@pytest.mark.parametrize(
    ("count", "shown"),
    [
        (0, "0 B"),
        (999, "999 B"),
        (1000, "1.00 kB"),
        (45_600_000, "45.6 MB"),
        (999_600, "1.00 MB"),
        (-12_340, "-12.3 kB"),
    ],
)
def test_sizes(count: int, shown: str) -> None:
    assert size(count) == shown


@pytest.mark.parametrize(
    ("seconds", "shown"),
    [(None, "–"), (float("nan"), "–"), (7.4, "0:07"), (59.6, "1:00"), (3723, "1:02:03"), (273_900, "3.2 d")],
)
def test_durations(seconds: float | None, shown: str) -> None:
    assert duration(seconds) == shown


@pytest.mark.parametrize(
    ("ratio", "shown", "what"),
    [
        (None, "–", "unknown"),
        (0.25, "-75 %", "good"),
        (0.95, "-5 %", "marginal"),
        (0.999, "-0.1 %", "marginal"),
        (1.0, "0 %", "bigger"),
        (1.03, "+3 %", "bigger"),
        (12.3, "12×", "bigger"),
    ],
)
def test_changes(ratio: float | None, shown: str, what: str) -> None:
    assert (change(ratio), verdict(ratio)) == (shown, what)


def test_a_search_is_shown_until_its_value_is_chosen() -> None:
    """And its samples count in the job's percentage."""
    state = RunState(
        [
            events.RunStarted(at=0.0, engines=engines(1, 1), jobs=1, started=0.0),
            events.JobQueued(at=0.0, job=0, source="/in/a.mkv", destination="/out/a.mkv", source_bytes=1000),
            events.JobPrepared(at=0.1, job=0, frames=100, goal="xpsnr 40 dB"),
            events.PieceStarted(at=0.1, job=0, engine=0, piece=0, first=0, last=50),
            events.Progress(
                at=0.2, job=0, engine=0, piece=0, first=0, last=50, frames=25, fps=9.0, job_frames=25, job_total=200,
                speed=1.0, eta=1.0,
            ),
        ]
    )  # fmt: skip
    job = state.jobs[0]
    assert job.searches
    assert job.fraction == 25 / 200
    assert job.video_frames == 100
    lines = state.lines
    state.apply(events.QualityTried(at=0.3, job=0, quality=28, cq=22.5, size=500, metric="xpsnr", score=42.123))
    assert job.searches
    assert state.lines == lines, "what is tried is shown in the details alone"
    state.apply(
        events.QualityTried(
            at=0.4, job=0, quality=31, cq=24.1, size=400, metric="xpsnr", score=40.05, seconds=125.0, is_chosen=True
        )
    )
    assert not job.searches
    assert job.quality == 31
    assert state.log[-1].text == "a.mkv: quality 31 = cq 24.1 gives xpsnr 40.05, about 400 B (-60 %), 2:05 to encode"
    state.apply(events.QualityTried(at=0.5, job=0, quality=31, cq=24.1, size=900, is_whole=True))
    assert trial_text(job.tried[-1]) == "quality 31 = cq 24.1 gave 900 B"
    check(state)


@pytest.mark.parametrize("cells", [60, 80, 120])
def test_a_search_is_recognised_in_the_lines_of_its_engine_and_its_file(cells: int) -> None:
    queued = events.JobQueued(at=0.0, job=0, source="/in/a film.mkv", destination="/out/a film.mkv", source_bytes=1000)
    for goal, is_search in (("xpsnr 40 dB", True), ("", False)):
        state = RunState(
            [
                events.RunStarted(at=0.0, engines=engines(1, 1), jobs=1, started=0.0),
                queued,
                events.JobPrepared(at=0.1, job=0, frames=100, goal=goal),
                events.PieceStarted(at=0.1, job=0, engine=0, piece=0, first=0, last=50),
            ]
        )
        line = engine_line(state, state.engines[0], "GPU 0", cells).plain
        assert "a film.mkv" in line
        assert ("· sample" in line) == is_search
        assert len(line) <= cells
