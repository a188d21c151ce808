"""Small videos with alpha, in every form that files have it, and the alpha of results."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any, NamedTuple

import av
import numpy as np
from numpy.typing import NDArray

from stereo_streams import layer_of

from streams import START_CODE, decode, nal_type, nal_units

WIDTH, HEIGHT, FRAMES = 192, 144, 12
Pixels = NDArray[np.uint8]


class Form(NamedTuple):
    """How a clip is stored: the encoder, its pixel format, and its options."""

    encoder: str
    pix_fmt: str
    suffix: str
    options: dict[str, str] = {}  # noqa: RUF012


FORMS = {
    "ProRes 4444": Form("prores_ks", "yuva444p10le", ".mov", {"profile": "4444", "alpha_bits": "16"}),
    "QuickTime RLE": Form("qtrle", "argb", ".mov"),
    "PNG": Form("png", "rgba", ".mov"),
    "PNG of 16 bits": Form("png", "rgba64be", ".mov"),
    "VP9": Form("libvpx-vp9", "yuva420p", ".webm", {"crf": "4", "b": "0", "g": "5", "auto-alt-ref": "0"}),
    "VP8": Form("libvpx", "yuva420p", ".webm", {"crf": "4", "b": "9M", "g": "5", "auto-alt-ref": "0"}),
    "FFV1 4:2:0": Form("ffv1", "yuva420p", ".mkv"),
    "FFV1 4:2:2 of 10 bits": Form("ffv1", "yuva422p10le", ".mkv"),
}
WITHOUT_LOSS = tuple(name for name in FORMS if not name.startswith(("ProRes", "VP")))
OF_WEBM = ("VP9", "VP8")


def transparency(number: int, width: int = WIDTH, height: int = HEIGHT) -> Pixels:
    """A slope that moves, from transparent to opaque."""
    y, x = np.mgrid[0:height, 0:width]
    return np.asarray(np.clip(2 * x + y // 2 - 60 + 10 * number, 0, 255), np.uint8)


def colours(number: int, width: int = WIDTH, height: int = HEIGHT) -> Pixels:
    y, x = np.mgrid[0:height, 0:width]
    return np.stack([x % 256, (y + 10 * number) % 256, np.full_like(x, 60 + 5 * number)], axis=-1).astype(np.uint8)


def transparent_clip(path: Path, form: Form, frames: int = FRAMES, size: tuple[int, int] = (WIDTH, HEIGHT)) -> Path:
    """What is transparent has colours too."""
    with av.open(str(path), "w") as file:
        stream: Any = file.add_stream(form.encoder, rate=25, options=dict(form.options))
        stream.width, stream.height = size
        stream.pix_fmt = form.pix_fmt
        for number in range(frames):
            pixels = np.dstack([colours(number, *size), transparency(number, *size)])
            frame = av.VideoFrame.from_ndarray(np.ascontiguousarray(pixels), format="rgba")
            file.mux(stream.encode(frame.reformat(format=form.pix_fmt)))
        file.mux(stream.encode(None))
    return path


def shown_colours(path: Path) -> list[list[Pixels]]:
    """The planes of a file's pictures in 4:2:0 of 8 bits, as a player without alpha shows them."""
    with av.open(str(path)) as file:
        return [planes_of(frame) for frame in file.decode(video=0)]


def planes_of(frame: Any) -> list[Pixels]:
    made = (
        frame.reformat(format="yuv420p", dst_colorspace="ITU601")
        if frame.format.is_rgb
        else frame.reformat(
            format="yuv420p", src_color_range=frame.color_range or 1, dst_color_range=frame.color_range or 1
        )
    )
    return [np.frombuffer(plane, np.uint8).reshape(plane.height, -1)[:, : plane.width].copy() for plane in made.planes]


def packets_of(path: Path) -> list[bytes]:
    """The packets of a file's HEVC in Annex B's form."""
    with av.open(str(path)) as file:
        stream: Any = file.streams.video[0]
        filter_ = av.BitStreamFilterContext("hevc_mp4toannexb", stream)
        packets = [made for packet in file.demux(stream) for made in filter_.filter(packet)]
        return [bytes(packet) for packet in [*packets, *filter_.filter(None)] if packet.size]


def alpha_in(packets: Sequence[bytes]) -> list[Pixels]:
    """The second layer as if it were the only one. Both layers use the parameter sets of the first."""
    found = b""
    for packet in packets:
        for unit in nal_units(packet):
            if layer_of(unit) == 1 or nal_type(unit, "hevc") >= 32:
                found += START_CODE + bytes((unit[0], unit[1] & 7)) + unit[2:]
    return [picture.planes[0] for picture in decode(found, "hevc")]
