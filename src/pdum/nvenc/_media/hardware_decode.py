"""Decodes on the GPU, if it has a decoder that takes the source."""

from __future__ import annotations

import os
from functools import cache, lru_cache
from pathlib import Path
from typing import TYPE_CHECKING

from .._errors import NvencError
from .._nvenc import PrimaryContext
from .av import import_av
from .decoder import Decoding, OnGpu, Stumbled, video_stream

if TYPE_CHECKING:
    from ..events import EngineInfo

LIBRARY = "libnvcuvid.so.1"
SWITCH = "PDUM_NVENC_DECODE"
TRIED_PACKETS = 32
CURRENT_CONTEXT: dict[str, object] = {"primary_ctx": "0", "current_ctx": "1"}
"""Otherwise FFmpeg changes the flags of the primary context, or makes a separate context, which needs copies."""


def decoder_on(engine: EngineInfo, source: Path) -> OnGpu | None:
    """A decoder for the source on the engine's GPU; None if the processor has to decode it."""
    if os.environ.get(SWITCH, "") == "cpu" or not _has_library() or not hasattr(import_av().VideoFrame, "sw_format"):
        return None  # before 18, PyAV does not say what format a frame on the GPU has
    gpu = engine.gpu_id or 0
    return _on(gpu) if _takes(gpu, str(source), source.stat().st_mtime_ns) else None


def _on(gpu: int) -> OnGpu:
    from av.codec.hwaccel import HWAccel

    acceleration = HWAccel(
        "cuda", device=str(gpu), allow_software_fallback=False, options=CURRENT_CONTEXT, is_hw_owned=True
    )
    return OnGpu(acceleration=acceleration, context=_context_for_good(gpu, os.getpid()))


@cache
def _context_for_good(gpu: int, process: int) -> PrimaryContext:  # noqa: ARG001
    """A context that is never released.

    Frames and decoders refer to their context without keeping it, and a traceback can release them late.
    Releasing one after its context has ended would end the process.
    """
    return PrimaryContext(gpu)


@lru_cache(maxsize=1)
def _has_library() -> bool:
    import ctypes  # not needed for software

    try:
        ctypes.CDLL(LIBRARY)
    except OSError:
        return False
    return True


@lru_cache(maxsize=64)
def _takes(gpu: int, source: str, changed: int) -> bool:  # noqa: ARG001
    """Whether the decoder returns a frame of this source. Formats and sizes differ between GPUs."""
    av = import_av()
    path = Path(source)
    try:
        decoding = Decoding(on_gpu=_on(gpu))
        with decoding.opened(path) as container:
            stream = video_stream(container, path)
            for number, packet in enumerate(container.demux(stream)):
                for frame in decoding.frames(packet):
                    return bool(frame.format.name == "cuda")
                if number >= TRIED_PACKETS:
                    break
    except (av.error.FFmpegError, NvencError, Stumbled, NotImplementedError, RuntimeError, OSError, ValueError):
        return False
    return False
