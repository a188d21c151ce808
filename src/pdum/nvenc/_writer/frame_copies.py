"""Copies of frames that have to wait in a queue, so that the caller may use its memory again."""

from __future__ import annotations

from typing import Any

from .._encoders.frame_layout import is_pyav_frame
from .._encoders.host_frames import on_host
from .._errors import InvalidFrame


def kept(frame: Any, *, on_gpu: bool) -> tuple[Any, int]:
    """A frame that nobody else writes to, and its size in bytes.

    Args:
        frame: the caller's. A frame of PyAV is not copied: FFmpeg's frames are not written to twice.
        on_gpu: leave it on the GPU, in a copy that its own library makes, in the order of the current stream. Otherwise
            it is copied to the host.
    """
    if is_pyav_frame(frame):
        return frame, sum(plane.buffer_size for plane in frame.planes)
    if on_gpu:
        copied = _copied_by_its_library(frame)
        return copied, int(copied.nbytes)
    array = on_host(frame)
    copied = array.copy() if array is frame or array.base is not None else array
    return copied, int(copied.nbytes)


def _copied_by_its_library(frame: Any) -> Any:
    for name in ("clone", "copy"):
        method = getattr(frame, name, None)
        if method is not None:
            return method()
    raise InvalidFrame(
        f"Expected a frame that can be copied, as CuPy's and PyTorch's can, got a {type(frame).__name__}. Frames wait "
        "in a queue with drop='oldest'. Wrap it (cupy.asarray(frame)), or leave drop out."
    )
