"""The ranges that profilers see, recorded by our own injection library."""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
from collections import Counter, defaultdict
from collections.abc import Iterator
from pathlib import Path
from typing import NamedTuple

import numpy as np
import pytest

import pdum.nvenc
from pdum.nvenc import VideoWriter, _nvenc
from pdum.nvenc._profiling import marked, profiled

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


IMPORT = leaf("import")
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
    """The ranges of each thread but the one of the import, with which the main thread begins."""
    log = folder / "log"
    given = {"NVTX_INJECTION64_PATH": str(recorder), "NVTX_LOG": str(log), "VIDEO_FOLDER": str(folder)}
    environment = {**os.environ, **given, "PYTHONPATH": str(HERE)}
    subprocess.run([sys.executable, str(SCENARIO), scenario], env=environment, check=True, timeout=60)
    (imported, *main), *others = trees(log.read_text())
    assert imported == IMPORT
    return [thread for thread in (main, *others) if thread]


def every_range(ranges: list[Range]) -> Iterator[Range]:
    for one in ranges:
        yield one
        yield from every_range(one.inside)


def counted(ranges: list[Range]) -> Counter[str]:
    return Counter(one.name.removeprefix("pdum.") for one in every_range(ranges))


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


def test_a_writer(recorder: Path, tmp_path: Path) -> None:
    caller, thread = record(recorder, tmp_path, "write_video")
    written = Range("pdum.writer.write", [Range("pdum.writer.encode", [WHOLE_ENCODE])])
    assert caller[:5] == [written] * 5
    assert (caller[5].name, len(caller)) == ("pdum.writer.close", 6)
    assert counted(caller)["collect_output"] == 5 + 1, "the last one finds that there is no more"
    assert thread == [leaf("writer.packet")] * 5 + [leaf("writer.complete")]


def test_a_writer_with_a_queue(recorder: Path, tmp_path: Path) -> None:
    """The caller only copies, and another thread encodes."""
    caller, *threads = record(recorder, tmp_path, "write_through_a_queue")
    assert caller[:5] == [Range("pdum.writer.write", [leaf("writer.copy")])] * 5
    assert [Range("pdum.writer.encode", [WHOLE_ENCODE])] * 5 in threads


@pytest.fixture(scope="module")
def of_a_file(recorder: Path, tmp_path_factory: pytest.TempPathFactory) -> list[list[Range]]:
    """The ranges of a file that is encoded by a pool, of each thread."""
    return record(recorder, tmp_path_factory.mktemp("file"), "encode_a_file")


def test_a_pool_and_its_decoder(of_a_file: list[list[Range]]) -> None:
    threads = [counted(ranges) for ranges in of_a_file]
    (engine,) = (found for found in threads if "pool.piece" in found)
    assert (engine["pool.open"], engine["pool.piece"], engine["pool.flush"], engine["encode"]) == (1, 1, 1, 20)
    assert 1 <= engine["pool.batch"] <= 20
    (feeder,) = (found for found in threads if "pool.frames" in found)
    assert (feeder["pool.frames"], feeder["filter"]) == (engine["pool.batch"], 20 + 1)
    assert feeder["decode"] >= 1
    assert feeder["convert"] == 20
    helpers = sum((found for found in threads if "pool.prepare" in found or "pool.finish" in found), Counter[str]())
    assert [helpers[name] for name in ("pool.prepare", "index", "pool.finish", "join", "verify")] == [1] * 5


def test_a_decoder_on_the_gpu(recorder: Path, tmp_path: Path) -> None:
    """Each packet is a range of the calling thread."""
    (caller,) = record(recorder, tmp_path, "decode_on_the_gpu")
    assert caller
    assert caller == [leaf("decode")] * len(caller)


def test_a_piece_holds_its_batches(of_a_file: list[list[Range]]) -> None:
    ranges = [one for thread in of_a_file for one in every_range(thread)]
    (piece,) = (one for one in ranges if one.name == "pdum.pool.piece")
    assert {one.name for one in piece.inside} == {"pdum.pool.batch", "pdum.pool.flush"}
    (finish,) = (one for one in ranges if one.name == "pdum.pool.finish")
    assert [one.name for one in finish.inside] == ["pdum.join", "pdum.verify"]


def test_without_a_profiler_functions_are_as_they_were_written() -> None:
    """So that they cost nothing more."""
    assert not _nvenc.has_profiler

    def function() -> None: ...

    assert profiled("pdum.test")(function) is function
    assert not hasattr(VideoWriter.write, "__wrapped__")


def test_a_marked_function_stays_what_it_is() -> None:
    @marked("pdum.test")
    def divided(number: int, *, by: int = 2) -> int:
        """A half."""
        return number // by

    assert (divided(6), divided(9, by=3), divided.__name__, divided.__doc__) == (3, 3, "divided", "A half.")
    with pytest.raises(ZeroDivisionError):
        divided(1, by=0)


def test_the_records_are_checked() -> None:
    """The reader of the log finds the errors that it looks for."""
    for unbalanced in ("1 + 1 a\n", "1 + 1 a\n1 + 2 b\n1 - 1\n", "1 + 1 a\n1 - 0\n2 + 2 a\n"):
        with pytest.raises(AssertionError):
            trees(unbalanced)


@pytest.mark.slow
def test_a_build_without(root: Path, recorder: Path, tmp_path: Path) -> None:
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
    folders = [str(tmp_path / "site"), str(HERE), str(Path(np.__file__).parents[1])]
    log = tmp_path / "log"
    isolated = {**os.environ, "PYTHONPATH": ":".join(folders), "VIDEO_FOLDER": str(tmp_path)}
    isolated |= {"NVTX_INJECTION64_PATH": str(recorder), "NVTX_LOG": str(log)}
    code = (
        "import pdum.nvenc as n; from pdum.nvenc import _nvenc as m; print(n.__file__, n.nvtx_enabled, m.has_profiler)"
    )
    told = subprocess.run([sys.executable, "-S", "-c", code], env=isolated, capture_output=True, text=True, check=True)
    assert told.stdout.split() == [str(package / "__init__.py"), "False", "False"]
    subprocess.run([sys.executable, "-S", str(SCENARIO), "write_video"], env=isolated, check=True, timeout=60)
    assert (tmp_path / "a.mp4").stat().st_size > 0
    assert not log.exists(), "nothing was loaded for the ranges"
