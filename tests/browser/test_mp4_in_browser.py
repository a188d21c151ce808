"""Our MP4 files and segments in a real browser: it plays them, and shows each picture at its time."""

from __future__ import annotations

from base64 import b64decode, b64encode
from collections.abc import Iterator
from dataclasses import dataclass
from fractions import Fraction
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from browser.chromium import Chromium, Page
from browser.live_site import block_means, folder_site, number_in, served
from pdum.nvenc import EncoderConfig, NvencEncoder, Packet, VideoWriter
from pdum.nvenc._encoders.software import SoftwareEncoder
from pdum.nvenc.mp4 import Fragments, Mp4File, VideoTrack, codec_string
from scene import Scene

from simulator import Simulator

WIDTH, HEIGHT, FPS, COUNT = 200, 104, 30, 12
"""Neither size is a multiple of 16, so there is something to crop."""
SCENE = Scene(np, FPS)
SCRIPT = Path(__file__).resolve().parent / "playing.js"


@dataclass(frozen=True)
class Stream:
    """An encoded scene, of which each picture shows its number."""

    codec: str
    header: bytes
    packets: tuple[Packet, ...]

    @property
    def track(self) -> VideoTrack:
        return VideoTrack(codec=self.codec, header=self.header, width=WIDTH, height=HEIGHT, time_base=Fraction(1, FPS))

    @property
    def type(self) -> str:
        return Fragments([self.track]).mime_type


STREAMS: dict[str, dict[str, Any]] = {
    "h264 with B-frames, x264": {"codec": "h264", "tuning": "hq", "bframes": 2, "gop": 6},
    "h264 with B-frames, NVENC": {"codec": "h264", "tuning": "hq", "bframes": 2, "gop": 6},
    "h264 without delay": {"codec": "h264", "gop": 0},
    "av1": {"codec": "av1", "tuning": "hq", "gop": 6},
}


ALL = [
    pytest.param(name, marks=() if name in ("h264 with B-frames, NVENC", "av1") else pytest.mark.slow)
    for name in STREAMS
]


@pytest.fixture(scope="module", params=ALL)
def stream(request: pytest.FixtureRequest, simulator: Simulator) -> Stream:
    config = EncoderConfig.of(
        {"width": WIDTH, "height": HEIGHT, "format": "abgr", "fps": FPS, "bitrate": 4_000_000, **STREAMS[request.param]}
    )
    with simulator.machine(gpus=["RTX 4090"], backend="codec"):
        return encoded(NvencEncoder(config) if "NVENC" in request.param else SoftwareEncoder(config, threads=1))


def encoded(encoder: NvencEncoder | SoftwareEncoder) -> Stream:
    opaque = np.full((HEIGHT, WIDTH, 1), 255, np.uint8)
    with encoder:
        packets = [
            packet
            for number in range(COUNT)
            for packet in encoder.submit(np.concatenate([SCENE.picture(number, WIDTH, HEIGHT), opaque], -1), number)
        ]
        packets += encoder.flush_pipeline()
        return Stream(encoder.codec, encoder.sequence_header(), tuple(packets))


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tmp_path_factory.mktemp("served")


@pytest.fixture(scope="module")
def address(folder: Path) -> Iterator[str]:
    """The address of a server for the files of that folder."""
    with served(lambda: folder_site(folder)) as site:
        yield site.url


@pytest.fixture
def page(chromium: Chromium, address: str, folder: Path) -> Iterator[Page]:
    (folder / "index.html").write_text('<!doctype html><title>A video</title><link rel="icon" href="data:,">')
    with chromium.page(f"{address}index.html") as one:
        one.evaluate(SCRIPT.read_text())
        yield one
        assert one.complaints() == []


def assert_every_picture_is_at_its_time(page: Page) -> None:
    for number in (0, 3, 1, 2, 4, 5, 7, 6, COUNT - 1):
        found = page.evaluate(f"picture_at({(number + 0.5) / FPS})")
        pixels = np.frombuffer(b64decode(found["pixels"]), np.uint8)
        blocks = block_means(pixels.reshape(HEIGHT, WIDTH, 3))
        assert found["time"] == pytest.approx(number / FPS, abs=0.001)
        assert number_in(blocks) == number
        assert np.abs(blocks - block_means(SCENE.picture(number, WIDTH, HEIGHT))).mean() < 2


