"""Converts decoded frames for an encoder, if they need it."""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING, Any

from .._encoders.pixel_formats import FRAME_FORMATS, FULL_RANGE_NAMES, SEMI_PLANAR, SEMI_PLANAR_NAMES, STREAM_FORMATS
from .._nvenc import DecodedFrame
from .._profiling import profiled
from .alpha_plane import alpha_of
from .av import import_av, rows_of

if TYPE_CHECKING:
    from .._config.config import EncoderConfig


def converter_for_software(config: EncoderConfig) -> Callable[[Any], Any]:
    """A function that makes a frame which ``SoftwareEncoder`` takes as it is from a decoded one."""
    settings = config.settings()
    target = STREAM_FORMATS[settings["chroma"], settings["bit_depth"]]
    size = config.width, config.height
    return lambda frame: in_size(in_format(frame, target), *size)


def converter_for_hardware(config: EncoderConfig) -> Callable[[Any], Any]:
    """A function that makes a frame which ``NvencEncoder`` takes from a decoded one."""
    target, size = FRAME_FORMATS[config.format], (config.width, config.height)

    def convert(frame: Any) -> Any:
        if isinstance(frame, DecodedFrame):
            if frame.format == config.format and (frame.width, frame.height) == size:
                return frame
            frame = as_video_frame(frame)
        if frame.format.name == "cuda":
            if frame.sw_format.name == target and (frame.width, frame.height) == size:
                return frame
            frame = downloaded(frame)
        frame = in_size(in_format(frame, target), *size)
        return frame if config.format in SEMI_PLANAR else as_array(frame, config.format)

    return convert


def converter_with_alpha(config: EncoderConfig) -> Callable[[Any], Any]:
    """A function that makes a pair which ``NvencEncoder`` takes: a frame of NV12, and its alpha.

    Colours are converted as without alpha, and not multiplied by it.
    """
    size = config.width, config.height

    def convert(frame: Any) -> tuple[Any, Any]:
        return in_size(in_format(frame, config.format), *size), _alpha_in_size(frame, *size)

    return convert


def _alpha_in_size(frame: Any, width: int, height: int) -> Any:
    alpha = alpha_of(frame)
    if alpha.shape == (height, width):
        return alpha
    plane = import_av().VideoFrame.from_ndarray(alpha, format="gray")
    plane.pts, plane.time_base = frame.pts, frame.time_base
    return as_array(in_size(plane, width, height), "gray")


@profiled("pdum.download")
def downloaded(frame: Any) -> Any:
    return frame.reformat(format=frame.sw_format.name)


def as_video_frame(frame: DecodedFrame) -> Any:
    """A copy of a frame of the GPU's decoder on the host."""
    import numpy as np

    array, name = np.asarray(frame), FRAME_FORMATS[frame.format]
    if frame.format == "yuv444_10":
        array = array >> 6  # FFmpeg has the low bits
    made = import_av().VideoFrame(frame.width, frame.height, name)
    begin = 0
    for plane in made.planes:
        held = np.frombuffer(plane, array.dtype).reshape(-1, plane.line_size // array.itemsize)
        columns = min(held.shape[1], array.shape[1])
        held[: plane.height, :columns] = array[begin : begin + plane.height, :columns]
        begin += plane.height + (plane.height & 1)  # the decoder's surfaces have even heights
    made.pts, made.color_range = frame.pts, 2 if frame.full_range else 1
    return made


def in_format(frame: Any, target: str) -> Any:
    """The frame in another pixel format, in the same range (full or limited)."""
    return frame if frame.format.name == target else _reformatted(frame, target)


@profiled("pdum.convert")
def _reformatted(frame: Any, target: str) -> Any:
    full = frame.format.name in FULL_RANGE_NAMES or int(frame.color_range) == 2
    if frame.format.is_rgb:
        return frame.reformat(format=target, dst_colorspace="ITU709" if frame.height >= 720 else "ITU601")
    return frame.reformat(format=target, src_color_range=2 if full else 1, dst_color_range=2 if full else 1)


def in_size(frame: Any, width: int, height: int) -> Any:
    """The frame in another size. If that is one larger, the last column or row is repeated."""
    if (frame.width, frame.height) == (width, height):
        return frame
    if not (width - 1 <= frame.width <= width and height - 1 <= frame.height <= height):
        return _scaled(frame, width, height)
    return _extended(frame, width, height)


@profiled("pdum.convert")
def _scaled(frame: Any, width: int, height: int) -> Any:
    """Scales frames of sources that change their size half-way, because an encoded stream cannot."""
    return frame.reformat(width=width, height=height)


def _extended(frame: Any, width: int, height: int) -> Any:
    import numpy as np

    av = import_av()
    made = av.VideoFrame(width, height, frame.format.name)
    for source, target in zip(frame.planes, made.planes, strict=True):
        kind = np.uint16 if _sample_bytes(frame) == 2 else np.uint8
        of, to = rows_of(source).view(kind), rows_of(target).view(kind)
        columns, all_columns = _columns(frame, source), _columns(made, target)
        to[: source.height, :columns] = of[:, :columns]
        to[: source.height, columns:all_columns] = of[:, columns - 1 : columns]
        to[source.height :, :all_columns] = to[source.height - 1, :all_columns]
    made.pts, made.time_base = frame.pts, frame.time_base
    return made


def _sample_bytes(frame: Any) -> int:
    return 2 if frame.format.components[0].bits > 8 else 1


def _columns(frame: Any, plane: Any) -> int:
    """How many samples a row of the plane has."""
    interleaved = frame.format.name in SEMI_PLANAR_NAMES
    return 2 * ((frame.width + 1) // 2) if interleaved and plane.width != frame.width else int(plane.width)


@profiled("pdum.convert")
def as_array(frame: Any, form: str) -> Any:
    """A contiguous array with the layout of one of the encoder's formats."""
    import numpy as np

    kind = np.uint16 if _sample_bytes(frame) == 2 else np.uint8
    planes = []
    for plane in frame.planes:
        rows = np.frombuffer(plane, kind)[: plane.line_size // kind().itemsize * plane.height]
        planes.append(rows.reshape(plane.height, -1)[:, : plane.width].reshape(-1))
    array = np.concatenate(planes).reshape(-1, frame.width)
    return array << 6 if form == "yuv444_10" else array  # the hardware reads the high bits
