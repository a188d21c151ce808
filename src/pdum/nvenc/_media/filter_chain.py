"""The filters that settings ask for, as one of FFmpeg's filter graphs, and what they make of a source's shape."""

from __future__ import annotations

from dataclasses import dataclass, field, replace
from fractions import Fraction
from math import floor

from .._config.filter_text import is_picture_by_picture, parsed
from .._config.filters import Box, Filters, Share, Size
from .._errors import InvalidConfig
from .look import Look
from .matroska import ONE

DEINTERLACER = {"auto": "bwdif=mode=send_frame:deint=interlaced", "always": "bwdif=mode=send_frame:deint=all"}
DEINTERLACER_LOOKS_BACK = 2
DENOISER = {
    "light": "atadenoise=0a=0.01:0b=0.02:1a=0.01:1b=0.02:2a=0.01:2b=0.02:s=5",
    "medium": "atadenoise=0a=0.02:0b=0.04:1a=0.02:1b=0.04:2a=0.02:2b=0.04:s=9",
    "strong": "atadenoise=0a=0.04:0b=0.08:1a=0.04:1b=0.08:2a=0.04:2b=0.08:s=13",
}
DENOISER_LOOKS_BACK = {"light": 2, "medium": 4, "strong": 6}
SCALER = "flags=bicubic+accurate_rnd+full_chroma_int"
TURNED = {90: "transpose=clock", 180: "hflip,vflip", 270: "transpose=cclock"}
UPRIGHT = {
    (0, ONE, -ONE, 0): "transpose=clock",
    (-ONE, 0, 0, -ONE): "hflip,vflip",
    (0, -ONE, ONE, 0): "transpose=cclock",
    (-ONE, 0, 0, ONE): "hflip",
    (ONE, 0, 0, -ONE): "vflip",
    (0, ONE, ONE, 0): "transpose=cclock_flip",
    (0, -ONE, -ONE, 0): "transpose=clock_flip",
}
"""What a display matrix tells players to do, by the part of it that turns and mirrors."""


@dataclass(frozen=True, kw_only=True)
class Shape:
    """The size of a picture, the shape of its pixels, and how players turn it."""

    width: int
    height: int
    aspect: Fraction | None
    matrix: tuple[int, ...] | None

    @classmethod
    def of(cls, look: Look) -> Shape:
        return cls(width=look.width, height=look.height, aspect=look.sample_aspect_ratio, matrix=look.matrix)

    def on_its_side(self) -> Shape:
        aspect = None if self.aspect is None else 1 / self.aspect
        return replace(self, width=self.height, height=self.width, aspect=aspect)


@dataclass
class Chain:
    """Filters that give one frame for each, one after the other."""

    shape: Shape
    texts: list[str] = field(default_factory=list)
    looks_back: int = 0
    """How many earlier frames a frame depends on."""
    swaps_fields: bool = False
    """Whether the lines of colour, of which there are half as many, change to the other field."""

    @property
    def text(self) -> str:
        return ",".join(self.texts)

    def deinterlace(self, how: str) -> None:
        self.texts.append(DEINTERLACER[how])
        self.looks_back += DEINTERLACER_LOOKS_BACK

    def make_upright(self) -> None:
        """Does what players would do, unless the matrix does more than turn and mirror."""
        text = _upright(self.shape.matrix)
        if text:
            self._turn(text)
            self.shape = replace(self.shape, matrix=None)

    def crop(self, width: int, height: int, x: int | None, y: int | None) -> None:
        """Keeps the middle if no corner is named."""
        has = self.shape
        x = max(0, has.width - width) // 4 * 2 if x is None else x
        y = max(0, has.height - height) // 4 * 2 if y is None else y
        if x + width > has.width or y + height > has.height:
            raise InvalidConfig(
                f"Expected a crop within the picture of {has.width}x{has.height}, got crop='{width}:{height}:{x}:{y}', "
                f"which reaches to {x + width}x{y + height}."
            )
        self.swaps_fields = y % 4 != 0
        self.texts.append(f"crop=w={width}:h={height}:x={x}:y={y}")
        self.shape = replace(has, width=width, height=height)

    def rotate(self, degrees: int) -> None:
        self._turn(TURNED[degrees])

    def denoise(self, how: str) -> None:
        self.texts.append(DENOISER[how])
        self.looks_back += DENOISER_LOOKS_BACK[how]

    def scale(self, target: Box | Size | Share) -> None:
        has = self.shape
        width, height = scaled(has, target)
        if (width, height) != (has.width, has.height):
            self.texts.append(f"scale=w={width}:h={height}:{SCALER}")
            self.shape = replace(has, width=width, height=height, aspect=_aspect_after(has, width, height))

    def _turn(self, text: str) -> None:
        self.texts.append(text)
        if "transpose" in text:
            self.shape = self.shape.on_its_side()


