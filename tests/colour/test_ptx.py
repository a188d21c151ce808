"""The PTX in the package is what its source compiles to, works with old drivers and GPUs, and has every kernel."""

from __future__ import annotations

import importlib.util
import re
import shutil
import subprocess
import sys
from pathlib import Path

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


def test_every_kernel_has_its_own_text(tmp_path: Path) -> None:
    spec = importlib.util.spec_from_file_location("embed", CUDA / "embed.py")
    assert spec is not None
    assert spec.loader is not None
    embed = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(embed)
    kernels = embed.split(PTX.read_text())
    assert sorted(kernels) == sorted(Emulator(tmp_path).kernel_names(KERNELS))
    for name, text in kernels.items():
        assert text.startswith(".version 5.0\n.target sm_50\n.address_size 64\n")
        assert re.findall(r"\.entry (\w+)", text) == [name]


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
