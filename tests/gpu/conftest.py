"""Tests on a machine with a CUDA GPU: everything is real except the encoder library, which is the simulated one.

Most GPUs of data centres have CUDA and no encoder chip: there these tests prove real streams, real frames and real
races. `tests/gpu/run.sh` builds what they need and runs them; PDUM_NO_SKIPS=1 turns their skips into failures.
"""

from __future__ import annotations

import os
from collections.abc import Iterator
from importlib import import_module
from pathlib import Path
from typing import Any

import pytest

from gpu.library import EncodeLibrary
from gpu.video_files import make_sources

from loud import missing, need_module


@pytest.fixture(scope="session")
def encode_library() -> EncodeLibrary:
    path = Path(os.environ.get("NVSIM_DIR", "build/driver")).resolve() / "encode" / "libnvidia-encode.so.1"
    if not path.exists():
        missing(f"{path} is not built: cmake -S tests/driver -B build/driver && cmake --build build/driver")
    return EncodeLibrary(path)


@pytest.fixture
def engine(encode_library: EncodeLibrary) -> Iterator[EncodeLibrary]:
    """One echoing GPU: each access unit contains the checksum of the pixels that the engine read."""
    encode_library.control(configure={"gpus": [{"name": "L4", "engines": 3}], "backend": "echo", "strict": True})
    encode_library.control(reset=True)
    yield encode_library
    report = encode_library.control(report=True)
    assert report["violations"] == []
    assert not any(report["live"].values()), report["live"]


OLDEST_ABI, NEWEST_ABI = "12.1", "13.1"


@pytest.fixture(params=[OLDEST_ABI, NEWEST_ABI])
def abi(request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch) -> str:
    monkeypatch.setenv("PDUM_NVENC_ABI", request.param)
    return str(request.param)


@pytest.fixture(scope="session")
def cupy() -> Any:
    module = need_module("cupy")
    try:
        module.cuda.Device(0).use()
    except Exception as error:  # CuPy raises its own kinds for each way of having no GPU
        return missing(f"no CUDA GPU: {error}")
    return module


@pytest.fixture(scope="session")
def torch() -> Any:
    module = need_module("torch")
    if not module.cuda.is_available():
        return missing("PyTorch sees no CUDA GPU")
    return module


@pytest.fixture(scope="session")
def runner() -> Any:
    """Shared code of the file tests, which needs PyAV."""
    need_module("av")
    return import_module("files.runner")


@pytest.fixture(scope="session")
def sources(tmp_path_factory: pytest.TempPathFactory) -> dict[str, Path]:
    return make_sources(tmp_path_factory.mktemp("sources"), need_module("av"))
