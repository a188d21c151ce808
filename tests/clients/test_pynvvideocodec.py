"""NVIDIA's own Python binding. Its wheel speaks API 12.1 and 13.0, depending on the driver."""

from __future__ import annotations

import importlib.util
import json
import sys
from math import ceil
from pathlib import Path
from typing import Any

import pytest

from client_run import Bench, Outcome, sessions_are_closed
from loud import missing, need_module
from streams import nal_type, nal_units

pytestmark = [pytest.mark.clients, pytest.mark.one_abi]

API = ["12.1", "13.0"]
CONSTANT = {"rc": "constqp", "constqp": "20"}


def need_wheel() -> None:
    """Does not import it, because that fails without a driver."""
    need_module("cuda.bindings", "cuda-bindings")
    if importlib.util.find_spec("PyNvVideoCodec") is None:
        missing("module PyNvVideoCodec", "pip install PyNvVideoCodec")


def run(bench: Bench, api: str, *, options: dict[str, Any], job: dict[str, Any] | None = None, **how: Any) -> Outcome:
    need_wheel()
    form = bench.form
    whole = {"input": str(bench.raw_nv12()), "output": str(bench.folder / "out.bin"), "options": options}
    whole |= {"width": form.width, "height": form.height} | (job or {})
    return bench.python("pynv_encode.py", whole, max_api=api, **how)


def encode(
    bench: Bench, api: str, *, options: dict[str, Any], strict: bool = True, **job: Any
) -> tuple[Path, Outcome, list[dict[str, Any]]]:
    outcome = run(bench, api, options=options, job=job, strict=strict)
    sessions_are_closed(outcome)
    assert outcome.apis == {api}
    return bench.folder / "out.bin", outcome, json.loads(outcome.stdout.splitlines()[-1])


@pytest.mark.parametrize("api", API)
@pytest.mark.parametrize("codec", ["h264", "hevc", "av1"])
@pytest.mark.parametrize("device", [False, True], ids=["host", "device"])
def test_every_picture_arrives(bench: Bench, api: str, codec: str, device: bool) -> None:
    options = {"codec": codec, "preset": "P3", "tuning_info": "low_latency", "gop": 15, "bf": 0}
    constant = {"rc": "constqp", "constqp": "60"} if codec == "av1" else CONSTANT
    output, _, units = encode(bench, api, options=options | constant, device=device)
    decoded = bench.judge(output, codec)
    assert len(units) == bench.count
    assert [index for index, picture in enumerate(decoded) if picture.key] == [0, 15]


@pytest.mark.parametrize("api", API)
@pytest.mark.parametrize("codec", ["h264", "hevc"])
@pytest.mark.parametrize("b_frames", [1, 3])
def test_b_frames(bench: Bench, api: str, codec: str, b_frames: int) -> None:
    options = {"codec": codec, "preset": "P4", "tuning_info": "high_quality", "bf": b_frames, "gop": 300}
    if (api, codec, b_frames) == ("12.1", "hevc", 3):
        # Its module for 12.1 writes the B reference mode a second time, 216 bytes into NV_ENC_CONFIG_HEVC, which is
        # reserved there. A driver lets it pass; the simulator does when it is not strict.
        habit = ["NV_ENC_CONFIG_HEVC.reserved1 is not zero"]
        run(bench, api, options=options | CONSTANT, known=habit, expected=1)
        output, _, _ = encode(bench, api, options=options | CONSTANT, strict=False)
    else:
        output, _, _ = encode(bench, api, options=options | CONSTANT)
    kinds = [picture.kind for picture in bench.judge(output, codec)]
    assert kinds.count("B") == bench.count - 1 - ceil((bench.count - 1) / (b_frames + 1))


@pytest.mark.parametrize("api", API)
@pytest.mark.parametrize("mode", ["cbr", "vbr"])
def test_reconfigure(bench: Bench, api: str, mode: str) -> None:
    bench.count = 60
    options = {"codec": "h264", "preset": "P2", "tuning_info": "low_latency", "rc": mode, "bitrate": 800_000}
    output, outcome, units = encode(bench, api, options=options | {"gop": 600, "bf": 0}, bit_rate_at={"30": 3_000_000})
    bench.judge(output, "h264")
    assert [call.status for call in outcome.named("nvEncReconfigureEncoder")] == [0]
    assert sum(unit["size"] for unit in units[32:]) > 1.5 * sum(unit["size"] for unit in units[2:30])


@pytest.mark.parametrize("api", API)
def test_forced_pictures(bench: Bench, api: str) -> None:
    options = {"codec": "h264", "preset": "P3", "tuning_info": "low_latency", "gop": 300, "bf": 0} | CONSTANT
    output, _, units = encode(bench, api, options=options, keys_at=[9])
    assert [index for index, picture in enumerate(bench.judge(output, "h264")) if picture.key] == [0, 9]
    stream, start = output.read_bytes(), sum(unit["size"] for unit in units[:9])
    kinds = [nal_type(nal, "h264") for nal in nal_units(stream[start : start + units[9]["size"]])]
    assert kinds == [7, 8, 5]


@pytest.mark.parametrize("api", API)
def test_user_messages(bench: Bench, api: str) -> None:
    options = {"codec": "h264", "preset": "P3", "tuning_info": "low_latency", "gop": 300, "bf": 0} | CONSTANT
    output, _, _ = encode(bench, api, options=options, sei_at=[4, 11])
    messages = [nal for nal in nal_units(output.read_bytes()) if nal_type(nal, "h264") == 6]
    assert len(messages) == 2
    assert all(b"hello" in message for message in messages)
    bench.judge(output, "h264")


def test_capabilities_are_the_gpus(bench: Bench) -> None:
    """All of them, in a separate session."""
    need_wheel()
    code = "import json, PyNvVideoCodec as p; print('\\n' + json.dumps(dict(p.GetEncoderCaps(codec='h264'))))"
    outcome = bench.run([sys.executable, "-c", code], gpus=["RTX 4090"])
    sessions_are_closed(outcome)
    found = json.loads(outcome.stdout.splitlines()[-1])
    assert found["num_encoder_engines"] == 2
    assert found["width_max"] == 4096
    assert len(outcome.named("nvEncGetEncodeCaps")) > 40
