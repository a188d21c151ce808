"""Names that are too long for their place stay different from each other."""

from __future__ import annotations

import pytest
from hypothesis import example, given
from hypothesis import strategies as st
from rich.cells import cell_len

from pdum.nvenc import events
from pdum.nvenc._text import visible
from pdum.nvenc._view.draw import ended_line, file_name, log_text, to_width, with_differences
from pdum.nvenc._view.names import Names
from pdum.nvenc._view.run_parts import LogLine
from pdum.nvenc._view.run_state import RunState

from event_streams import HOSTILE_NAMES

pytestmark = pytest.mark.one_abi

SERIES = "The Extraordinarily Long Running Television Series - S{:02}E{:02} - 1080p BluRay x264 DTS.mkv"
TEXTS = st.text(max_size=30).map(visible)


def queued(sources: list[str]) -> RunState:
    return RunState(
        events.JobQueued(at=0.0, job=number, source=source, destination="") for number, source in enumerate(sources)
    )


def shown(sources: list[str], cells: int) -> list[str]:
    state = queued(sources)
    return [file_name(state, job, cells) for job in state.jobs.values()]


def test_episodes_of_a_series() -> None:
    sources = [SERIES.format(1, episode) for episode in range(1, 13)]
    assert shown(sources, 28)[:3] == [
        "The Extrao…S01E01…64 DTS.mkv",
        "The Extrao…S01E02…64 DTS.mkv",
        "The Extrao…S01E03…64 DTS.mkv",
    ]
    assert shown(sources, 12)[:2] == ["Th…S01E01…kv", "Th…S01E02…kv"]
    assert shown(sources, 8)[0] == "…S01E01…"
    assert shown(sources, 200)[0].rstrip() == sources[0]


def test_seasons_and_episodes() -> None:
    sources = [SERIES.format(season, episode) for season in (1, 2) for episode in range(1, 4)]
    assert len(set(shown(sources, 16))) == len(sources)


def test_names_that_differ_at_their_ends_lose_their_middles() -> None:
    sources = [f"holiday in the very far south of Spain {number:04}.mkv" for number in range(20)]
    assert shown(sources, 20)[7] == to_width(sources[7], 20) == "holiday in… 0007.mkv"


@given(
    before=TEXTS,
    after=TEXTS,
    numbers=st.lists(st.integers(0, 999), min_size=2, max_size=8, unique=True),
    cells=st.integers(12, 60),
)
@example(before="a" * 30, after="1" * 30, numbers=[1, 11, 111], cells=12)
def test_names_that_differ_in_a_number_stay_different(before: str, after: str, numbers: list[int], cells: int) -> None:
    """The numbers have spaces around them, as words do."""
    names = Names()
    labels = [f"{before} {number:03} {after}" for number in numbers]
    for label in labels:
        names.add(label, "/v")
    short = [with_differences(label, names.differences(label), cells) for label in labels]
    assert len(set(short)) == len(labels), short


@given(labels=st.lists(TEXTS.filter(bool), min_size=2, max_size=8, unique=True), data=st.data())
def test_the_differences_tell_a_name_from_all_others(labels: list[str], data: st.DataObject) -> None:
    names = Names()
    for label in labels:
        names.add(label, "/v")
    label = data.draw(st.sampled_from(labels))
    found = names.differences(label)
    assert found is not None
    first, last = found
    longer = [one for one in labels if one != label and len(one) > len(label)]
    if not any(one.startswith(label) for one in longer):
        assert not [one for one in labels if one != label and one.startswith(label[: first + 1])]
    if not any(one.endswith(label) for one in longer):
        assert not [one for one in labels if one != label and one.endswith(label[last:])]


@given(names=st.lists(st.sampled_from(HOSTILE_NAMES) | st.text(max_size=40), max_size=6), cells=st.integers(1, 50))
def test_names_are_exactly_as_wide_as_wanted(names: list[str], cells: int) -> None:
    for text in shown([f"/v/{name}" for name in names], cells):
        assert cell_len(text) == cells


def test_files_of_one_name_are_shown_with_their_folders() -> None:
    sources = ["/v/Film A/VTS_01_1.VOB", "/v/Film B/VTS_01_1.VOB", "/v/Film B/VTS_01_2.VOB"]
    assert [text.rstrip() for text in shown(sources, 40)] == [
        "Film A/VTS_01_1.VOB",
        "Film B/VTS_01_1.VOB",
        "VTS_01_2.VOB",
    ]


def test_a_file_that_is_queued_again_is_like_no_other() -> None:
    state = queued(["/v/one.mkv", "/v/two.mkv"])
    before = state.names.differences("one.mkv")
    state.apply(events.JobQueued(at=1.0, job=0, source="/v/one.mkv", destination=""))
    assert state.names.differences("one.mkv") == before == (0, 2)
    assert state.label(state.jobs[0]) == "one.mkv"


def test_the_log_keeps_what_happened() -> None:
    state = queued([SERIES.format(1, episode) for episode in range(1, 4)])
    state.apply(events.JobFinished(at=1.0, job=1, destination="x", frames=1, source_bytes=100, size=40, seconds=7.0))
    line = state.log[-1]
    assert line.text.endswith("DTS.mkv: 100 B → 40 B (-60 %) in 0:07")
    text = log_text(state, line, 70)
    assert cell_len(text) == 70
    assert "S01E02" in text
    assert text.endswith(".mkv: 100 B → 40 B (-60 %) in 0:07")
    assert log_text(state, line, 30).startswith("Th…S01E02…kv: 100 B → 40 B")
    assert log_text(state, LogLine(0.0, "info", "x" * 90), 70) == "x" * 90


def ended(size: int, before: int = 1000, reason: str = "bigger") -> tuple[RunState, str]:
    state = queued([SERIES.format(1, 1), SERIES.format(1, 2)])
    state.apply(events.JobSkipped(at=1.0, job=0, reason=reason, source_bytes=before, size=size))
    return state, state.jobs[0].why


@pytest.mark.parametrize(
    ("size", "said"),
    [
        (1120, "12 % larger"),
        (1004, "0.4 % larger"),
        (1000, "just as large"),
        (950, "only 5 % smaller"),
        (999, "only 0.1 % smaller"),
        (3140, "3.1 times as large"),
        (31_400, "31 times as large"),
    ],
)
def test_a_file_that_was_kept_says_why(size: int, said: str) -> None:
    state, why = ended(size)
    assert why == f"kept the original: the result would be {said}"
    assert state.log[-1].text == f"{SERIES.format(1, 1)}: {why}"
    for cells, text in ((55, f"would be {said}"), (110, why)):
        line = ended_line(state, state.jobs[0], cells).plain
        assert "S01E01" in line
        assert line.endswith(f"  {text}")
        assert len(line) <= cells


def test_sizes_that_are_not_known() -> None:
    assert ended(10, before=0)[1] == "kept the original: the result would be no smaller"
    assert ended(10, reason="Skipped on request.")[1] == "Skipped on request."
