"""``run.sh``: it shows that it works, cleans up, and starts the command with the arguments that it was given.

It installs a small package in place of this one, so that a test takes seconds and no network.
"""

from __future__ import annotations

import os
import pty
import shutil
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest

from loud import need_program

pytestmark = [pytest.mark.one_abi, pytest.mark.slow]

BACKEND = """
import os, sys, time, zipfile

def build_wheel(wheel_directory, config_settings=None, metadata_directory=None):
    if os.path.exists("broken"):
        sys.exit("the compiler says no")
    while os.path.exists("hold"):
        time.sleep(0.05)
    name = "pdum_nvenc-0.1.0-py3-none-any.whl"
    info = "pdum_nvenc-0.1.0.dist-info"
    files = {
        "said.py": "import os, sys\\ndef main(): print(os.environ['PDUM_NVENC_PROGRAM'], *sys.argv[1:])\\n",
        f"{info}/METADATA": "Metadata-Version: 2.1\\nName: pdum-nvenc\\nVersion: 0.1.0\\nProvides-Extra: all\\n",
        f"{info}/WHEEL": "Wheel-Version: 1.0\\nGenerator: test\\nRoot-Is-Purelib: true\\nTag: py3-none-any\\n",
        f"{info}/entry_points.txt": "[console_scripts]\\npdum-nvenc = said:main\\n",
    }
    files[f"{info}/RECORD"] = "".join(f"{one},,\\n" for one in [*files, f"{info}/RECORD"])
    with zipfile.ZipFile(os.path.join(wheel_directory, name), "w") as wheel:
        for one, text in files.items():
            wheel.writestr(one, text)
    return name
"""
PROJECT = """
[build-system]
requires = []
build-backend = "backend"
backend-path = ["."]
[project]
name = "pdum-nvenc"
version = "0.1.0"
[project.optional-dependencies]
all = []
"""
Process = subprocess.Popen[str]


@pytest.fixture
def tree(tmp_path: Path, root: Path) -> Path:
    need_program("g++", "g++")
    folder = tmp_path / "a tree"
    for name in ("src", "third_party"):
        (folder / name).mkdir(parents=True)
    shutil.copy(root / "run.sh", folder)
    (folder / "backend.py").write_text(BACKEND)
    (folder / "pyproject.toml").write_text(PROJECT)
    (folder / "CMakeLists.txt").write_text("")
    return folder


def run(tree: Path, *arguments: str, script: str = "./run.sh") -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [*script.split(), *arguments], cwd=tree, env={**os.environ, "PYTHON": sys.executable},
        capture_output=True, text=True, timeout=300, check=False,
    )  # fmt: skip


def test_it_installs_at_the_first_use_and_after_changes(tree: Path) -> None:
    first = run(tree)
    assert (first.returncode, first.stdout) == (0, "./run.sh demo\n"), first.stderr
    steps = [line.partition(":")[0] for line in first.stderr.splitlines() if ": done in" in line]
    assert steps == ["Making .venv", "Downloading and building"]
    second = run(tree, "encode", "-r", "two words", script="bash run.sh")
    assert (second.stdout, second.stderr) == ("bash run.sh encode -r two words\n", "")
    (tree / "src" / "new.cpp").write_text("int changed;")
    third = run(tree, "doctor")
    assert third.stdout == "./run.sh doctor\n"
    assert "Downloading and building: done in" in third.stderr
    assert "Making .venv" not in third.stderr


def test_a_failure_shows_what_was_said_and_the_next_use_tries_again(tree: Path) -> None:
    (tree / "broken").write_text("")
    failed = run(tree, "doctor")
    assert failed.returncode == 1
    assert failed.stdout == ""
    assert "the compiler says no" in failed.stderr
    assert failed.stderr.endswith("Downloading and building failed.\n")
    (tree / "broken").unlink()
    assert run(tree, "doctor").stdout == "./run.sh doctor\n"


def test_a_terminal_sees_the_seconds(tree: Path) -> None:
    (tree / "hold").write_text("")
    leader, follower = pty.openpty()
    with subprocess.Popen(
        ["./run.sh", "doctor"], cwd=tree, env={**os.environ, "PYTHON": sys.executable}, stdout=follower, stderr=follower
    ):
        os.close(follower)
        seen = b""
        while b"Downloading and building \xe2\x80\xa6 2 s" not in seen:
            seen += os.read(leader, 1000)
        (tree / "hold").unlink()
        while b"./run.sh doctor" not in seen:
            seen += os.read(leader, 1000)
    os.close(leader)


def test_nothing_is_left_after_ctrl_c(tree: Path) -> None:
    (tree / "hold").write_text("")
    temporary = tree.parent / "tmp"
    temporary.mkdir()
    with subprocess.Popen(
        ["./run.sh"], cwd=tree, env={**os.environ, "PYTHON": sys.executable, "TMPDIR": str(temporary)},
        stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True, start_new_session=True,
    ) as process:  # fmt: skip
        assert process.stderr is not None
        while "Downloading" not in process.stderr.readline():
            pass
        while not any(temporary.glob("pip-*")):  # until pip works
            time.sleep(0.02)
        os.killpg(process.pid, signal.SIGINT)
        assert process.wait(60) != 0
        (tree / "hold").unlink()
        process.stderr.read()  # to its end: no process holds it any more
    assert not [path for path in temporary.iterdir() if path.name.startswith("tmp.")]
    assert not (tree / ".venv" / ".run").exists()
