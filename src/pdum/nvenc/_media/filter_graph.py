"""Runs decoded frames through a graph of FFmpeg's filters."""

from __future__ import annotations

import os
import sys
from collections.abc import Collection, Iterator
from contextlib import suppress
from dataclasses import dataclass
from fractions import Fraction
from typing import Any

from .._config.filter_text import Node, parsed
from .._config.settings import nearest
from .._errors import InvalidConfig
from .._profiling import profiled
from .av import import_av, words_of
from .frame_conversion import in_format, in_size

Pad = tuple[Any, int]
"""A filter, and the number of one of its inputs or outputs."""

PATIENCE = 20.0
"""Seconds for the process that asks FFmpeg what is wrong."""
MEASURE = 20_000
CLOSE = Fraction(2, MEASURE)

INSTEAD = {
    "eq": "Use 'colorlevels', 'curves' or 'hue'.",
    "hqdn3d": "Use denoise='medium', or the filters 'atadenoise' or 'nlmeans'.",
    "cropdetect": "Use crop='auto'.",
    "kerndeint": "Use deinterlace='auto'.",
    "mcdeint": "Use deinterlace='auto'.",
    "pullup": "Use 'fieldmatch,decimate'.",
    "smartblur": "Use 'gblur' or 'bilateral'.",
    "pp": "Use 'deblock'.",
}
"""For filters that PyAV's wheels do not have because of their licence."""


@dataclass(frozen=True, kw_only=True)
class FrameTiming:
    """What a filter may need to know besides the frames."""

    time_base: Fraction
    rate: Fraction
    aspect: Fraction | None = None
    """The shape of a pixel; None: it is square."""


class FilterGraph:
    """A graph for frames that are like the first one: others are converted to its size and format.

    Args:
        text: the graph, as FFmpeg writes it.
        like: the first frame.
        scale: arguments of another scaler behind the graph.
    """

    def __init__(self, text: str, like: Any, timing: FrameTiming, scale: str = "") -> None:
        self._text, self._timing = text, timing
        self._form = like.format.name
        self._size = like.width, like.height
        self._input, self._sink, self._graph = _explained(text, _input_arguments(like, timing), scale)

    def push(self, frame: Any, pts: int) -> Iterator[Any]:
        """The frames that are ready then. The caller's frame stays as it is."""
        frame = in_size(in_format(frame, self._form), *self._size)
        before = frame.pts, frame.time_base
        frame.pts, frame.time_base = pts, self._timing.time_base
        try:
            self._push(frame)
        finally:
            frame.pts, frame.time_base = before
        return self._ready()

    def rest(self) -> Iterator[Any]:
        """The frames that the filters still hold, after the last one."""
        self._push(None)
        return self._ready()

    @profiled("pdum.filter")
    def _push(self, frame: Any) -> None:
        av = import_av()
        try:
            self._input.push(frame)
        except (av.error.BlockingIOError, av.error.EOFError):
            return  # the filters want no more
        except (av.error.FFmpegError, ValueError) as error:
            raise _failed(self._text, words_of(error)) from error

    def _ready(self) -> Iterator[Any]:
        """One after the other: some filters make frames without end."""
        av = import_av()
        while True:
            try:
                made = self._sink.pull()
            except (av.error.BlockingIOError, av.error.EOFError):
                return
            except (av.error.FFmpegError, ValueError) as error:
                raise _failed(self._text, words_of(error)) from error
            yield made


def _input_arguments(like: Any, timing: FrameTiming) -> str:
    """What FFmpeg has to know of the frames that will come."""
    aspect = timing.aspect or Fraction(1)
    return (
        f"video_size={like.width}x{like.height}:pix_fmt={like.format.name}:time_base={timing.time_base}:"
        f"pixel_aspect={aspect.numerator}/{aspect.denominator}:frame_rate={timing.rate}:"
        f"colorspace={int(like.colorspace)}:range={int(like.color_range)}"
    )


def _built(text: str, coming: str, scale: str) -> tuple[Any, Any, Any]:
    """The input, the output, and the graph."""
    graph = import_av().filter.Graph()
    source = graph.add("buffer", coming)
    sink = graph.add("buffersink")
    entry, end = _Links(graph, text).ends()
    source.link_to(entry[0], 0, entry[1])
    if scale:
        scaler = graph.add("scale", scale)
        end[0].link_to(scaler, end[1], 0)
        end = scaler, 0
    copier = graph.add("copy")  # flipped pictures are stored from their end, which makes x265 crash
    end[0].link_to(copier, end[1], 0)
    copier.link_to(sink)
    graph.configure()
    return source, sink, graph


def aspect_behind(text: str, like: Any, timing: FrameTiming) -> Fraction | None:
    """The shape of the pixels that a graph makes, which frames do not tell: read off from a picture's width."""
    graph = FilterGraph(text, like, timing, scale=f"w=sar*{MEASURE}:h=2:flags=neighbor")
    made = [*graph.push(like, 0), *graph.rest()]
    if not made:
        return timing.aspect
    measured = Fraction(made[0].width, MEASURE)
    near = next(one for most in range(1, MEASURE) if abs((one := measured.limit_denominator(most)) - measured) < CLOSE)
    return None if near == 1 else near


