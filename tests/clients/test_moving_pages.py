"""The pages about moving here from another package: its blocks and ours run side by side, and make the same video."""

from __future__ import annotations

import importlib.util
import re
import sys
from pathlib import Path

import av
import pytest

from snippets import ROOT, snippets

from client_run import Bench
from clips import make_clip
from loud import missing, need_program

pytestmark = [pytest.mark.clients, pytest.mark.one_abi]

PEERS = {"from-pyav": "av", "from-pynvvideocodec": "PyNvVideoCodec"}
FRAMES = """
import numpy as np

frames = [np.full((1620, 1920), 40 + 10 * number, np.uint8) for number in range(8)]
"""

SHELL = re.compile(r"^```sh(?P<peer> peer)?\n(?P<code>.*?)^```$", re.MULTILINE | re.DOTALL)
TOOL = f'''
pdum-nvenc() {{ "{sys.executable}" -m pdum.nvenc "$@"; }}
ffmpeg() {{ command ffmpeg -v error -nostdin "$@"; }}
'''


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


def test_both_sides_of_the_page_about_ffmpeg_make_the_same_files(bench: Bench) -> None:
    need_program("ffmpeg", "ffmpeg")
    blocks = list(SHELL.finditer((ROOT / "docs" / "from-ffmpeg.md").read_text()))
    assert [bool(one["peer"]) for one in blocks] == [True, False] * (len(blocks) // 2)
    for name in ("film", "films/a", "films/b"):
        path = bench.folder / f"{name}.mkv"
        path.parent.mkdir(exist_ok=True)
        make_clip(path, 12)
    code = f"set -e\ncd {str(bench.folder)!r}{TOOL}" + "\n".join(one["code"] for one in blocks)
    bench.run(["bash", "-c", code])
    for theirs in (bench.folder / "theirs.mkv", bench.folder / "theirs" / "a.mkv", bench.folder / "theirs" / "b.mkv"):
        ours = Path(str(theirs).replace("theirs", "ours"))
        assert brightness(ours) == pytest.approx(brightness(theirs), abs=5)
