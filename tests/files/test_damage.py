"""Sources with packets that cannot be decoded: whatever decodes them, what is whole beside the damage is there."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from damaged import damaged
from media_samples import sample
from pdum.nvenc._media._decode import frames_from
from pdum.nvenc._media._source import Decoding, index_source

pytestmark = pytest.mark.one_abi


@pytest.mark.parametrize("packets", [{1}, {37}, {38}, {39}, {20, 36}, set(range(30, 40))])
@pytest.mark.parametrize("first", [0, 21])
def test_many_threads_find_what_one_finds(tmp_path: Path, packets: set[int], first: int) -> None:
    """Threads that work on later frames tell of damage late, and what they had found meanwhile is lost with it."""
    path = damaged(sample("pyramid"), packets, tmp_path)
    index = index_source(path)
    found = {}
    for threads in (1, 2, 16):
        repeated: list[int] = []
        frames = frames_from(path, index, first, Decoding(threads), repeated.append)
        found[threads] = [frame.to_ndarray() for frame in frames], repeated
    assert len(found[1][0]) == index.frames - first
    for threads in (2, 16):
        assert found[threads][1] == found[1][1]
        assert all(np.array_equal(one, other) for one, other in zip(found[1][0], found[threads][0], strict=True))
