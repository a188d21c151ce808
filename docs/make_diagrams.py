"""Draws the diagrams of the documents: ``python docs/make_diagrams.py [FOLDER]``.

Each is as narrow as a phone, has a background of its own, and follows the reader's light or dark mode.
"""

from __future__ import annotations

import argparse
import heapq
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from xml.sax.saxutils import escape

IMAGES = Path(__file__).resolve().parent / "images"
WIDTH, MARGIN, LINE = 360, 14, 15
STYLE = """
.card{fill:#ffffff;stroke:#d0d7de} .box{fill:#f3f6f9;stroke:#8c959f} .own{fill:#e3f3d5;stroke:#5a8f1f}
.text{fill:#1f2328;font-size:12px} .quiet{fill:#59636e;font-size:11px}
.head{fill:#1f2328;font-size:13px;font-weight:600}
.line{stroke:#59636e;fill:none} .rail{stroke:#b1bac4;stroke-dasharray:3 4} .tip{fill:#59636e} .idle{fill:url(#hatch)}
.hatch{stroke:#c9ced6} .f0{fill:#7fb3e6} .f1{fill:#f2c078} .f2{fill:#9bd08a} .f3{fill:#dba4dc} .f4{fill:#e69a92}
.f5{fill:#8fd0cf} .bar{fill:#10151a;font-size:11px}
text{font-family:system-ui,-apple-system,"Segoe UI",Roboto,"DejaVu Sans",sans-serif}
@media (prefers-color-scheme:dark){
.card{fill:#1c2128;stroke:#3d444d} .box{fill:#262c36;stroke:#7d8590} .own{fill:#263b17;stroke:#7fb23f}
.text,.head{fill:#e6edf3} .quiet{fill:#a8b3bd} .line{stroke:#a8b3bd} .rail{stroke:#545d68} .tip{fill:#a8b3bd}
.hatch{stroke:#4b535d}}
"""


@dataclass
class Drawing:
    """Parts from top to bottom. ``y`` is where the next one goes."""

    title: str
    y: float = MARGIN
    parts: tuple[str, ...] = ()

    def add(self, *parts: str) -> None:
        self.parts += parts

    def text(self, x: float, y: float, words: str, kind: str = "text", anchor: str = "start") -> None:
        self.add(f'<text x="{x:g}" y="{y:g}" class="{kind}" text-anchor="{anchor}">{escape(words)}</text>')

    def box(self, x: float, y: float, width: float, height: float, kind: str = "box", radius: int = 6) -> None:
        self.add(f'<rect x="{x:g}" y="{y:g}" width="{width:g}" height="{height:g}" rx="{radius}" class="{kind}"/>')

    def arrow(self, x1: float, x2: float, y: float) -> None:
        """A horizontal one."""
        back = 6 if x2 > x1 else -6
        self.add(
            f'<line x1="{x1:g}" y1="{y:g}" x2="{x2 - back:g}" y2="{y:g}" class="line"/>',
            f'<path d="M{x2:g} {y:g}l{-back:g} -4v8z" class="tip"/>',
        )

    def svg(self) -> str:
        height = self.y + MARGIN
        head = (
            f'<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 {WIDTH} {height:g}" width="{WIDTH * 1.25:g}" '
            f'height="{height * 1.25:g}" role="img" aria-label="{escape(self.title)}">'
        )
        hatch = (
            '<defs><pattern id="hatch" width="6" height="6" patternUnits="userSpaceOnUse" '
            'patternTransform="rotate(45)"><line x1="0" y1="0" x2="0" y2="6" stroke-width="2" class="hatch"/>'
            "</pattern></defs>"
        )
        card = f'<rect x="0.5" y="0.5" width="{WIDTH - 1}" height="{height - 1:g}" rx="10" class="card"/>'
        return "\n".join([head, f"<style>{STYLE}</style>", hatch, card, *self.parts, "</svg>"]) + "\n"


# --- one frame's way ---

