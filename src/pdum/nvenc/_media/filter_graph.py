"""Runs decoded frames through a graph of FFmpeg's filters."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from fractions import Fraction
from threading import Lock
from typing import Any

from .._config.filter_text import Node, parsed
from .._config.settings import nearest
from .._errors import InvalidConfig
from .av import import_av, words_of
from .frame_conversion import in_format, in_size

Pad = tuple[Any, int]
"""A filter, and the number of one of its inputs or outputs."""

_one_that_listens = Lock()
MEASURE = 20_000
CLOSE = Fraction(2, MEASURE)


@dataclass(frozen=True, kw_only=True)
class FrameTiming:
    """What a filter may want to know besides the frames."""

    time_base: Fraction
    rate: Fraction
    aspect: Fraction | None = None
    """Of a pixel; None: it is square."""


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
        self._input, self._sink, self._graph = _explained(text, lambda: self._built(like, scale))

    def push(self, frame: Any, pts: int) -> list[Any]:
        """The frames that are ready then. The caller's frame stays as it is."""
        frame = in_size(in_format(frame, self._form), *self._size)
        before = frame.pts, frame.time_base
        frame.pts, frame.time_base = pts, self._timing.time_base
        try:
            return self._pushed(frame)
        finally:
            frame.pts, frame.time_base = before

    def rest(self) -> list[Any]:
        """The frames that the filters still hold, after the last one."""
        return self._pushed(None)

    def _pushed(self, frame: Any) -> list[Any]:
        av = import_av()
        made: list[Any] = []
        try:
            self._input.push(frame)
            while True:
                made.append(self._sink.pull())
        except (av.error.BlockingIOError, av.error.EOFError):
            return made
        except (av.error.FFmpegError, ValueError) as error:
            raise _failed(self._text, words_of(error)) from error

    def _built(self, like: Any, scale: str) -> tuple[Any, Any, Any]:
        graph = import_av().filter.Graph()
        timing, aspect = self._timing, self._timing.aspect or Fraction(1)
        source = graph.add(
            "buffer",
            f"video_size={like.width}x{like.height}:pix_fmt={self._form}:time_base={timing.time_base}:"
            f"pixel_aspect={aspect.numerator}/{aspect.denominator}:frame_rate={timing.rate}:"
            f"colorspace={int(like.colorspace)}:range={int(like.color_range)}",
        )
        sink = graph.add("buffersink")
        entry, end = _Links(graph, self._text).ends()
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
            near = nearest(node.name, sorted(known))
            raise InvalidConfig(f"PyAV's FFmpeg has no filter {node.name!r}.{near} Other builds may have it.")
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


def _link(output: Pad, to: Pad) -> None:
    output[0].link_to(to[0], output[1], to[1])


def _explained(text: str, build: Callable[[], Any]) -> Any:
    """What ``build`` returns. If that fails, builds once more to hear what FFmpeg has against it."""
    av = import_av()
    try:
        return build()
    except InvalidConfig:
        raise
    except (av.error.FFmpegError, ValueError, OSError) as error:
        told: list[str] = []
        with _listening(told), suppress(av.error.FFmpegError, ValueError, OSError):
            build()
        raise _failed(text, "; ".join(dict.fromkeys(told)) or words_of(error)) from error


@contextmanager
def _listening(told: list[str]) -> Iterator[None]:
    """Collects the messages of this thread. FFmpeg's messages are off otherwise."""
    logging = import_av().logging
    with _one_that_listens:
        level = logging.get_level()
        logging.set_level(logging.ERROR)
        try:
            with logging.Capture() as messages:
                yield
        finally:
            logging.set_level(level)
    told += [f"{name}: {text.strip()}" for _, name, text in messages]


def _failed(text: str, why: str) -> InvalidConfig:
    return InvalidConfig(f"The filters {text!r} do not work with this video. FFmpeg says: {why.rstrip('.')}.")
