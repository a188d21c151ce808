"""Opens the encoding side of a writer: one encoder, or all of the machine."""

from __future__ import annotations

import sys
import warnings
from typing import TYPE_CHECKING, Any

from .._config.settings import whole
from .._errors import InvalidConfig
from .._pool.engines import find_engines
from .all_engines import AllEngines
from .frame_encoder import OneEngine, readable_by_hardware

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

    from .._config.config import EncoderConfig
    from .._config.picture import PictureOptions
    from .._nvenc import Packet
    from ..events import EngineInfo
    from .frame_encoder import FrameEncoder

PACKAGE = __name__.partition("._")[0]
SESSION_TIMEOUT = 10.0
"""Seconds. How many engines there are takes a session to ask, and other programs may have all of them."""


class SharedVideo:
    """All engines of the machine on one video, for frames of every kind."""

    is_quick = True
    notices: tuple[str, ...] = ()

    def __init__(self, config: EncoderConfig, engines: Sequence[EngineInfo]) -> None:
        self._config = config
        self._engines = AllEngines(config, engines, _tell)

    def submit(
        self,
        frame: Any,
        number: int,
        *,
        force_idr: bool = False,
        stream: Any = None,
        picture: PictureOptions | None = None,
    ) -> list[Packet]:
        readable = readable_by_hardware(frame, self._config)
        return self._engines.submit(readable, number, force_idr=force_idr, stream=stream, picture=picture)

    def finish(self) -> Iterator[Packet]:
        return self._engines.finish()

    def header(self) -> bytes:
        return self._engines.header()

    def close(self) -> None:
        self._engines.close()


def open_frame_encoder(
    config: EncoderConfig, backend: str, engines: int | str, software: EncoderConfig | None = None
) -> FrameEncoder:
    """The encoders for a configuration. Raises what opening them raises. ``software`` as in ``open_encoder``.

    Several engines are hardware. If there is one at most, or none, ``engines`` means nothing.
    """
    if engines == 1 or backend == "software":
        return OneEngine(config, backend, software)
    found = find_engines("all", "auto" if engines == "all" else engines, backend, SESSION_TIMEOUT)
    hardware = [engine for engine in found.lanes if engine.gpu_id is not None]
    if len(hardware) > 1:
        return SharedVideo(config, hardware)
    return OneEngine(config.replaced(gpu_id=hardware[0].gpu_id or 0) if hardware else config, backend, software)


def require_engines(engines: int | str) -> None:
    """Raises InvalidConfig, before the first frame."""
    if engines == "all":
        return
    if not isinstance(engines, int) or isinstance(engines, bool):
        raise InvalidConfig(f'Expected a number of engines, or "all", got engines={engines!r}.')
    whole("engines", engines, least=1)


def _tell(text: str) -> None:
    """Warns with the line of the caller of this package."""
    level, frame = 1, sys._getframe()
    while frame.f_back is not None and str(frame.f_globals.get("__name__")).startswith(PACKAGE):
        level, frame = level + 1, frame.f_back
    warnings.warn(text, RuntimeWarning, stacklevel=level)
