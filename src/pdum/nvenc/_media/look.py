"""Size, format, colour, HDR and rotation of a source's pictures, from its first frames and its container."""

from __future__ import annotations

import struct
from dataclasses import dataclass
from fractions import Fraction
from typing import TYPE_CHECKING, Any

from .._config.colour import Colour
from .._config.hdr import ContentLight, MasteringDisplay
from .._mp4 import hevc_units
from .alpha_layer import has_alpha_layer
from .alpha_plane import has_alpha, has_alpha_beside, is_transparent
from .av import FULL_RANGE, fraction, side_data, side_data_of_all

if TYPE_CHECKING:
    from collections.abc import Sequence

UNSPECIFIED = 2
REFERENCE_DISPLAYS = bytes((hevc_units.SEI << 1, 1, hevc_units.REFERENCE_DISPLAYS))
"""How the unit begins that says which view of MV-HEVC is for which eye."""
ALPHA_CHANNEL = bytes((hevc_units.SEI << 1, 1, hevc_units.ALPHA_CHANNEL_INFORMATION))
"""How the unit begins that says that HEVC's second layer is alpha."""
PREMULTIPLIED = 1
"""What that unit has as use of alpha if players are not to multiply the colours by it."""
PALETTES = ("gif",)
"""Codecs whose frames always have alpha, because a colour of their palette can be transparent."""


@dataclass(frozen=True, kw_only=True)
class Look:
    """What a source's pictures are."""

    width: int
    height: int
    codec: str
    """FFmpeg's name."""
    pix_fmt: str
    chroma: str
    """The one of the three encoded layouts that loses least."""
    depth: int
    exact: bool
    """Whether chroma and depth keep everything that the source has."""
    colour: Colour | None = None
    """The colour; None if the source does not say."""
    sample_aspect_ratio: Fraction | None = None
    matrix: tuple[int, ...] | None = None
    """How players turn the picture, as MP4 writes it; None if they do not."""
    mastering_display: MasteringDisplay | None = None
    content_light: ContentLight | None = None
    interlaced: bool = False
    captions: bool = False
    dynamic_hdr: str | None = None
    two_views: bool = False
    """A view for each eye, of which FFmpeg's decoder shows the first."""
    transparent: bool = False
    """The source has alpha, whether or not it is decoded. A palette counts if it is seen to have any."""
    gives_alpha: bool = False
    """The decoded frames have alpha."""
    premultiplied: bool = False
    """HEVC says that its colours are multiplied by alpha already."""

    @property
    def pixels(self) -> int:
        return self.width * self.height


def look_at(stream: Any, frames: Sequence[Any]) -> Look:
    """Reads the stream's header and the first decoded frames."""
    first = frames[0]
    chroma, depth, exact = stored_as(first.format)
    side = side_data_of_all(stream.codec_context)
    for frame in frames[:2]:
        side |= side_data(frame)
    extradata = bytes(stream.codec_context.extradata or b"")
    codec = stream.codec_context.codec.canonical_name
    dynamic = [name for name in ("DYNAMIC_HDR_PLUS", "DOVI_METADATA", "DYNAMIC_HDR_VIVID") if name in side]
    return Look(
        width=first.width,
        height=first.height,
        codec=codec,
        pix_fmt=first.format.name,
        chroma=chroma,
        depth=depth,
        exact=exact,
        colour=colour_of(first, stream.codec_context),
        sample_aspect_ratio=_aspect(stream),
        matrix=_matrix(side.get("DISPLAYMATRIX")),
        mastering_display=_mastering_display(side.get("MASTERING_DISPLAY_METADATA")),
        content_light=_content_light(side.get("CONTENT_LIGHT_LEVEL")),
        interlaced=any(frame.interlaced_frame for frame in frames),
        captions="A53_CC" in side,
        dynamic_hdr=dynamic[0] if dynamic else None,
        two_views=REFERENCE_DISPLAYS in extradata,
        transparent=has_alpha_beside(stream)
        or ALPHA_CHANNEL in extradata
        or has_alpha_layer(stream)
        or any(map(is_transparent if codec in PALETTES or first.format.has_palette else has_alpha, frames)),
        gives_alpha=any(map(has_alpha, frames)),
        premultiplied=_is_premultiplied(extradata),
    )


