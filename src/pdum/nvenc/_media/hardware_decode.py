"""Decodes on the GPU, if it has a decoder that takes the source.

This package drives the decoder itself. FFmpeg drives it for what that leaves out.
"""

from __future__ import annotations

import os
from collections.abc import Callable, Iterator
from contextlib import closing, nullcontext
from functools import cache, lru_cache, partial
from itertools import islice
from pathlib import Path
from threading import Lock
from typing import TYPE_CHECKING, Any

from .._errors import NvencError, UnsupportedFeature
from .._nvenc import DecodedFrame, PrimaryContext
from .av import import_av
from .background import BackgroundCall
from .decoder import Decoding, OnGpu, Stumbled, video_stream
from .decoder_places import chip_limit
from .further_decoders import chips_for, fair_share
from .idle_decoders import IDLE_DECODERS, BorrowedDecoder
from .look import stored_as
from .packet_decoder import PacketDecoder

if TYPE_CHECKING:
    from ..events import EngineInfo

LIBRARY = "libnvcuvid.so.1"
SWITCH = "PDUM_NVENC_DECODE"
"""A variable: ``cpu`` decodes on the processor, and ``ffmpeg`` lets FFmpeg drive the GPU's decoder."""
OWN_FORMATS = (
    *("yuv420p", "yuvj420p", "yuv420p10le", "yuv444p", "yuvj444p", "yuv444p10le"),
    *("yuv422p", "yuvj422p", "yuv422p10le"),
)
"""Formats, by FFmpeg's names, whose decoded frames are frames of an encoder, bit for bit."""
TRIED_PACKETS = 32
MOST_PASSED_OVER = 300
"""Packets before the first key frame, in a recording that begins within a group of pictures."""
SECONDS_FOR_EACH = 4
"""A file begins with one more decoder for so many of its seconds."""
_TRIALS = [Lock() for _ in range(61)]
_MAKING = Lock()
"""Held while decoders are made, so that each file counts those that others have made."""
FAILURES = (NvencError, Stumbled, NotImplementedError, RuntimeError, OSError, ValueError)
CURRENT_CONTEXT: dict[str, object] = {"primary_ctx": "0", "current_ctx": "1"}
"""Otherwise FFmpeg changes the flags of the primary context, or makes a separate context, which needs copies."""


def decoder_on(engine: EngineInfo, source: Path) -> OnGpu | None:
    """A decoder for the source on the engine's GPU; None if the processor has to decode it."""
    switch = os.environ.get(SWITCH, "")
    gpu, file = engine.gpu_id or 0, (str(source), source.stat().st_mtime_ns)
    if switch == "cpu" or chip_limit(gpu) == 0 or not _has_library():
        return None
    with _trial_of(gpu, source):
        if switch != "ffmpeg" and _takes(_our_own, gpu, *file):
            return _our_own(gpu)
        if not hasattr(import_av().VideoFrame, "sw_format"):
            return None  # before 18, PyAV does not say what format a frame on the GPU has
        return _ffmpegs(gpu) if _takes(_ffmpegs, gpu, *file) else None


def make_ready(gpu: int, source: Path, engines: int) -> None:
    """Tries the GPU's decoder with the source, and makes as many as so many engines begin with, all at the same time.

    Those who ask ``decoder_on`` meanwhile wait for the trial alone. A decoder takes longer to be made than an index to
    be read, and about as long as an encoder to be opened.
    """
    if os.environ.get(SWITCH) or chip_limit(gpu) == 0 or not _has_library():
        return
    with _MAKING:
        there = IDLE_DECODERS.open_on(gpu)
        trial = BackgroundCall(lambda: _tried(gpu, source))
        try:
            _make_decoders(gpu, source, engines, max(1, there))
        except (*FAILURES, StopIteration, import_av().error.FFmpegError):
            pass  # whoever needs one of them will be told
        finally:
            trial.wait()


def _tried(gpu: int, source: Path) -> bool:
    with _trial_of(gpu, source):
        return _takes(_our_own, gpu, str(source), source.stat().st_mtime_ns)


