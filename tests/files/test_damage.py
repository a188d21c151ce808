"""Sources with packets that cannot be decoded. Every way of decoding keeps the good frames near the damage."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest

from damaged import damaged
from media_samples import ffmpeg, sample
from pdum.nvenc._media.decode import frames_from
from pdum.nvenc._media.decoder import Decoding, Start
from pdum.nvenc._media.source import index_source

pytestmark = pytest.mark.one_abi


@pytest.mark.parametrize("packets", [{1}, {37}, {38}, {39}, {20, 36}, set(range(30, 40))])
@pytest.mark.parametrize("first", [0, 21])
def test_many_threads_find_what_one_finds(tmp_path: Path, packets: set[int], first: int) -> None:
    """Threads that work on later frames report damage late, and lose the good frames that they already had."""
    path = damaged(sample("pyramid"), packets, tmp_path)
    index = index_source(path)
    found = {}
    for threads, has_begun in ((1, False), (2, False), (16, False), (1, True), (2, True), (16, True)):
        repeated: list[int] = []
        start = Start.looked_at(path, threads) if has_begun else None
        frames = frames_from(path, index, first, Decoding(threads), repeated.append, start)
        found[threads, has_begun] = [frame.to_ndarray() for frame in frames], repeated
    pictures, numbers = found.pop((1, False))
    assert len(pictures) == index.frames - first
    for others, repeated in found.values():
        assert repeated == numbers
        assert all(np.array_equal(one, other) for one, other in zip(pictures, others, strict=True))


def test_a_tail_of_zeros_costs_few_attempts(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """An interrupted copy may already have the full size. Here, each frame is a key frame."""
    path, frames = tmp_path / "tail.mp4", 1500
    ffmpeg("-f", "lavfi", "-i", "testsrc2=size=32x32:rate=25", "-frames:v", str(frames), "-pix_fmt", "yuvj420p",
           "-c:v", "mjpeg", "-movflags", "+faststart", path)  # fmt: skip
    data = bytearray(path.read_bytes())
    begin = data.index(b"mdat") + 40_000
    data[begin:] = bytes(len(data) - begin)
    path.write_bytes(data)
    index = index_source(path)
    assert (index.frames, len(index.keys)) == (frames, frames)
    opened: list[Path] = []
    open_container = Decoding.opened

    def counted(self: Decoding, source: Path) -> Any:
        opened.append(source)
        return open_container(self, source)

    monkeypatch.setattr(Decoding, "opened", counted)
    for first in (0, frames // 2, frames - 1):
        repeated: list[int] = []
        opened.clear()
        found = list(frames_from(path, index, first, Decoding(2), repeated.append))
        assert len(found) == frames - first
        assert repeated == list(range(repeated[0], frames))
        assert len(opened) < 20
