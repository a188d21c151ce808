"""One quality looks the same with every software codec: the pictures are about as close to the source, and as large."""

from __future__ import annotations

from collections.abc import Iterator
from fractions import Fraction
from typing import Any

import numpy as np
import pytest
from numpy.typing import NDArray

from pdum.nvenc import EncoderConfig, SoftwareEncoder
from pdum.nvenc._batch.settings import BatchSettings
from pdum.nvenc._batch.supported_settings import supported_settings
from pdum.nvenc._config.quality_scale import cq_for

from loud import need_module, need_pyav

pytestmark = pytest.mark.one_abi

WIDTH, HEIGHT, FRAMES = 320, 180, 12
CODECS = ("h264", "hevc", "av1")
DECIBELS, FACTOR = 2.0, 1.7
"""The largest difference in XPSNR, and between the sizes. With one ``cq`` for all, 36 gave 9.9 dB and 4.7 times."""


def landscape() -> Iterator[NDArray[np.uint8]]:
    """A camera that moves over a picture with as much detail as photographs have, and with edges and noise."""
    chance = np.random.default_rng(10)
    detail, shapes = _texture(chance, 1.15), _texture(chance, 2.2)
    picture = 26 + 120 * detail + 90 * np.floor(shapes * 7) / 7
    for number in range(FRAMES):
        part = _between_pixels(picture, 8 + 0.7 * number + 2 * np.sin(number / 4), 8 + 2.3 * number)
        frame = np.full((HEIGHT * 3 // 2, WIDTH), 128, np.uint8)
        frame[:HEIGHT] = np.clip(part + chance.normal(0, 1.5, part.shape), 16, 235)
        yield frame


def _texture(chance: np.random.Generator, slope: float) -> NDArray[Any]:
    size = HEIGHT * 2, WIDTH * 2
    frequency = np.hypot(np.fft.fftfreq(size[0])[:, None] * size[0], np.fft.rfftfreq(size[1]) * size[1])
    detail = np.maximum(frequency, 1) ** -slope
    picture = np.fft.irfft2(detail * np.exp(2j * np.pi * chance.random(detail.shape)), s=size)
    low, high = np.percentile(picture, (1, 99))
    return np.asarray(np.clip((picture - low) / (high - low), 0, 1))


def _between_pixels(picture: NDArray[Any], y: float, x: float) -> NDArray[Any]:
    """A part of the picture that begins between four pixels, as it does in all motion that is not synthetic."""
    row, column = int(y), int(x)
    down, right = y - row, x - column
    four = picture[row : row + HEIGHT + 1, column : column + WIDTH + 1]
    two = four[:-1] * (1 - down) + four[1:] * down
    return np.asarray(two[:, :-1] * (1 - right) + two[:, 1:] * right)


def encoded(frames: list[Any], codec: str, cq: float) -> tuple[int, float]:
    """Size in bytes and XPSNR of luma, with the settings of a batch."""
    av = need_module("av")
    fields = supported_settings(BatchSettings(engine="software", preset="p4"), []).encoder
    config = EncoderConfig.of(
        {**fields, "cq": cq, "codec": codec, "width": WIDTH, "height": HEIGHT, "format": "yuv420", "fps": 25}
    )
    with SoftwareEncoder(config) as encoder:
        packets = [packet for number, frame in enumerate(frames) for packet in encoder.submit(frame, number)]
        packets += encoder.flush_pipeline()
    decoder = av.CodecContext.create("libdav1d" if codec == "av1" else codec, "r")
    results = [frame for packet in [*packets, None] for frame in decoder.decode(packet and av.Packet(packet.data))]
    assert len(results) == len(frames)
    originals = [av.VideoFrame.from_ndarray(frame, "yuv420p") for frame in frames]
    return sum(len(packet.data) for packet in packets), xpsnr(originals, results)


def xpsnr(originals: list[Any], results: list[Any]) -> float:
    """By FFmpeg's filter, for all pictures together."""
    av = need_module("av")
    graph = av.filter.Graph()
    size = f"video_size={WIDTH}x{HEIGHT}:pix_fmt=yuv420p:time_base=1/25:frame_rate=25"
    inputs = [graph.add("buffer", args=size) for _ in range(2)]
    compared, sink = graph.add("xpsnr"), graph.add("buffersink")
    for place, one in enumerate(inputs):
        one.link_to(compared, 0, place)
    compared.link_to(sink)
    graph.configure()
    scores = []
    for number, pair in enumerate(zip(results, originals, strict=True)):
        for one, frame in zip(inputs, pair, strict=True):
            frame.pts, frame.time_base = number, Fraction(1, 25)
            one.push(frame)
        scores.append(float(sink.pull().metadata["lavfi.xpsnr.xpsnr.y"]))
    return sum(scores) / len(scores)


@pytest.mark.parametrize("quality", [20, 28, 36])
def test_each_codec_looks_like_the_others(quality: int) -> None:
    need_pyav(18, "scores of FFmpeg's filters")
    frames = list(landscape())
    sizes, decibels = zip(*(encoded(frames, one, cq_for(quality, one, "software")) for one in CODECS), strict=True)
    assert max(decibels) - min(decibels) < DECIBELS, decibels
    assert max(sizes) < FACTOR * min(sizes), sizes
