"""Streams of real codecs behind the simulated encoder, read by FFmpeg's parsers and decoders."""

from __future__ import annotations

import io
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import av
import numpy as np
from numpy.typing import NDArray

from control.driver_calls import GPU
from pdum.nvenc import NvencEncoder, Packet, PictureOptions

from simulator import Simulator
from streams import DEMUXERS, Format, Pixels, Syntax, headers_of, moving_pictures

WIDTH, HEIGHT = 256, 144
CODECS = ["h264", "hevc", "av1"]
CHROMA = {"nv12": 1, "p010": 1, "yuv420": 1, "yuv444": 3, "yuv444_10": 3, "nv16": 2, "p210": 2, "ayuv": 3}
DEEP = ("p010", "yuv444_10", "p210")


def planes_of(form: str, count: int) -> list[list[Pixels]]:
    """Pictures in the layout of decoders: planar, with 10 bits in the low bits."""
    return moving_pictures(Format(WIDTH, HEIGHT, CHROMA[form], 10 if form in DEEP else 8), count)


def frame_of(planes: list[Pixels], form: str) -> NDArray[Any]:
    """The same picture in the encoder's layout."""
    luma, u, v = planes
    if form in DEEP:
        luma, u, v = (plane << 6 for plane in (luma, u, v))
    if form in ("yuv444", "yuv444_10"):
        return np.concatenate([luma, u, v])
    if form == "yuv420":
        return np.concatenate([luma, u.reshape(-1, luma.shape[1]), v.reshape(-1, luma.shape[1])])
    if form == "ayuv":
        return np.ascontiguousarray(np.stack([v, u, luma, np.full_like(luma, 255)], axis=-1))
    return np.concatenate([luma, np.stack([u, v], axis=-1).reshape(-1, luma.shape[1])])


def encode(
    simulator: Simulator,
    count: int = 12,
    options: Mapping[int, PictureOptions] | None = None,
    caps: Mapping[str, int] | None = None,
    **settings: Any,
) -> list[Packet]:
    form = settings.get("format", "nv12")
    with (
        simulator.machine(gpus={**GPU, "caps": dict(caps or {})}, backend="codec"),
        NvencEncoder(WIDTH, HEIGHT, **settings) as encoder,
    ):
        packets = []
        for number, planes in enumerate(planes_of(form, count)):
            packets += encoder.submit(frame_of(planes, form), number, picture=(options or {}).get(number))
        return packets + encoder.flush_pipeline()


def stream_of(packets: list[Packet]) -> bytes:
    return b"".join(packet.data for packet in packets)


def syntax_of(packets: list[Packet], codec: str, folder: Path) -> Syntax:
    """Every syntax element of the headers, read by Debian's ffmpeg."""
    path = folder / "stream"
    path.write_bytes(stream_of(packets))
    return headers_of(path, codec)


def decoded(packets: list[Packet], codec: str) -> list[av.VideoFrame]:
    """The pictures in display order, with their side data. Damage is an error."""
    with av.open(io.BytesIO(stream_of(packets)), "r", format=DEMUXERS[codec]) as container:
        video = container.streams.video[0]
        video.codec_context.options = {"err_detect": "explode"}
        return list(container.decode(video))
