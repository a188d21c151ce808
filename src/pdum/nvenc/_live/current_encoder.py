"""The encoder of the moment: opened for a frame, changed while it runs if it can be, and replaced if not."""

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
    from .._config.config import EncoderConfig
    from .._encoders.frame_layout import FrameLayout
    from .._nvenc import Packet


class CurrentEncoder:
    """Encodes frames of any size one after the other. Whenever it opens an encoder, the stream has a key frame."""

    def __init__(self, settings: LiveSettings, backend: str) -> None:
        self._settings = settings
        self._backend = backend
        self._encoder: NvencEncoder | SoftwareEncoder | None = None
        self._config: EncoderConfig | None = None
        self._abilities: Capabilities | None = None
        self.notices: tuple[str, ...] = ()
        self.opened = 0
        """How many encoders there were."""

    @property
    def is_hardware(self) -> bool:
        return isinstance(self._encoder, NvencEncoder)

    @property
    def config(self) -> EncoderConfig | None:
        return self._config

    def fit(self, layout: FrameLayout, bitrate: int) -> tuple[list[Packet], bool]:
        """Makes the encoder take such frames at that rate: the packets that come out for that, and whether the next
        frame is a key frame for it."""
        config = self._config
        if config is None or self._encoder is None:
            self._open(layout, bitrate)
            return [], True
        if (config.width, config.height, config.format) == (layout.width, layout.height, layout.format):
            return self.set_bitrate(layout, bitrate)
        if self._takes_size_live(layout):
            self._reconfigure(width=layout.width, height=layout.height, **self._rates(bitrate))
            return [], True
        return self._replace(layout, bitrate), True

    def set_bitrate(self, layout: FrameLayout, bitrate: int) -> tuple[list[Packet], bool]:
        if self._config is None or not self._settings.is_steered or bitrate == self._config.bitrate:
            return [], False
        if self._takes_rate_live:
            self._reconfigure(**self._rates(bitrate))
            return [], False
        return self._replace(layout, bitrate), True

    def submit(self, frame: Any, seq: int, *, force_idr: bool, stream: Any, picture: Any) -> list[Packet]:
        encoder = self._encoder
        if isinstance(encoder, NvencEncoder):
            return encoder.submit(with_known_type(frame), seq, force_idr, stream=stream, picture=picture)
        assert isinstance(encoder, SoftwareEncoder)
        return encoder.submit(frame, seq, force_idr, picture=picture)

    def lost(self, seq: int) -> bool:
        """Whether the stream goes on without an IDR. Software never can."""
        return isinstance(self._encoder, NvencEncoder) and self._encoder.lost(seq)

    def flush(self) -> list[Packet]:
        return [] if self._encoder is None else self._encoder.flush_pipeline()

    def close(self) -> None:
        encoder, self._encoder, self._config = self._encoder, None, None
        if encoder is None:
            return
        if not isinstance(encoder, NvencEncoder):
            with suppress(NvencError):  # SVT-AV1 complains on standard error if its stream is not ended
                encoder.flush_pipeline()
        encoder.close()

    def _open(self, layout: FrameLayout, bitrate: int) -> None:
        has_hardware = self._backend != "software" and unavailable_reason(self._settings.gpu_id) is None
        self._abilities = _abilities(self._settings) if has_hardware else None
        config = self._wanted(layout, bitrate)
        encoder, notices = open_encoder(config, self._backend)
        assert isinstance(encoder, (NvencEncoder, SoftwareEncoder))
        self._encoder, self._config = encoder, config
        self.notices += notices
        self.opened += 1

    def _wanted(self, layout: FrameLayout, bitrate: int) -> EncoderConfig:
        more: dict[str, Any] = {"format": layout.format, "bitrate": bitrate}
        if self._abilities is not None:
            width, height = self._settings.max_size or (0, 0)
            more |= {"max_width": max(width, layout.width), "max_height": max(height, layout.height)}
            if "reference_frames" not in self._settings.fields and self._can_invalidate:
                more["reference_frames"] = KEPT_REFERENCES
        return self._settings.config(layout.width, layout.height, **more)

    @property
    def _can_invalidate(self) -> bool:
        can = self._abilities
        is_refreshed = bool(self._settings.fields.get("intra_refresh_period"))
        return can is not None and can.reference_invalidation and can.multiple_reference_frames and not is_refreshed

    def _replace(self, layout: FrameLayout, bitrate: int) -> list[Packet]:
        """The old encoder ends before the new one is opened, since GPUs limit how many sessions there are."""
        packets = self.flush()
        self.close()
        self._open(layout, bitrate)
        return packets

    def _reconfigure(self, **changes: Any) -> None:
        assert isinstance(self._encoder, NvencEncoder)
        self._encoder.reconfigure(**changes)
        self._config = self._encoder.config

    def _rates(self, bitrate: int) -> dict[str, int]:
        return self._settings.rates(bitrate) if self._settings.is_steered else {}

    def _takes_size_live(self, layout: FrameLayout) -> bool:
        config = self._config
        if config is None or not self.is_hardware or self._abilities is None or layout.format != config.format:
            return False
        fits = layout.width <= config.max_width and layout.height <= config.max_height
        return fits and self._abilities.live_resolution_change and self._takes_rate_live

    @property
    def _takes_rate_live(self) -> bool:
        return self.is_hardware and self._abilities is not None and self._abilities.live_bitrate_change


def _abilities(settings: LiveSettings) -> Capabilities | None:
    """None if the GPU does not have the codec: opening the encoder then raises the right error."""
    try:
        return capabilities(settings.gpu_id, settings.codec)
    except NvencError:
        return None
