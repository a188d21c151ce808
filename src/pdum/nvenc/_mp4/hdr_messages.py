"""HDR10's static metadata in the first packet of a stream, as the boxes mdcv and clli hold it."""

from __future__ import annotations

import struct
from collections.abc import Iterator
from typing import NamedTuple

from . import av1, h264, hevc_units
from .bits import leb128, nal_units, obus, without_emulation

H264_SEI, HEVC_SEI = 6, (39, 40)
MASTERING_DISPLAY, CONTENT_LIGHT = 137, 144
AV1_CONTENT_LIGHT, AV1_MASTERING_DISPLAY = 1, 2
DISPLAY, LIGHT = struct.Struct(">8H2I"), struct.Struct(">2H")


class HdrBoxes(NamedTuple):
    """The contents of mdcv and clli; empty if there are none."""

    display: bytes = b""
    light: bytes = b""


def hdr_in(codec: str, packet: bytes) -> HdrBoxes:
    """What the packet says. Messages that are damaged are left out."""
    if codec == "av1":
        return _in_obus(packet)
    found = {kind: payload for unit in nal_units(packet) for kind, payload in _messages(codec, unit)}
    display, light = found.get(MASTERING_DISPLAY, b""), found.get(CONTENT_LIGHT, b"")
    return HdrBoxes(display if len(display) == DISPLAY.size else b"", light if len(light) == LIGHT.size else b"")


def _messages(codec: str, unit: bytes) -> Iterator[tuple[int, bytes]]:
    """SEI messages: kind and payload."""
    is_sei = h264.kind_of(unit) == H264_SEI if codec == "h264" else hevc_units.kind_of(unit) in HEVC_SEI
    if not is_sei:
        return
    data, at = without_emulation(unit), 1 if codec == "h264" else 2
    while at + 2 < len(data):
        kind, at = _long_number(data, at)
        size, at = _long_number(data, at)
        yield kind, data[at : at + size]
        at += size


def _long_number(data: bytes, at: int) -> tuple[int, int]:
    """A number in bytes of 255 and a last one that is smaller, and where it ends."""
    value = 0
    while at < len(data) and data[at] == 255:
        value, at = value + 255, at + 1
    return value + (data[at] if at < len(data) else 0), at + 1


def _in_obus(packet: bytes) -> HdrBoxes:
    display = light = b""
    for kind, _, payload in obus(packet):
        if kind != av1.METADATA:
            continue
        number, length = leb128(payload, 0)
        body = payload[length:]
        if number == AV1_CONTENT_LIGHT and len(body) >= LIGHT.size:
            light = body[: LIGHT.size]
        elif number == AV1_MASTERING_DISPLAY and len(body) >= DISPLAY.size:
            display = _display_of_av1(body)
    return HdrBoxes(display, light)


def _display_of_av1(body: bytes) -> bytes:
    """AV1 has other units than the box (1/50,000 and 1/10,000 cd/m²), and red before green and blue."""
    *points, brightest, darkest = DISPLAY.unpack(body[: DISPLAY.size])
    red, green, blue, white = (points[place : place + 2] for place in (0, 2, 4, 6))
    values = [round(value * 50_000 / (1 << 16)) for point in (green, blue, red, white) for value in point]
    return DISPLAY.pack(*values, round(brightest * 10_000 / (1 << 8)), round(darkest * 10_000 / (1 << 14)))
