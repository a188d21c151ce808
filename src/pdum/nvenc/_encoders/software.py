"""The software engine: the same protocol as the hardware's encoder, with PyAV's libx264, libx265 and SVT-AV1."""

from __future__ import annotations

import math
import os
from collections.abc import Iterator
from dataclasses import fields
from threading import Lock
from typing import TYPE_CHECKING, Any, SupportsIndex, overload

from .._config import alpha
from .._errors import EncoderClosed, EncoderFailed, InvalidConfig, InvalidFrame, UnsupportedFeature
from .._nvenc import Packet
from .arguments import config_of
from .bitstreams import parameter_sets, sequence_obu
from .frame_layout import is_pyav_frame
from .host_frames import channels_last_bytes, on_host
from .software_codec import GLOBAL_HEADER, open_context, typed
from .software_frames import array_layout, matrix_of_a_conversion, video_frame
from .software_options import software_options

if TYPE_CHECKING:
    from types import TracebackType

    from typing_extensions import Self, Unpack

    from .._config import choices
    from .._config.config import EncoderConfig
    from .._config.encoder_fields import FurtherFields
    from .._config.picture import PictureOptions
    from .._config.settings import Bits, FrameRate

FORCED, FREE = 1, 0  # of a frame's pict_type


class SoftwareEncoder:
    """Encodes on the processor what ``NvencEncoder`` would on the hardware, from the same ``EncoderConfig``.

    The streams are of the same kind: Annex B or OBUs, closed groups of pictures, parameter sets on each key frame.
    Bitrates, quality and speed are those of the software codec. ``unmapped`` names the given settings that the codec
    has no equivalent for.

    Frames are arrays in the layout of ``config.format``, or ``av.VideoFrame`` of any format on the host. An array on a
    GPU is copied to the host.

    Args:
        width, height, …: as for ``NvencEncoder``: one ``EncoderConfig``, or its fields.
        threads: how many the codec may use; 0: as many as it likes.

    Raises:
        InvalidConfig: a setting that the codec refuses.
        UnsupportedFeature: this codec cannot do it at all, or PyAV is missing.
    """

    @overload
    def __init__(self, config: EncoderConfig, /, threads: int = 0) -> None: ...

    @overload
    def __init__(
        self,
        width: int,
        height: int,
        codec: choices.Codec = "h264",
        preset: choices.Preset = "p3",
        tuning: choices.Tuning = "ll",
        fps: FrameRate = 30,
        gop: int | None = 30,
        bitrate: Bits = 0,
        gpu_id: int = 0,
        cuda_context: int = 0,
        extra_output_delay: int = 0,
        profile: choices.Profile = "auto",
        *,
        threads: int = 0,
        **more: Unpack[FurtherFields],
    ) -> None: ...

    def __init__(self, *positional: Any, threads: int = 0, **fields: Any) -> None:
        if len(positional) == 2 and isinstance(positional[1], int) and not isinstance(positional[0], int):
            *positional, threads = positional  # type: ignore[assignment]
        config = config_of("SoftwareEncoder", positional, fields)
        self._context: Any = None
        self._closed = False
        self._lock = Lock()
        self.config = config
        self._settings = config.settings()
        self._takes_pairs = self._settings["alpha"] is not None and config.format == alpha.BESIDE
        self._options = software_options(config, threads)
        self.unmapped: tuple[str, ...] = tuple(self._options.unmapped)
        self._header: bytes | None = None
        self._made_in = os.getpid()
        self._count = 0  # frames taken since the encoder was made
        self._coded = 0
        self._start = 0  # the count when the codec was opened last
        self._waiting: dict[int, int] = {}  # seq by the frame's count
        self._must_be_idr = False  # the next frame
        self._context = self._opened()

    @property
    def width(self) -> int:
        return self.config.width

    @property
    def height(self) -> int:
        return self.config.height

    @property
    def codec(self) -> str:
        return str(self._settings["codec"])

    @property
    def format(self) -> str:
        return self.config.format

    @property
    def pix_fmt(self) -> str:
        """FFmpeg's name for the encoded pixel format. Frames in it are not converted."""
        return self._options.pix_fmt

    @property
    def in_flight(self) -> int:
        return len(self._waiting)

    def submit(
        self, frame: Any, seq: SupportsIndex, force_idr: bool = False, *, picture: PictureOptions | None = None
    ) -> list[Packet]:
        """Takes a frame. Returns the packets that the codec has finished, in decoding order.

        Of a pair of a frame and its alpha, it takes the frame.

        ``picture`` can ask for a key frame. Its other options are for ``NvencEncoder``.
        """
        force_idr = force_idr or _asks_for_key_frame(picture)
        with self._lock:
            self._require_usable()
            number = _seq(seq)
            pixels = self._picture(frame[0] if self._takes_pairs and isinstance(frame, (tuple, list)) else frame)
            if self._context is None:
                self._start = self._count
                self._context = self._opened()
            self._waiting[self._count] = number
            self._count += 1
            try:
                is_idr = force_idr or self._must_be_idr
                found = [self._made(one, self._waiting, self._start) for one in self._encoded(pixels, is_idr)]
                self._must_be_idr = False
                return found
            except BaseException:
                self._waiting.pop(self._count - 1, None)
                raise

    def encode(self, frame: Any, force_idr: bool = False, *, picture: PictureOptions | None = None) -> bytes:
        """``submit`` that returns only the bytes."""
        return b"".join(packet.data for packet in self.submit(frame, self._count, force_idr, picture=picture))

    def set_bitrate(self, bitrate: int) -> bool:
        """Changes the bitrate from the next frame on. Only x264 can do that, up to its largest rate.

        Returns whether it did. The buffer that bounds single pictures stays as it is.
        """
        with self._lock:
            self._require_usable()
            most = self._options.max_bitrate or bitrate
            if self.codec != "h264" or not self._options.bitrate or not 0 < bitrate <= most:
                return False
            self.config = self.config.replaced(bitrate=bitrate)
            self._options.bitrate = bitrate
            if self._context is not None:
                self._context.bit_rate = bitrate
            return True

    def lost(self, seq: SupportsIndex) -> bool:
        """The packet of this frame has not reached the viewer. The next frame is an IDR, so this is always False."""
        with self._lock:
            self._require_usable()
            _seq(seq)
            self._must_be_idr = True
        return False

    def flush_pipeline(self) -> list[Packet]:
        """Returns the packets that the codec still holds. The next frame is an IDR."""
        return list(self.flush_lazily())

    def flush_lazily(self) -> Iterator[Packet]:
        """``flush_pipeline`` that yields each packet as soon as it is ready: a software codec holds dozens of frames.

        Frames that are submitted meanwhile begin a new stream. If the iteration is left early, the rest is lost.
        """
        with self._lock:
            self._require_usable()
            if self._context is None or self._count == self._start:
                return iter(())
            context, self._context = self._context, None  # after its end it takes no more frames
            waiting, self._waiting = self._waiting, {}
            start, self._start = self._start, self._count
        return self._rest(context, waiting, start)

    def _rest(self, context: Any, waiting: dict[int, int], start: int) -> Iterator[Packet]:
        coded = context.encode_lazy(None)
        while (packet := typed(lambda: next(coded, None))) is not None:
            yield self._made(packet, waiting, start)
        if waiting:
            raise EncoderFailed(f"{self._options.codec} gave nothing for the frames {sorted(waiting.values())[:8]}.")

    def flush(self) -> bytes:
        """``flush_pipeline`` that returns only the bytes."""
        return b"".join(packet.data for packet in self.flush_pipeline())

    def sequence_header(self) -> bytes:
        """The parameter sets, as each key frame has them."""
        with self._lock:
            self._require_usable()
            if self._header is None:  # no key frame has been encoded yet
                self._header = self._av1_header() if self.codec == "av1" else self._x26_header()
            return self._header

    def _x26_header(self) -> bytes:
        context = self._opened(GLOBAL_HEADER)
        return parameter_sets(bytes(context.extradata or b""), self.codec)

    def _av1_header(self) -> bytes:
        """SVT-AV1 chooses its tools at the first frame. A header from before that differs from what it writes."""
        import av

        context = self._opened()
        frame = av.VideoFrame(self.width, self.height, self.pix_fmt)
        packets = typed(lambda: [*context.encode(frame), *context.encode(None)])
        return sequence_obu(bytes(packets[0]))

    def close(self) -> None:
        """Ends the codec. Frames that it still holds are lost."""
        self._closed = True
        self._context = None
        self._waiting.clear()

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None
    ) -> None:
        self.close()

    def _require_usable(self) -> None:
        if self._closed:
            raise EncoderClosed("The encoder is closed. Make a new one.")
        if self._made_in != os.getpid():
            raise EncoderClosed("The encoder was made before this process was forked. Make one here.")

    def _opened(self, flags: int = 0) -> Any:
        return typed(
            lambda: open_context(self._options, self.width, self.height, flags),
            f"{self._options.codec} refuses these settings for pictures of {self.width}x{self.height}",
            InvalidConfig,
        )

    def _encoded(self, picture: Any, force_idr: bool) -> list[Any]:
        """Encodes a picture with a time and type of ours, and restores its own: the picture may be the caller's."""
        before = picture.pts, picture.time_base, picture.pict_type
        picture.pts = self._count - 1 - self._start
        picture.time_base = self._context.time_base
        picture.pict_type = FORCED if force_idr else FREE
        try:
            found: list[Any] = typed(lambda: self._context.encode(picture))
            return found
        finally:
            picture.pts, picture.pict_type = before[0], before[2]
            if before[1]:
                picture.time_base = before[1]

    def _made(self, packet: Any, waiting: dict[int, int], start: int) -> Packet:
        count = packet.pts + start
        seq = waiting.pop(count)
        data, kind = bytes(packet), "I" if packet.is_keyframe else "unknown"
        if packet.is_keyframe and self._header is None:
            self._header = sequence_obu(data) if self.codec == "av1" else parameter_sets(data, self.codec)
        return Packet(seq, data, packet.is_keyframe, count, packet.dts + start, kind)

    def _picture(self, frame: Any) -> Any:
        picture = on_host(frame)
        return self._in_stream_format(picture) if is_pyav_frame(picture) else self._from_array(picture)

    def _in_stream_format(self, frame: Any) -> Any:
        if (frame.width, frame.height) != (self.width, self.height):
            raise InvalidFrame(
                f"Expected a frame of {self.width}x{self.height}, got {frame.width}x{frame.height}. "
                "Use frame.reformat(), or an encoder of that size."
            )
        if frame.format.name == self.pix_fmt:
            return frame
        if not frame.format.is_rgb:
            return typed(lambda: frame.reformat(format=self.pix_fmt))
        _, _, matrix, full = self._options.colour
        numbers = {"dst_colorspace": matrix_of_a_conversion(matrix), "dst_color_range": 2 if full else 1}
        return typed(lambda: frame.reformat(format=self.pix_fmt, **numbers))

    def _from_array(self, array: Any) -> Any:
        import numpy as np

        shape, kind = array_layout(self.format, self.width, self.height)
        if array.ndim == 1 and array.dtype == np.uint8 and array.size == math.prod(shape) * np.dtype(kind).itemsize:
            array = array.view(kind).reshape(shape)  # the bytes of a frame in a row
        if self.format == "rgb":
            array = channels_last_bytes(array)
        if self.format in ("yuv444", "yuv444_10") and array.shape == (3, self.height, self.width):
            array = array.reshape(shape)
        if array.shape != shape or array.dtype != kind:
            raise InvalidFrame(
                f"Expected an array of shape {shape} and type {kind} for format {self.format!r} of "
                f"{self.width}x{self.height}, got shape {array.shape} and type {array.dtype}."
            )
        return self._in_stream_format(video_frame(np.ascontiguousarray(array), self.format, self.width, self.height))


def _asks_for_key_frame(picture: PictureOptions | None) -> bool:
    """PyAV can attach no other option to a frame."""
    from .._config.picture import PictureOptions
    from .._config.picture_type import require_possible

    if picture is None:
        return False
    if not isinstance(picture, PictureOptions):
        raise TypeError(f"Expected PictureOptions, got picture={picture!r}.")
    for one in fields(picture):
        value = getattr(picture, one.name)
        is_given = value is not one.default and not (isinstance(value, (list, tuple)) and not value)
        if is_given and one.name not in ("force_idr", "force_intra", "type"):
            raise UnsupportedFeature(
                f"The software engine does not have {one.name}. Leave it out, or use NvencEncoder."
            )
    require_possible(picture.type, manual=False)
    return any(picture._flags())


def _seq(seq: SupportsIndex) -> int:
    try:
        return seq.__index__()
    except AttributeError:
        raise TypeError(f"Expected a whole number, got seq={seq!r}.") from None
