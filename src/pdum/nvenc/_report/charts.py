"""The charts of the HTML report: inline pictures with positions in percent, so that they scale to any width."""

from __future__ import annotations

from .._text import change, count, duration, rate, size, verdict
from .._view.names import whole_words
from .._view.run_parts import GAP, Engine, Job
from .._view.run_state import RunState
from .markup import Markup, file_name, tag

MOST_FILES = 60
ALWAYS_FITS = 28
"""Characters of a name for which there is room beside its bar."""
SHORTEST_BEGINNING = 10
"""Characters. The browser shortens a beginning to about as many."""
TICKS = 5
POINTS = 200
HUES = (165, 310)
"""The range of hues for files, in degrees. Red is reserved for problems."""
GOLDEN = 0.618034
"""The step from one file's hue to the next, as a part of the range, so that neighbours differ."""


def savings(state: RunState) -> Markup:
    """A bar for each file: its size before and after. The files that changed most come first."""
    known = [job for job in state.jobs.values() if job.ratio is not None and job.state in {"finished", "skipped"}]
    known.sort(key=lambda job: job.source_bytes - (job.size or 0), reverse=True)
    shown = known[:MOST_FILES]
    biggest = max((max(job.source_bytes, job.size or 0) for job in shown), default=1)
    rows = [_saving(state, job, biggest) for job in shown]
    if not rows:
        return tag("p", "No file has a result.", class_="note")
    rest = len(known) - len(shown)
    more = [tag("p", f"{rest} more in the table of all files.", class_="note")] if rest else []
    return tag("div", *rows, *more)


def _saving(state: RunState, job: Job, biggest: int) -> Markup:
    before, after = 100 * job.source_bytes / biggest, 100 * (job.size or 0) / biggest
    look = verdict(job.ratio)
    picture = tag(
        "svg",
        tag("rect", x=0, y=3, width=f"{before:.3f}%", height=12, rx=2, class_="before"),
        tag("rect", x=0, y=3, width=f"{after:.3f}%", height=12, rx=2, class_=look),
        height=18,
        role="img",
        aria_label=f"{size(job.source_bytes)} before, {size(job.size or 0)} after",
    )
    return tag(
        "div",
        _name(state, job),
        picture,
        tag("span", f"{size(job.source_bytes)} → {size(job.size or 0)}", class_="number sizes"),
        tag("span", change(job.ratio), class_=f"number {look}"),
        class_="row dropped" if job.state == "skipped" else "row",
    )


