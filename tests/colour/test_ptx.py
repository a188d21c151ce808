"""The PTX in the package is what its source compiles to, works with old drivers and GPUs, and has every kernel."""

from __future__ import annotations

import importlib.util
import re
import shutil
import subprocess
import sys
from pathlib import Path
from types import ModuleType

import pytest

from colour.emulator import Emulator

from loud import missing

pytestmark = pytest.mark.one_abi

ROOT = Path(__file__).resolve().parents[2]
CUDA = ROOT / "src" / "cuda"
PTX = CUDA / "rgb_to_yuv.ptx"
KERNELS = 56

# Instructions that PTX 1.0 to 4.0 has on every GPU since Maxwell, by the part of their name that says so. What needs a
# newer one (shfl.sync, dp4a, cp.async, half arithmetic, …) is not among them.
OLD_INSTRUCTIONS = re.compile(
    r"ld\.param\.|ld\.global\.nc\.|st\.global\.|mov\.|cvta\.to\.global\.u64|"
    r"(add|sub|shl|shr|and|or|setp|min|max|mul|mad|selp)\.|"
    r"(fma|add)\.r[nm]\.f32|cvt\.(rn|sat)\.f32\.|cvt\.f32\.f16|cvt\.[su]\d+\.[su]\d+|prmt\.b32|bra|ret"
)


def instructions(ptx: str) -> set[str]:
    found = set()
    for line in ptx.splitlines():
        words = re.sub(r"^@!?%p\d+\s+", "", line.strip())
        if words and not words.startswith((".", "{", "}", "(", ")", "$", "//")):
            found.add(words.split()[0].rstrip(";"))
    return found


def test_it_states_old_versions() -> None:
    text = PTX.read_text()
    assert re.findall(r"^\.version (\S+)$", text, re.MULTILINE) == ["5.0"]
    assert re.findall(r"^\.target (\S+)$", text, re.MULTILINE) == ["sm_50"]


def test_it_keeps_to_old_instructions() -> None:
    used = instructions(PTX.read_text())
    assert len(used) > 20
    assert not {name for name in used if not OLD_INSTRUCTIONS.match(name) or ".f16x2" in name or ".bf16" in name}
    assert not re.search(r"\.pragma|\.shared|\.extern|\.func|\.global \.|\.const \.|call", PTX.read_text())


def test_it_does_not_name_the_place_of_its_build() -> None:
    assert not re.search(r"//|/[a-z]+/|\.file|\.loc", PTX.read_text())


def test_the_script_makes_it(tmp_path: Path) -> None:
    if shutil.which("nvcc") is None:
        missing("program nvcc, so nobody knows whether rgb_to_yuv.ptx is of this source", "CUDA toolkit")
    version = subprocess.run(["nvcc", "--version"], capture_output=True, text=True, check=True, timeout=60).stdout
    if "release 13.0" not in version:
        missing("nvcc 13.0: other versions word the same kernels differently")
    made = tmp_path / "made.ptx"
    subprocess.run([str(CUDA / "make_ptx.sh"), str(made)], check=True, capture_output=True, text=True, timeout=240)
    assert made.read_text() == PTX.read_text(), "run src/cuda/make_ptx.sh and commit what it makes"


@pytest.fixture(scope="module")
def embed() -> ModuleType:
    spec = importlib.util.spec_from_file_location("embed", CUDA / "embed.py")
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


def test_every_kernel_has_its_own_text(embed: ModuleType, tmp_path: Path) -> None:
    kernels = embed.split(PTX.read_text())
    assert sorted(kernels) == sorted(Emulator(tmp_path).kernel_names(KERNELS))
    for name, text in kernels.items():
        assert text.startswith(".version 5.0\n.target sm_50\n.address_size 64\n")
        assert re.findall(r"\.entry (\w+)", text) == [name]


PRINTER = r"""
#include <cstdio>
#include <cstdlib>
#include <iterator>
#include <iostream>
#include "colour/packed_text.hpp"
// Prints the kernels that are named, or unpacks what comes in, of which so many bytes are wanted.
int main(int count, char** given) {
    using namespace pdum::nvenc;
    const std::string input(std::istreambuf_iterator<char>(std::cin), {});
    if (input.empty()) for (int i = 1; i < count; ++i) std::cout << kernel_ptx(given[i]) << '\0';
    else std::cout << unpack(reinterpret_cast<const unsigned char*>(input.data()), std::atoi(given[1]));
}
"""


@pytest.fixture(scope="module")
def printer(embed: ModuleType, tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("printer")
    (folder / "kernels.cpp").write_text(embed.as_source("rgb_to_yuv.ptx", PTX.read_text()))
    (folder / "printer.cpp").write_text(PRINTER)
    sources = [folder / "kernels.cpp", folder / "printer.cpp", ROOT / "src" / "cpp" / "colour" / "packed_text.cpp"]
    compiler = ["c++", "-std=c++17", f"-I{ROOT / 'src' / 'cpp'}", *map(str, sources), "-o", str(folder / "printer")]
    subprocess.run(compiler, check=True, timeout=240)
    return folder / "printer"


def test_the_module_unpacks_the_committed_kernels(embed: ModuleType, printer: Path) -> None:
    """Without their indentation. An unknown name has no text."""
    texts = {name: embed.without_indentation(text) for name, text in embed.split(PTX.read_text()).items()}
    told = subprocess.run(
        [printer, *texts, "nothing"], stdin=subprocess.DEVNULL, capture_output=True, check=True, timeout=60
    ).stdout
    assert told.decode().split("\0")[:-1] == [*texts.values(), ""]


@pytest.mark.parametrize(
    "data",
    [b"", b"a", b"a" * 12, b"a" * 1000, b"0123456789abcdef" * 40 + b"x", bytes(range(256)) * 2, b"0123456789ab-" * 2],
)
def test_packing_loses_nothing(embed: ModuleType, printer: Path, data: bytes) -> None:
    packed = embed.pack(data)
    assert len(packed) <= len(data) + 2
    for size in {0, len(data) // 2, len(data)}:
        told = subprocess.run([printer, str(size)], input=packed, capture_output=True, check=True, timeout=60).stdout
        assert told == data[:size]


def test_an_argument_of_another_layout_does_not_compile(tmp_path: Path) -> None:
    """The kernels' argument has the same layout and size on the host and in the kernels."""
    for text in (PTX.read_text(), PTX.read_text().replace("_param_0[144]", "_param_0[152]")):
        (tmp_path / "kernels.ptx").write_text(text)
        source = tmp_path / "kernels.cpp"
        subprocess.run([sys.executable, str(CUDA / "embed.py"), str(tmp_path / "kernels.ptx"), str(source)], check=True)
        compiler = ["c++", "-std=c++17", "-fsyntax-only", f"-I{ROOT / 'src' / 'cpp'}", str(source)]
        compiled = subprocess.run(compiler, capture_output=True, text=True, check=False, timeout=120)
        assert (compiled.returncode == 0) == (text == PTX.read_text()), compiled.stderr
    assert "ColourKernelArgument" in compiled.stderr


def test_kernels_of_different_arguments_are_refused(tmp_path: Path) -> None:
    odd = tmp_path / "odd.ptx"
    odd.write_text(PTX.read_text().replace("_param_0[144]", "_param_0[152]", 1))
    made = subprocess.run(
        [sys.executable, str(CUDA / "embed.py"), str(odd), str(tmp_path / "out.cpp")],
        capture_output=True, text=True, check=False, timeout=60,
    )  # fmt: skip
    assert made.returncode != 0
    assert "one argument of one layout" in made.stderr
