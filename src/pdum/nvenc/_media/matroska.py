"""Describes a video stream to a muxer by a tiny Matroska file in memory, and writes the one thing that muxers lose.

PyAV makes output streams only from input streams. The track header of Matroska holds colour, static HDR metadata and
cropping, and passes them on to every other container.
"""

from __future__ import annotations

import struct
from dataclasses import dataclass
from fractions import Fraction
from pathlib import Path
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from .._config.colour import Colour
    from .._config.hdr import ContentLight, MasteringDisplay

CODEC_IDS = {"h264": "V_MPEG4/ISO/AVC", "hevc": "V_MPEGH/ISO/HEVC", "av1": "V_AV1"}

EBML, DOC_TYPE, DOC_TYPE_VERSION, DOC_TYPE_READ_VERSION = 0x1A45DFA3, 0x4282, 0x4287, 0x4285
SEGMENT, INFO, TIMESTAMP_SCALE, TRACKS, TRACK_ENTRY = 0x18538067, 0x1549A966, 0x2AD7B1, 0x1654AE6B, 0xAE
TRACK_NUMBER, TRACK_UID, TRACK_TYPE, CODEC_ID, VIDEO = 0xD7, 0x73C5, 0x83, 0x86, 0xE0
PIXEL_WIDTH, PIXEL_HEIGHT, DISPLAY_WIDTH, DISPLAY_HEIGHT, DISPLAY_UNIT = 0xB0, 0xBA, 0x54B0, 0x54BA, 0x54B2
CROP_BOTTOM, CROP_TOP, CROP_LEFT, CROP_RIGHT = 0x54AA, 0x54BB, 0x54CC, 0x54DD
COLOUR, MATRIX, RANGE, TRANSFER, PRIMARIES, MAX_CLL, MAX_FALL = 0x55B0, 0x55B1, 0x55B9, 0x55BA, 0x55BB, 0x55BC, 0x55BD
MASTERING, MASTERING_FIRST = 0x55D0, 0x55D1
PROJECTION, PROJECTION_TYPE, YAW, PITCH, ROLL = 0x7670, 0x7671, 0x7673, 0x7674, 0x7675
CLUSTER, TIMESTAMP, SIMPLE_BLOCK, VOID = 0x1F43B675, 0xE7, 0xA3, 0xEC

UNKNOWN_UNIT = 4
LOOKED_THROUGH = 1 << 16  # the track header of a muxed file lies within so many bytes
PLACEHOLDER = (1, 1, 1, 1)

ONE = 1 << 16
QUARTER_TURNS = {(0, -ONE, ONE, 0): 90, (-ONE, 0, 0, -ONE): 180, (0, ONE, -ONE, 0): -90}
"""Degrees, by the part of a display matrix that turns the picture."""


@dataclass(frozen=True, kw_only=True)
class TrackLook:
    """The contents of a video track's header."""

    codec: str
    width: int
    height: int
    crop_right: int = 0
    crop_bottom: int = 0
    colour: Colour | None = None
    mastering_display: MasteringDisplay | None = None
    content_light: ContentLight | None = None
    roll: int | None = None
    """Degrees by which the picture is turned for display."""


def roll_of(matrix: tuple[int, ...] | None) -> int | None:
    """The degrees by which a display matrix turns; None if they are no quarter turns."""
    return None if matrix is None else QUARTER_TURNS.get((matrix[0], matrix[1], matrix[3], matrix[4]))