def _is_premultiplied(header: bytes) -> bool:
    """Whether the message about alpha says so: the use of alpha follows the message's size and a bit."""
    _, found, message = header.partition(ALPHA_CHANNEL)
    return bool(found) and len(message) > 1 and message[1] >> 4 == PREMULTIPLIED


def stored_as(form: Any) -> tuple[str, int, bool]:
    """The chroma and depth for a pixel format, and whether they keep all of it."""
    components = [one for one in form.components if not one.is_alpha]
    bits = max(component.bits for component in components)
    depth = 8 if bits <= 8 else 10
    if form.is_rgb or form.has_palette:
        return "444", depth, False
    if len(components) < 3:
        return "420", depth, bits in (8, 10) and len(components) == 1
    across, down = -(-form.width // components[1].width), -(-form.height // components[1].height)
    chroma = {(2, 2): "420", (2, 1): "422", (1, 1): "444", (4, 1): "422", (4, 4): "420"}.get((across, down), "444")
    exact = (across, down) in ((2, 2), (2, 1), (1, 1)) and bits in (8, 10) and len(components) == 3
    return chroma, depth, exact


def colour_of(frame: Any, context: Any) -> Colour | None:
    """The value that the frame has, or else the context."""
    numbers = [
        int(of_frame) if int(of_frame) not in (0, UNSPECIFIED) else int(of_stream)
        for of_frame, of_stream in (
            (frame.color_primaries, context.color_primaries),
            (frame.color_trc, context.color_trc),
            (frame.colorspace, context.colorspace),
        )
    ]
    full = FULL_RANGE in (int(frame.color_range), int(context.color_range)) or frame.format.name.startswith("yuvj")
    if frame.format.is_rgb:
        return None  # the conversion chooses it
    if all(number in (0, UNSPECIFIED) for number in numbers) and not full:
        return None
    primaries, transfer, matrix = (number or UNSPECIFIED for number in numbers)
    return Colour(primaries=primaries, transfer=transfer, matrix=matrix, full_range=full)


def _aspect(stream: Any) -> Fraction | None:
    aspect = fraction(stream.sample_aspect_ratio)
    return aspect if aspect and aspect > 0 and aspect != 1 else None


def _matrix(data: bytes | None) -> tuple[int, ...] | None:
    if data is None or len(data) < 36:
        return None
    matrix = struct.unpack("<9i", data[:36])
    return None if matrix == (1 << 16, 0, 0, 0, 1 << 16, 0, 0, 0, 1 << 30) else matrix


def _mastering_display(data: bytes | None) -> MasteringDisplay | None:
    """Reads FFmpeg's structure: red, green, blue, white, lowest and highest luminance as fractions, then two flags."""
    if data is None or len(data) < 88:
        return None
    numbers = struct.unpack("<22i", data[:88])
    values = [top / bottom if bottom else 0.0 for top, bottom in zip(numbers[:20:2], numbers[1:20:2], strict=True)]
    red, green, blue, white = ((values[at], values[at + 1]) for at in (0, 2, 4, 6))
    if not numbers[20] or not numbers[21] or not values[8] < values[9]:
        return None
    return MasteringDisplay(
        red=red, green=green, blue=blue, white=white, min_luminance=values[8], max_luminance=values[9]
    )


def _content_light(data: bytes | None) -> ContentLight | None:
    if data is None or len(data) < 8:
        return None
    most, mean = struct.unpack("<2I", data[:8])
    return ContentLight(max_cll=min(most, 0xFFFF), max_fall=min(mean, 0xFFFF)) if most or mean else None
