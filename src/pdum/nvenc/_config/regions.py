"""Which parts of a picture get more bits: maps of QP offsets or emphasis levels, and the regions that make them."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any

from .._errors import InvalidConfig
from .settings import whole

PictureOptions = Any  # which stands above this module and calls it

QP_OFFSETS = {"h264": (-51, 51), "hevc": (-51, 51), "av1": (-128, 127)}
"""AV1 counts quantisers to 255, the others to 51. A map has one signed byte for each block."""

EMPHASIS_LEVELS = (0, 5)

MAP_MODES = ("delta", "emphasis")
"""``EncoderConfig.qp_map``, which says how the encoder reads the values of a map."""


@dataclass(frozen=True)
class Region:
    """A rectangle of the picture, in pixels, and how much better it should look.

    It covers every block that it touches, and may reach beyond the picture. If regions overlap, the later one counts.

    Args:
        x, y: of the upper left corner.
        width, height: in pixels.
        qp: is added to the quantiser of each block, in an encoder with ``qp_map="delta"``: below 0 for a better
            picture. From -51 to 51; with AV1, whose quantisers go to 255, from -128 to 127.
        emphasis: a level from 0 (none) to 5, in an encoder with ``qp_map="emphasis"``.
    """

    x: int
    y: int
    width: int
    height: int
    qp: int | None = field(default=None, kw_only=True)
    emphasis: int | None = field(default=None, kw_only=True)

    def __post_init__(self) -> None:
        for name in ("x", "y"):
            whole(f"Region {name}", getattr(self, name), least=-MOST_PIXELS, most=MOST_PIXELS)
        for name in ("width", "height"):
            whole(f"Region {name}", getattr(self, name), least=1, most=MOST_PIXELS)
        if (self.qp is None) == (self.emphasis is None):
            raise InvalidConfig(
                f"Expected a Region with qp or emphasis, got qp={self.qp!r} and emphasis={self.emphasis!r}. An encoder "
                "with qp_map='delta' needs qp, one with qp_map='emphasis' needs emphasis."
            )
        if self.qp is not None:
            whole("Region qp", self.qp, *QP_OFFSETS["av1"])
        else:
            whole("Region emphasis", self.emphasis, *EMPHASIS_LEVELS)


MOST_PIXELS = 0x7FFFFFFF

Rectangles = list[tuple[int, int, int, int, int]]


def require_one_map(options: PictureOptions) -> None:
    """A picture has regions or one of the two maps."""
    given = [name for name in ("regions", "qp_map", "emphasis_map") if _is_given(getattr(options, name))]
    if len(given) > 1:
        raise InvalidConfig(f"Expected one map for a picture, got {' and '.join(given)}. Choose one.")
    regions = options.regions
    if not isinstance(regions, (list, tuple)) or not all(isinstance(one, Region) for one in regions):
        raise InvalidConfig(f"Expected a list of Region, got regions={regions!r}.")


def map_of(options: PictureOptions, codec: str, mode: str | None) -> tuple[str, Any] | None:
    """As the native module takes it: the name of what was given, and an array or (x, y, width, height, value) each.

    ``mode`` is what the encoder was made with.
    """
    if options.qp_map is not None:
        _require_mode("qp_map", "delta", mode)
        return "qp_map", options.qp_map
    if options.emphasis_map is not None:
        _require_mode("emphasis_map", "emphasis", mode)
        return "emphasis_map", options.emphasis_map
    return ("regions", [_rectangle(one, codec, mode) for one in options.regions]) if options.regions else None


def _is_given(value: Any) -> bool:
    """Whether the option is set. Arrays have no single truth value."""
    return value is not None and not (isinstance(value, (list, tuple)) and not value)


def _require_mode(given: str, wanted: str, mode: str | None) -> None:
    if mode == wanted:
        return
    if mode is None:
        raise InvalidConfig(
            f"{given} needs an encoder that was made with qp_map={wanted!r}; other encoders ignore maps."
        )
    other = "emphasis_map" if mode == "emphasis" else "qp_map"
    raise InvalidConfig(
        f"{given} needs an encoder that was made with qp_map={wanted!r}, and this one has qp_map={mode!r}, which takes "
        f"{other} or Region(…, {_value_name(mode)}=…)."
    )


def _rectangle(region: Region, codec: str, mode: str | None) -> tuple[int, int, int, int, int]:
    wanted = "delta" if region.qp is not None else "emphasis"
    _require_mode(f"Region(…, {_value_name(wanted)}=…)", wanted, mode)
    value = region.qp if region.qp is not None else region.emphasis
    if wanted == "delta":
        whole(f"Region qp for {codec}", value, *QP_OFFSETS[codec])
    return tuple(int(number) for number in (region.x, region.y, region.width, region.height, value))  # type: ignore[return-value,arg-type]


def _value_name(mode: str) -> str:
    return "qp" if mode == "delta" else "emphasis"
