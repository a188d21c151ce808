"""The pages about moving here from another package: its blocks and ours run side by side, and make the same video."""

from __future__ import annotations

import importlib.util
import sys
from pathlib import Path

import av
import pytest

from snippets import ROOT, snippets

from client_run import Bench
from loud import missing

pytestmark = [pytest.mark.clients, pytest.mark.one_abi]

PEERS = {"from-pyav": "av", "from-pynvvideocodec": "PyNvVideoCodec"}
FRAMES = """
import numpy as np

frames = [np.full((1620, 1920), 40 + 10 * number, np.uint8) for number in range(8)]
"""


def brightness(path: Path) -> list[float]:
    """Y of each picture."""
    with av.open(str(path)) as container:
        return [float(frame.to_ndarray()[: frame.height].mean()) for frame in container.decode(video=0)]


@pytest.mark.parametrize("page", PEERS)
def test_both_sides_of_a_page_make_the_same_video(bench: Bench, page: str) -> None:
    if importlib.util.find_spec(PEERS[page]) is None:
        missing(f"module {PEERS[page]}", f"pip install {PEERS[page]}")
    found = snippets(ROOT / "docs" / f"{page}.md")
    assert [one.is_of_peer for one in found] == [True, False] * (len(found) // 2)
    code = FRAMES + "\n".join(one.code for one in found)
    bench.run([sys.executable, "-c", f"import os; os.chdir({str(bench.folder)!r})\n{code}"])
    theirs = sorted(bench.folder.glob("theirs*"))
    assert len(theirs) == len(found) // 2
    for path in theirs:
        shown = brightness(path)
        assert len(shown) == 8
        assert shown == sorted(set(shown)), "each frame is brighter than the one before"
        assert brightness(path.with_name(path.name.replace("theirs", "ours"))) == pytest.approx(shown, abs=5)
