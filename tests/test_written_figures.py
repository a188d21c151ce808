"""Figures on pages: what was measured comes from the results of ``python -m benchmarks``, and nothing else looks so."""

from __future__ import annotations

import re
from pathlib import Path

import pytest

from benchmarks import page, places
from benchmarks.parts import PARTS, PERFORMANCE

pytestmark = pytest.mark.one_abi

FIGURE = re.compile(
    r"\d[\d.,]*[ -]?(?:[µnm]?s|seconds?|minutes?|hours?|[kKMG]i?B/s|[kMG]B|[kMG]bit/s|fps)(?!\w)"
    r"|\d[\d.,]*[ -]?(?:%|×|per cent|times|cents)(?!\w)"
    r"|(?<=\| )\d[\d,]*\.\d+(?= (?:\||\())|\b\d[\d.]*e-\d+|\b(?:twice|half|thrice) the (?:time|size|speed)\b"
    r"|\b\w+ times as (?:fast|slow|large|small|long|much)\b"
)
"""What a measured figure looks like: a time, a rate, a size, a part, a ratio, or a table's cell with a decimal point.

Sizes with binary units are limits and settings everywhere; only a speed has them.
"""
CODE = re.compile(r"^```.*?^```$|`[^`\n]*`", re.DOTALL | re.MULTILINE)
"""Commands, settings and what a program prints as an example."""
ADDRESS = re.compile(r"(?<=\]\()[^)\s]+(?=\))")

NOT_MEASURED: dict[str, dict[str, str]] = {
    "benchmarks/README.md": {r"more than 1?5 %": "a rule of --compare"},
    "benchmarks/methods.md": {
        r"engines are four times as fast": "of a simulated engine",
        r"40 ms for a picture": "of a simulated engine",
        r"40 ms divided by the number of slices": "of a simulated engine",
        r"every 0\.1 ms": "a setting",
        r"units of 20 kB": "of a simulated engine",
        r"The rest to 100 %": "the whole",
        r"27 Mbit/s": "of a video that is made",
        r"at 8 times the speed of playback": "of a simulated engine",
        r"for 800 µs each": "of the program that waits",
    },
    "cli.md": {r"every 30 seconds": "a setting"},
    "coding-tools.md": {r"by its documentation, the picture gets 15 times as many": "what NVIDIA wrote"},
    "colour-conversion.md": {r"\| BT\.(601|709|2020).*": "coefficients of H.273"},
    "dashboard.md": {r"more than 50 ms": "when a gap gets a mark"},
    "events.md": {r"every 30 seconds": "a setting"},
    "farm.md": {
        r"wrong by more than 15 minutes": "a rule of S3",
        r"1080p, [36]0 fps|2160p, 30 fps": "an example of a video",
        r"\| (AWS|Google) .*": "calculated from a price: see below",
        r"costs 4\.4 cents": "calculated from a price: see below",
        r"A source of 8 Mbit/s is 3\.6 GB an hour": "calculated",
        r"at 5 to 9 cents a GB": "an example of a price",
        r"with 10 Gbit/s": "an example of a server",
        r"we assume that the calling program keeps 6 kB": "an assumption of the simulation",
    },
    "files.md": {
        r"15 times as many": "a setting",
        r"up to 30 ms after the first frame, with FLAC\s+up to 100 ms": "the length of a packet",
        r"to 1/90000 s": "the unit of a container",
    },
    "from-pyav.md": {r"use 2 Mbit/s": "a setting of FFmpeg"},
    "live.md": {
        r"round trip of 40 ms at": "of a simulated link",
        r"whose 8\.5 Mbit/s become 1 Mbit/s for 20 seconds": "of a simulated link",
        r"less than 0\.1 s waits": "a bound of tests/live/test_bitrate.py",
        r"back within 15 seconds": "a bound of tests/live/test_bitrate.py",
        r"after 2, 4 and then every 6 seconds": "a rule of the controller",
        r"up to 4 % of lost packets": "a rule of the controller",
        r"from 10 % on": "a rule of the controller",
        r"at most every 3 seconds": "a rule of the controller",
    },
    "profiling.md": {r"(over|This is) 1\.5 seconds": "the length of the picture"},
    "quality.md": {
        r"\|( [\d.]+ \|){7}": "the scale itself: tests/test_quality_scale.py",
        r"becomes 9 % smaller with each step": "what others published",
        r"and 6 % with each step": "what others published",
    },
    "reading-more-than-packets.md": {
        r"each NV12 picture takes 3 MB": "calculated from its size",
        r"every 0\.1 ms": "a setting",
    },
    "real-gpu.md": {r"Two H100s|H100 80GB": "a GPU"},
    "releasing.md": {r"larger than 1\.45 MB": "a limit"},
    "scheduling.md": {
        r"files of 5, 2, 3, 1, 4 and 12 minutes; nothing": "an example",
        r"more than 5 % of its time": "a rule",
    },
    "simulated-driver.md": {r"\| 1[13]\.[01] \|": "versions of NVENC's interface"},
    "storage.md": {r"1 GB of the disk\s+always stays free": "a rule"},
    "wheels.md": {r"\| 3\.1\d \|": "versions of Python"},
}
"""What looks like a measured figure on a page, and what it is instead."""


