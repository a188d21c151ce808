"""NVENC's structs for ctypes, made from the interface tables, so that tests can call the driver directly."""

from __future__ import annotations

import ctypes
import functools
import json
import uuid
from collections.abc import Sequence
from pathlib import Path
from typing import Any

ROOT = Path(__file__).resolve().parents[2]
VERSIONS = ("11.1", "12.1", "12.2", "13.0", "13.1")

SCALARS: dict[str, Any] = {
    "uint8_t": ctypes.c_uint8,
    "uint16_t": ctypes.c_uint16,
    "uint32_t": ctypes.c_uint32,
    "uint64_t": ctypes.c_uint64,
    "int8_t": ctypes.c_int8,
    "int16_t": ctypes.c_int16,
    "int32_t": ctypes.c_int32,
    "int": ctypes.c_int,
}


class Abi:
    """One API version: `struct("NV_ENC_PIC_PARAMS")` makes a zeroed struct with its version word set."""

    def __init__(self, version: str) -> None:
        self.version = version
        folder = ROOT / ("third_party/nvenc_abi" if version in ("12.1", "13.0", "13.1") else "tests/driver/abi")
        self.table: dict[str, Any] = json.loads((folder / f"{version}.json").read_text())
        self.constants: dict[str, int] = dict(self.table["macros"])
        for members in self.table["enums"].values():
            self.constants.update(members)
        self._types: dict[str, Any] = {}

    def __getattr__(self, name: str) -> Any:
        """Constants and GUIDs by name."""
        if name in self.constants:
            return self.constants[name]
        if name in self.table["guids"]:
            return self.guid(name)
        raise AttributeError(f"API {self.version} has no {name}")

    def guid(self, name: str) -> Any:
        return self.class_of("GUID").from_buffer_copy(uuid.UUID(self.table["guids"][name]).bytes_le)

    def class_of(self, name: str) -> Any:
        """The ctypes class of a struct, union, enum or scalar."""
        aliases = self.table["typedefs"] | self.table["type_aliases"]
        while name in aliases:
            name = aliases[name]
        if name in SCALARS:
            return SCALARS[name]
        if name in self.table["enums"]:
            return ctypes.c_uint32
        if name not in self.table["structs"]:
            return ctypes.c_void_p  # a pointer of any kind
        if name not in self._types:
            self._types[name] = self._make(name)
        return self._types[name]

    def _make(self, name: str) -> Any:
        struct = self.table["structs"][name]
        base: Any = ctypes.Union if struct["kind"] == "union" else ctypes.Structure
        made = type(name, (base,), {"_fields_": [self._field(field) for field in struct["fields"]]})
        assert ctypes.sizeof(made) == struct["size"], f"{name}: ctypes lays it out differently"
        return made

    def _field(self, field: dict[str, Any]) -> Sequence[Any]:
        kind = self.class_of(field["type"])
        if "count" in field:
            kind = kind * field["count"]
        return (field["name"], kind, field["bit_width"]) if "bit_width" in field else (field["name"], kind)

    def struct(self, name: str, **fields: Any) -> Any:
        """A zeroed struct with its version word and the given fields."""
        value = self.class_of(name)()
        if f"{name}_VER" in self.table["struct_versions"]:
            value.version = self.struct_version(name)
        for key, content in fields.items():
            setattr(value, key, content)
        return value

    def struct_version(self, name: str) -> int:
        return int(self.table["struct_versions"][f"{name}_VER"]) & 0xFFFFFFFF

    def function(self, slot: str, address: int) -> Any:
        """A callable for one slot of the function list."""
        entry = next(f for f in self.table["function_list"] if f["name"] == slot)
        returns = ctypes.c_char_p if "char" in entry["returns"] else ctypes.c_uint32
        arguments = [ctypes.c_void_p if p.endswith("*") else self.class_of(p) for p in entry["params"]]
        return ctypes.CFUNCTYPE(returns, *arguments)(address)

    def slots(self) -> list[str]:
        return [entry["name"] for entry in self.table["function_list"]]


@functools.cache
def abi(version: str) -> Abi:
    return Abi(version)