def _name(state: RunState, job: Job) -> Markup:
    """The name in two parts, of which the browser shortens the first one: the second tells the file from others."""
    label = state.label(job)
    found = state.names.differences(label)
    if len(label) <= ALWAYS_FITS or found is None:
        return file_name(label, title=job.source)
    first = min(*found, len(label) - ALWAYS_FITS // 2)
    first = whole_words(label, range(first, first + 1)).start
    if first <= SHORTEST_BEGINNING:
        return file_name(label, title=job.source)
    return file_name(tag("span", label[:first]), tag("span", label[first:]), title=job.source)


def timeline(state: RunState) -> Markup:
    """A row for each engine: the files it worked on, and the gaps in which it had nothing to do."""
    begin, end = _bounds(state)
    rows = [_engine_row(state, engine, begin, end) for engine in state.engines.values() if engine.spans]
    if not rows:
        return tag("p", "No engine has worked.", class_="note")
    return tag("div", *rows, _axis(begin, end), class_="gantt")


def _bounds(state: RunState) -> tuple[float, float]:
    spans = [span for engine in state.engines.values() for span in engine.spans]
    begin = min((span.begin for span in spans), default=0.0)
    end = max((state.now if span.end is None else span.end for span in spans), default=0.0)
    return begin, max(end, begin + 1e-3)


def _engine_row(state: RunState, engine: Engine, begin: float, end: float) -> Markup:
    scale = 100 / (end - begin)
    drawn = []
    for span in engine.spans:
        until = state.now if span.end is None else span.end
        name = state.jobs[span.job].name
        about = f"{name}: {duration(span.begin)} to {duration(until)}, {count(span.frames, 'frame')}"
        look = {"class_": "retried"} if span.retried else {"style": _colour(span.job)}
        place = {"x": f"{(span.begin - begin) * scale:.4f}%", "width": f"{(until - span.begin) * scale:.4f}%"}
        drawn.append(tag("rect", tag("title", about), y=0, height=24, **place, **look))
    gaps = engine.gaps()
    for first, last in gaps:
        middle, place_of_gap = f"{((first + last) / 2 - begin) * scale:.4f}%", f"{(first - begin) * scale:.4f}%"
        about = tag("title", f"nothing to do for {last - first:.2f} s")
        drawn.append(
            tag("rect", about, x=place_of_gap, width=f"{(last - first) * scale:.4f}%", y=0, height=24, class_="gap")
        )
        drawn.append(tag("line", x1=middle, x2=middle, y1=0, y2=24, class_="gap-mark"))
    busy = f"{100 * min(1.0, engine.busy(state.now) / (end - begin)):.1f} % busy"
    said = f"{busy} · {count(len(gaps), 'gap')}" if gaps else f"{busy} · no gap"
    picture = tag("svg", *drawn, height=24, role="img", aria_label=f"{engine.info.label}: {said}")
    return tag("div", tag("b", engine.info.label), picture, tag("span", said, class_="number"), class_="engine")


def _colour(job: int) -> str:
    hue = HUES[0] + (HUES[1] - HUES[0]) * (job * GOLDEN % 1)
    return f"fill:hsl({hue:.0f} 50% var(--span-{job % 2}))"


def _axis(begin: float, end: float) -> Markup:
    step = (end - begin) / (TICKS - 1)
    return tag("div", *(tag("span", _moment(begin + step * tick, end)) for tick in range(TICKS)), class_="axis")


def _moment(at: float, end: float) -> str:
    return f"{at:.1f} s" if end < 20 else duration(at)


def gap_note(state: RunState) -> str:
    gaps = [last - first for engine in state.engines.values() for first, last in engine.gaps()]
    said = f"Each colour is a file. No engine has waited for more than {GAP * 1000:.0f} ms between two pieces."
    if gaps:
        many = count(len(gaps), "gap")
        said = f"Each colour is a file. Red: {many} of more than {GAP * 1000:.0f} ms, the longest of {max(gaps):.2f} s."
    ends = [engine.spans[-1].end or state.now for engine in state.engines.values() if engine.spans]
    early = max(ends, default=0.0) - min(ends, default=0.0)
    return f"{said} The first engine was done {early:.1f} s before the last." if early > GAP else said


def speed(state: RunState) -> Markup:
    """Frames a second of all engines together, over time. A piece's frames are spread evenly over its time."""
    begin, end = _bounds(state)
    rates = _rates(state, begin, end)
    top = max(rates)
    if not top:
        return tag("p", "No frame was encoded.", class_="note")
    heights = [f"{96 - 74 * value / top:.1f}" for value in rates]
    line = (
        "M0," + heights[0] + "".join(f" H{1000 * (place + 1) / POINTS:.1f} V{y}" for place, y in enumerate(heights[1:]))
    )
    line += " H1000"
    picture = tag(
        "svg",
        tag("path", d=f"{line} V96 H0 Z", class_="speed"),
        tag("path", d=line, class_="speed-line", vector_effect="non-scaling-stroke"),
        viewBox="0 0 1000 96",
        preserveAspectRatio="none",
        height=120,
        role="img",
        aria_label=f"at most {rate(top, ' frames a second')}",
    )
    plot = tag("div", picture, tag("span", rate(top, " fps"), class_="top"), class_="plot")
    return tag("div", plot, _axis(begin, end))


def _rates(state: RunState, begin: float, end: float) -> list[float]:
    """Frames a second in each of POINTS equal parts of the time."""
    step = (end - begin) / POINTS
    rates = [0.0] * POINTS
    for engine in state.engines.values():
        for span in engine.spans:
            until = state.now if span.end is None else span.end
            if span.frames <= 0 or until <= span.begin:
                continue
            of_span = span.frames / (until - span.begin)
            first, last = (span.begin - begin) / step, (until - begin) / step
            for place in range(int(first), min(POINTS, int(last) + 1)):
                rates[place] += of_span * max(0.0, min(last, place + 1) - max(first, place))
    return rates
