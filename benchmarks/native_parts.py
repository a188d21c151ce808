"""The small native parts of the benchmarks, compiled at their first use (needs g++ and pybind11)."""

from __future__ import annotations

import ctypes
import importlib.util
import os
import subprocess
import sys
import sysconfig
from pathlib import Path
from types import ModuleType

HERE = Path(__file__).resolve().parent
ROOT = HERE.parent
BUILD = ROOT / "build" / "benchmarks"
TABLES = ROOT / "third_party" / "nvenc_abi"
SOURCES = ROOT / "src" / "cpp"
COMPILE_PROGRAM = [os.environ.get("CXX", "g++"), "-std=c++17", "-O2"]
COMPILE = [*COMPILE_PROGRAM, "-shared", "-fPIC"]


def build(directory: Path = BUILD) -> None:
    """Compiles what is older than its source."""
    directory.mkdir(parents=True, exist_ok=True)
    source, target = HERE / "native" / "raw_client.cpp", directory / "raw_client.so"
    if outdated(target, source):
        header = directory / "nvenc_13_0.hpp"
        run(sys.executable, TABLES / "generate.py", TABLES / "13.0.json", "--namespace", "raw", "--output", header)
        run(*COMPILE, f"-I{directory}", source, "-o", target, "-ldl")
    source, target = HERE / "native" / "device_array.cpp", directory / extension_name()
    if outdated(target, source):
        import pybind11

        includes = [f"-I{path}" for path in (sysconfig.get_path("include"), pybind11.get_include())]
        run(*COMPILE, "-fvisibility=hidden", *includes, source, "-o", target)


def turns(directory: Path = BUILD) -> Path:
    """The program that waits for the encoder's lock."""
    directory.mkdir(parents=True, exist_ok=True)
    parts, target = [HERE / "native" / "turns.cpp", SOURCES / "core" / "turnstile.cpp"], directory / "turns"
    if any(outdated(target, part) for part in [*parts, SOURCES / "core" / "turnstile.hpp"]):
        run(*COMPILE_PROGRAM, "-pthread", f"-I{SOURCES}", *parts, "-o", target)
    return target


def nvtx_cost(rounds: int, *, with_nvtx: bool, directory: Path = BUILD) -> str:
    """What the program prints that begins and ends ranges."""
    directory.mkdir(parents=True, exist_ok=True)
    source, target = HERE / "native" / "nvtx_cost.cpp", directory / ("nvtx_cost" if with_nvtx else "no_nvtx_cost")
    if any(outdated(target, part) for part in (source, SOURCES / "core" / "nvtx.hpp")):
        options = ["-DPDUM_USE_NVTX", f"-isystem{nvtx_headers()}"] if with_nvtx else []
        run(*COMPILE_PROGRAM, *options, f"-I{SOURCES}", source, "-o", target, "-ldl")
    return subprocess.run([target, str(rounds)], check=True, capture_output=True, text=True, timeout=600).stdout


def nvtx_headers() -> Path:
    """Of the package nvidia-nvtx-cu12, or of a CUDA toolkit."""
    found = importlib.util.find_spec("nvidia.nvtx")
    if found is None or not found.submodule_search_locations:
        return Path(os.environ.get("CUDA_HOME", "/usr/local/cuda")) / "include"
    return Path(found.submodule_search_locations[0]) / "include"


def outdated(target: Path, source: Path) -> bool:
    return not target.exists() or target.stat().st_mtime < source.stat().st_mtime


def run(*command: str | Path) -> None:
    subprocess.run([str(word) for word in command], check=True)


def extension_name() -> str:
    return f"device_array{sysconfig.get_config_var('EXT_SUFFIX')}"


def device_array(directory: Path = BUILD) -> ModuleType:
    """The module with DeviceArray: device memory with an array interface and DLPack."""
    specification = importlib.util.spec_from_file_location("device_array", directory / extension_name())
    if specification is None or specification.loader is None:
        raise ImportError(f"no device_array in {directory}")
    module = importlib.util.module_from_spec(specification)
    specification.loader.exec_module(module)
    return module


def raw_client(directory: Path = BUILD) -> ctypes.CDLL:
    library = ctypes.CDLL(str(directory / "raw_client.so"))
    library.raw_error.restype = ctypes.c_char_p
    library.raw_open.restype = ctypes.c_void_p
    library.raw_open.argtypes = [ctypes.c_uint32, ctypes.c_uint32]
    library.raw_close.restype = None
    library.raw_close.argtypes = [ctypes.c_void_p]
    library.raw_encode.restype = ctypes.c_longlong
    library.raw_encode.argtypes = [
        ctypes.c_void_p, ctypes.c_longlong, ctypes.c_uint64, ctypes.c_size_t, ctypes.c_void_p,
    ]  # fmt: skip
    return library
