"""The distribution's ffmpeg program. Debian 12's version asks for API 11.1."""

from __future__ import annotations

import subprocess
from pathlib import Path

import pytest

from client_run import Bench, Outcome, sessions_are_closed
from loud import need_program

pytestmark = [pytest.mark.clients, pytest.mark.one_abi]

UPLOAD = ["-init_hw_device", "cuda=gpu", "-filter_hw_device", "gpu", "-vf", "format=nv12,hwupload_cuda"]
CONSTANT = ["-rc", "constqp", "-qp", "20"]


def encode(bench: Bench, codec: str, *options: str, container: str = "") -> tuple[Path, Outcome]:
    ffmpeg = need_program("ffmpeg", "ffmpeg")
    output = bench.folder / f"out.{container or codec}"
    form = bench.form
    source = ["-f", "rawvideo", "-pix_fmt", "yuv420p", "-s", f"{form.width}x{form.height}", "-r", "30"]
    command = [ffmpeg, "-hide_banner", "-nostdin", "-v", "error", *source, "-i", bench.raw_planar()]
    outcome = bench.run([*command, "-c:v", f"{codec}_nvenc", *options, "-y", output])
    sessions_are_closed(outcome)
    return output, outcome


@pytest.mark.parametrize("codec", ["h264", "hevc"])
@pytest.mark.parametrize("upload", [[], UPLOAD], ids=["host", "device"])
def test_every_picture_arrives(bench: Bench, codec: str, upload: list[str]) -> None:
    output, outcome = encode(bench, codec, *upload, *CONSTANT)
    assert bench.judge(output, codec)[0].key
    assert bool(outcome.named("nvEncRegisterResource")) == bool(upload)


def test_the_version_it_speaks(bench: Bench) -> None:
    """This API is older than all versions that our encoder speaks; the simulator supports it, too."""
    _, outcome = encode(bench, "h264", *CONSTANT)
    assert len(outcome.apis) == 1
    assert outcome.apis <= {"11.1", "12.1", "12.2", "13.0"}


@pytest.mark.parametrize("codec", ["h264", "hevc"])
@pytest.mark.parametrize("b_frames", [0, 2])
@pytest.mark.parametrize("delay", [[], ["-delay", "0"]], ids=["pipelined", "at-once"])
def test_b_frames(bench: Bench, codec: str, b_frames: int, delay: list[str]) -> None:
    output, _ = encode(bench, codec, *CONSTANT, "-bf", str(b_frames), *delay)
    assert ("B" in {picture.kind for picture in bench.judge(output, codec)}) == (b_frames > 0)


MODES = {
    "cbr": ["-rc", "cbr", "-b:v", "3M", "-preset", "p4", "-tune", "ll"],
    "vbr": ["-rc", "vbr", "-b:v", "3M", "-maxrate", "5M"],
    "lookahead": ["-rc", "vbr", "-b:v", "3M", "-rc-lookahead", "12"],
    "quality": ["-rc", "vbr", "-cq", "22", "-b:v", "0"],
    "old preset": ["-preset", "llhp", "-b:v", "3M"],
    "two passes": ["-rc", "cbr", "-multipass", "fullres", "-b:v", "3M"],
    "weighted": [*CONSTANT, "-bf", "0", "-weighted_pred", "1"],
    "aq": ["-rc", "vbr", "-b:v", "3M", "-spatial-aq", "1", "-temporal-aq", "1"],
}


@pytest.mark.parametrize("codec", ["h264", "hevc"])
@pytest.mark.parametrize("mode", MODES)
def test_modes(bench: Bench, codec: str, mode: str) -> None:
    bench.judge(encode(bench, codec, *MODES[mode])[0], codec)


@pytest.mark.parametrize("codec", ["h264", "hevc"])
def test_lossless(bench: Bench, codec: str) -> None:
    bench.judge(encode(bench, codec, "-preset", "p2", "-tune", "lossless")[0], codec, exact=True)


def test_parameter_sets_go_to_the_container(bench: Bench) -> None:
    """MP4 needs them outside the stream: ffmpeg leaves them out and gets them by another call."""
    output, outcome = encode(bench, "h264", *CONSTANT, "-bf", "0", container="mp4")
    assert outcome.named("nvEncGetSequenceParams")
    raw = bench.folder / "raw.h264"
    command = [need_program("ffmpeg", "ffmpeg"), "-v", "error", "-nostdin", "-i", str(output), "-c", "copy", str(raw)]
    subprocess.run(command, check=True, timeout=60)
    bench.judge(raw, "h264")


def test_two_encoders_in_one_process(bench: Bench) -> None:
    ffmpeg = need_program("ffmpeg", "ffmpeg")
    form = bench.form
    source = ["-f", "rawvideo", "-pix_fmt", "yuv420p", "-s", f"{form.width}x{form.height}", "-r", "30"]
    outputs = [("h264", bench.folder / "a.h264"), ("hevc", bench.folder / "b.hevc")]
    command = [ffmpeg, "-nostdin", "-v", "error", *source, "-i", bench.raw_planar()]
    for codec, output in outputs:
        command += ["-c:v", f"{codec}_nvenc", *CONSTANT, output]
    outcome = bench.run(command)
    sessions_are_closed(outcome)
    for codec, output in outputs:
        bench.judge(output, codec)
