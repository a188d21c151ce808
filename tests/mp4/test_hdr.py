"""HDR10's static metadata and colour in the container, read by FFmpeg, which does not decode a picture for it."""

from __future__ import annotations

import struct
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from mp4_files import Encoded, boxes, encoded, ffprobe, video_track
from pdum.nvenc import Colour, ContentLight, MasteringDisplay, NvencEncoder
from pdum.nvenc._mp4.mp4_file import Mp4File

from simulator import Simulator

pytestmark = pytest.mark.one_abi

DISPLAY = MasteringDisplay(min_luminance=0.0050, max_luminance=1200.0)
LIGHT = ContentLight(1100, 180)
SIZE = (256, 144)
STSD = ("moov", "trak", "mdia", "minf", "stbl", "stsd")


@pytest.fixture(params=["hevc", "av1"])
def stream(simulator: Simulator, request: pytest.FixtureRequest) -> Encoded:
    machine: dict[str, Any] = {"gpus": {"name": "RTX 4090", "fps_1080p": 0}, "backend": "codec"}
    hdr: dict[str, Any] = {"colour": "hdr10", "mastering_display": DISPLAY, "content_light": LIGHT, "format": "p010"}
    frame = np.zeros((SIZE[1] * 3 // 2, SIZE[0]), np.uint16)
    with simulator.machine(**machine), NvencEncoder(*SIZE, codec=request.param, **hdr) as encoder:
        packets = [packet for number in range(3) for packet in encoder.submit(frame, number)]
        return Encoded(request.param, encoder.sequence_header(), tuple(packets), *SIZE)


def film(path: Path, stream: Encoded, **more: Any) -> Path:
    with Mp4File(path, [video_track(stream, **more)]) as file:
        for packet in stream.packets:
            file.write(0, packet.data, packet.pts, packet.dts, packet.keyframe, 1)
    return path


def number(text: str) -> float:
    above, below = text.split("/")
    return int(above) / int(below)


def test_what_the_encoder_was_told_is_in_the_container(tmp_path: Path, stream: Encoded) -> None:
    path = film(tmp_path / "film.mp4", stream)
    (found,) = ffprobe(path, "-show_streams")["streams"]
    colour = ("color_primaries", "color_transfer", "color_space", "color_range")
    assert [found[name] for name in colour] == ["bt2020", "smpte2084", "bt2020nc", "tv"]
    side = {one["side_data_type"]: one for one in found["side_data_list"]}
    display, light = side["Mastering display metadata"], side["Content light level metadata"]
    for name, point in (("red", DISPLAY.red), ("green", DISPLAY.green), ("blue", DISPLAY.blue)):
        assert [number(display[f"{name}_{axis}"]) for axis in "xy"] == pytest.approx(point, abs=2e-5)
    assert [number(display[f"white_point_{axis}"]) for axis in "xy"] == pytest.approx(DISPLAY.white, abs=2e-5)
    assert number(display["min_luminance"]) == pytest.approx(0.0050, abs=1e-4)
    assert number(display["max_luminance"]) == pytest.approx(1200.0, abs=1e-2)
    assert (light["max_content"], light["max_average"]) == (1100, 180)
    assert ffprobe(path, "-show_frames", "-read_intervals", "%+#1")["frames"][0]["pix_fmt"] == "yuv420p10le"


def test_what_is_given_counts(tmp_path: Path, stream: Encoded) -> None:
    """More than what the stream says."""
    more = {
        "colour": Colour(primaries="bt709", transfer="hlg", matrix="bt709", full_range=True),
        "mastering_display": MasteringDisplay(max_luminance=500.0),
        "content_light": ContentLight(400, 90),
    }
    path = film(tmp_path / "film.mp4", stream, **more)
    entry = (*STSD, {"hevc": "hvc1", "av1": "av01"}[stream.codec])
    data = path.read_bytes()
    assert boxes(data, *entry, "colr") == [b"nclx" + struct.pack(">HHHB", 1, 18, 1, 0x80)]
    assert boxes(data, *entry, "mdcv")[0][-8:] == struct.pack(">II", 5_000_000, 1)
    assert boxes(data, *entry, "clli") == [struct.pack(">HH", 400, 90)]


def test_a_stream_without_hdr_has_none(tmp_path: Path) -> None:
    data = film(tmp_path / "film.mp4", encoded("h264")).read_bytes()
    for kind in ("mdcv", "clli", "pasp"):
        assert boxes(data, *STSD, "avc1", kind) == []
