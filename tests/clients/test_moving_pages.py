"""The pages about moving here from another package: its blocks and ours run side by side, and make the same video."""

from __future__ import annotations

import importlib.util
import os
import re
import subprocess
import sys
from pathlib import Path

import av
import pytest

from snippets import ROOT, snippets

from client_run import PROGRAMS, Bench
from clips import make_clip
from loud import missing, need_program

pytestmark = [pytest.mark.clients, pytest.mark.one_abi]

PEERS = {"from-pyav": "av", "from-pynvvideocodec": "PyNvVideoCodec", "from-opencv": "cv2"}
FRAMES = """
import numpy as np

frames = [np.full((1620, 1920), 40 + 10 * number, np.uint8) for number in range(8)]
"""

SHELL = re.compile(r"^```sh(?P<peer> peer)?\n(?P<code>.*?)^```$", re.MULTILINE | re.DOTALL)
TOML = re.compile(r"^```toml(?: peer)?\n(.*?)^```$", re.MULTILINE | re.DOTALL)
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
    found = [one for one in snippets(ROOT / "docs" / f"{page}.md") if not one.needs_gpu]
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


def test_both_sides_of_the_page_about_twin_nvenc_make_the_same_files(bench: Bench) -> None:
    need_program("ffmpeg", "ffmpeg")
    blocks = list(SHELL.finditer((ROOT / "docs" / "from-twin-nvenc.md").read_text()))
    assert [bool(one["peer"]) for one in blocks] == [True, False]
    for folder in ("theirs", "ours"):
        for number in range(3):
            make_clip(bench.folder / folder / f"{number}.mp4", 12, seed=number, sound=number == 0)
    twin = f'twin-nvenc() {{ "{sys.executable}" "{PROGRAMS / "twin_nvenc.py"}" "$@"; }}'
    code = f"set -e\ncd {str(bench.folder)!r}{TOOL}\n{twin}\n" + "\n".join(one["code"] for one in blocks)
    bench.run(["bash", "-c", code])
    for number in range(3):
        theirs, ours = (bench.folder / folder / "compressed" / f"{number}.mp4" for folder in ("theirs", "ours"))
        assert brightness(ours) == pytest.approx(brightness(theirs), abs=5)
        assert streams(ours) == streams(theirs) == (["h264", "aac"] if number == 0 else ["h264"])


def streams(path: Path) -> list[str]:
    with av.open(str(path)) as container:
        return [stream.codec_context.name for stream in container.streams]


def test_a_configuration_file_of_twin_nvenc_becomes_ours(tmp_path: Path) -> None:
    """The page's second block is the first one in our words, and both say the same."""
    theirs, ours = TOML.findall((ROOT / "docs" / "from-twin-nvenc.md").read_text())
    words = {"[presets.": "[profiles."}
    changed = "".join(line for line in theirs.splitlines(keepends=True) if not line.startswith(("parallel", "output")))
    for one, other in words.items():
        changed = changed.replace(one, other)
    assert changed == ours
    config = tmp_path / "pdum-nvenc" / "config.toml"
    config.parent.mkdir()
    config.write_text(ours)
    shown = subprocess.run(
        [sys.executable, "-m", "pdum.nvenc", "config", "show", "-P", "archival"],
        capture_output=True, text=True, check=True, env={**os.environ, "XDG_CONFIG_HOME": str(tmp_path)},
    ).stdout  # fmt: skip
    for name, value in {"codec": "av1", "preset": "p7", "quality": "24", "audio": "128000"}.items():
        assert re.search(rf"(?m)^{name}\b.*\b{value}\b.*{config.name}", shown), shown
