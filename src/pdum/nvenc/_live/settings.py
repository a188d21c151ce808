"""The settings of a live encoder, and the configuration that they mean for a picture of some size."""

from __future__ import annotations

from dataclasses import dataclass, field
from fractions import Fraction
from typing import TYPE_CHECKING, Any

from .._config.config import EncoderConfig
from .._config.settings import bits, codec_name, frame_rate, whole
from .._config.values import RGB_FORMATS, format_name
from .._errors import InvalidConfig

if TYPE_CHECKING:
    from collections.abc import Mapping

    from .._config.settings import FrameRate

BITS_PER_PIXEL = 0.08
"""Bits for each pixel, if the caller sets no bitrate."""
LEAST_DEFAULT_BITRATE = 500_000
LEAST_SHARE = 20
"""The lowest bitrate is this part of the highest one."""
BUFFER_SECONDS = 0.1
"""Seconds of the stream that the buffer holds. A key frame then fits in, and no long queue builds up."""
KEPT_REFERENCES = 5
"""With so many pictures, a loss that is reported within four frames is repaired without a key frame."""
NOT_FIELDS = ("width", "height", "max_width", "max_height", "extra_output_delay")
"""Fields of ``EncoderConfig`` that follow from the frames and from other arguments."""


@dataclass(frozen=True, kw_only=True)
class LiveSettings:
    """What ``LiveEncoder`` was made with."""

    max_size: tuple[int, int] | None
    codec: str
    fps: FrameRate
    bitrate: int
    min_bitrate: int
    start_bitrate: int
    pipeline_depth: int
    gpu_id: int
    fields: Mapping[str, Any] = field(default_factory=dict)

    def __post_init__(self) -> None:
        for name in self.fields:
            if name in NOT_FIELDS:
                raise InvalidConfig(
                    f"{name} does not work with LiveEncoder: it follows from the frames, max_size and pipeline_depth. "
                    "Leave it out."
                )
        for name in ("bframes", "lookahead"):
            if self.fields.get(name):
                raise InvalidConfig(
                    f"{name}={self.fields[name]!r} does not work with LiveEncoder: such frames wait for later ones. "
                    "Leave it out."
                )
        if self.fields.get("stereo"):
            raise InvalidConfig(
                "stereo=True does not work with LiveEncoder: browsers and calls show one view. Use NvencEncoder."
            )
        for name in ("bitrate", "min_bitrate", "start_bitrate"):
            rate = getattr(self, name)
            if rate and not self.is_steered:
                raise InvalidConfig(
                    f"{name}={rate} does not work with qp, cq or tuning='lossless', which decide the quality instead. "
                    "Leave one out."
                )
        self.config(*(self.largest_size or (640, 360)))  # a wrong setting is an error now, not at the first frame

    @property
    def largest_size(self) -> tuple[int, int] | None:
        """``max_size``, even."""
        size = self.max_size
        if size is None:
            return None
        if not isinstance(size, (tuple, list)) or len(size) != 2:
            raise InvalidConfig(f"Expected a pair, as in max_size=(1920, 1080), got max_size={size!r}.")
        width, height = (whole("max_size", number, least=2) for number in size)
        return width + width % 2, height + height % 2

    @property
    def rate(self) -> Fraction:
        return Fraction(*frame_rate(self.fps))

    @property
    def codec_name(self) -> str:
        return codec_name(self.codec)

    @property
    def has_intra_refresh(self) -> bool:
        """Whether a wave of intra blocks repairs the picture again and again."""
        return bool(self.fields.get("intra_refresh_period"))

    @property
    def is_steered(self) -> bool:
        """Whether the bitrate can change. Constant quantisers and constant quality have none."""
        return self.fields.get("qp") is None and self.fields.get("cq") is None and not self._is_lossless

    @property
    def _is_lossless(self) -> bool:
        return self.fields.get("tuning") == "lossless"

    @property
    def _colour(self) -> str:
        """The same at every size, where "auto" changes at 720 lines. Some formats have only one, whatever the size."""
        return "auto" if format_name(self.fields.get("format", "rgb")) in RGB_FORMATS else "bt709"

    def highest_bitrate(self, width: int, height: int) -> int:
        wanted = int(width * height * self.rate * Fraction(BITS_PER_PIXEL))
        highest = self.bitrate or max(wanted, LEAST_DEFAULT_BITRATE)
        return min(highest, bits("max_bitrate", self.fields.get("max_bitrate") or highest))

    def bitrate_bounds(self, width: int, height: int) -> tuple[int, int]:
        """The least and the most for pictures of this size."""
        highest = self.highest_bitrate(width, height)
        return max(min(self.min_bitrate or highest // LEAST_SHARE, highest), 1), highest

    def config(self, width: int, height: int, **more: Any) -> EncoderConfig:
        """The configuration for pictures of this size. ``more``: further fields, among them the rates."""
        given: dict[str, Any] = {"colour": self._colour, "format": "rgb", **self.fields}
        given["gop"] = given.get("gop") or 0
        if self.is_steered:
            given.setdefault("rate_control", "cbr")
            given |= self.rates(self.highest_bitrate(width, height))
        return EncoderConfig.of(
            {
                **given,
                "width": width,
                "height": height,
                "codec": self.codec,
                "fps": self.fps,
                "gpu_id": self.gpu_id,
                "extra_output_delay": self.pipeline_depth,
                **more,
            }
        )

    def rates(self, bitrate: int, *, sizes_buffer: bool = True) -> dict[str, Any]:
        """The bitrate, with a buffer that fits it unless the caller chose one or the card cannot change it."""
        if not self.is_steered:
            return {}
        if "vbv_size" in self.fields:
            return {"bitrate": bitrate}
        seconds = max(Fraction(BUFFER_SECONDS), 2 / self.rate)
        return {"bitrate": bitrate, "vbv_size": int(bitrate * seconds) if sizes_buffer else None}
