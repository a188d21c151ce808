"""The documentation's snippets for a GPU, with real CuPy arrays and streams.

No package of the registries has an OpenCV with CUDA, so that a stand-in on CuPy's memory takes the place of `cv2`.
"""

from __future__ import annotations

import gc
import sys
from pathlib import Path
from types import ModuleType, SimpleNamespace
from typing import Any

import numpy as np
import pytest

from gpu.conftest import NEWEST_ABI
from gpu.library import EncodeLibrary
from pdum.nvenc import NvencError, UnsupportedFeature, encode_frames
from snippets import PAGES, Snippet, snippets

from loud import missing

PAGES_TO_RUN = [page for page in PAGES if any(snippet.needs_gpu for snippet in snippets(page))]


def opencv_with_cuda(cupy: Any) -> ModuleType:
    """What the page on OpenCV uses of `cv2`, with a GpuMat whose rows have padding."""

    class GpuMat:
        def __init__(self, rows: int, columns: int, kind: int) -> None:
            self._size, self._kind, channels = (columns, rows), kind, 1 + (kind >> 3)
            self.step = (columns * channels + 511) // 512 * 512
            self._memory = cupy.zeros(rows * self.step, cupy.uint8)
            self.cudaPtr = lambda: self._memory.data.ptr
            self.size = lambda: self._size
            self.type = lambda: self._kind

    module = ModuleType("cv2")
    module.__dict__.update(
        CV_8UC3=16,
        cuda=SimpleNamespace(GpuMat=GpuMat),
        VideoWriter_fourcc=lambda *letters: int.from_bytes("".join(letters).encode(), "little"),
    )
    return module


@pytest.fixture
def encoder_with_codecs(engine: EncodeLibrary) -> None:
    """Videos are written into containers, which read the stream's own headers."""
    engine.control(configure={"gpus": [{"name": "L4", "engines": 3}], "backend": "codec", "strict": True})


def run_where_supported(snippet: Snippet, namespace: dict[str, Any], abi: str) -> None:
    try:
        snippet.run(namespace)
    except UnsupportedFeature as error:  # the newest interface has everything
        if "takes version" not in str(error) or abi == NEWEST_ABI:
            raise


@pytest.mark.parametrize("page", PAGES_TO_RUN, ids=lambda page: page.name)
def test_snippets_of(
    page: Path, encoder_with_codecs: None, abi: str, cupy: Any, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    monkeypatch.setitem(sys.modules, "cv2", opencv_with_cuda(cupy))
    encode_frames([np.full((96, 64), 128, np.uint8)] * 3, "in.mp4", format="nv12", backend="software")
    namespace: dict[str, Any] = {"__name__": "snippet"}
    try:
        for snippet in snippets(page):
            if snippet.needs_gpu:
                run_where_supported(snippet, namespace, abi)
    except NvencError as error:
        if "the simulator was built without" not in str(error):
            raise
        missing("real codecs in the simulated encoder", "apt-get install libx264-dev libx265-dev, and build it again")
    namespace.clear()
    gc.collect()
