"""The tables of NVENC's interface are consistent with themselves, with each other and with a compiler's layout."""

from __future__ import annotations

import json
import subprocess
import sys
import uuid
from pathlib import Path
from typing import Any

import pytest

from loud import need_program

pytestmark = pytest.mark.one_abi

ROOT = Path(__file__).resolve().parents[1]
GENERATOR = ROOT / "third_party" / "nvenc_abi" / "generate.py"
FOLDERS = (ROOT / "third_party" / "nvenc_abi", ROOT / "tests" / "driver" / "abi")
TABLES = [path for folder in FOLDERS for path in sorted(folder.glob("*.json"))]
STRUCTS_WITH_BIT_31 = {"11.1": 5, "12.1": 6, "12.2": 6, "13.0": 6, "13.1": 6}

Table = dict[str, Any]


def table_id(path: Path) -> str:
    return path.stem


@pytest.fixture(params=TABLES, ids=table_id)
def path(request: pytest.FixtureRequest) -> Path:
    found: Path = request.param
    return found


@pytest.fixture
def table(path: Path) -> Table:
    loaded: Table = json.loads(path.read_text())
    return loaded


def generate(path: Path, folder: Path) -> tuple[Path, Path]:
    """The header and the self-test program of a table."""
    suffix = path.stem.replace(".", "_")
    header, program = folder / f"nvenc_{suffix}.hpp", folder / f"self_test_{suffix}.cpp"
    arguments = [str(path), "--namespace", f"n::abi_{suffix}", "--output", str(header), "--self-test", str(program)]
    subprocess.run([sys.executable, str(GENERATOR), *arguments], check=True, timeout=60)
    return header, program


def compile_and_run(program: Path) -> subprocess.CompletedProcess[str]:
    compiler = need_program("g++", "g++")
    binary = program.with_suffix("")
    build = [compiler, "-std=c++17", "-Wall", "-Wextra", "-Werror", "-o", str(binary), str(program)]
    built = subprocess.run(build, capture_output=True, text=True, timeout=300)
    if built.returncode:
        return built
    return subprocess.run([str(binary)], capture_output=True, text=True, timeout=60)


def occupied_bits(field: dict[str, Any]) -> set[int]:
    """The bits of the struct that the field occupies."""
    first = field["offset"] * 8 + field.get("bit_offset", 0)
    return set(range(first, first + field.get("bit_width", field["size"] * 8)))


def test_all_versions_are_there() -> None:
    assert [path.stem for path in TABLES] == ["12.1", "13.0", "13.1", "11.1", "12.2"]


def test_compiler_lays_the_header_out_as_the_table_says(path: Path, tmp_path: Path) -> None:
    _, program = generate(path, tmp_path)
    result = compile_and_run(program)
    assert result.returncode == 0, result.stdout + result.stderr


def a_struct_with_bits(table: Table) -> dict[str, Any]:
    found: dict[str, Any] = table["structs"]["NV_ENC_CONFIG_H264"]
    return found


def test_compiler_finds_a_wrong_offset(tmp_path: Path) -> None:
    """The check above can fail."""
    table = json.loads(TABLES[0].read_text())
    plain = [field for field in a_struct_with_bits(table)["fields"] if "bit_width" not in field]
    plain[3]["offset"] += 4
    wrong = tmp_path / "wrong.json"
    wrong.write_text(json.dumps(table))
    assert compile_and_run(generate(wrong, tmp_path)[1]).returncode != 0


def test_self_test_finds_a_wrong_bit(tmp_path: Path) -> None:
    table = json.loads(TABLES[0].read_text())
    bits = [field for field in a_struct_with_bits(table)["fields"] if field.get("bit_width") == 1]
    bits[0]["bit_offset"], bits[1]["bit_offset"] = bits[1]["bit_offset"], bits[0]["bit_offset"]
    wrong = tmp_path / "wrong.json"
    wrong.write_text(json.dumps(table))
    result = compile_and_run(generate(wrong, tmp_path)[1])
    assert result.returncode == 1
    assert "lies elsewhere" in result.stdout


def test_generated_constants_equal_the_table(path: Path, tmp_path: Path, table: Table) -> None:
    """Every version word and GUID, read back from the header's text."""
    text = generate(path, tmp_path)[0].read_text()
    for name, value in table["struct_versions"].items():
        assert f"uint32_t {name} = {value:#010x};" in text
    for name, value in table["guids"].items():
        line = next(line for line in text.splitlines() if f"GUID {name} " in line)
        numbers = [int(number, 16) for number in line.split("=")[1].translate(str.maketrans("{};", "   ")).split(",")]
        guid = uuid.UUID(value)
        assert numbers == [guid.time_low, guid.time_mid, guid.time_hi_version, *guid.bytes[8:]]


def test_version_words_are_made_of_api_and_revision(path: Path, table: Table) -> None:
    major, minor = map(int, path.stem.split("."))
    api = table["api"]
    assert (api["major"], api["minor"], api["version_word"]) == (major, minor, major | minor << 24)
    flagged = 0
    for name, word in table["struct_versions"].items():
        revision = word >> 16 & 0xFF
        flagged += word >> 31
        assert word & 0x7FFFFFFF == api["version_word"] | revision << 16 | 7 << 28, name
        assert revision > 0
        assert name.removesuffix("_VER") in table["structs"] | table["typedefs"], name
    assert flagged == STRUCTS_WITH_BIT_31[path.stem]


def test_fields_lie_inside_their_struct_without_overlap(table: Table) -> None:
    for name, struct in table["structs"].items():
        assert struct["size"] % struct["align"] == 0, name
        taken: set[int] = set()
        for field in struct["fields"]:
            bits = occupied_bits(field)
            assert max(bits) < struct["size"] * 8, f"{name}.{field['name']}"
            if struct["kind"] == "struct":
                assert not taken & bits, f"{name}.{field['name']}"
                taken |= bits


def test_nested_structs_have_the_size_that_their_fields_have(table: Table) -> None:
    structs = table["structs"]
    for name, struct in structs.items():
        for field in (field for field in struct["fields"] if field["type"] in structs):
            size = structs[field["type"]]["size"] * field.get("count", 1)
            assert field["size"] == size, f"{name}.{field['name']}"


def test_function_slots_follow_each_other(table: Table) -> None:
    functions = table["function_list"]
    assert [function["offset"] for function in functions] == [8 + 8 * function["index"] for function in functions]
    indices = [function["index"] for function in functions]
    assert indices == sorted(set(indices))


@pytest.mark.parametrize("kind", ["guids", "macros"])
def test_names_of_both_compiled_versions_mean_the_same(kind: str) -> None:
    """Identifiers of codecs, profiles and presets never change. Of the plain macros, only the version changes."""
    old, new = (json.loads((GENERATOR.parent / f"{version}.json").read_text()) for version in ("12.1", "13.0"))
    differing = {name for name in old[kind].keys() & new[kind].keys() if old[kind][name] != new[kind][name]}
    assert {name for name in differing if not name.startswith("NVENCAPI_")} == set()


def test_members_that_13_0_keeps_have_the_same_value() -> None:
    old, new = (json.loads((GENERATOR.parent / f"{version}.json").read_text()) for version in ("12.1", "13.0"))
    moved = {
        member
        for enum, members in old["enums"].items()
        for member, value in members.items()
        if new["enums"].get(enum, {}).get(member, value) != value
    }
    assert moved == {"NV_ENC_CAPS_EXPOSED_COUNT", "NV_ENC_TUNING_INFO_COUNT"}
