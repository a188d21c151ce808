"""NVIDIA's own Python binding decodes on the simulated libnvcuvid."""

from __future__ import annotations

import importlib.util
import json
from pathlib import Path

import pytest

from decode_clips import X264, X265, Clip, by_processor

from client_run import Bench, decoders_are_closed
from loud import missing, need_module

pytestmark = [pytest.mark.clients, pytest.mark.one_abi]

CLIPS = [
    Clip("h264", "h264", [*X264, "-bf", "3"]),
    Clip("hevc", "hevc", X265),
    Clip("av1", "av1", ["libaom-av1", "-cpu-used", "8", "-lag-in-frames", "12"]),
]


@pytest.fixture(scope="module")
def clips(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tmp_path_factory.mktemp("clips")


@pytest.mark.parametrize("device", [False, True], ids=["host", "device"])
@pytest.mark.parametrize("clip", CLIPS, ids=lambda clip: clip.name)
def test_every_picture_is_the_processors(bench: Bench, clips: Path, clip: Clip, device: bool) -> None:
    need_module("cuda.bindings", "cuda-bindings")
    if importlib.util.find_spec("PyNvVideoCodec") is None:
        missing("module PyNvVideoCodec", "pip install PyNvVideoCodec")
    path = clip.make(clips)
    outcome = bench.python("pynv_decode.py", {"input": str(path), "device": device}, gpus=["L4"])
    decoders_are_closed(outcome)
    found = json.loads(outcome.stdout.splitlines()[-1])
    assert [checksum for _, checksum in found] == [checksum for _, checksum in by_processor(path)]
