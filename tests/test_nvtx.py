"""The ranges that profilers see, recorded by our own injection library."""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
from collections import defaultdict
from pathlib import Path
from typing import NamedTuple

import pytest

import pdum.nvenc
from pdum.nvenc import _nvenc

from loud import need_program

pytestmark = [pytest.mark.one_abi, pytest.mark.usefixtures("nvsim_dir")]

HERE = Path(__file__).resolve().parent
RECORDER = HERE / "nvtx_injection" / "recorder.cpp"
SCENARIO = HERE / "nvtx_injection" / "scenario.py"


class Range(NamedTuple):
    name: str
    inside: list[Range]

    def __repr__(self) -> str:
        return f"{self.name}{self.inside or ''}"


def leaf(name: str) -> Range:
    return Range(f"pdum.{name}", [])


WHOLE_ENCODE = Range("pdum.encode", [leaf("read_iface"), leaf("copy_to_nvenc"), leaf("submit"), leaf("collect_output")])


@pytest.fixture(scope="module")
def recorder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    library = tmp_path_factory.mktemp("nvtx") / "recorder.so"
    options = ["-std=c++17", "-Wall", "-Wextra", "-Wpedantic", "-Werror", "-shared", "-fPIC", "-fvisibility=hidden"]
    subprocess.run([need_program("g++", "g++"), *options, "-o", str(library), str(RECORDER)], check=True, timeout=120)
    return library


def trees(log: str) -> list[list[Range]]:
    """The outermost ranges of each thread. Fails if a range is pushed and not popped, or popped and not pushed."""
    threads: dict[str, list[list[Range]]] = defaultdict(lambda: [[]])
    for line in log.splitlines():
        thread, sign, depth, *name = line.split(" ", 3)
        open_ones = threads[thread]
        if sign == "+":
            new = Range(name[0], [])
            open_ones[-1].append(new)
            open_ones.append(new.inside)
        else:
            open_ones.pop()
        assert len(open_ones) == int(depth) + 1, line
    for thread, open_ones in threads.items():
        assert len(open_ones) == 1, f"thread {thread} left {len(open_ones) - 1} ranges"
    return [open_ones[0] for open_ones in threads.values()]


def record(recorder: Path, folder: Path, scenario: str) -> list[list[Range]]:
    log = folder / "log"
    given = {"NVTX_INJECTION64_PATH": str(recorder), "NVTX_LOG": str(log)}
    environment = {**os.environ, **given, "PYTHONPATH": str(HERE)}
    subprocess.run([sys.executable, str(SCENARIO), scenario], env=environment, check=True, timeout=60)
    return trees(log.read_text())


def test_this_build_has_ranges() -> None:
    assert pdum.nvenc.nvtx_enabled is True


def test_encode(recorder: Path, tmp_path: Path) -> None:
    assert record(recorder, tmp_path, "encode") == [[WHOLE_ENCODE]]


def test_submit_and_flush(recorder: Path, tmp_path: Path) -> None:
    flush = Range("pdum.flush", [leaf("collect_output")])
    assert record(recorder, tmp_path, "submit") == [[WHOLE_ENCODE, WHOLE_ENCODE, flush]]


def test_an_invalid_frame(recorder: Path, tmp_path: Path) -> None:
    assert record(recorder, tmp_path, "wrong_frame") == [[Range("pdum.encode", [leaf("read_iface")]), WHOLE_ENCODE]]


@pytest.mark.parametrize(("step", "reached"), [("copy", 2), ("submit", 3), ("collect", 4)])
def test_a_driver_that_fails_on_the_way(recorder: Path, tmp_path: Path, step: str, reached: int) -> None:
    """Every range that began has ended."""
    assert record(recorder, tmp_path, f"failing_{step}") == [[Range("pdum.encode", WHOLE_ENCODE.inside[:reached])]]


def test_each_thread_has_its_own(recorder: Path, tmp_path: Path) -> None:
    assert record(recorder, tmp_path, "threads") == [[WHOLE_ENCODE] * 20] * 4


def test_the_records_are_checked() -> None:
    """The reader of the log finds the errors that it looks for."""
    for unbalanced in ("1 + 1 a\n", "1 + 1 a\n1 + 2 b\n1 - 1\n", "1 + 1 a\n1 - 0\n2 + 2 a\n"):
        with pytest.raises(AssertionError):
            trees(unbalanced)


@pytest.mark.slow
def test_a_build_without(root: Path, tmp_path: Path) -> None:
    """-DUSE_NVTX=OFF needs no header of NVTX and leaves nothing of it in the module."""
    build, package = tmp_path / "build", tmp_path / "site" / "pdum" / "nvenc"
    options = ["-DUSE_NVTX=OFF", f"-DPython_EXECUTABLE={sys.executable}"]
    options += ["-DCMAKE_BUILD_TYPE=Debug", "-DCMAKE_CXX_FLAGS=-O0"]
    subprocess.run(["cmake", "-S", str(root), "-B", str(build), *options], check=True, timeout=120)
    assert "NVTX_INCLUDE_DIR:" not in (build / "CMakeCache.txt").read_text()
    subprocess.run(["cmake", "--build", str(build), "-j2"], check=True, timeout=290)
    (module,) = build.glob("_nvenc*.so")
    for trace in (b"NVTX_INJECTION", b"nvtxRangePush"):
        assert trace not in module.read_bytes()
    assert b"NVTX_INJECTION" in Path(_nvenc.__file__).read_bytes()
    shutil.copytree(root / "src" / "pdum" / "nvenc", package, ignore=shutil.ignore_patterns("__pycache__", "*.so"))
    (package / module.name).write_bytes(module.read_bytes())
    code = "import pdum.nvenc as n; print(n.__file__, n.nvtx_enabled)"
    isolated = {**os.environ, "PYTHONPATH": str(tmp_path / "site")}
    told = subprocess.run([sys.executable, "-S", "-c", code], env=isolated, capture_output=True, text=True, check=True)
    assert told.stdout.split() == [str(package / "__init__.py"), "False"]