def assert_it_plays_to_its_end(page: Page) -> None:
    played = page.evaluate("play_all()")
    assert played["time"] == pytest.approx(COUNT / FPS, abs=0.001)
    assert played["frames"] > 0


def test_a_writers_file_plays_with_its_sound(page: Page, address: str, folder: Path) -> None:
    with VideoWriter(folder / "written.mp4", fps=FPS, backend="software") as video:
        tone = np.sin(np.arange(48_000 * COUNT // FPS) * (2 * np.pi * 440 / 48_000)) / 4
        video.add_audio(np.stack([tone, tone], axis=-1).astype(np.float32), 48_000)
        for number in range(COUNT):
            video.write(SCENE.picture(number, WIDTH, HEIGHT))
    assert page.evaluate(f"open_file('{address}written.mp4')")["size"] == [WIDTH, HEIGHT]
    assert_every_picture_is_at_its_time(page)
    assert page.evaluate(f"loudness('{address}written.mp4')") == pytest.approx(0.25 / 2**0.5, rel=0.1)


def test_a_writers_bytes_play_by_media_source(page: Page) -> None:
    with VideoWriter(None, fps=FPS, backend="software", fragmented=True) as video:
        for number in range(COUNT):
            video.write(SCENE.picture(number, WIDTH, HEIGHT))
    text = b64encode(video.read()).decode()
    page.evaluate(f"open_segments('video/mp4; codecs=\"avc1.64002a\"', ['{text}'])")
    assert_every_picture_is_at_its_time(page)


@pytest.mark.parametrize("fragmented", [False, True], ids=["complete", "fragmented"])
def test_a_file_plays(page: Page, address: str, folder: Path, stream: Stream, fragmented: bool) -> None:
    with Mp4File(folder / "video.mp4", [stream.track], fragmented=fragmented) as file:
        for packet in stream.packets:
            file.write(0, packet.data, packet.pts, packet.dts, packet.keyframe, 1)
    opened = page.evaluate(f"open_file('{address}video.mp4')")
    assert opened["duration"] == pytest.approx(COUNT / FPS, abs=0.001)
    assert opened["size"] == [WIDTH, HEIGHT]
    assert_every_picture_is_at_its_time(page)
    assert_it_plays_to_its_end(page)


@pytest.mark.parametrize("together", [1, 5], ids="{} packets in a segment".format)
def test_segments_play_by_media_source(page: Page, stream: Stream, together: int) -> None:
    fragments = Fragments([stream.track])
    segments = [fragments.init_segment()]
    for number, packet in enumerate(stream.packets, 1):
        fragments.add(0, packet.data, packet.pts, packet.dts, packet.keyframe, 1)
        if number % together == 0 or number == COUNT:
            segments.append(fragments.take())
    texts = [b64encode(segment).decode() for segment in segments]
    opened = page.evaluate(f"open_segments('{stream.type}', {texts})")
    assert opened["ranges"][0] is None
    assert opened["ranges"][-1] == [pytest.approx(0, abs=0.001), pytest.approx(COUNT / FPS, abs=0.001), 1]
    assert opened["size"] == [WIDTH, HEIGHT]
    assert_every_picture_is_at_its_time(page)
    assert_it_plays_to_its_end(page)


def test_the_browser_knows_the_codec_string(page: Page, stream: Stream) -> None:
    codec = codec_string(stream.codec, stream.header)
    assert page.evaluate(f"MediaSource.isTypeSupported('{stream.type}')")
    assert page.evaluate(f"VideoDecoder.isConfigSupported({{codec: '{codec}'}}).then(found => found.supported)")
    wrong = codec[:-2] + "zz"
    assert not page.evaluate(f"MediaSource.isTypeSupported('video/mp4; codecs=\"{wrong}\"')")


def test_the_browser_can_read_the_codec_string_of_hevc(page: Page) -> None:
    """Debian's Chromium decodes no HEVC, and says so; a string that it cannot read is an error."""
    config = EncoderConfig(width=WIDTH, height=HEIGHT, format="abgr", codec="hevc")
    with SoftwareEncoder(config, threads=1) as encoder:
        codec = codec_string("hevc", encoder.sequence_header())
    assert codec.startswith("hvc1.")
    assert (
        page.evaluate(f"VideoDecoder.isConfigSupported({{codec: '{codec}'}}).then(found => found.supported)") is False
    )
