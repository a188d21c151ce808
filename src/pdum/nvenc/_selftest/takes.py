"""Short streams of the package's encoder, in which a setting can be seen."""

from __future__ import annotations

from dataclasses import dataclass, field
from functools import cache, cached_property
from typing import Any

from .._config.config import EncoderConfig
from .._config.picture import PictureOptions
from .._encoders.nvenc import NvencEncoder
from .pictures import decode, image, psnr

FRAMES = 12
GREY = 128


@dataclass(kw_only=True)
class Take:
    """One short stream of the package's encoder."""

    config: EncoderConfig
    units: list[bytes] = field(default_factory=list)
    types: list[str] = field(default_factory=list)
    stamps: list[tuple[int, int]] = field(default_factory=list)
    """Display and decode time of each packet."""
    first_after: int = 0
    """Frames that were submitted when the first packet came."""

    @property
    def codec(self) -> str:
        return self.config.codec

    @property
    def size(self) -> int:
        return sum(map(len, self.units))

    @cached_property
    def pictures(self) -> list[Any]:
        return decode(self.codec, self.units)

    @cached_property
    def psnr(self) -> float:
        found = [psnr(picture, number) for number, picture in enumerate(self.pictures)]
        return sum(found) / len(found)

    def nal_units(self, number: int = 0) -> list[bytes]:
        """Those of one access unit of H.264 or HEVC, without start codes."""
        parts = self.units[number].split(b"\0\0\1")[1:]
        return [part.rstrip(b"\0") for part in parts]

    def nal_unit(self, kind: int) -> bytes:
        """The first of a type in the first access unit; empty if there is none."""
        shift, mask = (1, 63) if self.codec == "hevc" else (0, 31)
        return next((unit for unit in self.nal_units() if unit and unit[0] >> shift & mask == kind), b"")


def encode(config: EncoderConfig, picture: PictureOptions | None = None) -> Take:
    take = Take(config=config)
    with NvencEncoder(config) as encoder:
        for number in range(FRAMES):
            packets = encoder.submit(frame_of(config, number), number, picture=picture)
            _keep(take, packets)
            take.first_after += not take.units
        _keep(take, encoder.flush_pipeline())
    return take


@cache
def plain(config: EncoderConfig) -> Take:
    """A stream that several controls are compared with."""
    return encode(config)


def _keep(take: Take, packets: list[Any]) -> None:
    take.units += [packet.data for packet in packets]
    take.types += [packet.pic_type for packet in packets]
    take.stamps += [(packet.pts, packet.dts) for packet in packets]


def frame_of(config: EncoderConfig, number: int) -> Any:
    """The texture as NV12, and a grey picture in every other format. For both eyes, the right one has another time."""
    import numpy as np

    width, height = config.width, config.height
    if config.stereo:
        return tuple(image(time, (width, height)) for time in (number, number + FRAMES))
    if config.format == "nv12":
        return image(number, (width, height))
    if config.format == "p010":
        return image(number, (width, height)).astype(np.uint16) << 8
    if config.format.startswith("yuv444"):
        return np.full((height * 3, width), GREY, np.uint8)
    return np.full((height, width, 4), GREY, np.uint8)
