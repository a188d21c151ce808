"""The pytest plugin, as a project of a user's has it: its tests run in a process of their own."""

from __future__ import annotations

import os
import re
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

HERE = Path(__file__).parent
ROOT = HERE.parents[1]


def run_pytest(folder: Path, nvsim_dir: Path, *arguments: str, **variables: str) -> subprocess.CompletedProcess[str]:
    """Runs the tests of a folder as a user does who has installed pdum-nvenc-sim."""
    path = os.pathsep.join([str(ROOT / "packages" / "nvenc-sim" / "src"), str(ROOT / "tests")])
    given = {**os.environ, "PYTHONPATH": path, "NVSIM_DIR": str(nvsim_dir), **variables}
    given.pop("PYTEST_ADDOPTS", None)
    command = [sys.executable, "-m", "pytest", "-p", "nvsim.plugin", "-p", "no:cacheprovider", "-rA", *arguments]
    return subprocess.run(command, cwd=folder, env=given, capture_output=True, text=True, timeout=240)


@pytest.fixture(scope="module")
def outcome(nvsim_dir: Path, tmp_path_factory: pytest.TempPathFactory) -> str:
    folder = tmp_path_factory.mktemp("project")
    shutil.copy(HERE / "projects" / "project_of_a_user.py", folder / "test_encoder.py")
    (folder / "pytest.ini").write_text("[pytest]\naddopts = --strict-markers\n")
    done = run_pytest(folder, nvsim_dir)
    assert done.returncode == 1, done.stdout + done.stderr
    return done.stdout


def ended(outcome: str, word: str) -> set[str]:
    """The tests that pytest's summary lists under a word."""
    return set(re.findall(rf"^{word} test_encoder\.py::(\S+)", outcome, flags=re.MULTILINE))


def test_only_the_tests_fail_that_have_to(outcome: str) -> None:
    text = (HERE / "projects" / "project_of_a_user.py").read_text()
    names = set(re.findall(r"^def (test_\w+)", text, flags=re.MULTILINE))
    bad = {name for name in names if name.startswith(("test_fails_", "test_errs_"))}
    passed = {name.partition("[")[0] for name in ended(outcome, "PASSED")}
    assert len(bad) == 5
    assert passed == names - {name for name in bad if name.startswith("test_fails_")}, outcome
    assert ended(outcome, "FAILED") | ended(outcome, "ERROR") == bad, outcome


def test_failures_say_what_happened(outcome: str) -> None:
    assert "1 rule of the driver's interface was broken" in outcome
    assert re.search(r"nvEncUnlockBitstream \(session \d+\): .*not locked", outcome)
    assert "cuMemFree_v2 (address 0x1): freed, but no allocation begins here" in outcome
    assert 'no GPU "RTX 409" in the catalogue; nearest: "RTX 4090"' in outcome
    assert re.search(r"left alive in this process: .*1 device_allocations", outcome)
    assert re.search(r"Expected a violation that matches 'anything', got:\nE +none", outcome)


def test_a_driver_that_is_loaded_already_is_refused(nvsim_dir: Path, tmp_path: Path) -> None:
    """A real driver cannot be had here: a copy of the simulated one lies where a real one would."""
    shutil.copy(nvsim_dir / "full" / "libcuda.so.1", tmp_path / "libcuda.so.1")
    (tmp_path / "test_late.py").write_text(
        "import ctypes\nctypes.CDLL('libcuda.so.1')\ndef test_late(nvenc_sim): pass\n"
    )
    real = {"LD_LIBRARY_PATH": str(tmp_path)}
    done = run_pytest(tmp_path, nvsim_dir, **real)
    assert done.returncode == 1
    assert f"{tmp_path}/libcuda.so.1 is loaded in this process already: run pytest with --nvenc-sim" in done.stdout
    early = run_pytest(tmp_path, nvsim_dir, "--nvenc-sim", **real)
    assert early.returncode == 0, early.stdout
