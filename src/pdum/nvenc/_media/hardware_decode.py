"""Decoding on the GPU, where its decoder is there and takes the source."""

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
"""By itself FFmpeg changes the primary context's flags, or makes a context whose frames would have to be copied."""


def decoder_on(engine: EngineInfo, source: Path) -> OnGpu | None:
    """The engine's GPU as a decoder of that source; None where the processor has to do it."""
    if os.environ.get(SWITCH, "") == "cpu" or not _has_library() or not hasattr(import_av().VideoFrame, "sw_format"):
        return None  # before 18, PyAV does not tell what is in a frame on the GPU
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
    """Frames and decoders name their context but do not keep it, and may be let go later than everything that does: by
    a frame's last owner, by a traceback. Letting one go whose context has ended ends the process. So it stays."""
    return PrimaryContext(gpu)


@lru_cache(maxsize=1)
def _has_library() -> bool:
    import ctypes  # which software needs not

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
