"""The conversion on this machine's processor, with the product's planning and the source of its kernels."""

from __future__ import annotations

import ctypes
import subprocess
from pathlib import Path

from colour import reference
from colour.cases import Arrangement, Image, Output

ROOT = Path(__file__).resolve().parents[2]
HERE = Path(__file__).resolve().parent / "emulation"
SOURCES = (HERE / "emulator.cpp", ROOT / "src/cpp/colour/colour_plan.cpp", ROOT / "src/cpp/core/error.cpp")
# Loads and stores of several pixels at once go through pointers of other types, as is usual on a GPU.
OPTIONS = ("-std=c++17", "-O1", "-fPIC", "-shared", "-rdynamic", "-ffp-contract=off", "-fno-strict-aliasing",
           "-Wno-unknown-pragmas")  # fmt: skip


class Request(ctypes.Structure):
    _fields_ = (
        ("source", ctypes.c_uint64),
        ("shape", ctypes.c_int64 * 3),
        ("strides", ctypes.c_int64 * 3),
        ("chw", ctypes.c_int32),
        ("type", ctypes.c_int32),
        ("format", ctypes.c_int32),
        ("matrix", ctypes.c_int32),
        ("full_range", ctypes.c_int32),
        ("siting", ctypes.c_int32),
        ("destination", ctypes.c_uint64),
        ("pitch", ctypes.c_uint64),
    )


class Emulator:
    def __init__(self, folder: Path) -> None:
        library = folder / "emulator.so"
        folders = [f"-I{HERE}", f"-I{ROOT / 'src/cpp'}"]
        command = ["c++", *OPTIONS, *folders, "-include", "cuda_fp16.h", "-x", "c++", *map(str, SOURCES)]
        subprocess.run([*command, "-o", str(library), "-ldl"], check=True, capture_output=True, text=True, timeout=240)
        self._library = ctypes.CDLL(str(library), mode=ctypes.RTLD_GLOBAL)
        self._library.convert.restype = ctypes.c_char_p
        self._library.name_of_kernel.restype = ctypes.c_char_p

    def convert(self, a: Arrangement, image: Image, output: Output) -> list[str]:
        """The names of the kernels that ran."""
        request = Request(
            image.memory.ctypes.data + image.offset,
            image.shape,
            image.strides,
            a.layout == "chw",
            reference.TYPES.index(a.type),
            reference.FORMATS.index(a.form),
            reference.MATRICES.index(a.matrix),
            a.full_range,
            reference.SITINGS.index(a.siting),
            output.memory.ctypes.data + output.offset,
            output.pitch,
        )
        answer: str = self._library.convert(ctypes.byref(request)).decode()
        if answer.startswith("!"):
            raise ValueError(answer[1:])
        return answer.split(",")

    def kernel_names(self, count: int) -> list[str]:
        return [self._library.name_of_kernel(number).decode() for number in range(count)]
