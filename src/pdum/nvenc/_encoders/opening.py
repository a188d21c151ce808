"""Opens an encoder on whatever this machine has: its hardware, or else the processor, which is told once."""

from __future__ import annotations

from threading import Lock
from typing import TYPE_CHECKING

from .._config.settings import one_of
from .._errors import DriverNotFound, DriverTooOld, NoEncoder
from .nvenc import NvencEncoder

if TYPE_CHECKING:
    from .._config.config import EncoderConfig
    from .._tasks import VideoEncoder

BACKENDS = ("auto", "nvenc", "software")
NOT_THE_HARDWARE = (
    "No hardware encoder is used: the processor encodes, with software codecs. That is many times slower, and sizes "
    "and quality are not the hardware's."
)
NO_HARDWARE = (DriverNotFound, DriverTooOld, NoEncoder)

_said: set[str] = set()
_saying = Lock()


def open_encoder(
    config: EncoderConfig, backend: str = "auto", *, threads: int = 0, software: EncoderConfig | None = None
) -> tuple[VideoEncoder, tuple[str, ...]]:
    """An encoder, and what its user should know and has not been told yet in this process.

    Args:
        config: what to encode.
        backend: ``"nvenc"``, ``"software"`` (the processor), or ``"auto"``: hardware if there is any.
        threads: how many a software codec may use; 0: as many as it likes.
        software: the configuration for a software codec, if it has another one.

    Raises:
        NoEncoder, DriverNotFound, DriverTooOld: ``backend`` is ``"nvenc"``, and there is no hardware.
        NvencError: what ``NvencEncoder`` or ``SoftwareEncoder`` raises for these settings. If the hardware is there and
            refuses the settings, the processor does not take its place: the settings would mean something else there.
    """
    one_of("backend", backend, {name: name for name in BACKENDS})
    notices: list[str] = []
    if backend != "software":
        try:
            return NvencEncoder(config), ()
        except NO_HARDWARE as error:
            if backend == "nvenc":
                raise
            notices += _new(NOT_THE_HARDWARE, f"{NOT_THE_HARDWARE} {error}")
    from .software import SoftwareEncoder

    encoder = SoftwareEncoder(software or config, threads=threads)
    if encoder.unmapped:
        left_out = f"The software codec has nothing like {', '.join(encoder.unmapped)}: left out."
        notices += _new(left_out, left_out)
    return encoder, tuple(notices)


def _new(key: str, text: str) -> list[str]:
    """The text, if nothing with this key was told before."""
    with _saying:
        if key in _said:
            return []
        _said.add(key)
        return [text]
