"""The methods of OpenCV's writers, for programs that have them already."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any

from .._errors import InvalidConfig, InvalidFrame

CODECS = {
    "h264": ("h264", "x264", "avc1", "davc", "mp4v", "xvid", "divx", "mjpg", "fmp4"),
    "hevc": ("hevc", "h265", "hvc1", "hev1", "x265"),
    "av1": ("av01", "av1"),
}
"""Our codecs by the four letters that programs ask for. Older codecs become H.264."""
PROP_QUALITY, PROP_FRAME_BYTES = 1, 2
"""``cv2.VIDEOWRITER_PROP_QUALITY`` and ``…_FRAMEBYTES``."""
DEPTH_BITS, CHANNEL_SHIFT = 7, 3
"""A type of OpenCV's holds the type of its values in three bits, and its channels less one above them."""


class OpenCvWriter:
    """A ``VideoWriter`` with the names of ``cv2.VideoWriter`` and ``cv2.cudacodec.VideoWriter``.

    Frames are BGR, or grey, arrays or GpuMats of the size that was given. Unlike OpenCV's, which lose the frames
    silently, it raises an error if it cannot open the file or a frame does not have the size.
    """

    def __init__(
        self,
        make: Callable[..., Any],
        name: str,
        fourcc: int | str,
        fps: float,
        size: tuple[int, int],
        is_color: bool,
        more: Mapping[str, Any],
    ) -> None:
        self._make, self._more = make, dict(more)
        self._video: Any = None
        self.open(name, fourcc, fps, size, is_color)

    def open(
        self,
        name: str,
        fourcc: int | str,
        fps: float,
        size: tuple[int, int],
        isColor: bool = True,  # noqa: N803  # as OpenCV calls it
    ) -> bool:
        """Completes the file that is open, and begins another."""
        self.release()
        self._size = int(size[0]), int(size[1])
        self._is_color = bool(isColor)
        settings = {"codec": _codec(fourcc), **self._more}
        self._video = self._make(name, fps=fps, size=self._size, **settings)
        return True

    def isOpened(self) -> bool:  # noqa: N802
        return self._video is not None

    def write(self, image: Any, stream: Any = None) -> None:
        """Takes the next frame. Raises InvalidFrame if it has another size."""
        if self._video is None:
            raise InvalidFrame("Expected an open writer, got a frame after release(). Call open() first.")
        frame = _Bgr.of_gpu_mat(image) if hasattr(image, "cudaPtr") else image
        self._video.write(self._rgb(frame), **({} if stream is None else {"stream": _handle(stream)}))

    nextFrame = write  # noqa: N815

    def release(self) -> None:
        """Waits until the file is complete."""
        video, self._video = self._video, None
        if video is not None and video.statistics.frames + video.dropped:
            video.close()
        elif video is not None:
            video.abort()

    close = release

    def get(self, propId: int) -> float:  # noqa: N803
        """The mean size of a frame in bytes is known. All other properties are 0, as in OpenCV."""
        if self._video is None or propId != PROP_FRAME_BYTES:
            return 0.0
        now = self._video.statistics
        return float(now.bytes / max(now.encoded, 1))

    def set(self, propId: int, value: float) -> bool:  # noqa: ARG002, N803
        """Always False: nothing can change while a file is written."""
        return False

    def getBackendName(self) -> str:  # noqa: N802
        return "PDUM_NVENC"

    def __enter__(self) -> OpenCvWriter:
        return self

    def __exit__(self, kind: Any, error: BaseException | None, traceback: Any) -> None:
        if error is None:
            self.release()
        elif self._video is not None:
            video, self._video = self._video, None
            video.abort()

    def _rgb(self, frame: Any) -> Any:
        width, height = self._size
        shape = tuple(frame.shape)
        is_grey = len(shape) == 2 or shape[2:] == (1,)
        if (
            shape[:2] != (height, width)
            or (is_grey and self._is_color)
            or (not is_grey and shape[2:] not in ((3,), (4,)))
        ):
            wanted = f"({height}, {width}, 3)" if self._is_color else f"({height}, {width})"
            raise InvalidFrame(
                f"Expected a frame of shape {wanted}, as size={self._size} and isColor={self._is_color} say, got "
                f"{shape}. OpenCV gives sizes as (width, height): scale the frame with cv2.resize(frame, size)."
            )
        return _grey_as_rgb(frame) if is_grey else frame[..., 2::-1]