def pages(root: Path) -> dict[str, Path]:
    """All that are written by hand, by their paths; those in docs by their names."""
    places_of_pages = ("*.md", "benchmarks/*.md", "docs/*.md", "packages/*/*.md")
    found = [path for pattern in places_of_pages for path in root.glob(pattern)]
    named = {str(path.relative_to(root)).removeprefix("docs/"): path for path in found}
    return {name: path for name, path in named.items() if name != PERFORMANCE}


def figures_in(text: str, not_measured: dict[str, str]) -> list[str]:
    for known in not_measured:
        text = re.sub(known, "", text)
    return [found[0] for found in FIGURE.finditer(text)]


def by_hand(path: Path) -> str:
    return ADDRESS.sub("", CODE.sub("", places.without_figures(path.read_text())))


def test_every_measured_figure_comes_from_the_results(root: Path) -> None:
    """One that is written by hand would stay when the results change: it belongs to a part that has a place there."""
    found = {name: figures_in(by_hand(path), NOT_MEASURED.get(name, {})) for name, path in pages(root).items()}
    assert {name: figures for name, figures in found.items() if figures} == {}


def test_what_is_not_measured_is_still_there(root: Path) -> None:
    named = pages(root)
    gone = {(name, known) for name, all_of in NOT_MEASURED.items() for known in all_of
            if name not in named or not re.search(known, by_hand(named[name]))}  # fmt: skip
    assert gone == set()


@pytest.mark.parametrize(
    "written",
    [
        *(
            "took 2.3 µs",
            "4 GB/s",
            "3 times as fast",
            "twice as much: two times as much",
            "12 % faster",
            "0.4 s of work",
        ),
        *("36 times the ideal", "takes 80 MB", "takes half the time", "| ours | 1.98 | 3 |", "| 3.2e-05 |", "2.1 × it"),
        *("| ours | 3.50 (3.38 to 3.62) |", "25-percent less: 25 per cent", "4.4 cents", "344 fps"),
    ],
)
def test_a_figure_is_recognized(written: str) -> None:
    assert figures_in(written, {})


def test_each_part_has_a_place_on_its_page(root: Path) -> None:
    asked = {(part.page, part.name) for part in PARTS if part.page != PERFORMANCE}
    there = {(path.name, name) for path in (root / "docs").glob("*.md") for name in places.names(path.read_text())}
    assert asked == there
    assert {name for _, name in asked} <= {name for one in page.results(page.RESULTS).values() for name in one["parts"]}


def test_a_place_gets_its_figures_and_nothing_else_changes() -> None:
    end = "<!-- end of figures -->"
    text = f"Before\n\n<!-- figures: one -->\nold\n{end}\n\nBetween\n\n<!-- figures: two -->\n{end}\nAfter\n"
    made = places.fill(text, lambda name: f"new {name}\n")
    assert made == text.replace("old\n", "\nnew one\n\n").replace(": two -->\n", ": two -->\n\nnew two\n\n")
    assert places.fill(made, lambda name: f"new {name}\n") == made
    assert "new" not in places.without_figures(made)


COST = re.compile(r"^\| (?:AWS|Google)[^|]*\| \$(?P<price>[\d.]+) \| (.*) cents \| (.*) cents \| (.*) cents \|$", re.M)


def test_the_cost_of_an_hour_is_what_its_formula_says(root: Path) -> None:
    """Of an L4: two encoders with 344 frames a second of 1080p each."""
    rows = COST.findall((root / "docs" / "farm.md").read_text())
    assert len(rows) == 3
    for price, *cents in rows:
        wanted = [100 * float(price) * frames / (2 * 344) for frames in (30, 60, 4 * 30)]
        assert [float(one) for one in cents] == [pytest.approx(one, abs=0.06 if one < 10 else 0.5) for one in wanted]