def element(number: int, body: bytes | int | float | str | list[bytes]) -> bytes:
    """An element of EBML: its number, its size, its contents."""
    if isinstance(body, int):
        data = body.to_bytes(max(1, (body.bit_length() + 7) // 8), "big")
    elif isinstance(body, float):
        data = struct.pack(">d", body)
    elif isinstance(body, str):
        data = body.encode()
    else:
        data = b"".join(body) if isinstance(body, list) else body
    return number.to_bytes((number.bit_length() + 7) // 8, "big") + _size(len(data)) + data


def _size(size: int) -> bytes:
    length = next(n for n in range(1, 9) if size < (1 << 7 * n) - 1)
    return (size | 1 << 7 * length).to_bytes(length, "big")


def template(look: TrackLook, packet: bytes, reserve: bool) -> bytes:
    """A file with one packet. ``reserve`` leaves room for ``write_aspect``, unless the picture is tiny."""
    crop = PLACEHOLDER if reserve and min(look.width, look.height) > 2 else (look.crop_bottom, 0, 0, look.crop_right)
    video = [element(PIXEL_WIDTH, look.width), element(PIXEL_HEIGHT, look.height)]
    if any(crop):
        ids = (CROP_BOTTOM, CROP_TOP, CROP_LEFT, CROP_RIGHT)
        video += [element(number, value) for number, value in zip(ids, crop, strict=True)]
    video.append(element(COLOUR, _colour(look)))
    if look.roll is not None:
        angles = [element(number, angle) for number, angle in ((YAW, 0.0), (PITCH, 0.0), (ROLL, float(look.roll)))]
        video.append(element(PROJECTION, [element(PROJECTION_TYPE, 0), *angles]))
    track = [
        element(TRACK_NUMBER, 1),
        element(TRACK_UID, 1),
        element(TRACK_TYPE, 1),
        element(CODEC_ID, CODEC_IDS[look.codec]),
        element(VIDEO, video),
    ]
    head = [element(DOC_TYPE, "matroska"), element(DOC_TYPE_VERSION, 4), element(DOC_TYPE_READ_VERSION, 2)]
    body = [
        element(INFO, [element(TIMESTAMP_SCALE, 1_000_000)]),
        element(TRACKS, [element(TRACK_ENTRY, track)]),
        element(CLUSTER, [element(TIMESTAMP, 0), element(SIMPLE_BLOCK, b"\x81\0\0\x80" + packet)]),
    ]
    return element(EBML, head) + element(SEGMENT, body)


def _colour(look: TrackLook) -> list[bytes]:
    made = []
    if look.colour is not None:
        primaries, transfer, matrix, full = look.colour.native()
        values = ((MATRIX, matrix), (RANGE, 2 if full else 1), (TRANSFER, transfer), (PRIMARIES, primaries))
        made += [element(number, value) for number, value in values]
    light, display = look.content_light, look.mastering_display
    if light is not None:
        made += [element(MAX_CLL, light.max_cll), element(MAX_FALL, light.max_fall)]
    if display is not None:
        points = [*display.red, *display.green, *display.blue, *display.white]
        values_of = [*points, display.max_luminance, display.min_luminance]
        inner = [element(MASTERING_FIRST + place, float(value)) for place, value in enumerate(values_of)]
        made.append(element(MASTERING, inner))
    return made


def write_aspect(path: Path, look: TrackLook, aspect: Fraction) -> bool:
    """Writes the display size and the real cropping where the template left room. Returns whether there was any.

    FFmpeg's muxer reads the aspect ratio from a field that PyAV cannot set.
    """
    room = b"".join(element(number, 1) for number in (CROP_BOTTOM, CROP_TOP, CROP_LEFT, CROP_RIGHT))
    room += element(DISPLAY_UNIT, UNKNOWN_UNIT)
    with path.open("rb+") as file:
        head = file.read(LOOKED_THROUGH)
        at = head.find(room)
        if at < 0 or head.find(room, at + 1) >= 0:
            return False
        file.seek(at)
        file.write(_display(look, aspect, len(room)))
    return True


def _display(look: TrackLook, aspect: Fraction, room: int) -> bytes:
    width, height = look.width - look.crop_right, look.height - look.crop_bottom
    if aspect >= 1:
        width = round(width * aspect)
    else:
        height = round(height / aspect)
    made = element(DISPLAY_WIDTH, width) + element(DISPLAY_HEIGHT, height)
    if look.crop_bottom:
        made += element(CROP_BOTTOM, look.crop_bottom)
    if look.crop_right:
        made += element(CROP_RIGHT, look.crop_right)
    left = room - len(made)
    return made + (bytes((VOID, 0x80 | left - 2)) + bytes(left - 2) if left else b"")
