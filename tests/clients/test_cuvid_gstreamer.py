"""GStreamer's NVDEC elements: those with NVIDIA's parser, and the stateless ones (`sl`) with GStreamer's."""

from __future__ import annotations

from pathlib import Path

import pytest

from decode_clips import X264, X265, Clip, run_ffmpeg

from client_run import Bench, decoders_are_closed
from loud import need_program

pytestmark = [pytest.mark.clients, pytest.mark.one_abi]

SIZE = "320x192"  # rows without padding in GStreamer's frames
H264 = Clip("h264", "h264", [*X264, "-bf", "3"], "h264", size=SIZE)
H265 = Clip("h265", "hevc", X265, "h265", size=SIZE)
VP8 = Clip("vp8", "vp8", ["libvpx", "-cpu-used", "8"], "webm", size=SIZE)
VP9 = Clip("vp9", "vp9", ["libvpx-vp9", "-cpu-used", "8"], "webm", size=SIZE)
MPEG2 = Clip("mpeg2", "mpeg2", ["mpeg2video", "-bf", "2"], "m2v", size=SIZE)
MPEG4 = Clip("mpeg4", "mpeg4", ["mpeg4"], "mkv", size=SIZE)

ELEMENTS = {
    "nvh264dec": (H264, ["h264parse"]),
    "nvh264sldec": (H264, ["h264parse"]),
    "nvh265dec": (H265, ["h265parse"]),
    "nvh265sldec": (H265, ["h265parse"]),
    "nvvp8dec": (VP8, ["matroskademux"]),
    "nvvp8sldec": (VP8, ["matroskademux"]),
    "nvvp9dec": (VP9, ["matroskademux", "vp9parse"]),
    "nvvp9sldec": (VP9, ["matroskademux", "vp9parse"]),
    "nvmpeg2videodec": (MPEG2, ["mpegvideoparse"]),
    "nvmpeg4videodec": (MPEG4, ["matroskademux", "mpeg4videoparse"]),
}


@pytest.fixture(scope="module")
def clips(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tmp_path_factory.mktemp("clips")


@pytest.mark.parametrize("element", ELEMENTS)
def test_every_picture_is_the_processors(bench: Bench, registry: dict[str, str], clips: Path, element: str) -> None:
    launch = need_program("gst-launch-1.0", "gstreamer1.0-tools")
    clip, before = ELEMENTS[element]
    path = clip.make(clips)
    wanted = path.with_suffix(".nv12")
    if not wanted.exists():
        run_ffmpeg(["-i", path, "-vsync", "passthrough", "-pix_fmt", "nv12", "-f", "rawvideo", wanted])
    output = bench.folder / "chip"
    chain = [f"location={path}", *before, element, "video/x-raw,format=NV12", "filesink"]
    words = " ! ".join(chain).split()
    outcome = bench.run([launch, "-q", "filesrc", *words, f"location={output}"], env=registry, gpus=["L4"])
    decoders_are_closed(outcome)
    assert output.read_bytes() == wanted.read_bytes()
