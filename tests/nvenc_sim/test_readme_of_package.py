"""The examples in the README of pdum-nvenc-sim run, over an encoder that stands for the reader's own."""

from __future__ import annotations

import re
import shlex
import shutil
import textwrap
from pathlib import Path

import pytest

from nvenc_sim.test_plugin import HERE, ROOT, run_pytest
from nvsim import NvencSim
from nvsim.command import parser

README = (ROOT / "packages" / "nvenc-sim" / "README.md").read_text()
PRELUDE = """
import numpy as np
import pytest

import my_encoder

frames = [np.full((my_encoder.HEIGHT * 3 // 2, my_encoder.WIDTH), 10 * number, np.uint8) for number in range(3)]
frame = nv12 = frames[0]
"""
WHAT_ARRIVED = """
def test_what_arrived(nvenc_sim):
    data = my_encoder.encode(frames[:1])
"""


def blocks(language: str) -> list[str]:
    found: list[tuple[str, str]] = re.findall(r"^```(\w*)\n(.*?)^```$", README, flags=re.MULTILINE | re.DOTALL)
    return [text for name, text in found if name == language]


def test_the_examples_run(nvsim_dir: Path, tmp_path: Path) -> None:
    shutil.copy(HERE / "projects" / "my_encoder.py", tmp_path)
    tests, arrived = blocks("python")[:-1], blocks("python")[-1]
    text = PRELUDE + "\n\n".join(tests) + WHAT_ARRIVED + textwrap.indent(arrived, "    ")
    (tmp_path / "test_readme.py").write_text(text)
    (tmp_path / "pytest.ini").write_text("[pytest]\npythonpath = .\naddopts = --strict-markers\n")
    done = run_pytest(tmp_path, nvsim_dir, PDUM_NVENC_ABI="")
    assert done.returncode == 0, done.stdout
    assert f"{text.count('def test_')} passed" in done.stdout


def test_it_begins_with_the_file_of_a_ci() -> None:
    assert README.partition("```")[2].startswith("yaml\n")
    assert README.index("```yaml") < 200


def test_the_commands_are_understood() -> None:
    lines = [line for block in blocks("") for line in block.splitlines() if line.startswith("nvsim ")]
    assert len(lines) == 4
    for line in lines:
        given = parser().parse_args(shlex.split(line)[1:])
        assert given.command[0] == "--", line


TABLE = README.partition("| what it does |")[2].partition("\n\n")[0]


@pytest.mark.parametrize("name", re.findall(r"`(\w+)(?:\(| = |`)", TABLE))
def test_the_table_names_what_there_is(name: str) -> None:
    attributes = {*dir(NvencSim), "check_leaks", "nth"}
    assert name in attributes or name in ("name", "status", "session", "api", "args", "time", "pid", "tid"), name
