"""What HEVC's video parameter set says of the second layer (ITU-T H.265, section F.7.3.2.1)."""

from __future__ import annotations

from dataclasses import dataclass

from .._errors import InvalidConfig
from .bits import BitReader, nal_units, with_emulation, without_emulation
from .hevc import skip_sub_layers
from .hevc_units import VPS, kind_of

VIEW, AUXILIARY = 1, 3
"""Kinds of dimensions in which layers differ. x265 names both for alpha."""
KINDS = 16
ALPHA = 1
"""The number of an auxiliary layer of alpha."""


@dataclass(frozen=True, kw_only=True)
class _Dimensions:
    """Where a set says in what its layers differ: between bits that stay whatever it says."""

    begin: int
    end: int
    number: str
    """The bits that give the second layer its number."""


def has_alpha(header: bytes) -> bool:
    """Whether parameter sets in Annex B's form say that the second layer is alpha."""
    return any(_dimensions(unit) is not None for unit in nal_units(header) if kind_of(unit) == VPS)


def with_view_for_alpha(unit: bytes) -> bytes:
    """A unit that says that the second layer is alpha says instead that it is a second view. Others stay."""
    found = _dimensions(unit) if kind_of(unit) == VPS else None
    if found is None:
        return unit
    bits = _bits(unit)
    mask = "".join("01"[kind == VIEW] for kind in range(KINDS))
    view = f"0{mask}000{found.number}1" + "0001" + "01"  # its order, and the names of both, of one bit each
    changed = bits[: found.begin] + view + bits[found.end :].rstrip("0")
    changed += "0" * (-len(changed) % 8)
    return unit[:2] + with_emulation(int(changed, 2).to_bytes(len(changed) // 8, "big"))


def _bits(unit: bytes) -> str:
    payload = without_emulation(unit[2:])
    return f"{int.from_bytes(payload, 'big'):0{8 * len(payload)}b}"


def _dimensions(unit: bytes) -> _Dimensions | None:
    """Those of a set of two layers, of which the second is alpha. None for any other set, and for one that is cut."""
    payload = without_emulation(unit[2:])
    reader = BitReader(payload, "video parameter set of HEVC")
    try:
        return _read_dimensions(reader, 8 * len(payload)) if _is_at_extension(reader) else None
    except InvalidConfig:
        return None


def _is_at_extension(reader: BitReader) -> bool:
    """Goes to the part about further layers, if there are two in all."""
    reader.skip(6)
    layers, sub_layers = reader.bits(6) + 1, reader.bits(3)
    reader.skip(17 + 96)
    skip_sub_layers(reader, sub_layers)
    for _ in range(3 * (sub_layers + 1 if reader.flag() else 1)):
        reader.exp_golomb()
    highest = reader.bits(6)
    reader.skip(reader.exp_golomb() * (highest + 1))
    has_buffers = reader.flag() and _skip_timing(reader) > 0
    if layers != 2 or has_buffers or not reader.flag():
        return False
    reader.skip(reader.left % 8)
    reader.skip(8)
    skip_sub_layers(reader, sub_layers)
    return True


def _skip_timing(reader: BitReader) -> int:
    """Returns how many descriptions of buffers follow."""
    reader.skip(64)
    if reader.flag():
        reader.exp_golomb()
    return reader.exp_golomb()


def _read_dimensions(reader: BitReader, size: int) -> _Dimensions | None:
    begin = size - reader.left
    is_split, mask = reader.flag(), reader.bits(KINDS)
    kinds = [kind for kind in range(KINDS) if mask >> (KINDS - 1 - kind) & 1]
    if is_split or AUXILIARY not in kinds:
        return None
    lengths = [reader.bits(3) + 1 for _ in kinds]
    number = f"1{reader.bits(6):06b}" if reader.flag() else "0"
    values = {kind: reader.bits(length) for kind, length in zip(kinds, lengths, strict=True)}
    reader.skip(reader.bits(4) * (2 if values.get(VIEW) else 1))
    return _Dimensions(begin=begin, end=size - reader.left, number=number) if values[AUXILIARY] == ALPHA else None
