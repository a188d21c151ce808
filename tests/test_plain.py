"""Plain mode and the report at its end, on terminals of all sizes and in files."""

from __future__ import annotations

import io
import os
import re

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from rich.cells import cell_len
from rich.console import Console

from pdum.nvenc import events
from pdum.nvenc._cli.plain import progress, show
from pdum.nvenc._report.table import print_summary
from pdum.nvenc._text import size, visible
from pdum.nvenc._view.draw import SPACE, bar, chop_end, columns, ended_line, to_width
from pdum.nvenc._view.run_parts import Job
from pdum.nvenc._view.run_state import RunState

from event_streams import HOSTILE_NAMES, engines, nonsense, recorded, runs

pytestmark = pytest.mark.one_abi

WIDTHS = (20, 40, 60, 80, 120, 200)
COLOUR = re.compile(r"\x1b\[[0-9;]*m")
# The escape sequences that Live needs to draw over its own lines, and no others.
MOVEMENT = re.compile(r"\x1b\[(?:\?25[lh]|\d*A|2K|1A)|\r")


def written(stream: list[events.Event], **options: object) -> str:
    console = Console(file=io.StringIO(), **options)  # type: ignore[arg-type]
    show(stream, console)
    assert isinstance(console.file, io.StringIO)
    return console.file.getvalue()


def summary(stream: list[events.Event], **options: object) -> str:
    console = Console(file=io.StringIO(), **options)  # type: ignore[arg-type]
    print_summary(stream, console)
    assert isinstance(console.file, io.StringIO)
    return console.file.getvalue()


def test_one_line_for_each_file_without_a_terminal() -> None:
    stream = recorded(30, gpus=2)
    lines = written(stream).splitlines()
    for number in range(30):
        about = [line for line in lines if line.startswith(f"clip_{number:03}.mkv: ")]
        ends = re.compile(r" in \d+:\d\d$|kept the original|cancelled|corrupt")
        assert len([line for line in about if ends.search(line)]) == 1, about
    assert "\x1b" not in "".join(lines)


def test_a_line_every_30_seconds_without_a_terminal() -> None:
    """By the time of the events, which are ten seconds apart here."""
    times = [10.0 * number for number in range(13)]
    begun = events.RunStarted(at=0.0, engines=engines(1, 1), jobs=4, started=0.0)
    stream: list[events.Event] = [begun]
    for at in times:
        stream.append(events.RunProgress(at=at, frames=int(at), total=200, fps=20.0, eta=90.0, jobs_done=0, jobs=4))
    lines = [line for line in written(stream).splitlines() if " left" in line]
    assert [re.split(", ", line)[1] for line in lines] == ["15%", "30%", "45%", "60%"]
    assert lines[0] == "0 of 4 files done, 15%, 20.0 fps, 1:30 left"
    assert " left" not in written(stream, force_terminal=True, width=100, height=30)


def test_long_names_are_not_broken_without_a_terminal() -> None:
    (line,) = [line for line in written(recorded(["a" * 255], trouble=0.0)).splitlines() if "aaa" in line]
    assert line.startswith("a" * 255 + ": ")


def test_finished_files_scroll_above_the_progress() -> None:
    text = written(recorded(5, trouble=0.0), force_terminal=True, width=100, height=30)
    plain = COLOUR.sub("", text)
    for number in range(5):
        assert re.search(rf"✓ clip_{number:03}\.mkv +\S+ \S+ → ", plain)
    assert plain.rstrip().endswith("\x1b[?25h") or "\x1b[?25h" in plain  # the cursor is back


@settings(max_examples=25, deadline=None)
@given(stream=runs())
def test_names_reach_no_terminal_as_controls(stream: list[events.Event]) -> None:
    for text in (
        written(stream, force_terminal=True, width=80, height=24),
        written(stream),
        summary(stream, force_terminal=True, width=80),
    ):
        left = MOVEMENT.sub("", COLOUR.sub("", text))
        assert visible(left.replace("\n", "")) == left.replace("\n", "")


