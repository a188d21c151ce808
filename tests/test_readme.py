"""The README's code works, with NumPy in place of CuPy."""

from __future__ import annotations

import re
import subprocess
import sys
from pathlib import Path

import pytest

from video_frames import look

from simulator import environment, parse

pytestmark = [pytest.mark.one_abi, pytest.mark.usefixtures("nvsim_dir")]


@pytest.fixture(scope="module")
def examples(root: Path) -> list[str]:
    """The README's blocks of Python."""
    return re.findall(r"```python(?: gpu)?\n(.*?)```", (root / "README.md").read_text(), re.DOTALL)


def run(code: str, folder: Path, **machine: str) -> None:
    command = [sys.executable, "-c", code.replace("import cupy\n", "import numpy as cupy\n")]
    result = subprocess.run(
        command, env=environment(**machine), cwd=folder, capture_output=True, text=True, timeout=120
    )
    assert result.returncode == 0, result.stderr


def test_three_lines_write_a_file(examples: list[str], tmp_path: Path) -> None:
    frames = "import numpy\nframes = [numpy.full((144, 256, 3), 20 * n, numpy.uint8) for n in range(8)]\n"
    told = "import warnings\nwarnings.simplefilter('error')\n"
    run(f"{told}{frames}{examples[0]}", tmp_path, backend="codec")
    assert [path.name for path in tmp_path.iterdir()] == ["out.mp4"]
    assert len(look(tmp_path / "out.mp4").times) == 8


def test_an_encoder_of_your_own_writes_every_frame(examples: list[str], tmp_path: Path) -> None:
    run(examples[1], tmp_path)
    pictures = parse((tmp_path / "out.h265").read_bytes())
    assert [picture.serial for picture in pictures] == list(range(300))
    assert pictures[150].is_idr


def test_a_pipeline_gets_every_packet(examples: list[str], tmp_path: Path) -> None:
    before = (
        "import numpy\nfrom pdum.nvenc import NvencEncoder\nframes = [numpy.zeros((1620, 1920), numpy.uint8)] * 20\n"
    )
    collecting = (
        examples[2]
        .replace("    ...", "    late.append(packet.seq)")
        .replace("            seq_of_packet", "            early.append(packet.seq)\n            seq_of_packet")
    )
    run(
        f"{before}early, late = [], []\n{collecting}\nassert sorted(early + late) == list(range(20)) and early",
        tmp_path,
    )
