"""The encoding side of a writer: frames in, the packets of the whole stream out, in coding order."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Protocol

from .._encoders.frame_layout import is_pil_image, is_pyav_frame
from .._encoders.host_frames import on_host, with_known_type
from .._encoders.nvenc import NvencEncoder
from .._encoders.opening import open_encoder
from .._mp4 import hevc

if TYPE_CHECKING:
    from collections.abc import Iterator

    from .._config.config import EncoderConfig
    from .._config.picture import PictureOptions
    from .._nvenc import Packet


class FrameEncoder(Protocol):
    """What a writer needs of one encoder or of several."""

    @property
    def is_quick(self) -> bool:
        """Whether ``submit`` takes or copies the frame and returns without waiting for its encoding, while there is
        room. If not, the writer copies frames into a queue of its own, and calls ``submit`` in another thread."""
        ...

    @property
    def notices(self) -> tuple[str, ...]:
        """Notices for the user."""
        ...

    def submit(
        self,
        frame: Any,
        number: int,
        *,
        force_idr: bool = False,
        stream: Any = None,
        picture: PictureOptions | None = None,
    ) -> list[Packet]:
        """Takes the next frame. Returns finished packets in coding order; ``seq`` is the number of the frame.

        May wait. The caller may change the frame afterwards (on the GPU: on the stream that it was made on).
        """
        ...

    def finish(self) -> Iterator[Packet]:
        """The packets of all frames that are still inside."""
        ...

    def header(self) -> bytes:
        """The parameter sets, or the sequence header OBU."""
        ...

    def close(self) -> None: ...


class OneEngine:
    """One hardware encoder, or the processor."""

    def __init__(self, config: EncoderConfig, backend: str = "auto", software: EncoderConfig | None = None) -> None:
        self._encoder, self.notices = open_encoder(config, backend, software=software)
        self._config = config
        self.is_quick = isinstance(self._encoder, NvencEncoder)
        """The hardware has a pipeline of its own. A software codec works while it is called."""

    def submit(
        self,
        frame: Any,
        number: int,
        *,
        force_idr: bool = False,
        stream: Any = None,
        picture: PictureOptions | None = None,
    ) -> list[Packet]:
        if isinstance(self._encoder, NvencEncoder):
            readable = readable_by_hardware(frame, self._config)
            return self._encoder.submit(readable, number, force_idr, stream=stream, picture=picture)
        more = {} if picture is None else {"picture": picture}
        return self._encoder.submit(frame, number, force_idr, **more)

    def finish(self) -> Iterator[Packet]:
        return self._encoder.flush_lazily()

    def header(self) -> bytes:
        header = self._encoder.sequence_header()
        return hevc.with_alpha_information(header) if self._config.alpha and self.is_quick else header

    def close(self) -> None:
        self._encoder.close()


def readable_by_hardware(frame: Any, config: EncoderConfig) -> Any:
    """The frame, or each of a pair, in a form that the hardware's encoder reads."""
    if isinstance(frame, tuple):
        return tuple(readable_by_hardware(view, config) for view in frame)
    if is_pil_image(frame):
        return on_host(frame)
    if not is_pyav_frame(frame):
        return with_known_type(frame)
    if config.format == "rgb":
        return frame.to_ndarray(format="rgb24")
    from .._media.frame_conversion import converter_for_hardware

    return converter_for_hardware(config)(frame)