def chain_of(filters: Filters, look: Look) -> Chain:
    chain = Chain(Shape.of(look))
    if filters.deinterlace:
        chain.deinterlace(filters.deinterlace)
    if filters.scale or filters.crop or filters.rotate or filters.vf:
        chain.make_upright()
    if filters.crop_area is not None:
        chain.crop(*filters.crop_area)
    if filters.rotate:
        chain.rotate(filters.rotate)
    if filters.denoise:
        chain.denoise(filters.denoise)
    if filters.target_size is not None:
        chain.scale(filters.target_size)
    if filters.vf and gives_one_for_one(filters.vf):
        chain.texts.append(filters.vf)
    return chain


def _upright(matrix: tuple[int, ...] | None) -> str:
    """The filters that do what a display matrix tells players; none if it does nothing, or more than that."""
    return "" if matrix is None else UPRIGHT.get((matrix[0], matrix[1], matrix[3], matrix[4]), "")


def area_as_shown(look: Look, width: int, height: int, x: int, y: int) -> str:
    """A crop of the picture as players show it, for an area of the picture as it is stored."""
    turn = _upright(look.matrix)
    right, bottom = look.width - x - width, look.height - y - height
    corner = {
        "transpose=clock": (bottom, x),
        "hflip,vflip": (right, bottom),
        "transpose=cclock": (y, right),
        "hflip": (right, y),
        "vflip": (x, bottom),
        "transpose=cclock_flip": (y, x),
        "transpose=clock_flip": (bottom, right),
    }.get(turn, (x, y))
    size = (height, width) if "transpose" in turn else (width, height)
    return ":".join(map(str, (*size, *corner)))


def gives_one_for_one(vf: str) -> bool:
    """Whether the text certainly makes each frame from one frame alone."""
    return is_picture_by_picture(parsed(vf))


def scaled(shape: Shape, target: Box | Size | Share) -> tuple[int, int]:
    width, height = shape.width, shape.height
    if isinstance(target, Size):
        return _sides(shape, target)
    if isinstance(target, Share):
        factor = target.percent / 100
    else:
        across, down = (target.width, target.height) if width >= height else (target.height, target.width)
        factor = min(1.0, across / width, down / height)
    return (width, height) if factor == 1 else (_even(width * factor), _even(height * factor))


def _sides(shape: Shape, size: Size) -> tuple[int, int]:
    """A side that is left open keeps the picture's shape, and its pixels become what they were."""
    width = size.width or _even(shape.width * size.height / shape.height)
    return width, size.height or _even(shape.height * size.width / shape.width)


def _even(side: float) -> int:
    return max(2, 2 * floor(side / 2 + 0.5))


def _aspect_after(shape: Shape, width: int, height: int) -> Fraction | None:
    """Players show the picture in the same shape as before, unless the difference is only that sizes are even."""
    natural = width * shape.height / height
    if abs(natural - shape.width) * width < 2 * shape.width:
        return shape.aspect
    aspect = (shape.aspect or 1) * Fraction(shape.width * height, shape.height * width)
    return None if aspect == 1 else aspect
