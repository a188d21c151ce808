"""Draws the pictures of the page on profiling, from what Nsight Systems recorded.

    nsys export --type sqlite -o encode.sqlite encode.nsys-rep
    python docs/make_profile_picture.py profile encode.sqlite --begin 2.0 --seconds 0.5
    python docs/make_profile_picture.py             # all of them, from the ranges that are kept beside the pictures

With a database, the ranges of that time are kept in docs/images, and the picture is made from them. Threads with ranges
of ours have a lane each, with ranges below those that contain them. If the GPU was recorded, its kernels and copies
have lanes, too.
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
IMAGES = ROOT / "docs" / "images"
NAMES = ("profile", "profile-gpu")
PUSH_POP, OURS, OTHERS = 59, "pdum.", "pdum.nvenc "
WIDTH, LABELS, RIGHT, TOP, BAR, GAP, AXIS = 1200, 190, 20, 20, 20, 12, 36
INK, FAINT = "#1c2430", "#d7dce3"
COLOURS = {"pool": "#5b8def", "writer": "#5b8def", "decode": "#e0a33a", "convert": "#c9793a", "filter": "#c9793a"}
ENCODER, OTHERS_WORK = "#3f7d20", "#8a5fbf"
ON_GPU = {
    "GPU: kernels": "SELECT value, start, end FROM CUPTI_ACTIVITY_KIND_KERNEL JOIN StringIds ON id = shortName",
    "GPU: copies": "SELECT 'copy', start, end FROM CUPTI_ACTIVITY_KIND_MEMCPY",
}
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
        on_gpu = {name: sorted(rows_of(recorded, query), key=lambda row: row[1]) for name, query in ON_GPU.items()}
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
    for lane, found in on_gpu.items():
        ranges = [Range(name, (start - zero) / 1e6, (end - zero) / 1e6, 0) for name, start, end in found]
        shown = [one for one in ranges if one.end > 0 and one.begin < seconds * 1000]
        lanes += [Lane(lane, cut(shown, seconds * 1000))] if shown else []
    return sorted(lanes, key=lambda lane: (lane.name in ON_GPU, lane.name))


def rows_of(recorded: sqlite3.Connection, query: str) -> list[tuple[str, int, int]]:
    """Empty if the GPU was not recorded: the database has no such table then."""
    try:
        return recorded.execute(query).fetchall()
    except sqlite3.OperationalError:
        return []


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
        f"<rect x='{x:.1f}' y='{y}' width='{shown:.1f}' height='{BAR - 2}' fill='{colour_of(one.name)}'>"
        f"<title>{escape(one.name)}, {one.end - one.begin:.3f} ms</title></rect>"
    )
    if len(name) * LETTER < shown - 6:
        yield f"<text x='{x + 4:.1f}' y='{y + 13}' fill='#ffffff' font-size='12'>{escape(name)}</text>"


def colour_of(name: str) -> str:
    if not name.startswith(OURS):
        return OTHERS_WORK
    return COLOURS.get(name.split(".")[1], ENCODER)


def axis(most: float, scale: float, y: int) -> Iterator[str]:
    step = next(size for size in (1, 2, 5, 10, 20, 50, 100, 200, 500, 1000, 2000, 5000) if most / size <= 12)
    for number in range(int(most // step) + 1):
        x = LABELS + number * step * scale
        yield f"<line x1='{x:.1f}' x2='{x:.1f}' y1='{y}' y2='{y + 6}' stroke='{INK}'/>"
        text = f"{number * step} ms" if number == 0 else f"{number * step}"
        yield f"<text x='{x:.1f}' y='{y + 22}' text-anchor='middle' fill='{INK}'>{text}</text>"


def keep(name: str, lanes: Sequence[Lane], most: float) -> None:
    found = [[lane.name, [[one.name, one.begin, one.end, one.depth] for one in lane.ranges]] for lane in lanes]
    kept_as(name).write_text(json.dumps({"milliseconds": most, "lanes": found}, ensure_ascii=False) + "\n")


def kept_as(name: str) -> Path:
    return IMAGES / f"{name}.json"


def kept(name: str) -> tuple[list[Lane], float]:
    found = json.loads(kept_as(name).read_text())
    lanes = [Lane(lane, [Range(*one) for one in ranges]) for lane, ranges in found["lanes"]]
    return lanes, found["milliseconds"]


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("name", choices=NAMES, nargs="?", help="of the picture")
    parser.add_argument("database", type=Path, nargs="?", help="an export of nsys")
    parser.add_argument("--begin", type=float, default=0.0, metavar="S", help="seconds from the first range")
    parser.add_argument("--seconds", type=float, default=1.0, metavar="S", help="how long the picture is (%(default)s)")
    given = parser.parse_args()
    if given.database is not None:
        keep(given.name, lanes_of(given.database, given.begin, given.seconds), given.seconds * 1000)
    for name in NAMES:
        (IMAGES / f"{name}.svg").write_text(draw(*kept(name)))


if __name__ == "__main__":
    main()
