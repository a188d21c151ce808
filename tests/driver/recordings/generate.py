"""Makes C++ of the recordings of real cards in this folder, for the simulated driver to answer by.

    python generate.py boards --output boards.hpp
    python generate.py capabilities --output capabilities.hpp
    python generate.py statuses --output statuses.hpp
    python generate.py presets --table 13.0.json --namespace nvsim::abi_13_0 --output presets_13_0.hpp

README.md says what the files hold. Every file in `capabilities/`, `presets/` and `reports/` is read, so a new
recording is a new file.
"""

from __future__ import annotations

import argparse
import json
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

HERE = Path(__file__).resolve().parent
PREFIX = "NV_ENC_CAPS_"
Record = dict[str, Any]

# In the order of their encoders: values that were not recorded for one come from the nearest.
GENERATIONS = ("kepler", "maxwell2", "pascal", "turing-tu117", "turing", "ampere", "ada", "blackwell")
SIMULATED = ("pascal", "turing", "ampere", "ada", "blackwell")
CODECS = ("h264", "hevc", "av1")


@dataclass(frozen=True)
class Answer:
    """One capability of a generation's encoder."""

    value: int
    assumed: bool  # no card of the generation said so
    source: str


def read(folder: str) -> list[Record]:
    """The files of a folder, and what reports of the self-test hold in the same form."""
    files = [json.loads(path.read_text()) for path in sorted((HERE / folder).glob("*.json"))]
    reports = [json.loads(path.read_text())["recordings"] for path in sorted((HERE / "reports").glob("*.json"))]
    return files + [report[folder] for report in reports if folder in report]


def driver_of(record: Record) -> tuple[int, ...]:
    """The driver's version, for comparison; empty if a recording does not have it."""
    return tuple(int(part) for part in (record.get("driver") or "").split(".") if part)


# Capabilities.


def cards() -> list[Record]:
    """Every recorded card, newest driver first, and then the assumed ones."""
    every = [card for file in read("capabilities") for card in file["cards"]]
    return sorted(every, key=lambda card: ("assumed" not in card, driver_of(card)), reverse=True)


def capability_names() -> list[str]:
    """Each capability's name without its prefix, in the order of their numbers."""
    table = json.loads((HERE.parents[2] / "third_party/nvenc_abi/13.0.json").read_text())
    numbers: dict[str, int] = table["enums"]["NV_ENC_CAPS"]
    named = sorted((number, name.removeprefix(PREFIX)) for name, number in numbers.items())
    return [name for _, name in named if name != "EXPOSED_COUNT"] + ["unnamed in 13.0: 60"]


def told(card: Record, codec: str, name: str) -> int | bool | None:
    """The card's answer; None if it was not asked."""
    if name == "ASYNC_ENCODE_SUPPORT" and str(card.get("os")).startswith("Windows"):
        return None  # it is the system's answer, and the simulated system is Linux
    answers = card["codecs"].get(codec, {})
    value: int | bool | None = answers.get(PREFIX + name, answers.get(name))
    return value


def by_distance(generation: str, every: list[Record]) -> list[Record]:
    """All cards, the nearest generation first, and the older before the newer one."""
    place = GENERATIONS.index(generation)

    def distance(card: Record) -> tuple[int, int]:
        other = GENERATIONS.index(card["generation"])
        return abs(other - place), other

    return sorted(every, key=distance)


def number_for_yes(codec: str, name: str, ordered: list[Record]) -> int:
    """A dump that only says yes hides the number, so the nearest card with a number is used."""
    for card in ordered:
        value = told(card, codec, name)
        if value not in (None, True) and value:
            return int(value or 0)
    return 1


def answer(generation: str, codec: str, name: str, every: list[Record]) -> Answer:
    """The generation's newest recording, the assumption about it, or the nearest generation's."""
    ordered = by_distance(generation, every)
    for asked in (codec, "hevc"):  # nothing recorded for AV1: as HEVC
        for card in ordered:
            value = told(card, asked, name)
            if value is None:
                continue
            number = number_for_yes(asked, name, ordered) if value is True else int(value)
            own = card["generation"] == generation and "assumed" not in card and asked == codec
            return Answer(number, not own, f"{card['name']}, driver {card.get('driver')}")
    raise ValueError(f"no recording tells {name} of {codec}")


def encodes(generation: str, codec: str, every: list[Record]) -> bool:
    return any(codec in card["codecs"] for card in every if card["generation"] == generation and "assumed" not in card)


def capabilities() -> dict[tuple[str, str, str], Answer]:
    """By generation, codec and name."""
    every = cards()
    return {
        (generation, codec, name): answer(generation, codec, name, every)
        for generation in SIMULATED
        for codec in CODECS
        if encodes(generation, codec, every)
        for name in capability_names()
    }


def cpp(value: str) -> str:
    return json.dumps(value)


