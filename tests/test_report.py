"""The HTML report is complete, well formed, self-contained, and true to the events."""

from __future__ import annotations

import os
import re
from html.parser import HTMLParser
from pathlib import Path
from xml.etree import ElementTree

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from pdum.nvenc import events
from pdum.nvenc._report.charts import MOST_FILES, POINTS, _rates
from pdum.nvenc._report.markup import tag, text
from pdum.nvenc._report.report import report_page, write_report
from pdum.nvenc._text import size, visible
from pdum.nvenc._view.run_state import RunState

from event_streams import HOSTILE_NAMES, engines, nonsense, recorded, runs

pytestmark = pytest.mark.one_abi

ALLOWED = """
html head meta title style body header main section footer h1 h2 p div span b bdi details summary
table thead tbody tfoot tr th td svg rect path line
"""
REFERRING = {"src", "href", "srcset", "data", "action", "poster", "background", "xlink:href", "ping", "formaction"}


def page(stream: list[events.Event], settings: dict[str, object] | None = None) -> str:
    return report_page(RunState(stream), settings or {})


def parsed(html: str) -> ElementTree.Element:
    return ElementTree.fromstring(html.removeprefix("<!DOCTYPE html>\n"))


class Elements(HTMLParser):
    """As a browser sees them, with its own rules instead of XML's."""

    def __init__(self, html: str) -> None:
        super().__init__()
        self.names: set[str] = set()
        self.attributes: set[str] = set()
        self.feed(html)
        self.close()

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.names.add(tag)
        self.attributes |= {name for name, _ in attrs}


def check(html: str) -> ElementTree.Element:
    seen = Elements(html)
    assert seen.names <= set(ALLOWED.split())
    assert not seen.attributes & REFERRING
    assert not [name for name in seen.attributes if name.startswith("on")]
    tree = parsed(html)
    style = tree.find("head/style")
    assert style is not None
    assert not re.search(r"url\(|@import|https?:|//", style.text or "")
    html.encode()
    return tree


def words(tree: ElementTree.Element) -> str:
    return "".join(tree.itertext())


