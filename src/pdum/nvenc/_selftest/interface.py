"""NVENC's structs for ctypes, made from the tables that the native module was built from."""

from __future__ import annotations

import ctypes
import json
import uuid
from pathlib import Path
from typing import Any

from .. import _nvenc

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


def table_of(version: str) -> dict[str, Any]:
    """The table of one interface version. The build installs it beside the native module."""
    folder = Path(str(_nvenc.__file__)).parent / "interface_tables"
    table: dict[str, Any] = json.loads((folder / f"{version}.json").read_text())
    return table


class Interface:
    """One interface version: constants and GUIDs by name as attributes, and structs with their version word."""

    def __init__(self, version: str) -> None:
        self.version = version
        self.table = table_of(version)
        self.constants: dict[str, int] = dict(self.table["macros"])
        for members in self.table["enums"].values():
            self.constants.update(members)
        self._aliases = {**self.table["typedefs"], **self.table["type_aliases"]}
        self._classes: dict[str, Any] = {}

    def __getattr__(self, name: str) -> int:
        try:
            return self.constants[name]
        except KeyError:
            raise AttributeError(f"Interface {self.version} has no {name}.") from None

    def members(self, enumeration: str) -> dict[str, int]:
        """The names and numbers of an enumeration, which older interfaces may not have."""
        found: dict[str, int] = self.table["enums"].get(enumeration, {})
        return found

    def guid(self, name: str) -> Any:
        return self.class_of("GUID").from_buffer_copy(uuid.UUID(self.table["guids"][name]).bytes_le)

    def name_of_status(self, status: int) -> str:
        names = {number: name for name, number in self.members("NVENCSTATUS").items()}
        return names.get(status, "unknown status")

    def class_of(self, name: str) -> Any:
        """The ctypes class of a struct, union, enumeration, scalar or pointer."""
        while name in self._aliases:
            name = self._aliases[name]
        if name in SCALARS:
            return SCALARS[name]
        if name in self.table["enums"]:
            return ctypes.c_uint32
        if name not in self.table["structs"]:
            return ctypes.c_void_p
        if name not in self._classes:
            self._classes[name] = self._make(name)
        return self._classes[name]

    def has(self, struct: str, field: str) -> bool:
        """Whether this version's struct has a field of that name."""
        return hasattr(self.class_of(struct), field)

    def struct(self, name: str, **fields: Any) -> Any:
        """A struct of zeros with its version word and the given fields."""
        value = self.class_of(name)()
        if f"{name}_VER" in self.table["struct_versions"]:
            value.version = self.version_word(name)
        for key, content in fields.items():
            setattr(value, key, content)
        return value

    def version_word(self, name: str) -> int:
        return int(self.table["struct_versions"][f"{name}_VER"]) & 0xFFFFFFFF

    def functions(self, listed: Any) -> dict[str, Any]:
        """The functions of a filled NV_ENCODE_API_FUNCTION_LIST by name. They let go of the GIL."""
        found = {}
        for entry in self.table["function_list"]:
            address = ctypes.cast(getattr(listed, entry["name"]), ctypes.c_void_p).value
            if address:
                returns = ctypes.c_char_p if "char" in entry["returns"] else ctypes.c_uint32
                kinds = [ctypes.c_void_p if kind.endswith("*") else self.class_of(kind) for kind in entry["params"]]
                found[entry["name"]] = ctypes.CFUNCTYPE(returns, *kinds)(address)
        return found

    def _make(self, name: str) -> Any:
        struct = self.table["structs"][name]
        base: Any = ctypes.Union if struct["kind"] == "union" else ctypes.Structure
        made = type(name, (base,), {"_fields_": [self._field(field) for field in struct["fields"]]})
        if ctypes.sizeof(made) != struct["size"]:
            raise TypeError(f"{name} has another size here than in the table of interface {self.version}.")
        return made

    def _field(self, field: dict[str, Any]) -> tuple[Any, ...]:
        kind = self.class_of(field["type"])
        if "count" in field:
            kind = kind * field["count"]
        return (field["name"], kind, field["bit_width"]) if "bit_width" in field else (field["name"], kind)
