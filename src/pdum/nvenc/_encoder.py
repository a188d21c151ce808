"""The encoder that people use: settings checked here, frames handled in the native class below it."""

from __future__ import annotations

import os
from typing import TYPE_CHECKING

from . import _nvenc
from ._errors import InvalidConfig
from ._settings import (
    LARGEST_EXTRA_DELAY,
    LARGEST_LOOKAHEAD,
    codec_name,
    even_size,
    frame_rate,
    preset_number,
    profile_name,
    tuning_name,
    whole,
)

if TYPE_CHECKING:
    from types import TracebackType

    from typing_extensions import Self

    from ._settings import FrameRate

ABI_VARIABLE = "PDUM_NVENC_ABI"


def forced_abi() -> str | None:
    """The version that the environment asks for; read at each use, so that it holds for encoders made from then on."""
    return os.environ.get(ABI_VARIABLE) or None


class NvencEncoder(_nvenc.Encoder):
    """One session on a hardware encoder: NV12 frames in, H.264, HEVC or AV1 out.

    ::

        with NvencEncoder(1920, 1080, codec="hevc", bitrate=8_000_000) as encoder:
            for frame in frames:                    # CuPy, PyTorch, NumPy, …
                output.write(encoder.encode(frame))
            output.write(encoder.flush())

    A frame is an array of shape ``(height * 3 // 2, width)`` and type uint8 (NV12: the rows of Y, then half as many of
    interleaved U and V) with ``__cuda_array_interface__``, ``__dlpack__`` or Python's buffer protocol. Rows may be
    padded. A frame on the GPU is read in the order of its producer's stream, and may be overwritten on that stream as
    soon as the call returns; the host waits for neither.

    An encoder may be shared by threads: calls go one at a time. Many encoders in many threads run side by side.

    Args:
        width, height: the picture's size in pixels, both even.
        codec: ``"h264"``, ``"hevc"`` (``"h265"``) or ``"av1"``.
        preset: ``"p1"`` (fastest) to ``"p7"`` (best).
        tuning: ``"ll"`` low latency, ``"ull"`` ultra low latency, ``"hq"`` high quality, ``"uhq"`` ultra high quality
            (interface 13.0), ``"lossless"``; the long names (``"low_latency"``) do as well.
        fps: frames a second: a number, ``"30000/1001"``, a ``Fraction`` or a pair.
        gop: frames from one IDR to the next; 0: only the first frame is one.
        bitrate: bits a second; 0: the preset's own rate control. Constant for ``ll`` and ``ull``, else variable.
        gpu_id: the GPU, as CUDA counts.
        cuda_context: a ``CUcontext`` of the caller's as an int, alive as long as the encoder; 0: the GPU's primary one,
            in which CuPy and PyTorch work.
        extra_output_delay: how many frames ``submit`` may leave in flight, so that encoding overlaps with what the
            caller does meanwhile. 0: each call waits for its own frame.
        profile: ``"auto"``, or one of the codec's: ``"baseline"``, ``"main"``, ``"high"`` (H.264), ``"main"``,
            ``"main10"`` (HEVC), ``"main"`` (AV1).
        max_bitrate: the peak of a variable bitrate, bits a second; 0: none of its own.
        bframes: B-frames between two anchors. They make the encoder hold frames back.
        lookahead: frames that the encoder looks ahead; it holds as many back.

    Raises:
        InvalidConfig: a setting that cannot be right, or a size beyond the GPU's own limits.
        UnsupportedFeature: the GPU or the driver cannot do it; the message says which capability or version lacks.
        DriverNotFound, DriverTooOld, NoEncoder, OutOfSessions: there is no encoder to be had; ``available()`` tells
            without raising.
    """

    def __init__(
        self,
        width: int,
        height: int,
        codec: str = "h264",
        preset: str = "p3",
        tuning: str = "ll",
        fps: FrameRate = 30,
        gop: int = 30,
        bitrate: int = 0,
        gpu_id: int = 0,
        cuda_context: int = 0,
        extra_output_delay: int = 0,
        profile: str = "auto",
        *,
        max_bitrate: int = 0,
        bframes: int = 0,
        lookahead: int = 0,
    ) -> None:
        codec = codec_name(codec)
        tuning = tuning_name(tuning)
        _require_compatible(codec, tuning, profile, bitrate, max_bitrate, bframes)
        super().__init__(
            settings={
                "width": even_size("width", width),
                "height": even_size("height", height),
                "codec": codec,
                "preset": preset_number(preset),
                "tuning": tuning,
                "fps": frame_rate(fps),
                "gop": whole("gop", gop),
                "bitrate": whole("bitrate", bitrate),
                "max_bitrate": whole("max_bitrate", max_bitrate),
                "bframes": whole("bframes", bframes, most=31),
                "lookahead": whole("lookahead", lookahead, most=LARGEST_LOOKAHEAD),
                "profile": profile_name(codec, profile),
            },
            gpu_id=whole("gpu_id", gpu_id, most=0x7FFFFFFF),
            cuda_context=whole("cuda_context", cuda_context, most=0xFFFF_FFFF_FFFF_FFFF),
            extra_output_delay=whole("extra_output_delay", extra_output_delay, most=LARGEST_EXTRA_DELAY),
            idr_messages=None,
            abi=forced_abi(),
        )

    @property
    def nvtx_enabled(self) -> bool:
        """Whether this build marks NVTX ranges for NVIDIA's profilers."""
        return _nvenc.nvtx_enabled

    def reconfigure(
        self, *, bitrate: int | None = None, max_bitrate: int | None = None, fps: FrameRate | None = None
    ) -> None:
        """Changes what is given, from the next frame on, without an IDR. What is left out stays as it is."""
        self._reconfigure(
            {
                "bitrate": None if bitrate is None else whole("bitrate", bitrate, least=1),
                "max_bitrate": None if max_bitrate is None else whole("max_bitrate", max_bitrate),
                "fps": None if fps is None else frame_rate(fps),
            }
        )

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None
    ) -> None:
        self.close()


def _require_compatible(codec: str, tuning: str, profile: str, bitrate: int, max_bitrate: int, bframes: int) -> None:
    if tuning == "lossless" and (bitrate or max_bitrate):
        raise InvalidConfig("tuning='lossless' came with a bitrate; a lossless stream takes the bits that it needs.")
    if tuning in ("ll", "ull") and bframes:
        raise InvalidConfig(
            f"bframes={bframes} came with tuning={tuning!r}; B-frames wait for later frames. Use tuning='hq'."
        )
    if codec == "h264" and profile == "baseline" and bframes:
        raise InvalidConfig(f"bframes={bframes} came with profile='baseline', which has none. Use profile='main'.")
    if max_bitrate and not bitrate:
        raise InvalidConfig(f"max_bitrate={max_bitrate} came without a bitrate; give the mean as bitrate.")
    if max_bitrate and max_bitrate < bitrate:
        raise InvalidConfig(f"max_bitrate={max_bitrate} came, which is less than bitrate={bitrate}.")