LANES = (("your thread", 64), ("GPU streams", 186), ("encoder chip", 302))
STEPS = (
    (0, 0, ("submit(frame)", "finds the stream")),
    (0, 0, ("gives up the GIL",)),
    (0, 1, ("wait for kernel", "by an event")),
    (1, 1, ("copy or RGB", "into a surface")),
    (0, 2, ("nvEncEncodePicture", "returns at once")),
    (1, 1, ("frame is free", "on your stream")),
    (2, 2, ("encodes when", "the copy is done")),
    (2, 0, ("nvEncLockBitstream", "the oldest frame is out")),
    (0, 0, ("takes the GIL", "copies it once")),
)
"""From a lane to a lane, and what happens there. A step within a lane is a box."""
BOX, GAP = 118, 12


def frame() -> Drawing:
    drawing = Drawing("The way of one frame from submit to its packet")
    for name, x in LANES:
        drawing.text(x, drawing.y + 10, name, "head", "middle")
    top = drawing.y + 20
    drawing.y = top + 6
    rails = len(drawing.parts)
    for start, end, words in STEPS:
        _step(drawing, LANES[start][1], LANES[end][1], words)
    lines = [f'<line x1="{x}" y1="{top:g}" x2="{x}" y2="{drawing.y:g}" class="rail"/>' for _, x in LANES]
    drawing.parts = drawing.parts[:rails] + tuple(lines) + drawing.parts[rails:]
    return drawing


def _step(drawing: Drawing, start: float, end: float, words: Sequence[str]) -> None:
    if start == end:
        height = 10 + LINE * len(words)
        left = min(max(start - BOX / 2, 6), WIDTH - BOX - 6)
        drawing.box(left, drawing.y, BOX, height, "own" if start == LANES[0][1] else "box")
        for number, line in enumerate(words):
            drawing.text(left + BOX / 2, drawing.y + 15 + LINE * number, line, _kind(number), "middle")
        drawing.y += height + GAP
        return
    drawing.text((start + end) / 2, drawing.y + 10, words[0], "text", "middle")
    drawing.arrow(start, end, drawing.y + 17)
    for number, line in enumerate(words[1:]):
        drawing.text((start + end) / 2, drawing.y + 31 + LINE * number, line, "quiet", "middle")
    drawing.y += 21 + LINE * (len(words) - 1) + GAP


def _kind(number: int) -> str:
    return "quiet" if number else "text"


# --- four rings ---

RINGS = (
    (
        "4  Recorded answers of real cards",
        ("26 cards' capabilities, an RTX 3060's presets", "and about a hundred of its statuses"),
    ),
    (
        "3  NVIDIA's encoder library",
        ("loading, versions and structs on a real GPU,", "up to the answer that it has no encoder"),
    ),
    ("2  NVIDIA's CUDA driver", ("real frames, streams and kernels;", "only the encoder library is simulated")),
    (
        "1  The simulated driver",
        ("every call checked, real bitstreams, failures", "on purpose; foreign clients run on it, too"),
    ),
)
"""From the outside in."""


def rings() -> Drawing:
    drawing = Drawing("Four rings of proof around the package, from the simulated driver to recorded answers")
    bottom = MARGIN + 62 * len(RINGS) + 12 * len(RINGS) + 36
    for depth, (name, lines) in enumerate(RINGS):
        inset, y = MARGIN + 9 * depth, drawing.y
        drawing.box(inset, y, WIDTH - 2 * inset, bottom - 12 * depth - y)
        drawing.text(WIDTH / 2, y + 18, name, "head", "middle")
        for number, line in enumerate(lines):
            drawing.text(WIDTH / 2, y + 34 + 14 * number, line, "quiet", "middle")
        drawing.y += 62
    drawing.box(WIDTH / 2 - 70, drawing.y, 140, 36, "own")
    drawing.text(WIDTH / 2, drawing.y + 23, "pdum.nvenc", "head", "middle")
    drawing.y = bottom
    return drawing


# --- scheduling ---

FILES = (5, 2, 3, 1, 4, 12)
"""Minutes of one engine's work, in the order of their names."""
ENGINES = 3
WORTH_DIVIDING = 0.6
"""Minutes. A shorter rest stays with its engine."""
Bar = tuple[int, int, float, float]
"""Engine, file, start and end."""


