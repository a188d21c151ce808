"""Draws the picture of the page on profiling, from what Nsight Systems recorded.

    nsys export --type sqlite -o encode.sqlite encode.nsys-rep
    python docs/make_profile_picture.py encode.sqlite --begin 2.0 --seconds 0.5
    python docs/make_profile_picture.py             # from the ranges that are kept beside the picture

With a database, the ranges of that time are kept in docs/images/profile.json, and the picture is made from them. Only
threads with ranges of ours are in it, one lane each, with ranges below those that contain them.
"""

from __future__ import annotations

import argparse
import json
import sqlite3
from collections.abc import Iterator, Sequence
from contextlib import closing
from dataclasses import dataclass
from html import escape
from pathlib import Path

ROOT = Path(__file__).resolve().parents[1]
KEPT = ROOT / "docs" / "images" / "profile.json"
PICTURE = ROOT / "docs" / "images" / "profile.svg"
PUSH_POP, OURS, OTHERS = 59, "pdum.", "pdum.nvenc "
WIDTH, LABELS, RIGHT, TOP, BAR, GAP, AXIS = 1200, 190, 20, 20, 20, 12, 36
INK, FAINT = "#1c2430", "#d7dce3"
COLOURS = {"pool": "#5b8def", "writer": "#5b8def", "decode": "#e0a33a", "convert": "#c9793a", "filter": "#c9793a"}
ENCODER = "#3f7d20"
LETTER = 7.2
"""The width of one, so that a name is only written where it fits."""


@dataclass(frozen=True)
class Range:
    """Milliseconds from the beginning of the picture."""

    name: str
    begin: float
    end: float
    depth: int


@dataclass(frozen=True)
class Lane:
    name: str
    ranges: list[Range]


def lanes_of(database: Path, begin: float, seconds: float) -> list[Lane]:
    """Seconds count from the first range of the recording."""
    with closing(sqlite3.connect(database)) as recorded:
        names = dict(
            recorded.execute("SELECT n.globalTid, s.value FROM ThreadNames n JOIN StringIds s ON s.id = n.nameId")
        )
        rows = recorded.execute(
            "SELECT e.globalTid, COALESCE(e.text, s.value), e.start, e.end FROM NVTX_EVENTS e "
            "LEFT JOIN StringIds s ON s.id = e.textId WHERE e.eventType = ? AND e.end IS NOT NULL "
            "ORDER BY e.start, e.end DESC",
            (PUSH_POP,),
        ).fetchall()
    ours = [row for row in rows if row[1].startswith(OURS)]
    if not ours:
        raise SystemExit(f"Expected ranges of pdum.nvenc in {database}, got none. Was it recorded with --trace=nvtx?")
    zero = ours[0][2] + begin * 1e9
    lanes = []
    for thread in dict.fromkeys(row[0] for row in ours):
        mine = [(name, (start - zero) / 1e6, (end - zero) / 1e6) for tid, name, start, end in ours if tid == thread]
        shown = [one for one in nested(mine) if one.end > 0 and one.begin < seconds * 1000]
        if shown:
            lanes.append(Lane(names.get(thread, str(thread)).removeprefix(OTHERS), cut(shown, seconds * 1000)))
    return sorted(lanes, key=lambda lane: lane.name)


def nested(ranges: Sequence[tuple[str, float, float]]) -> Iterator[Range]:
    """With their depth. They come in the order of their beginnings, the longer one first."""
    ends: list[float] = []
    for name, begin, end in ranges:
        while ends and ends[-1] <= begin:
            ends.pop()
        yield Range(name, begin, end, len(ends))
        ends.append(end)


def cut(ranges: Sequence[Range], most: float) -> list[Range]:
    return [Range(one.name, round(max(one.begin, 0), 3), round(min(one.end, most), 3), one.depth) for one in ranges]


def draw(lanes: Sequence[Lane], most: float) -> str:
    scale = (WIDTH - LABELS - RIGHT) / most
    y, parts = TOP, list[str]()
    for lane in lanes:
        depth = max(one.depth for one in lane.ranges) + 1
        parts.append(f"<text x='{LABELS - 12}' y='{y + 15}' text-anchor='end' fill='{INK}'>{escape(lane.name)}</text>")
        for one in lane.ranges:
            parts += bar(one, LABELS + one.begin * scale, y + one.depth * BAR, (one.end - one.begin) * scale)
        y += depth * BAR + GAP
        parts.append(f"<line x1='0' x2='{WIDTH}' y1='{y - GAP / 2:g}' y2='{y - GAP / 2:g}' stroke='{FAINT}'/>")
    parts += axis(most, scale, y)
    height = y + AXIS
    head = [
        f"<svg xmlns='http://www.w3.org/2000/svg' viewBox='0 0 {WIDTH} {height}' role='img' "
        "font-family='system-ui, sans-serif' font-size='13'>",
        "<title>What the threads of a run did, as NVTX ranges</title>",
        f"<rect width='{WIDTH}' height='{height}' rx='8' fill='#ffffff'/>",
    ]
    return "\n".join([*head, *parts, "</svg>", ""])


def bar(one: Range, x: float, y: int, width: float) -> Iterator[str]:
    name = one.name.removeprefix(OURS)
    shown = max(width - 0.5, 0.5)
    yield (
        f"<rect x='{x:.1f}' y='{y}' width='{shown:.1f}' height='{BAR - 2}' fill='{colour_of(name)}'>"
        f"<title>{escape(one.name)}, {one.end - one.begin:.3f} ms</title></rect>"
    )
    if len(name) * LETTER < shown - 6:
        yield f"<text x='{x + 4:.1f}' y='{y + 13}' fill='#ffffff' font-size='12'>{escape(name)}</text>"


def colour_of(name: str) -> str:
    return COLOURS.get(name.partition(".")[0], ENCODER)


def axis(most: float, scale: float, y: int) -> Iterator[str]:
    step = next(size for size in (1, 2, 5, 10, 20, 50, 100, 200, 500, 1000, 2000, 5000) if most / size <= 12)
    for number in range(int(most // step) + 1):
        x = LABELS + number * step * scale
        yield f"<line x1='{x:.1f}' x2='{x:.1f}' y1='{y}' y2='{y + 6}' stroke='{INK}'/>"
        text = f"{number * step} ms" if number == 0 else f"{number * step}"
        yield f"<text x='{x:.1f}' y='{y + 22}' text-anchor='middle' fill='{INK}'>{text}</text>"


def keep(lanes: Sequence[Lane], most: float) -> None:
    found = [[lane.name, [[one.name, one.begin, one.end, one.depth] for one in lane.ranges]] for lane in lanes]
    KEPT.write_text(json.dumps({"milliseconds": most, "lanes": found}, ensure_ascii=False) + "\n")


def kept() -> tuple[list[Lane], float]:
    found = json.loads(KEPT.read_text())
    lanes = [Lane(name, [Range(*one) for one in ranges]) for name, ranges in found["lanes"]]
    return lanes, found["milliseconds"]


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("database", type=Path, nargs="?", help="an export of nsys")
    parser.add_argument("--begin", type=float, default=0.0, metavar="S", help="seconds from the first range")
    parser.add_argument("--seconds", type=float, default=1.0, metavar="S", help="how long the picture is (%(default)s)")
    given = parser.parse_args()
    if given.database is not None:
        keep(lanes_of(given.database, given.begin, given.seconds), given.seconds * 1000)
    PICTURE.write_text(draw(*kept()))


if __name__ == "__main__":
    main()
