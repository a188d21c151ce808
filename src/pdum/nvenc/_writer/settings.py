"""What the user of a writer asks for, checked before the first frame, and the encoder's configuration for it."""

from __future__ import annotations

from dataclasses import dataclass, field
from fractions import Fraction
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal

from .._config import alpha
from .._config.config import EncoderConfig
from .._config.quality_scale import BEST, WORST, cq_for, rates_in
from .._config.settings import LARGEST_EXTRA_DELAY, bits, codec_name, frame_rate, nearest, one_of, whole
from .._config.values import format_name
from .._encoders.opening import BACKENDS
from .._errors import InvalidConfig
from .._media.containers import CONTAINERS, VIDEO_CODECS
from .._media.mux import STREAMS

if TYPE_CHECKING:
    from collections.abc import Mapping

    from .._config.settings import Bits
    from .._encoders.frame_layout import FrameLayout

FOR_FILES = {"preset": "p4", "tuning": "hq"}
"""A file need not be ready at once, so quality comes first."""
RGBA = "abgr"
"""The format of arrays of R, G, B and A whose transparency is kept. In ``"rgb"`` it is not."""
KEY_FRAME_SECONDS = 2
"""Seconds from one key frame to the next, so that players find any place quickly."""
SHARED_GOP = 60
"""The longest group of pictures, in frames, with which any number of engines is busy all the time."""
DEFAULT_QUALITY = 60
FIXED = ("width", "height", "format", "fps", "codec", "bitrate", "gpu_id")
"""Fields of ``EncoderConfig`` that have a parameter of the writer, or follow from the first frame."""
OF_PACKETS = ("statistics", "sub_frames", "reconstruction", "attempts")
Kind = Literal["", "stereo", "alpha"]
"""What frames are: "" single ones, or pairs for both eyes, or pairs of a frame and its alpha."""
DROPS = {"none": None, "oldest": "oldest"}


