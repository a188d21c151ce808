"""The tables of the decoder's interface agree with a compiler's layout; a caller of 13.0 fits a library of 12.1."""

from __future__ import annotations

import json
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from loud import need_program

pytestmark = pytest.mark.one_abi

ROOT = Path(__file__).resolve().parents[1]
GENERATOR = ROOT / "third_party" / "nvenc_abi" / "generate.py"
FOLDER = ROOT / "third_party" / "nvcuvid_abi"
VERSIONS = ("12.1", "13.0")

Table = dict[str, Any]

# New in 13.0, inside what was reserved before. JPEG's parameters lie in a union of 4,096 bytes.
NEW_IN_13_0 = {
    "CUVIDH264PICPARAMS": {"mb_adaptive_frame_field_flag", "Reserved1", "Reserved"},
    "CUVIDPICPARAMS_CodecSpecific": {"jpeg"},
    "CUVIDPARSERPARAMS": {"bMemoryOptimize", "uReserved"},
}
GROWN_IN_13_0 = {"CUVIDJPEGPICPARAMS"}


def load(version: str) -> Table:
    table: Table = json.loads((FOLDER / f"{version}.json").read_text())
    return table


def layout(struct: Any) -> dict[str, Any]:
    """The fields without their type's name, which changed for two structs between the versions."""
    return {field["name"]: {k: v for k, v in field.items() if k != "type"} for field in struct["fields"]}


def run_self_test(table: Path, folder: Path, *options: str) -> subprocess.CompletedProcess[str]:
    compiler = need_program("g++", "g++")
    header, program, binary = folder / "cuvid.hpp", folder / "self_test.cpp", folder / "self_test"
    generate = [
        sys.executable,
        str(GENERATOR),
        str(table),
        "--namespace",
        "n::cuvid",
        "--output",
        str(header),
        *options,
    ]
    subprocess.run([*generate, "--self-test", str(program)], check=True, timeout=60)
    build = [compiler, "-std=c++17", "-Wall", "-Wextra", "-Werror", f"-I{folder}", "-o", str(binary), str(program)]
    built = subprocess.run(build, capture_output=True, text=True, timeout=300)
    return built if built.returncode else subprocess.run([str(binary)], capture_output=True, text=True, timeout=60)


@pytest.mark.parametrize("version", VERSIONS)
def test_compiler_lays_the_header_out_as_the_table_says(version: str, tmp_path: Path) -> None:
    result = run_self_test(FOLDER / f"{version}.json", tmp_path)
    assert result.returncode == 0, result.stdout + result.stderr


def test_compiler_finds_a_wrong_offset(tmp_path: Path) -> None:
    table = load("13.0")
    table["structs"]["CUVIDPROCPARAMS"]["fields"][12]["offset"] += 8
    (tmp_path / "wrong.json").write_text(json.dumps(table))
    assert run_self_test(tmp_path / "wrong.json", tmp_path).returncode != 0


def test_cuda_types_can_come_from_elsewhere(tmp_path: Path) -> None:
    declared = "namespace n { using CUresult = int; using CUcontext = struct C*; using CUstream = struct S*; }\n"
    (tmp_path / "cuda.hpp").write_text(declared)
    result = run_self_test(FOLDER / "13.0.json", tmp_path, "--cuda-types", "cuda.hpp")
    assert result.returncode == 0, result.stdout + result.stderr
    header = (tmp_path / "cuvid.hpp").read_text()
    assert "enum CUresult" not in header
    assert "using CUstream" not in header


def test_signed_enums_stay_signed(tmp_path: Path) -> None:
    run_self_test(FOLDER / "13.0.json", tmp_path)
    assert "cudaVideoState_Error = -1," in (tmp_path / "cuvid.hpp").read_text()


def common_structs(old: Table, new: Table) -> Iterator[tuple[str, Any, Any]]:
    for name in old["structs"].keys() & new["structs"].keys():
        yield name, old["structs"][name], new["structs"][name]


def test_a_caller_of_13_0_fits_a_library_of_12_1() -> None:
    old, new = load("12.1"), load("13.0")
    assert {e["name"]: e for e in old["exports"]} == {e["name"]: e for e in new["exports"]}
    assert old["callbacks"] == new["callbacks"]
    for name, before, after in common_structs(old, new):
        if name in GROWN_IN_13_0:
            continue
        assert (before["size"], before["align"]) == (after["size"], after["align"]), name
        fields = layout(before) | layout(after)
        differing = {field for field in fields if layout(before).get(field) != layout(after).get(field)}
        assert differing <= NEW_IN_13_0.get(name, set()), name


def test_enum_members_keep_their_values() -> None:
    old, new = load("12.1"), load("13.0")
    for name, members in old["enums"].items():
        assert members.items() <= new["enums"][name].items(), name
