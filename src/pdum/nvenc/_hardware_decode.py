"""Decoding on the GPU, where its decoder is there and takes the source."""

from __future__ import annotations

import ctypes
import os
from functools import lru_cache
from pathlib import Path
from typing import TYPE_CHECKING, Any

from ._source import Decoding, import_av, open_source, video_stream

if TYPE_CHECKING:
    from ._events import EngineInfo

LIBRARY = "libnvcuvid.so.1"
SWITCH = "PDUM_NVENC_DECODE"
TRIED_PACKETS = 32


def decoder_on(engine: EngineInfo, source: Path) -> dict[str, Any] | None:
    """What ``av.open`` is given to decode on the engine's GPU, with frames that stay there; None: on the processor."""
    if os.environ.get(SWITCH, "") == "cpu" or not _has_library():
        return None
    gpu = engine.gpu_id or 0
    if not _takes(gpu, str(source), source.stat().st_mtime_ns):
        return None
    return {"hwaccel": _acceleration(gpu)}


def _acceleration(gpu: int) -> Any:
    from av.codec.hwaccel import HWAccel

    return HWAccel("cuda", device=str(gpu), allow_software_fallback=False, is_hw_owned=True)


@lru_cache(maxsize=1)
def _has_library() -> bool:
    try:
        ctypes.CDLL(LIBRARY)
    except OSError:
        return False
    return True


@lru_cache(maxsize=64)
def _takes(gpu: int, source: str, changed: int) -> bool:  # noqa: ARG001
    """Whether the decoder gives a frame of this very source: formats and sizes differ between GPUs."""
    av = import_av()
    path = Path(source)
    try:
        with open_source(path, hwaccel=_acceleration(gpu)) as container:
            stream = video_stream(container, path)
            for number, packet in enumerate(container.demux(stream)):
                for frame in Decoding().frames(packet):
                    return bool(frame.format.name == "cuda")
                if number >= TRIED_PACKETS:
                    break
    except (av.error.FFmpegError, NotImplementedError, RuntimeError, OSError, ValueError):
        return False
    return False
