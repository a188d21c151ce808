"""Copies of frames that have to wait in a queue, so that the caller may use its memory again."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from .._encoders.frame_layout import is_pyav_frame
from .._encoders.host_frames import copied_to_host
from .._errors import InvalidFrame
from .._nvenc import DecodedFrame
from .._profiling import profiled

if TYPE_CHECKING:
    from .._encoders.frame_layout import FrameLayout

LARGEST_FLOAT = 16.0
"""Brighter values than this are a mistake. Values above 1 and up to this are clamped."""


@profiled("pdum.writer.copy")
def kept(frame: Any, *, on_gpu: bool) -> tuple[Any, int]:
    """A frame that no other code writes to, and its size in bytes.

    Args:
        frame: the caller's, or a pair of them. A frame of a decoder is not copied: nobody writes to it.
        on_gpu: leave it on the GPU, in a copy that its own library makes, in the order of the current stream. Otherwise
            it is copied to the host.
    """
    if isinstance(frame, tuple):
        views = [kept(view, on_gpu=on_gpu) for view in frame]
        return tuple(view for view, _ in views), sum(size for _, size in views)
    if is_pyav_frame(frame):
        return frame, sum(plane.buffer_size for plane in frame.planes)
    if on_gpu and isinstance(frame, DecodedFrame):
        rows, pitch = frame.shape[0], frame.__cuda_array_interface__["strides"][0]
        return frame, rows * pitch
    if on_gpu:
        copied = _copied_by_its_library(frame)
        return copied, int(copied.nbytes)
    copied = copied_to_host(frame)
    return copied, int(copied.nbytes)


def require_unit_range(frame: Any, layout: FrameLayout) -> None:
    """Raises InvalidFrame for floats from 0 to 255, which would be white. Very dark pictures cannot be recognised."""
    kind = getattr(getattr(frame, "dtype", None), "kind", "")
    if layout.format != "rgb" or layout.location != "host" or kind != "f" or not frame.size:
        return
    largest = float(frame.max())
    if largest > LARGEST_FLOAT:
        raise InvalidFrame(
            f"Expected floats from 0 to 1, got a frame with {largest:g} in it. Divide it by 255, or convert it to "
            "uint8."
        )


def _copied_by_its_library(frame: Any) -> Any:
    for name in ("clone", "copy"):
        method = getattr(frame, name, None)
        if method is not None:
            return method()
    raise InvalidFrame(
        f"Expected a frame that can be copied, as CuPy's and PyTorch's can, got a {type(frame).__name__}. Frames wait "
        "in a queue with drop='oldest'. Wrap it (cupy.asarray(frame)), or leave drop out."
    )
