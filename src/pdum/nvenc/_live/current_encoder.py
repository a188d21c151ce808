"""The current encoder: opened for a frame, changed while it runs if it can be, and replaced if not."""

from __future__ import annotations

from contextlib import suppress
from typing import TYPE_CHECKING, Any

from .._encoders.host_frames import with_known_type
from .._encoders.nvenc import NvencEncoder
from .._encoders.opening import open_encoder
from .._encoders.software import SoftwareEncoder
from .._errors import NvencError
from .._machine.availability import unavailable_reason
from .._machine.capabilities import Capabilities, capabilities
from .settings import KEPT_REFERENCES, LiveSettings

if TYPE_CHECKING:
    from collections.abc import Callable

    from .._config.config import EncoderConfig
    from .._encoders.frame_layout import FrameLayout
    from .._nvenc import Packet

LEAST_CHANGE = 0.02
"""A smaller relative difference of the rate is not a change."""
FALLEN, RISEN = 0.7, 1.5
"""An encoder that cannot change its rate is replaced only beyond these shares, because that costs a key frame."""
SECONDS_BETWEEN = 3.0
"""Seconds between two replacements for the rate."""


class CurrentEncoder:
    """Encodes frames of any size one after the other. Whenever it opens an encoder, the stream has a key frame."""

    def __init__(self, settings: LiveSettings, backend: str) -> None:
        self._settings = settings
        self._backend = backend
        self._encoder: NvencEncoder | SoftwareEncoder | None = None
        self._config: EncoderConfig | None = None
        self._abilities: Capabilities | None = None
        self._opened_at = 0.0
        self._is_flushed = False
        self.notices: tuple[str, ...] = ()
        self.opened = 0
        """How many encoders were opened."""

    @property
    def is_hardware(self) -> bool:
        return isinstance(self._encoder, NvencEncoder)

    @property
    def is_on_processor(self) -> bool:
        """Whether frames are encoded by the processor, or will be."""
        if self._encoder is not None:
            return not self.is_hardware
        return not self._has_hardware

    @property
    def config(self) -> EncoderConfig | None:
        return self._config

    def fit(self, layout: FrameLayout, bitrate: int, now: float, keep: Callable[[list[Packet]], None]) -> bool:
        """Makes the encoder take such frames at that rate. Returns whether the next one is a key frame for it.

        ``keep`` gets the packets of an encoder that ends, before another one is opened, which may fail.
        """
        config = self._config
        if config is None:
            self._open(layout, bitrate, now)
            return True
        if (config.width, config.height, config.format) == (layout.width, layout.height, layout.format):
            was_flushed, self._is_flushed = self._is_flushed, False
            return self._aim_at(layout, bitrate, now, keep) or was_flushed
        if self._takes_size_live(layout, config):
            self._reconfigure(width=layout.width, height=layout.height, **self._rates(bitrate))
            return True
        self._replace(layout, bitrate, now, keep)
        return True

    def submit(self, frame: Any, seq: int, *, force_idr: bool, stream: Any, picture: Any) -> list[Packet]:
        encoder = self._encoder
        if isinstance(encoder, NvencEncoder):
            return encoder.submit(with_known_type(frame), seq, force_idr, stream=stream, picture=picture)
        assert encoder is not None
        return encoder.submit(frame, seq, force_idr, picture=picture)

    def repairs(self, seq: int, *, is_key_frame: bool) -> bool:
        """Whether the stream goes on without a key frame though that packet was lost: the next picture refers to an
        older one, or a wave of intra blocks comes anyway."""
        if self._settings.has_intra_refresh and "reference_frames" not in self._settings.fields:
            return not is_key_frame and self._refreshes
        return isinstance(self._encoder, NvencEncoder) and self._encoder.lost(seq)

    def flush(self) -> list[Packet]:
        """Returns what is still in the encoder. A software codec that held something back then begins a new stream."""
        if self._encoder is None or self._encoder.in_flight == 0:
            return []
        self._is_flushed = not self.is_hardware
        return self._encoder.flush_pipeline()

    def close(self) -> None:
        encoder, self._encoder, self._config = self._encoder, None, None
        if isinstance(encoder, SoftwareEncoder):
            with suppress(NvencError):  # SVT-AV1 complains on standard error if its stream is not ended
                encoder.flush_pipeline()
        if encoder is not None:
            encoder.close()

    @property
    def _has_hardware(self) -> bool:
        return self._backend != "software" and unavailable_reason(self._settings.gpu_id) is None

    @property
    def _refreshes(self) -> bool:
        unmapped = () if self._encoder is None else self._encoder.unmapped
        return "intra_refresh_period" not in unmapped

    def _open(self, layout: FrameLayout, bitrate: int, now: float) -> None:
        self._abilities = _abilities(self._settings) if self._has_hardware else None
        config = self._wanted(layout, bitrate)
        encoder, notices = open_encoder(config, self._backend)
        assert isinstance(encoder, (NvencEncoder, SoftwareEncoder))
        if isinstance(encoder, SoftwareEncoder) and self._settings.is_steered:
            encoder.set_bitrate(bitrate)
        self._encoder, self._config, self._opened_at = encoder, encoder.config, now
        self._is_flushed = False
        self.notices += notices
        self.opened += 1

    def _wanted(self, layout: FrameLayout, bitrate: int) -> EncoderConfig:
        if self._abilities is None and self._settings.codec_name == "h264":
            bitrate = self._settings.highest_bitrate(layout.width, layout.height)  # x264's may change below it
        more: dict[str, Any] = {"format": layout.format, **self._rates(bitrate)}
        if self._abilities is not None:
            width, height = self._settings.largest_size or (0, 0)
            more |= {"max_width": max(width, layout.width), "max_height": max(height, layout.height)}
            given = self._settings.fields
            if "reference_frames" not in given and "references" not in given and self._can_invalidate:
                more["reference_frames"] = KEPT_REFERENCES
        return self._settings.config(layout.width, layout.height, **more)

    @property
    def _can_invalidate(self) -> bool:
        can = self._abilities
        if can is None or self._settings.has_intra_refresh:
            return False
        return can.reference_invalidation and can.multiple_reference_frames

    def _aim_at(self, layout: FrameLayout, bitrate: int, now: float, keep: Callable[[list[Packet]], None]) -> bool:
        """Changes the rate. Returns whether that took another encoder."""
        assert self._config is not None
        before = self._config.bitrate
        if not self._settings.is_steered or abs(bitrate - before) < LEAST_CHANGE * before:
            return False
        if self._takes_rate_live:
            self._reconfigure(**self._rates(bitrate))
            return False
        if isinstance(self._encoder, SoftwareEncoder) and self._encoder.set_bitrate(bitrate):
            self._config = self._encoder.config
            return False
        if FALLEN < bitrate / before < RISEN or now - self._opened_at < SECONDS_BETWEEN:
            return False
        self._replace(layout, bitrate, now, keep)
        return True

    def _replace(self, layout: FrameLayout, bitrate: int, now: float, keep: Callable[[list[Packet]], None]) -> None:
        """The old encoder ends before the new one is opened, since GPUs limit how many sessions there are."""
        keep(self.flush())
        self.close()
        self._open(layout, bitrate, now)

    def _reconfigure(self, **changes: Any) -> None:
        assert isinstance(self._encoder, NvencEncoder)
        self._encoder.reconfigure(**changes)
        self._config = self._encoder.config

    def _rates(self, bitrate: int) -> dict[str, Any]:
        can = self._abilities
        return self._settings.rates(bitrate, sizes_buffer=can is None or can.custom_vbv_size)

    def _takes_size_live(self, layout: FrameLayout, config: EncoderConfig) -> bool:
        if self._abilities is None or not self._takes_rate_live or layout.format != config.format:
            return False
        fits = layout.width <= config.max_width and layout.height <= config.max_height
        return fits and self._abilities.live_resolution_change

    @property
    def _takes_rate_live(self) -> bool:
        return self.is_hardware and self._abilities is not None and self._abilities.live_bitrate_change


def _abilities(settings: LiveSettings) -> Capabilities | None:
    """None if the GPU does not have the codec: opening the encoder then raises the right error."""
    try:
        return capabilities(settings.gpu_id, settings.codec)
    except NvencError:
        return None
