"""The alpha of HEVC, which is a second layer beside the colours.

FFmpeg decodes it if its caller chooses a pixel format with alpha, which PyAV cannot do. But an option makes FFmpeg
return both views of a stereo stream. The two kinds of streams differ only in what they say of their second layer. So
the decoder is told that alpha is a second view, and the luma of that view is the alpha.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator
from typing import TYPE_CHECKING, Any

from .._encoders.pixel_formats import FULL_RANGE_NAMES
from .._errors import NvencError, SourceUnreadable
from .._mp4.bits import nal_units
from .._mp4.hevc_layers import has_alpha, with_view_for_alpha
from .._mp4.hevc_units import VPS, kind_of
from .._profiling import profiled
from .av import FULL_RANGE, LIMITED_RANGE, import_av, rows_of, time_base, words_of
from .stream_headers import START, filter_behind, filter_for, filtered, new_headers, stream_header

if TYPE_CHECKING:
    from .packet_decoder import PacketDecoder

BOTH_VIEWS = {"view_ids": "-1"}


def has_alpha_layer(stream: Any) -> bool:
    """Whether the headers of a container's stream say that it is HEVC with alpha."""
    context = stream.codec_context
    if context.codec.canonical_name != "hevc":
        return False
    return has_alpha(stream_header("hevc", bytes(context.extradata or b"")))


def context_for_layers(options: dict[str, str]) -> Any:
    """FFmpeg's decoder for packets of ``as_two_views``. ``options``: more of FFmpeg's.

    It has one thread. Several that decode a frame each do not end at damage: FFmpeg 8.1 waits for them forever.
    """
    context: Any = import_av().CodecContext.create("hevc", "r")
    context.thread_count = 1
    context.options = {**options, **BOTH_VIEWS}
    context.copy_opaque = True
    return context


def as_two_views(packet: bytes) -> bytes:
    """A packet in Annex B's form which says that the layer of alpha is a second view."""
    units = list(nal_units(packet))
    if not any(kind_of(unit) == VPS for unit in units):
        return packet
    return b"".join(START + with_view_for_alpha(unit) for unit in units)


class Layers:
    """Brings the two layers of each packet together, by its ``opaque``.

    No two packets may have the same object there, not even those of different decoders: PyAV finds such objects by
    their address, and forgets one as soon as a packet and its frames have gone. Of small numbers, Python has only one.
    """

    def __init__(self) -> None:
        self._first: Any = None

    def pairs(self, frames: Iterable[Any]) -> Iterator[tuple[Any, Any]]:
        """The colours and what has the alpha in its luma. None for the latter if only one of both was decoded."""
        for frame in frames:
            first, self._first = self._first, None
            if first is not None and first.opaque is frame.opaque:
                yield first, frame
                continue
            if first is not None:
                yield first, None
            self._first = frame

    def rest(self) -> Iterator[tuple[Any, Any]]:
        first, self._first = self._first, None
        if first is not None:
            yield first, None


@profiled("pdum.convert")
def with_alpha(colours: Any, alpha: Any) -> Any:
    """One frame of both. What the decoder says of the colours holds for it. None if FFmpeg has no format for it."""
    name = f"yuva{colours.format.name.removeprefix('yuv').removeprefix('j')}"
    if not _fits(colours, alpha) or not _is_known(name):
        return None
    full = colours.format.name in FULL_RANGE_NAMES or int(colours.color_range) == FULL_RANGE
    limits = FULL_RANGE if full else LIMITED_RANGE
    made = colours.reformat(format=name, src_color_range=limits, dst_color_range=limits)
    made.color_range = FULL_RANGE if full else colours.color_range
    rows = rows_of(alpha.planes[0])
    columns = made.width * (2 if colours.format.components[0].bits > 8 else 1)
    rows_of(made.planes[3])[:, :columns] = rows[:, :columns]
    return made


def _fits(colours: Any, alpha: Any) -> bool:
    return (colours.width, colours.height, colours.format.name) == (alpha.width, alpha.height, alpha.format.name)


def _is_known(name: str) -> bool:
    try:
        return bool(import_av().VideoFormat(name))
    except ValueError:
        return False


class LayerDecoder:
    """Decodes HEVC with alpha into frames that have it; a ``PacketDecoder``.

    Args:
        stream: the container's.
        both: decodes packets of ``as_two_views``, with ``context_for_layers``.
        may_stumble: raises Stumbled if decoding in another way could lose less.
        strict: damage is an error. Otherwise a frame is left out if its colours or its alpha cannot be decoded.
    """

    def __init__(
        self, stream: Any, both: PacketDecoder, may_stumble: Callable[[NvencError], None], strict: bool
    ) -> None:
        self._stream, self._both, self._may_stumble, self._strict = stream, both, may_stumble, strict
        self._filter = filter_for(stream)
        self._layers = Layers()

    def frames(self, packet: Any) -> Iterator[Any]:
        is_end = not packet.size  # which is what the filter leaves of others, too
        for one in self._annex_b(packet):
            yield from self._joined(self._layers.pairs(self._both.frames(one)))
        if is_end:
            yield from self._joined(self._layers.pairs(self._both.frames(packet)))
            yield from self._joined(self._layers.rest())

    def rest(self) -> Iterator[Any]:
        yield from self._joined(self._layers.pairs(self._both.rest()))
        yield from self._joined(self._layers.rest())

    def close(self) -> None:
        self._both.close()

    def _annex_b(self, packet: Any) -> list[Any]:
        new, pts = new_headers(packet), packet.pts
        if new is not None:
            self._filter = filter_behind(bytes(new), "hevc", self._filter)
        try:
            return [self._as_two_views(one) for one in filtered(packet, self._filter)]
        except (ValueError, import_av().error.FFmpegError) as error:
            self._is_damaged(f"The packet shown at {pts} cannot be decoded: {words_of(error)}.")
            return []

    def _as_two_views(self, packet: Any) -> Any:
        made = import_av().Packet(as_two_views(bytes(packet)))
        made.pts, made.dts, made.duration = packet.pts, packet.dts, packet.duration
        made.time_base, made.is_keyframe = time_base(self._stream), packet.is_keyframe
        made.opaque = object()
        return made

    def _joined(self, pairs: Iterator[tuple[Any, Any]]) -> Iterator[Any]:
        for colours, alpha in pairs:
            made = None if alpha is None else with_alpha(colours, alpha)
            if made is not None:
                yield made
            else:
                self._is_damaged(f"The colours or the alpha of the frame shown at {colours.pts} cannot be decoded.")

    def _is_damaged(self, what: str) -> None:
        damage = SourceUnreadable(what)
        self._may_stumble(damage)
        if self._strict:
            raise damage
