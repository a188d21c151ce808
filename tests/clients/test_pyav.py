"""PyAV's wheel contains FFmpeg's NVENC client, which asks for API 13.0."""

from __future__ import annotations

from itertools import pairwise
from math import ceil
from pathlib import Path
from typing import Any

import pytest

from client_run import Bench, Outcome, sessions_are_closed
from loud import need_module, need_pyav
from streams import Format, decode, nal_type, nal_units, nv12

pytestmark = [pytest.mark.clients, pytest.mark.one_abi]

QUANTISER = {"h264": "20", "hevc": "20", "av1": "60"}


def encode(bench: Bench, codec: str, *, config: dict[str, Any] | None = None, **job: Any) -> tuple[Path, Outcome]:
    need_pyav(18, "a shared CUDA context") if job.get("device") else need_module("av")
    output = bench.folder / f"out.{codec}"
    form = bench.form
    job = {"codec": f"{codec}_nvenc", "width": form.width, "height": form.height, "output": str(output)} | job
    job.setdefault("input", str(bench.raw_nv12()))
    outcome = bench.python("pyav_encode.py", job, **config or {})
    sessions_are_closed(outcome)
    assert outcome.apis == {"13.0"}
    return output, outcome


@pytest.mark.parametrize("codec", ["h264", "hevc", "av1"])
@pytest.mark.parametrize("device", [False, True], ids=["host", "device"])
@pytest.mark.parametrize("options", [{}, {"preset": "p1", "tune": "ull", "delay": "0"}], ids=["default", "ull"])
def test_every_picture_arrives(bench: Bench, codec: str, device: bool, options: dict[str, str]) -> None:
    if device:
        need_module("cuda.bindings", "cuda-bindings")
    output, outcome = encode(bench, codec, device=device, options={"rc": "constqp", "qp": QUANTISER[codec]} | options)
    decoded = bench.judge(output, codec)
    assert decoded[0].key
    packets = outcome.json()
    assert sorted(packet["pts"] for packet in packets) == list(range(bench.count))
    assert all(a["dts"] < b["dts"] for a, b in pairwise(packets))
    if "tune" in options:
        assert "B" not in {picture.kind for picture in decoded}


def test_device_frames_are_not_copied(bench: Bench) -> None:
    """PyAV registers the test's own memory with the encoder."""
    need_module("cuda.bindings", "cuda-bindings")
    _, outcome = encode(bench, "h264", device=True, options={"preset": "p1", "tune": "ull"})
    uploads = {call.args["dst"] for call in outcome.named("cuMemcpyHtoD_v2")}
    registered = {call.args["resourceToRegister"] for call in outcome.named("nvEncRegisterResource")}
    assert registered == uploads
    assert len(registered) == bench.count


@pytest.mark.parametrize("codec", ["h264", "hevc"])
@pytest.mark.parametrize("b_frames", [0, 1, 3])
def test_b_frames(bench: Bench, codec: str, b_frames: int) -> None:
    options = {"rc": "constqp", "qp": "20", "bf": str(b_frames), "g": "300"}
    output, outcome = encode(bench, codec, options=options)
    kinds = "".join(picture.kind for picture in bench.judge(output, codec))
    anchors = 1 + ceil((bench.count - 1) / (b_frames + 1))
    assert kinds.count("B") == bench.count - anchors
    order = [packet["pts"] for packet in outcome.json()]
    assert (order == sorted(order)) == (b_frames == 0)


def test_key_frames_are_where_they_are_forced(bench: Bench) -> None:
    output, outcome = encode(bench, "h264", keys_at=[7, 20], options={"forced-idr": "1", "bf": "0", "g": "300"})
    assert [index for index, picture in enumerate(bench.judge(output, "h264")) if picture.key] == [0, 7, 20]
    assert [packet["pts"] for packet in outcome.json() if packet["key"]] == [0, 7, 20]


def test_a_new_bitrate_is_a_live_reconfiguration(bench: Bench) -> None:
    bench.count = 60
    options = {"rc": "cbr", "preset": "p2", "tune": "ll", "bf": "0"}
    output, outcome = encode(bench, "h264", bit_rate=800_000, bit_rate_at={"30": 3_000_000}, options=options)
    bench.judge(output, "h264")
    assert [call.status for call in outcome.named("nvEncReconfigureEncoder")] == [0]
    sizes = [packet["size"] for packet in outcome.json()]
    assert sum(sizes[32:]) > 1.5 * sum(sizes[2:30])


@pytest.mark.parametrize("codec", ["h264", "hevc"])
def test_lossless(bench: Bench, codec: str) -> None:
    output, _ = encode(bench, codec, options={"tune": "lossless", "preset": "p2"})
    bench.judge(output, codec, exact=True)


def test_ten_bits(bench: Bench) -> None:
    bench.form = Format(depth=10)
    path = bench.folder / "pictures.p010"
    path.write_bytes(b"".join((nv12(picture) << 6).tobytes() for picture in bench.pictures))
    options = {"rc": "constqp", "qp": "20", "profile": "main10"}
    output, _ = encode(bench, "hevc", input=str(path), pix_fmt="p010le", options=options)
    bench.judge(output, "hevc")


def test_a_gpu_without_an_encoder_is_an_honest_error(bench: Bench) -> None:
    output = bench.folder / "out.h264"
    job = {"codec": "h264_nvenc", "width": 320, "height": 192, "input": str(bench.raw_nv12()), "output": str(output)}
    outcome = bench.python("pyav_encode.py", job, gpus=["H200"], expected=1)
    assert not output.exists()
    assert {call.status for call in outcome.named("nvEncOpenEncodeSessionEx")} == {2}


def test_a_driver_too_old_is_refused(bench: Bench) -> None:
    job = {"codec": "h264_nvenc", "width": 320, "height": 192, "input": str(bench.raw_nv12()), "output": "/dev/null"}
    outcome = bench.python("pyav_encode.py", job, max_api="12.1", expected=1)
    assert not outcome.named("nvEncOpenEncodeSessionEx")


def test_packets_decode_from_every_key_frame(bench: Bench) -> None:
    """By default, ffmpeg puts parameter sets before every IDR picture."""
    options = {"rc": "constqp", "qp": "20", "g": "10", "bf": "0"}
    output, outcome = encode(bench, "h264", options=options)
    sizes = [packet["size"] for packet in outcome.json()]
    assert len(decode(output.read_bytes()[sum(sizes[:10]) :], "h264")) == 20


@pytest.mark.parametrize("b_frames", [0, 2])
def test_pictures_of_two_views_in_turn(bench: Bench, b_frames: int) -> None:
    """FFmpeg gives the left and the right view as pictures of their own, and its decoder shows both."""
    bench.count = 12
    options = {"profile": "mv", "rc": "constqp", "qp": "10", "bf": str(b_frames), "g": "300"}
    output, _ = encode(bench, "hevc", options=options, config={"gpus": ["RTX 5090"]})
    data = output.read_bytes()
    layers = [(unit[0] & 1) << 5 | unit[1] >> 3 for unit in nal_units(data) if nal_type(unit, "hevc") < 32]
    assert layers == [0, 1] * (bench.count // 2)
