"""Brings frames to the host, for the software engine: a GPU may have no encoder."""

from __future__ import annotations

import sys
from typing import Any

from .._errors import InvalidFrame
from .._nvenc import DecodedFrame
from .frame_layout import CUDA_DEVICES, dlpack_device, is_pil_image, is_pyav_frame, name_of_type


def on_host(frame: Any) -> Any:
    """The frame as a NumPy array. An ``av.VideoFrame`` stays one; no memory is copied that is on the host already.

    An array on the GPU is copied by its own library, in the order of that library's current stream. If it has none,
    as an object with a ``__cuda_array_interface__`` alone, CuPy or PyTorch copies it, whichever is loaded.

    Raises:
        InvalidFrame: it is no frame, or nothing here can read it.
    """
    if is_pyav_frame(frame):
        return _downloaded(frame)
    if isinstance(frame, DecodedFrame):
        return _as_array(frame)
    if is_pil_image(frame):
        return _as_array(frame if frame.mode in ("RGB", "RGBA") else frame.convert("RGB"))
    if hasattr(frame, "detach") and hasattr(frame, "cpu"):  # PyTorch
        return _from_torch(frame)
    if hasattr(frame, "get") and hasattr(type(frame), "__cuda_array_interface__"):  # CuPy
        return frame.get()
    if dlpack_device(frame)[0] in CUDA_DEVICES or hasattr(type(frame), "__cuda_array_interface__"):
        return _from_gpu(frame)
    return _as_array(frame)


def channels_last_bytes(array: Any) -> Any:
    """An RGB picture as a contiguous array (height, width, 3) of uint8, from any shape and type that the GPU takes too.

    Floats are from 0 to 1: what lies outside is clamped, and NaN is black.
    """
    import numpy as np

    if array.ndim == 3 and array.shape[2] not in (3, 4) and array.shape[0] in (3, 4):
        array = array.transpose(1, 2, 0)
    if array.ndim == 3 and array.shape[2] == 4:
        array = array[:, :, :3]
    if array.dtype.kind == "f":
        clamped = np.clip(np.nan_to_num(array.astype(np.float32, copy=False), nan=0.0), 0, 1)
        array = (clamped * 255 + 0.5).astype(np.uint8)
    return array


def with_known_type(frame: Any) -> Any:
    """A picture of floats that no encoder reads (float64, bfloat16) as float32; any other one as it is."""
    if name_of_type(getattr(frame, "dtype", "")) not in ("float64", "bfloat16"):
        return frame
    return frame.float() if hasattr(frame, "float") else frame.astype("float32")


def _as_array(frame: Any) -> Any:
    import numpy as np

    try:
        if isinstance(frame, (bytes, bytearray)):
            return np.frombuffer(frame, np.uint8)
        return np.from_dlpack(frame) if _offers_only_dlpack(frame) else np.asarray(frame)
    except Exception as error:
        raise InvalidFrame(f"Expected an array of numbers, got a {type(frame).__name__}: {error}") from error


def _offers_only_dlpack(frame: Any) -> bool:
    others = ("__array__", "__array_interface__", "__array_struct__", "__buffer__")
    return hasattr(frame, "__dlpack__") and not any(hasattr(frame, name) for name in others)


def _from_torch(tensor: Any) -> Any:
    on_host = tensor.detach().cpu()
    return (on_host.float() if str(on_host.dtype) == "torch.bfloat16" else on_host).numpy()


def _from_gpu(frame: Any) -> Any:
    has_interface = hasattr(frame, "__cuda_array_interface__")
    torch = sys.modules.get("torch")
    if torch is not None and "cupy" not in sys.modules:
        return _from_torch(torch.as_tensor(frame, device="cuda") if has_interface else torch.from_dlpack(frame))
    try:
        import cupy
    except ImportError as error:
        raise InvalidFrame(
            f"The software engine cannot read a {type(frame).__name__} on the GPU by itself. Install CuPy, or copy the "
            "frame to the host first."
        ) from error
    return (cupy.asarray(frame) if has_interface else cupy.from_dlpack(frame)).get()


def _downloaded(frame: Any) -> Any:
    if frame.format.name != "cuda":
        return frame
    raise InvalidFrame("Software cannot read a frame on the GPU. Download it first: frame.reformat(format=…).")


def copied_to_host(frame: Any) -> Any:
    """An array on the host in memory that nobody else writes to."""
    array = on_host(frame)
    is_ours = array is not frame and getattr(array, "base", None) is None
    return array if is_ours else array.copy()