@dataclass(frozen=True, kw_only=True)
class WriterSettings:
    """The arguments of ``VideoWriter``, which says what they mean."""

    fps: Any = None
    size: tuple[int, int] | None = None
    format: str | None = None
    codec: str = "auto"
    quality: float | None = None
    bitrate: Bits = 0
    backend: str = "auto"
    gpu_id: int | None = None
    drop: str | None = None
    queue_frames: int = 16
    queue_bytes: int = 256 << 20
    fragmented: bool = False
    time_base: Fraction | None = None
    on_error: str = "discard"
    shared: bool = False
    """Several engines work on the video."""
    config: EncoderConfig | None = None
    fields: Mapping[str, Any] = field(default_factory=dict)

    def __post_init__(self) -> None:
        one_of("backend", self.backend, {name: name for name in BACKENDS})
        one_of("drop", "none" if self.drop is None else self.drop, DROPS)
        one_of("on_error", self.on_error, {name: name for name in ("discard", "keep")})
        bits("bitrate", self.bitrate)
        whole("queue_frames", self.queue_frames, least=1)
        whole("queue_bytes", self.queue_bytes, least=1, most=1 << 62)
        self._require_known_fields()
        self._require_one_kind_of_rate()
        _ = self.rate

    @property
    def rate(self) -> Fraction:
        """Frames a second."""
        given = self.fps if self.fps is not None else self.config.fps if self.config is not None else 30
        return Fraction(*frame_rate(given))

    @property
    def keeps_what_is_there(self) -> bool:
        """Whether the file is completed instead of discarded after an exception of the caller."""
        return self.on_error == "keep" or self.fragmented

    @property
    def stereo(self) -> bool:
        """Whether frames are pairs, for both eyes."""
        return bool(self._of_config("stereo"))

    @property
    def alpha_beside(self) -> bool:
        """Whether frames are pairs, each of a frame and its alpha."""
        return bool(self._of_config("alpha")) and self.frame_format() == alpha.BESIDE

    @property
    def kind(self) -> Kind:
        """What frames are."""
        return "stereo" if self.stereo else "alpha" if self.alpha_beside else ""

    def _of_config(self, name: str) -> Any:
        """The value of one of the encoder's own fields."""
        return self.fields.get(name) if self.config is None else self.fields.get(name, getattr(self.config, name))

    def codec_for(self, target: Path | None) -> str:
        """The codec that is asked for; ``"auto"``: H.264 unless the end of the target's name is that of another one.

        Two views are a part of HEVC.
        """
        if self.codec != "auto":
            return codec_name(self.codec)
        if self.config is not None:
            return codec_name(self.config.codec)
        if self.stereo:
            return "hevc"
        suffix = "" if target is None else target.suffix.lower()
        holds = STREAMS.get(suffix) or VIDEO_CODECS.get(CONTAINERS.get(suffix, ""), ("h264",))
        return holds[0]

    def frame_format(self) -> str | None:
        """The format that frames are said to have; None: each tells it by itself."""
        if self.format is not None:
            return format_name(self.format)
        if self.config is None and self.fields.get("alpha"):
            return RGBA
        return None if self.config is None else self.config.format

    def encoder_config(self, layout: FrameLayout, codec: str, kind: str) -> EncoderConfig:
        """The configuration for frames of this layout, for hardware (``"nvenc"``) or for ``"software"``."""
        if self.config is not None:
            return self._of_given(self.config, layout, codec, kind)
        values: dict[str, Any] = {**FOR_FILES, **self.fields}
        values |= {"width": layout.width, "height": layout.height, "format": layout.format, "codec": codec}
        values |= {"fps": self.rate, "gpu_id": self._gpu(layout), "bitrate": self.bitrate}
        if values.get("gop") is None:
            values["gop"] = 0 if values.get("intra_refresh_period") else self._gop(values.get("bframes") or 0)
        if self._has_free_rate():
            values["cq"] = self._cq(codec, kind)
        return self._with_room(EncoderConfig.of(values))

    def _gop(self, bframes: int) -> int:
        frames = round(self.rate * KEY_FRAME_SECONDS)
        return max(min(frames, SHARED_GOP) if self.shared else frames, 1 + bframes)

    def _of_given(self, config: EncoderConfig, layout: FrameLayout, codec: str, kind: str) -> EncoderConfig:
        changes: dict[str, Any] = {**self.fields, "codec": codec, "fps": self.rate}
        if (config.width, config.height) != (layout.width, layout.height):
            raise InvalidConfig(
                f"Expected frames of {config.width}x{config.height}, the size in config, got "
                f"{layout.width}x{layout.height}. Scale the frames, or use config.replaced(width=…, height=…)."
            )
        if changes.get("gop", config.gop) is None and (self.shared or "gop" in changes):
            changes["gop"] = self._gop(changes.get("bframes", config.bframes) or 0)
        if self.bitrate:
            changes["bitrate"] = self.bitrate
        if self.quality is not None:
            changes["cq"] = self._cq(codec, kind)
        if self.gpu_id is not None:
            changes["gpu_id"] = self.gpu_id
        if self.format is not None:
            changes["format"] = layout.format
        return self._with_room(config.replaced(**changes))

    def _with_room(self, config: EncoderConfig) -> EncoderConfig:
        """With as many frames in flight as the queue may hold: the encoder's own pipeline is the queue."""
        if config.extra_output_delay:
            return config
        frame_bytes = max(config.width * config.height * 2, 1) * (2 if self.stereo or self.alpha_beside else 1)
        return config.replaced(
            extra_output_delay=max(min(self.queue_frames, self.queue_bytes // frame_bytes, LARGEST_EXTRA_DELAY), 1)
        )

    def _gpu(self, layout: FrameLayout) -> int:
        if self.gpu_id is not None:
            return self.gpu_id
        return layout.gpu_id or 0

    def _has_free_rate(self) -> bool:
        """Whether only ``quality`` decides the number of bits."""
        return not self.bitrate and not rates_in(self.fields)

    def _cq(self, codec: str, kind: str) -> float:
        """Converts 0 (worst) to 100 (best) into 63 to 1, the scale of files."""
        quality = DEFAULT_QUALITY if self.quality is None else self.quality
        return cq_for(WORST - quality / 100 * (WORST - BEST), codec, kind)

    def _require_known_fields(self) -> None:
        known = [name for name in EncoderConfig.names() if name not in FIXED]
        own = [name for name in WriterSettings.__dataclass_fields__ if name not in ("fields", "config")]
        for name in self.fields:
            if name in ("width", "height"):
                raise TypeError(f"VideoWriter() takes no {name}: the first frame has it, or size=(width, height).")
            if name in OF_PACKETS and self.fields[name]:
                raise InvalidConfig(
                    f"{name} has no effect here: VideoWriter keeps only the bytes of packets. "
                    "Use NvencEncoder, or leave it out."
                )
            if name not in known:
                raise TypeError(
                    f"VideoWriter() got an unexpected keyword argument {name!r}.{nearest(name, [*own, *known])}"
                )

    def _require_one_kind_of_rate(self) -> None:
        if self.quality is None:
            return
        is_number = isinstance(self.quality, (int, float)) and not isinstance(self.quality, bool)
        if not is_number or not 0 <= self.quality <= 100:
            raise InvalidConfig(f"Expected a quality from 0 (worst) to 100 (best), got quality={self.quality!r}.")
        given = ["bitrate"] * bool(self.bitrate) + rates_in(self.fields)
        if given:
            raise InvalidConfig(f"quality={self.quality} does not work with {' and '.join(given)}. Choose one.")