def write_capabilities(_: argparse.Namespace) -> Iterator[str]:
    yield "namespace nvsim::recorded {"
    yield "inline constexpr const char* capability_names[] = {"
    yield from (f"    {cpp(name)}," for name in capability_names())
    yield "};"
    yield "struct Capability {\n    const char *generation, *codec, *name;\n    int value;\n};"
    yield "inline constexpr Capability capabilities[] = {"
    for (generation, codec, name), said in capabilities().items():
        note = "assumed, as " if said.assumed else ""
        yield f"    {{{cpp(generation)}, {cpp(codec)}, {cpp(name)}, {said.value}}},  // {note}{said.source}"
    yield "};\n}  // namespace nvsim::recorded"


# Boards.


def write_boards(_: argparse.Namespace) -> Iterator[str]:
    yield "namespace nvsim::recorded {"
    yield "struct Board {\n    const char *name, *driver_name;\n    int major, minor, gib, engines, decoders, sessions;"
    yield "    double fps_1080p;\n    bool geforce;\n};"
    yield "inline constexpr Board boards[] = {"
    for board in json.loads((HERE / "boards.json").read_text())["boards"]:
        numbers = [*board["compute"], *(board[key] for key in ("gib", "engines", "decoders", "sessions", "fps_1080p"))]
        values = ", ".join(str(number) for number in numbers)
        geforce = str(board["geforce"]).lower()
        yield f"    {{{cpp(board['name'])}, {cpp(board['driver_name'])}, {values}, {geforce}}},"
    yield "};\n}  // namespace nvsim::recorded"


# Statuses.


def statuses() -> list[Record]:
    rows: list[Record] = json.loads((HERE / "statuses.json").read_text())["statuses"]
    return rows


def write_statuses(_: argparse.Namespace) -> Iterator[str]:
    yield '#include "encode/status.hpp"\n'
    yield "// What the recorded card answers, by the names of statuses.json."
    yield "namespace nvsim::recorded {"
    yield from (f"inline constexpr Status {row['name']}{{{row['status']}}};" for row in statuses())
    yield "}  // namespace nvsim::recorded"


# Presets.


class Fields:
    """Which fields a version of the interface has."""

    def __init__(self, table: Path) -> None:
        content = json.loads(table.read_text())
        self.structs: dict[str, Any] = content["structs"]
        self.aliases: dict[str, str] = content["typedefs"] | content["type_aliases"]

    def has(self, path: str, struct: str = "NV_ENC_CONFIG") -> bool:
        while struct in self.aliases:
            struct = self.aliases[struct]
        first, _, rest = path.partition(".")
        for field in self.structs.get(struct, {"fields": []})["fields"]:
            if field["name"] == first:
                return not rest or self.has(rest, field["type"])
        return False


def presets() -> dict[tuple[str, int, int], dict[str, int]]:
    """The fields of NV_ENC_CONFIG by codec, level and tuning, from the newest recording that has them."""
    found: dict[tuple[str, int, int], dict[str, int]] = {}
    for file in sorted(read("presets"), key=lambda f: ("assumed" not in f, driver_of(f))):
        for preset in file["presets"]:
            given = preset["fields"].items()
            fields = {
                path.removeprefix("presetCfg."): value
                for path, value in given
                if path.startswith("presetCfg.") and path != "presetCfg.version"
            }
            found[preset["codec"], preset["preset"], preset["tuning"]] = fields
    return found


def write_presets(options: argparse.Namespace) -> Iterator[str]:
    known = Fields(options.table)
    cases: dict[tuple[tuple[str, int], ...], list[str]] = {}
    for (codec, level, tuning), fields in presets().items():
        present = tuple((path, value) for path, value in fields.items() if known.has(path))
        if codec == "av1" and not known.has("encodeCodecConfig.av1Config"):
            continue
        cases.setdefault(present, []).append(f"case preset_key(Codec::{codec}, {level}, {tuning}):")
    yield f'#include "{options.header}"\n#include "encode/presets.hpp"\n'
    yield f"namespace {options.namespace} {{"
    yield "// Writes what the preset and tuning set; false where they do not exist."
    yield "inline bool fill_recorded_preset(NV_ENC_CONFIG& config, const PresetRequest& request) {"
    yield "    switch (preset_key(request.codec, request.level, static_cast<int>(request.tuning))) {"
    for present, labels in cases.items():
        yield from (f"        {label}" for label in labels)
        for path, value in present:
            yield f"            config.{path} = static_cast<decltype(config.{path})>({value}u);"
        yield "            return true;"
    yield f"        default: return false;\n    }}\n}}\n}}  // namespace {options.namespace}"


WRITERS = {
    "boards": write_boards,
    "capabilities": write_capabilities,
    "statuses": write_statuses,
    "presets": write_presets,
}


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("what", choices=WRITERS)
    parser.add_argument("--table", type=Path)
    parser.add_argument("--namespace")
    parser.add_argument("--header")
    parser.add_argument("--output", type=Path, required=True)
    options = parser.parse_args()
    head = "// Generated by tests/driver/recordings/generate.py. Do not edit: change the recordings or the generator."
    text = "\n".join([head, "#pragma once\n", *WRITERS[options.what](options)]) + "\n"
    options.output.parent.mkdir(parents=True, exist_ok=True)
    options.output.write_text(text)


if __name__ == "__main__":
    main()