def as_they_come(files: Sequence[float] = FILES, engines: int = ENGINES) -> list[Bar]:
    """A pool of workers: a free one takes the next file."""
    free = [(0.0, engine) for engine in range(engines)]
    bars = []
    for file, work in enumerate(files):
        start, engine = heapq.heappop(free)
        bars.append((engine, file, start, start + work))
        heapq.heappush(free, (start + work, engine))
    return bars


def divided(files: Sequence[float] = FILES, engines: int = ENGINES) -> list[Bar]:
    """The longest first. An idle engine takes half of what is left of the piece that would end last."""
    waiting = sorted(range(len(files)), key=lambda file: -files[file])
    working: list[list[float]] = []  # engine, file, start, end
    free = [(0.0, engine) for engine in range(engines)]
    while free:
        now, engine = heapq.heappop(free)
        if waiting:
            file = waiting.pop(0)
            working.append([engine, file, now, now + files[file]])
        else:
            last = max(working, key=lambda bar: bar[3])
            if last[3] - now < WORTH_DIVIDING:
                break
            end = (now + last[3]) / 2
            heapq.heappush(free, (end, int(last[0])))
            free = [(time, one) for time, one in free if one != last[0] or time == end]
            heapq.heapify(free)
            last[3] = end
            working.append([engine, last[1], now, end])
        heapq.heappush(free, (working[-1][3], engine))
    return [(int(engine), int(file), start, end) for engine, file, start, end in working]


def ends(bars: Iterable[Bar]) -> float:
    return max(bar[3] for bar in bars)


def schedule() -> Drawing:
    drawing = Drawing("Six files on three engines: taken as they come, and with the last work divided")
    before, after = as_they_come(), divided()
    scale = (WIDTH - 2 * MARGIN - 26) / ends(before)
    _chart(drawing, f"As they come: {ends(before):.0f} minutes", before, scale)
    _chart(drawing, f"Longest first, rest divided: {ends(after):.0f} minutes", after, scale)
    drawing.box(MARGIN, drawing.y, 16, 12, "idle", 2)
    drawing.text(MARGIN + 22, drawing.y + 10, "an engine has nothing to do", "quiet")
    drawing.y += 14
    return drawing


def _chart(drawing: Drawing, head: str, bars: Sequence[Bar], scale: float) -> None:
    left = MARGIN + 26
    drawing.text(MARGIN, drawing.y + 12, head, "head")
    drawing.y += 22
    last = ends(bars)
    for engine in range(ENGINES):
        y = drawing.y + 30 * engine
        drawing.text(MARGIN, y + 16, f"E{engine}", "quiet")
        own = [bar for bar in bars if bar[0] == engine]
        end = max(bar[3] for bar in own)
        if last - end > 0.2:
            drawing.box(left + end * scale, y, (last - end) * scale, 24, "idle", 2)
        for bar in own:
            _bar(drawing, bar, left, y, scale)
    drawing.y += 30 * ENGINES + 12


def _bar(drawing: Drawing, bar: Bar, left: float, y: float, scale: float) -> None:
    _, file, start, end = bar
    drawing.box(left + start * scale, y, (end - start) * scale - 1.5, 24, f"f{file}", 3)
    if (end - start) * scale > LINE:
        drawing.text(left + (start + end) / 2 * scale, y + 16, "ABCDEF"[file], "bar", "middle")


def diagrams() -> Iterator[tuple[str, str]]:
    yield "frame.svg", frame().svg()
    yield "rings.svg", rings().svg()
    yield "schedule.svg", schedule().svg()


def main() -> None:
    options = argparse.ArgumentParser(description=__doc__)
    options.add_argument("folder", nargs="?", type=Path, default=IMAGES)
    folder = options.parse_args().folder
    folder.mkdir(parents=True, exist_ok=True)
    for name, text in diagrams():
        (folder / name).write_text(text)


if __name__ == "__main__":
    main()