class _Links:
    """Adds the filters of a text to a graph, and links them."""

    def __init__(self, graph: Any, text: str) -> None:
        self._graph, self._text = graph, text
        self._given: dict[str, Pad] = {}
        """Outputs with labels that no input has taken."""
        self._wanted: dict[str, Pad] = {}
        """Inputs with labels that no output has been given."""
        self._free_inputs: list[Pad] = []
        self._free_outputs: list[Pad] = []

    def ends(self) -> tuple[Pad, Pad]:
        """The one input and the one output of the whole graph."""
        for chain in parsed(self._text):
            previous: list[Pad] = []
            for node in chain:
                previous = self._add(node, previous)
            self._free_outputs += previous
        inputs = [*self._free_inputs, *self._wanted.values()]
        outputs = [*self._free_outputs, *self._given.values()]
        if len(inputs) != 1 or len(outputs) != 1:
            raise InvalidConfig(
                f"Expected a filter graph with one input and one output, got {self._text!r} with {len(inputs)} inputs "
                f"and {len(outputs)} outputs. Link or remove the others."
            )
        return inputs[0], outputs[0]

    def _add(self, node: Node, previous: list[Pad]) -> list[Pad]:
        """Returns the outputs for the next filter of the chain."""
        known = import_av().filter.filters_available
        if node.name not in known:
            raise InvalidConfig(f"PyAV's FFmpeg has no filter {node.name!r}.{_instead_of(node.name, known)}")
        made = self._graph.add(node.name, node.arguments or None)
        inputs = [(made, number) for number in range(len(made.inputs))]
        outputs = [(made, number) for number in range(len(made.outputs))]
        for label in node.inputs:
            self._enter(label, self._first(inputs, node, "inputs"))
        for one in previous:
            _link(one, self._first(inputs, node, "inputs"))
        self._free_inputs += inputs
        for label in node.outputs:
            self._leave(label, self._first(outputs, node, "outputs"))
        return outputs

    def _first(self, pads: list[Pad], node: Node, what: str) -> Pad:
        if not pads:
            raise InvalidConfig(f"The filter {node.name!r} in {self._text!r} has fewer {what} than are linked to it.")
        return pads.pop(0)

    def _enter(self, label: str, pad: Pad) -> None:
        if label in self._given:
            _link(self._given.pop(label), pad)
        else:
            self._wanted[label] = pad

    def _leave(self, label: str, pad: Pad) -> None:
        if label in self._wanted:
            _link(pad, self._wanted.pop(label))
        else:
            self._given[label] = pad


def _instead_of(name: str, known: Collection[str]) -> str:
    if name in INSTEAD:
        return f" {INSTEAD[name]}"
    return f"{nearest(name, sorted(known))} Other builds may have it."


def _link(output: Pad, to: Pad) -> None:
    output[0].link_to(to[0], output[1], to[1])


def _explained(text: str, coming: str, scale: str) -> Any:
    """The graph. If it cannot be built, another process tries it too, to get FFmpeg's reason."""
    av = import_av()
    try:
        return _built(text, coming, scale)
    except InvalidConfig:
        raise
    except (av.error.FFmpegError, ValueError, OSError) as error:
        raise _failed(text, words_of(error), _heard_elsewhere(text, coming, scale)) from error


def _heard_elsewhere(text: str, coming: str, scale: str) -> str:
    """FFmpeg's messages when it builds the graph in a process of its own; none if there can be no such process.

    In this one, PyAV would take the GIL for every message of every decoder, which never ends if the decoder is closed
    at that moment.
    """
    from subprocess import DEVNULL, SubprocessError, run

    if getattr(sys, "frozen", False):
        return ""  # the program is not Python then
    program = f"from {__name__} import say_complaints; import sys; say_complaints(*sys.argv[1:])"
    command = [sys.executable, "-c", program, text, coming, scale]
    environment = {**os.environ, "PYTHONPATH": os.pathsep.join(sys.path)}
    try:
        child = run(command, env=environment, stdin=DEVNULL, capture_output=True, timeout=PATIENCE, check=True)
    except (OSError, ValueError, SubprocessError):
        return ""
    return child.stdout.decode(errors="replace").strip()


def say_complaints(text: str, coming: str, scale: str) -> None:
    """Prints FFmpeg's messages about a graph."""
    av = import_av()
    av.logging.set_level(av.logging.ERROR)
    with av.logging.Capture() as messages, suppress(av.error.FFmpegError, ValueError, OSError):
        _built(text, coming, scale)
    told = dict.fromkeys(f"{name}: {message.strip()}" for _, name, message in messages)
    sys.stdout.buffer.write("; ".join(told).encode())


def _failed(text: str, why: str, heard: str = "") -> InvalidConfig:
    """The error. ``heard``: FFmpeg's own words, which say more than its error code."""
    if "Media type mismatch" in heard:
        return InvalidConfig(f"vf takes only video filters, but {text!r} has an audio filter. Leave it out.")
    said = f". FFmpeg says: {heard.rstrip('.')}." if heard else f": {why}."
    return InvalidConfig(f"The filters {text!r} do not work with this video{said}")
