"""Reads the access units of the simulated encoder's `echo` backend.

Such an access unit looks like a real one from outside: Annex B NAL units (or AV1 OBUs), parameter sets and SEI messages
included. The contents of its slice (or frame OBU) are a JSON text that tells what the encoder was given.
"""

from __future__ import annotations

import json
import re
import zlib
from dataclasses import dataclass, field
from typing import Any

START_CODE = re.compile(rb"\x00\x00\x00?\x01")
OBU_DELIMITER, OBU_SEQUENCE, OBU_FRAME = 2, 1, 6


@dataclass(frozen=True)
class EchoUnit:
    """One picture as the encoder saw it."""

    checksum: int  # CRC-32 of the visible pixels as they were read
    timestamp: int
    duration: int
    frame_index: int  # the client's frameIdx
    serial: int  # the encoder's count of submitted pictures, from 0
    pic_type: str  # "P", "B", "I" or "IDR"
    qp: int
    flags: int  # encodePicFlags as given
    format: str  # "NV12", "ARGB", …
    width: int
    height: int
    settings: str  # digest of the whole configuration: equal for equal configurations
    units: tuple[int, ...] = ()  # NAL unit types, or OBU types, in order
    sei: tuple[tuple[int, bytes], ...] = ()  # type and payload of each SEI message (or extra OBU) of the client's
    map: bytes | None = None  # what qpDeltaMap held, or a map before it that holds on
    config: dict[str, Any] = field(default_factory=dict)  # IDR only: NV_ENC_INITIALIZE_PARAMS, fields that are not zero
    gpu: str = ""  # IDR only, as are the next two
    gpu_index: int = 0
    engine: int = 0

    @property
    def is_idr(self) -> bool:
        return self.pic_type == "IDR"

    @property
    def has_headers(self) -> bool:
        """Whether parameter sets lie in band."""
        return any(unit in (7, 33) for unit in self.units) or (OBU_SEQUENCE in self.units and OBU_FRAME in self.units)


def checksum(image: Any) -> int:
    """The checksum that `echo` gives a packed image: NV12 as (H*3//2, W), or any other format plane after plane.

    The image is bytes, a NumPy array or anything else that is a buffer.
    """
    return zlib.crc32(memoryview(image).tobytes())


def parse(data: bytes) -> list[EchoUnit]:
    """The pictures of one or more access units of H.264, HEVC or AV1 in a row."""
    return parse_annex_b(data) if data[:3] in (b"\x00\x00\x00", b"\x00\x00\x01") else parse_obus(data)


def parse_annex_b(data: bytes) -> list[EchoUnit]:
    bounds = [match.span() for match in START_CODE.finditer(data)]
    ends = [start for start, _ in bounds[1:]] + [len(data)]
    nals = [data[start:end] for (_, start), end in zip(bounds, ends, strict=True)]
    hevc = is_hevc(nals)
    pictures = []
    types: list[int] = []
    sei: list[tuple[int, bytes]] = []
    for nal in nals:
        kind, payload = (nal[0] >> 1 & 0x3F, nal[2:]) if hevc else (nal[0] & 0x1F, nal[1:])
        types.append(kind)
        if kind == (39 if hevc else 6):
            sei.append(sei_message(payload))
        elif payload.startswith(b"{"):
            pictures.append(unit_of(payload, types, sei))
            types, sei = [], []
    return pictures


def is_hevc(nals: list[bytes]) -> bool:
    """An HEVC NAL unit has a header of two bytes, and a picture's text begins with a brace."""
    return any(nal[2:3] == b"{" and nal[1:2] == b"\x01" for nal in nals)


def sei_message(payload: bytes) -> tuple[int, bytes]:
    plain = payload.replace(b"\x00\x00\x03", b"\x00\x00")
    position = 0
    numbers = []
    for _ in range(2):
        value = 0
        while plain[position] == 0xFF:
            value, position = value + 255, position + 1
        numbers.append(value + plain[position])
        position += 1
    return numbers[0], plain[position : position + numbers[1]]


def parse_obus(data: bytes) -> list[EchoUnit]:
    pictures = []
    types: list[int] = []
    extra: list[tuple[int, bytes]] = []
    position = 0
    while position < len(data):
        kind = data[position] >> 3 & 0x0F
        size, position = leb128(data, position + 1)
        payload = data[position : position + size]
        position += size
        types.append(kind)
        if kind == OBU_FRAME:
            pictures.append(unit_of(payload, types, extra))
            types, extra = [], []
        elif kind not in (OBU_DELIMITER, OBU_SEQUENCE):
            extra.append((kind, payload))
    return pictures


def leb128(data: bytes, position: int) -> tuple[int, int]:
    value = shift = 0
    while True:
        byte = data[position]
        value |= (byte & 0x7F) << shift
        position, shift = position + 1, shift + 7
        if not byte & 0x80:
            return value, position


def unit_of(text: bytes, types: list[int], sei: list[tuple[int, bytes]]) -> EchoUnit:
    told = json.loads(text)
    return EchoUnit(
        checksum=told["crc"],
        timestamp=told["ts"],
        duration=told["dur"],
        frame_index=told["idx"],
        serial=told["serial"],
        pic_type=told["type"],
        qp=told["qp"],
        flags=told["flags"],
        format=told["format"],
        width=told["width"],
        height=told["height"],
        settings=told["settings"],
        units=tuple(types),
        sei=tuple(sei),
        map=bytes.fromhex(told["map"]) if "map" in told else None,
        config=told.get("config", {}),
        gpu=told.get("gpu", ""),
        gpu_index=told.get("gpu_index", 0),
        engine=told.get("engine", 0),
    )