@settings(max_examples=40, deadline=None)
@given(stream=runs() | nonsense(), values=st.dictionaries(st.text(), st.text() | st.integers(), max_size=3))
def test_any_run_makes_a_page_that_needs_nothing_else(stream: list[events.Event], values: dict[str, object]) -> None:
    check(page(stream, values))
    check(page(stream[: len(stream) // 2], values))


@given(value=st.text(), attribute=st.text())
def test_texts_and_attributes_are_escaped(value: str, attribute: str) -> None:
    element = ElementTree.fromstring(tag("p", value, title=attribute))
    assert (element.text or "") == visible(value)
    assert element.attrib == {"title": visible(attribute)}
    assert len(element) == 0


def test_markup_is_not_escaped_twice() -> None:
    assert tag("p", tag("b", "<"), "&") == "<p><b>&lt;</b>&amp;</p>"
    assert text(tag("b", "x")) == "<b>x</b>"


def test_policy_forbids_the_network() -> None:
    metas = [meta.attrib for meta in parsed(page([])).iter("meta")]
    (policy,) = [meta["content"] for meta in metas if meta.get("http-equiv") == "Content-Security-Policy"]
    assert policy == "default-src 'none'; style-src 'unsafe-inline'"
    assert {"name": "viewport", "content": "width=device-width, initial-scale=1"} in metas


@pytest.mark.parametrize("name", HOSTILE_NAMES)
def test_names_are_shown_as_they_are(name: str) -> None:
    stream = recorded([name.replace("/", "_")], trouble=0.0)
    tree = check(page(stream))
    assert visible(name.replace("/", "_")) in [element.text for element in tree.iter("bdi")]


def test_totals_are_those_of_the_run() -> None:
    stream = recorded(30, gpus=2)
    state, said = RunState(stream), words(check(page(stream)))
    sums = state.sums()
    assert size(sums.saved) in said
    assert f"{sums.finished} of 30" in said
    for folder, part in state.folders().items():
        assert folder in said
        assert size(part.saved) in said


def test_each_failure_has_its_reason() -> None:
    stream = recorded(20, trouble=1.0, seed=5)
    failed = [event for event in stream if isinstance(event, events.JobFailed)]
    said = words(check(page(stream)))
    assert f"Failures ({len(failed)})" in said
    assert said.count("frame 17 is corrupt: the file ends within it") == len(failed)


def timeline_of(stream: list[events.Event]) -> list[ElementTree.Element]:
    return [row for row in check(page(stream)).iter("div") if row.get("class") == "engine"]


def test_timeline_has_each_piece_in_its_place() -> None:
    (engine,) = engines(each=1)
    stream: list[events.Event] = [events.RunStarted(at=0.0, engines=(engine,), jobs=1, started=0.0)]
    for piece, (begin, end) in enumerate([(1.0, 2.0), (2.01, 3.0), (4.0, 5.0)]):
        stream.append(events.PieceStarted(at=begin, job=0, engine=0, piece=piece, first=0, last=9))
        stream.append(events.PieceFinished(at=end, job=0, engine=0, piece=piece, first=0, last=9, size=1, seconds=1.0))
    (row,) = timeline_of(stream)
    rects = [rect for rect in row.iter("rect") if rect.get("class") != "gap"]
    assert [(rect.get("x"), rect.get("width")) for rect in rects] == [
        ("0.0000%", "25.0000%"),
        ("25.2500%", "24.7500%"),
        ("75.0000%", "25.0000%"),
    ]
    (gap,) = [rect for rect in row.iter("rect") if rect.get("class") == "gap"]
    assert (gap.get("x"), gap.get("width")) == ("50.0000%", "25.0000%")
    assert "74.8 % busy · 1 gap" in words(row)


def test_timeline_without_gaps_says_so() -> None:
    stream = recorded(10, gpus=2, trouble=0.0)
    rows = timeline_of(stream)
    assert len(rows) == 4
    assert not [rect for row in rows for rect in row.iter("rect") if rect.get("class") == "gap"]
    assert "No engine has waited for more than 50 ms" in page(stream)


@pytest.mark.parametrize(("end", "shown"), [(4.0, False), (6.5, True)])
def test_the_report_mentions_engines_that_are_done_early(end: float, shown: bool) -> None:
    stream: list[events.Event] = [events.RunStarted(at=0.0, engines=engines(), jobs=1, started=0.0)]
    for engine in (0, 1):
        stream.append(events.PieceStarted(at=1.0, job=0, engine=engine, piece=engine, first=0, last=9))
    for engine, at in ((0, 4.0), (1, end)):
        stream.append(
            events.PieceFinished(at=at, job=0, engine=engine, piece=engine, first=0, last=9, size=1, seconds=1.0)
        )
    assert ("The first engine was done 2.5 s before the last." in page(stream)) == shown


def test_speed_is_that_of_the_pieces() -> None:
    first, second = engines()
    stream: list[events.Event] = [events.RunStarted(at=0.0, engines=(first, second), jobs=1, started=0.0)]
    for engine, (begin, frames) in enumerate([(0.0, 400), (2.0, 600)]):
        stream.append(events.PieceStarted(at=begin, job=0, engine=engine, piece=engine, first=0, last=frames))
    for engine, frames in enumerate([400, 600]):
        stream.append(
            events.PieceFinished(at=4.0, job=0, engine=engine, piece=engine, first=0, last=frames, size=1, seconds=4.0)
        )
    rates = _rates(RunState(stream), 0.0, 4.0)
    assert rates[:99] == pytest.approx([100.0] * 99)
    assert rates[101:] == pytest.approx([400.0] * (POINTS - 101))
    assert "400 fps" in words(check(page(stream)))


@settings(max_examples=30, deadline=None)
@given(stream=runs())
def test_speed_over_the_time_is_all_frames(stream: list[events.Event]) -> None:
    state = RunState(stream)
    spans = [span for engine in state.engines.values() for span in engine.spans if span.end and span.end > span.begin]
    end = max((span.end or 0.0 for span in spans), default=1.0)
    assert sum(_rates(state, 0.0, end)) * end / POINTS == pytest.approx(sum(span.frames for span in spans))


def test_savings_are_bars_in_proportion() -> None:
    stream: list[events.Event] = [events.RunStarted(at=0.0, engines=(), jobs=3, started=0.0)]
    for job, (before, after) in enumerate([(1000, 250), (500, 475), (400, 800)]):
        stream.append(
            events.JobFinished(at=1.0, job=job, destination="x", frames=1, source_bytes=before, size=after, seconds=1.0)
        )
    rows = [row for row in check(page(stream)).iter("div") if row.get("class") == "row"]
    found = [[(rect.get("width"), rect.get("class")) for rect in row.iter("rect")] for row in rows]
    assert found == [
        [("100.000%", "before"), ("25.000%", "good")],
        [("50.000%", "before"), ("47.500%", "marginal")],
        [("40.000%", "before"), ("80.000%", "bigger")],
    ]


def test_five_hundred_files_are_all_in_the_table() -> None:
    stream = recorded(500, gpus=2, trouble=0.0, longest=300)
    tree = check(page(stream))
    assert len([row for row in tree.iter("div") if row.get("class") == "row"]) == MOST_FILES
    (details,) = tree.iter("details")
    assert len(list(details.iter("bdi"))) == 500


def test_notices_are_shown_once() -> None:
    notice = events.Notice(at=0.0, message="No <hardware>\nwas used.", level="warning")
    said = words(check(page([notice, notice])))
    assert said.count("No <hardware> was used.") == 1


def test_long_names_are_cut_before_the_part_in_which_they_differ() -> None:
    names = [f"The long title of a series - S01E{number:02} - 1080p x264 DTS.mkv" for number in range(1, 10)]
    tree = check(page(recorded([*names, "short.mkv"], trouble=0.0)))
    found = [["".join(part.itertext()) for part in one] for one in tree.iter("bdi") if len(one)]
    assert sorted(found) == [["The long title of a series - ", f"{name[29:]}"] for name in names]
    assert "short.mkv" in [one.text for one in tree.iter("bdi") if not len(one)]


def test_codec_and_quality_are_in_the_header() -> None:
    (header,) = check(page([], {"codec": "hevc", "quality": "28 = hevc cq 22.4", "preset": "p5"})).iter("header")
    assert words(header).endswith(" · HEVC, quality 28, p5 · not finished")
    (header,) = check(page([])).iter("header")
    assert words(header).endswith("engines · not finished")


def test_settings_are_shown() -> None:
    assert "temporal AQyesBno" in words(check(page([], {"temporal_aq": True, "B": False})))
    said = words(check(page([], {"codec": "av1", "constant quality": 28, "<b>": "&"})))
    assert "codecav1" in said
    assert "constant quality28" in said
    assert "<b>&" in said


def test_file_is_there_whole_or_not_at_all(tmp_path: Path) -> None:
    path = tmp_path / "report.html"
    write_report(recorded(3), path, {"codec": "av1"})
    assert path.read_text(encoding="utf-8") == page(recorded(3), {"codec": "av1"})
    before = path.read_bytes()
    os.link(path, tmp_path / "reader.html")
    write_report(recorded(3), path)
    assert (tmp_path / "reader.html").read_bytes() == before
    before = path.read_bytes()

    class Unwritable:
        def __str__(self) -> str:
            raise OSError("no such value")

    with pytest.raises(OSError, match="no such value"):
        write_report([], path, {"x": Unwritable()})
    assert path.read_bytes() == before
    with pytest.raises(FileNotFoundError):
        write_report([], tmp_path / "missing" / "report.html")
    (tmp_path / "folder").mkdir()
    with pytest.raises(IsADirectoryError):
        write_report([], tmp_path / "folder")
    assert sorted(one.name for one in tmp_path.iterdir()) == ["folder", "reader.html", "report.html"]


def test_the_quality_that_a_search_has_found_has_a_column() -> None:
    begun = [
        events.RunStarted(at=0.0, engines=engines(1, 1), jobs=1, started=0.0),
        events.JobQueued(at=0.0, job=0, source="/in/a.mkv", destination="/out/a.mkv", source_bytes=1000),
    ]
    chosen = events.QualityTried(
        at=0.2, job=0, quality=31, cq=24.1, size=400, metric="ssim", score=0.981, is_chosen=True
    )
    assert '<th class="number">quality</th>' not in report_page(RunState(begun), {})
    page = report_page(RunState([*begun, chosen]), {})
    assert '<th class="number">quality</th>' in page
    assert "31 (ssim 0.981)" in page