@settings(max_examples=40, deadline=None)
@given(stream=nonsense() | runs())
def test_lines_fit_into_every_width(stream: list[events.Event]) -> None:
    state = RunState(stream[: len(stream) // 2 + 1])
    for width in WIDTHS:
        for line in progress(state, width, 24):
            assert line.cell_len <= width or width < 40
            assert "\n" not in line.plain
        for job in state.ended_jobs():
            if job.state == "finished" and width >= 40:
                assert ended_line(state, job, width).cell_len <= width


@pytest.mark.parametrize("name", HOSTILE_NAMES)
@pytest.mark.parametrize("cells", [1, 2, 5, 20, 300])
def test_names_are_as_wide_as_wanted(name: str, cells: int) -> None:
    assert cell_len(to_width(visible(name), cells)) == cells


def test_shortened_names_keep_their_ends() -> None:
    assert to_width("holiday_in_spain_part_17.mkv", 15) == "holiday…_17.mkv"
    assert chop_end("日本語", 5) == "本語"


@pytest.mark.parametrize("cells", [0, 1, 2, 10])
@pytest.mark.parametrize("fraction", [-1.0, 0.0, 0.01, 0.33, 0.5, 0.99, 1.0, 7.0])
def test_bars_are_as_wide_as_wanted(fraction: float, cells: int) -> None:
    assert bar(fraction, cells, "", "").cell_len == cells


@given(parts=st.lists(st.tuples(st.text(max_size=9).map(visible), st.integers(-9, 9)), min_size=1, max_size=5))
def test_columns_are_as_wide_as_wanted(parts: list[tuple[str, int]]) -> None:
    line = columns(*((said, cells, "") for said, cells in parts))
    assert line.cell_len == sum(abs(cells) for _, cells in parts) + SPACE * (len(parts) - 1)


def test_columns_are_aligned() -> None:
    assert columns(("ab", 4, ""), ("cd", -4, ""), ("overlong", 5, "")).plain == "  ab  cd    ov…ng"


def test_many_engines_leave_room_for_the_run() -> None:
    state = RunState([events.RunStarted(at=0.0, engines=engines(16, 3), jobs=0, started=0.0)])
    lines = progress(state, 80, 24)
    assert len(lines) == 21
    assert lines[-2].plain == "and 29 more engines"


def test_colours_are_by_ratio() -> None:
    def colour(ratio: float) -> str:
        job = Job(number=0, source="a", source_bytes=1000, size=int(1000 * ratio), state="finished")
        console = Console(file=io.StringIO(), force_terminal=True, width=80)
        console.print(ended_line(RunState(), job, 80))
        assert isinstance(console.file, io.StringIO)
        found = re.match(r"\x1b\[(\d+)m", console.file.getvalue())
        assert found is not None
        return found[1]

    assert [colour(0.3), colour(0.95), colour(1.0), colour(1.3)] == ["32", "33", "31", "31"]


def test_no_color(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("NO_COLOR", "1")
    stream = recorded(5)
    for text in (written(stream, force_terminal=True, width=80), summary(stream, force_terminal=True, width=80)):
        codes = {code for found in re.findall(r"\x1b\[([0-9;]*)m", text) for code in found.split(";")}
        assert codes <= {"0", "1", ""}


@pytest.mark.parametrize("encoding", ["ascii", "latin-1"])
def test_terminals_that_are_not_utf_8(encoding: str) -> None:
    for draw in (show, print_summary):
        file = io.TextIOWrapper(io.BytesIO(), encoding=encoding)
        draw(recorded(HOSTILE_NAMES), Console(file=file, force_terminal=True, width=80))
        file.flush()


def test_a_single_folder_needs_no_table() -> None:
    stream = recorded(30, gpus=2)
    jobs = {one.number for one in RunState(stream).jobs.values() if os.path.dirname(one.source) == folder_of(stream)}
    of_one = [one for one in stream if getattr(one, "job", None) in {None, *jobs}]
    assert "before" in summary(stream, width=100)
    assert "before" not in summary(of_one, width=100)


def folder_of(stream: list[events.Event]) -> str:
    return next(iter(RunState(stream).folders()))


def test_report_shows_each_folder_and_all_together() -> None:
    stream = recorded(40, gpus=2)
    state, text = RunState(stream), summary(stream, width=120)
    for folder, sums in state.folders().items():
        (line,) = [line for line in text.splitlines() if line.strip().startswith(folder)]
        assert size(sums.saved) in line
    (line,) = [line for line in text.splitlines() if line.strip().startswith("all")]
    assert size(state.sums().saved) in line


def test_report_says_why_files_failed() -> None:
    stream = recorded(HOSTILE_NAMES, trouble=1.0, seed=5)
    failed = [event for event in stream if isinstance(event, events.JobFailed)]
    text = summary(stream, width=300)
    assert failed
    assert f"{len(failed)} failure" in text
    assert text.count(": frame 17 is corrupt: the file ends within it") == len(failed)


def test_report_of_many_failures_is_short() -> None:
    text = summary(recorded(500, trouble=1.0, longest=10), width=100)
    assert re.search(r"… and \d+ more", text)
    assert len(text.splitlines()) < 150


@pytest.mark.parametrize("width", WIDTHS)
def test_reports_of_nothing_and_of_hostile_names(width: int) -> None:
    assert "0 files" in summary([], width=width)
    summary(recorded(HOSTILE_NAMES), width=width)


def test_long_reasons_are_indented_below_their_files() -> None:
    reason = "Not a readable video (damaged or incomplete). Copy or download it again, and then try once more."
    source = "/video/a folder with a long name/" + "x" * 60 + ".mkv"
    stream: list[events.Event] = [
        events.RunStarted(at=0.0, engines=engines(), jobs=1, started=0.0),
        events.JobQueued(at=0.0, job=0, source=source, destination="", source_bytes=10),
        events.JobFailed(at=1.0, job=0, error="E", message=reason),
    ]
    text = COLOUR.sub("", summary(stream, force_terminal=True, width=80))
    lines = text[text.index("1 failure:") :].splitlines()
    assert lines[1].startswith("  ✗ /video/a folder")
    assert lines[2].startswith("    ")
    assert all(len(line) <= 80 for line in lines)
    assert reason in " ".join(line.strip() for line in lines)
    assert f"{source}: {reason}" in summary(stream, width=80), "not broken if it does not go to a terminal"
    scrolled = MOVEMENT.sub("", COLOUR.sub("", written(stream, force_terminal=True, width=80, height=24)))
    (first, second) = re.search(r"(✗ x+…x+\.mkv  Not a[^\n]*)\n([^\n]*)", scrolled).groups()  # type: ignore[union-attr]
    assert second.startswith("    ")
    assert max(len(first), len(second)) <= 80


def supplied(decoders: int, on_processor: int, waited: float) -> RunState:
    """An engine at work that has so many decoders."""
    return RunState(
        [
            events.RunStarted(at=0.0, engines=engines(1, 1), jobs=1, started=0.0),
            events.JobQueued(at=0.0, job=0, source="/v/a long name of a film in the mountains.mkv", destination="/o"),
            events.PieceStarted(at=0.0, job=0, engine=0, piece=0, first=0, last=100),
            events.Progress(
                at=1.0, job=0, engine=0, piece=0, first=0, last=100, frames=50, fps=50.0, job_frames=50,
                job_total=100, speed=2.0, eta=1.0, decoders=decoders, decoders_on_processor=on_processor,
                engine_waited=waited,
            ),
        ]
    )  # fmt: skip


@pytest.mark.parametrize(
    ("decoders", "on_processor", "waited", "at_80", "at_200"),
    [
        (1, 0, 0.32, "waits 32%", "waits for frames 32%"),
        (3, 0, 0.0, "3 dec", "3 decoders"),
        (3, 1, 0.5, "waits 50%", "3 decoders (1 on CPU), waits for frames 50%"),
        (1, 0, 0.05, None, None),
        (0, 0, 0.0, None, None),
    ],
)
def test_an_engine_that_waits_is_seen(
    decoders: int, on_processor: int, waited: float, at_80: str | None, at_200: str | None
) -> None:
    state = supplied(decoders, on_processor, waited)
    for width, words in ((80, at_80), (200, at_200)):
        line = progress(state, width, 24)[0]
        assert line.cell_len <= width
        assert (f" · {words}" in line.plain) if words else not re.search("dec|waits", line.plain)


def test_a_change_of_decoders_is_seen_and_does_not_scroll_by() -> None:
    state = supplied(1, 0, 0.0)
    lines = state.lines
    state.apply(events.DecodersChanged(at=2.0, engine=0, decoders=3, on_processor=1, waited=0.4))
    assert " · 3 decoders (1 on CPU)" in progress(state, 200, 24)[0].plain
    assert state.lines == lines