class _Bgr:
    """A picture of a GpuMat's: memory on the GPU, behind the interface that all libraries know."""

    def __init__(self, owner: Any, pointer: int, shape: tuple[int, ...], strides: tuple[int, ...]) -> None:
        self._owner = owner
        self.shape, self.dtype = shape, "uint8"
        self._strides, self._pointer = strides, pointer

    @classmethod
    def of_gpu_mat(cls, mat: Any) -> _Bgr:
        kind = int(mat.type())
        channels = (kind >> CHANNEL_SHIFT) + 1
        if kind & DEPTH_BITS:
            raise InvalidFrame(
                f"Expected a GpuMat of 8 bits (CV_8UC3), got type {kind}. Convert it: mat.convertTo(cv2.CV_8U)."
            )
        width, height = mat.size()
        step = int(mat.step) if not callable(mat.step) else int(mat.step())
        shape, strides = (height, width, channels), (step, channels, 1)
        return cls(
            mat, int(mat.cudaPtr()), shape if channels > 1 else shape[:2], strides if channels > 1 else strides[:2]
        )

    @property
    def __cuda_array_interface__(self) -> dict[str, Any]:
        return {
            "shape": self.shape, "strides": self._strides, "typestr": "|u1", "data": (self._pointer, False),
            "version": 3, "stream": 1,
        }  # fmt: skip

    def __getitem__(self, key: Any) -> _Bgr:
        """Only what this module asks for: the channels the other way round."""
        if key != (Ellipsis, slice(2, None, -1)):
            raise IndexError(f"Expected [..., 2::-1], got {key!r}.")
        return _Bgr(self._owner, self._pointer + 2, (*self.shape[:2], 3), (*self._strides[:2], -1))

    def as_rgb(self) -> _Bgr:
        return _Bgr(self._owner, self._pointer, (*self.shape[:2], 3), (*self._strides[:2], 0))


def _grey_as_rgb(frame: Any) -> Any:
    if isinstance(frame, _Bgr):
        return frame.as_rgb()
    if hasattr(type(frame), "__cuda_array_interface__") and hasattr(frame, "expand"):  # PyTorch
        return frame.reshape(*frame.shape[:2], 1).expand(*frame.shape[:2], 3)
    library = _library_of(frame)
    return library.broadcast_to(frame.reshape(*frame.shape[:2], 1), (*frame.shape[:2], 3))


def _library_of(frame: Any) -> Any:
    """CuPy's functions are NumPy's."""
    import sys

    import numpy as np

    return sys.modules.get("cupy", np) if hasattr(type(frame), "__cuda_array_interface__") else np


def _handle(stream: Any) -> Any:
    """OpenCV's streams tell their CUDA handle by a method."""
    return stream.cudaPtr() if hasattr(stream, "cudaPtr") else stream


def _codec(fourcc: int | str) -> str:
    if isinstance(fourcc, str):
        letters = fourcc
    elif fourcc in (-1, 0):
        return "auto"
    else:
        letters = int(fourcc & 0xFFFFFFFF).to_bytes(4, "little").decode("latin-1")
    for codec, names in CODECS.items():
        if letters.lower().strip("\0 ") in names:
            return codec
    known = ", ".join(name for names in CODECS.values() for name in names)
    raise InvalidConfig(f"Expected a codec of {known} as fourcc, got {letters!r}. Use 'avc1' for H.264.")