def _make_decoders(gpu: int, source: Path, engines: int, there: int) -> None:
    """``there``: how many need not be made. The trial makes one if there is none."""
    decoding = Decoding(on_gpu=_our_own(gpu))
    with decoding.opened(source) as container:
        stream = video_stream(container, source)
        packet = next(_from_first_key(container.demux(stream)))
        missing = _wanted_decoders(container, stream, gpu, engines) - there
        decoders = [decoding.decoder_for(stream) for _ in range(missing)]
        begun = [BackgroundCall(partial(_begin, decoder, _copy_of(packet))) for decoder in decoders]
        for call in begun:
            call.wait()


def _wanted_decoders(container: Any, stream: Any, gpu: int, engines: int) -> int:
    """The fair share of each engine, but no more than the user allows, or than the file has work for."""
    chroma, depth, _ = stored_as(stream.codec_context.format)
    chips = chips_for(stream.codec_context.codec.canonical_name, chroma, depth, gpu)
    seconds = (container.duration or 0) / 1_000_000
    shares = engines * fair_share(chips, engines)
    allowed = chip_limit(gpu)
    return min(shares, shares if allowed is None else allowed, 1 + int(seconds / SECONDS_FOR_EACH))


def _begin(decoder: PacketDecoder, packet: Any) -> None:
    with closing(decoder):
        for _ in decoder.frames(packet):
            pass


def _copy_of(packet: Any) -> Any:
    """A decoder's filter empties the packets that it takes."""
    copied = import_av().Packet(bytes(packet))
    copied.pts, copied.dts, copied.time_base = packet.pts, packet.dts, packet.time_base
    return copied


def _trial_of(gpu: int, source: Path) -> Lock:
    """Held by the one who tries a source, so that no other does the same."""
    return _TRIALS[hash((gpu, source)) % len(_TRIALS)]


def _our_own(gpu: int) -> OnGpu:
    return OnGpu(own=lambda stream: _decoder_of(stream, gpu), context=nullcontext())


def _decoder_of(stream: Any, gpu: int) -> BorrowedDecoder:
    name = stream.codec_context.pix_fmt
    if name not in OWN_FORMATS:
        raise UnsupportedFeature(f"Frames of format {name} are left to FFmpeg.")
    return IDLE_DECODERS.borrow(stream, gpu)


def _ffmpegs(gpu: int) -> OnGpu:
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


_taken: set[tuple[Any, ...]] = set()
"""Formats of which a decoder has given a frame. It costs too much to try that with each of many short files."""


@lru_cache(maxsize=128)
def _takes(driven: Callable[[int], OnGpu], gpu: int, source: str, changed: int) -> bool:  # noqa: ARG001
    """Whether the decoder returns a frame of this source. Formats and sizes differ between GPUs."""
    path = Path(source)
    try:
        decoding = Decoding(on_gpu=driven(gpu))
        with decoding.opened(path) as container:
            stream = video_stream(container, path)
            case = (driven, gpu, *_format_of(stream))
            if case not in _taken and _gives_a_frame(decoding, container, stream):
                _taken.add(case)
            return case in _taken
    except (*FAILURES, import_av().error.FFmpegError):
        return False


def _format_of(stream: Any) -> tuple[Any, ...]:
    context = stream.codec_context
    return context.name, context.profile, context.pix_fmt, context.width, context.height


def _gives_a_frame(decoding: Decoding, container: Any, stream: Any) -> bool:
    with closing(decoding.decoder_for(stream)) as decoder:
        for packet in islice(_from_first_key(container.demux(stream)), TRIED_PACKETS + 1):
            for frame in decoder.frames(packet):
                return isinstance(frame, DecodedFrame) or bool(frame.format.name == "cuda")
    return False


def _from_first_key(packets: Iterator[Any]) -> Iterator[Any]:
    """From the first packet on, if there is no key frame near it."""
    passed: list[Any] = []
    for packet in packets:
        passed.append(packet)
        if packet.is_keyframe or len(passed) > MOST_PASSED_OVER:
            break
    yield from passed[-1:] if passed and passed[-1].is_keyframe else passed
    yield from packets
