"""Opens an encoder on the hardware, or in software if there is none. Users are told that once."""

from __future__ import annotations

from threading import Lock
from typing import TYPE_CHECKING

from .._config.settings import one_of
from .._errors import DriverNotFound, DriverTooOld, NoEncoder
from .notices import ignored_notice, software_notice
from .nvenc import NvencEncoder

if TYPE_CHECKING:
    from .._config.config import EncoderConfig
    from .._tasks import VideoEncoder

BACKENDS = ("auto", "nvenc", "software")
NO_HARDWARE = (DriverNotFound, DriverTooOld, NoEncoder)

_said: set[str] = set()
_saying = Lock()


def open_encoder(
    config: EncoderConfig, backend: str = "auto", *, threads: int = 0, software: EncoderConfig | None = None
) -> tuple[VideoEncoder, tuple[str, ...]]:
    """An encoder, and notices for its user. A process gets each notice once.

    Args:
        config: what to encode.
        backend: ``"nvenc"``, ``"software"`` (the processor), or ``"auto"``: hardware if there is any.
        threads: how many a software codec may use; 0: as many as it likes.
        software: the configuration for a software codec, if it has another one.

    Raises:
        NoEncoder, DriverNotFound, DriverTooOld: ``backend`` is ``"nvenc"``, and there is no hardware.
        NvencError: what ``NvencEncoder`` or ``SoftwareEncoder`` raises for these settings. Hardware that refuses the
            settings is not replaced by software, in which they would mean something else.
    """
    one_of("backend", backend, {name: name for name in BACKENDS})
    notices: list[str] = []
    if backend != "software":
        try:
            return NvencEncoder(config), ()
        except NO_HARDWARE as error:
            if backend == "nvenc":
                raise
            notices.append(software_notice(error))
    from .software import SoftwareEncoder

    encoder = SoftwareEncoder(software or config, threads=threads)
    if encoder.unmapped:
        notices.append(ignored_notice(encoder.unmapped))
    return encoder, tuple(_news(notices))


def _news(notices: list[str]) -> list[str]:
    """The notices that this process has not given yet."""
    with _saying:
        news = [notice for notice in notices if notice not in _said]
        _said.update(news)
        return news
