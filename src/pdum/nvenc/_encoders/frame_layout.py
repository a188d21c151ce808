"""What a frame says about itself: its size, its format, how many pictures it holds, and where they lie."""

from __future__ import annotations

import sys
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from functools import lru_cache
from typing import Any

from .._config.values import FORMATS, format_name
from .._errors import InvalidFrame
from .._nvenc import DecodedFrame
from .pixel_formats import FRAME_FORMATS, SEMI_PLANAR

CUDA_DEVICES = (2, 13)
"""DLPack's numbers for the memory of a CUDA GPU, and for memory that it shares with the host."""
RGB_TYPES = ("uint8", "float16", "float32", "float64", "bfloat16")
PACKED = {"argb": "uint8", "abgr": "uint8", "ayuv": "uint8", "argb10": "uint32", "abgr10": "uint32"}
FOUR_BYTES = ("argb", "abgr", "ayuv")
ROWS = {"420": (3, 2), "422": (2, 1), "444": (3, 1)}
"""The rows of an array for each row of the picture, as a fraction, by the chroma of the format."""
WANTED = (
    "Expected an array (height, width, 3), (3, height, width) or a batch of these, of uint8 or of floats from 0 to 1; "
    'or format="nv12", "p010", … for frames in another format'
)


@dataclass(frozen=True, kw_only=True)
class FrameLayout:
    """The size and format of a frame, or of each picture of a batch."""

    width: int
    height: int
    format: str
    """As in ``EncoderConfig.format``."""
    batch: int | None = None
    """How many pictures the array holds along its first axis; None: it is a single picture."""
    location: str = "host"
    """``"host"`` or ``"gpu"``."""
    gpu_id: int | None = None
    """The GPU that the frame lies on, if the frame tells it."""

    def is_like(self, other: FrameLayout) -> bool:
        """Whether an encoder for one of them takes the other one too."""
        return (self.width, self.height, self.format) == (other.width, other.height, other.format)


def frame_layout(frame: Any, format: str | None = None) -> FrameLayout:  # noqa: A002  # as the user calls it
    """The layout of a frame. RGB is recognized by its shape; ``format`` has to name all other formats.

    A frame is an array of any library, a PIL image, or an ``av.VideoFrame``, which knows its own format.

    Raises:
        InvalidFrame: the frame does not have the shape of a picture in this format, or is no array at all.
        InvalidConfig: there is no such format.
    """
    if format is not None:
        format = format_name(format)  # noqa: A001
    if is_pyav_frame(frame):
        return _of_pyav_frame(frame, format)
    if isinstance(frame, DecodedFrame):
        return _of_decoded_frame(frame, format)
    if is_pil_image(frame):
        width, height = frame.size
        return FrameLayout(width=width, height=height, format=format or "rgb")
    shape, kind = _shape_and_type(frame)
    height, width, batch = _rgb_size(shape, kind) if format in (None, "rgb") else _size(shape, kind, str(format))
    location, gpu_id = _place(frame)
    return FrameLayout(
        width=width, height=height, format=format or "rgb", batch=batch, location=location, gpu_id=gpu_id
    )


def plane_layout(plane: Any) -> FrameLayout:
    """The layout of one plane of bytes (height, width), such as alpha, or of a batch of these.

    Raises InvalidFrame if it is no such array.
    """
    shape, kind = _shape_and_type(plane)
    if kind != "uint8" or len(shape) not in (2, 3):
        raise InvalidFrame(
            f"Expected an array (height, width), or a batch of these, of uint8 for alpha. Got shape {tuple(shape)} of "
            f"{kind}."
        )
    location, gpu_id = _place(plane)
    return FrameLayout(
        width=shape[-1], height=shape[-2], format="alpha", batch=_batch(shape, 2), location=location, gpu_id=gpu_id
    )


def frames_of(frame: Any, format: str | None = None) -> Iterator[Any]:  # noqa: A002
    """The pictures of a batch, one after the other, without a copy. A single frame is yielded as it is."""
    batch = frame_layout(frame, format).batch
    if batch is None:
        yield frame
        return
    for number in range(batch):
        yield frame[number]


def is_pyav_frame(frame: Any) -> bool:
    return hasattr(frame, "pict_type") and hasattr(frame, "planes")


def is_flat(frame: Any) -> bool:
    """Whether it is flat bytes, which do not tell the size of a picture."""
    return isinstance(frame, (bytes, bytearray)) or len(getattr(frame, "shape", ()) or ()) == 1


def is_pil_image(frame: Any) -> bool:
    """Does not load PIL: a PIL image can exist only if PIL is loaded."""
    pil = sys.modules.get("PIL.Image")
    return pil is not None and isinstance(frame, pil.Image)


def _of_pyav_frame(frame: Any, form: str | None) -> FrameLayout:
    is_on_gpu = frame.format.name == "cuda"
    name = (getattr(frame, "sw_format", None) or frame.format).name
    if form is None:
        names = {FRAME_FORMATS[one]: one for one in (*SEMI_PLANAR, "yuv420", "yuv444", "rgb")}
        form = names.get(name, "yuv420")
    return FrameLayout(width=frame.width, height=frame.height, format=form, location="gpu" if is_on_gpu else "host")


def _of_decoded_frame(frame: DecodedFrame, form: str | None) -> FrameLayout:
    """Its width and height with the column and row that make them even."""
    if form not in (None, frame.format):
        raise InvalidFrame(f"Expected format {form!r}, got a decoded frame of format {frame.format!r}.")
    (rows, width), (of_rows, height) = frame.shape, ROWS[FORMATS[frame.format][0]]
    gpu_id = frame.__dlpack_device__()[1]
    return FrameLayout(width=width, height=rows * height // of_rows, format=frame.format, location="gpu", gpu_id=gpu_id)


def _shape_and_type(frame: Any) -> tuple[tuple[int, ...], str]:
    shape, kind = getattr(frame, "shape", None), getattr(frame, "dtype", None)
    if shape is not None and kind is not None:
        return tuple(shape), name_of_type(kind)
    for name in ("__cuda_array_interface__", "__array_interface__"):
        interface = getattr(frame, name, None)
        if isinstance(interface, dict):
            return tuple(interface["shape"]), _type_name(interface["typestr"])
    if dlpack_device(frame)[0] in CUDA_DEVICES:
        raise InvalidFrame(
            f"Expected an array that tells its shape, got a {type(frame).__name__} that offers only DLPack. Convert it "
            "first: cupy.from_dlpack(frame) or torch.from_dlpack(frame)."
        )
    return _of_buffer(frame)


@lru_cache(maxsize=64)
def name_of_type(kind: Any) -> str:
    """The name of a type of any library, such as ``"uint8"``. It is cached, because NumPy is slow to tell it."""
    return str(kind).rpartition(".")[2]


def _of_buffer(frame: Any) -> tuple[tuple[int, ...], str]:
    import numpy as np

    try:
        array = np.from_dlpack(frame) if hasattr(frame, "__dlpack__") else np.asarray(memoryview(frame))
    except Exception as error:
        raise InvalidFrame(f"{WANTED}. Got a {type(frame).__name__}.") from error
    return array.shape, str(array.dtype)


def _type_name(typestr: str) -> str:
    """``"|u1"`` is ``"uint8"``."""
    kinds = {"u": "uint", "i": "int", "f": "float"}
    kind, size = typestr.lstrip("<>|=")[:1], typestr.lstrip("<>|=")[1:]
    return f"{kinds[kind]}{int(size) * 8}" if kind in kinds and size.isdigit() else typestr


def _rgb_size(shape: Sequence[int], kind: str) -> tuple[int, int, int | None]:
    """Height, width and number of pictures."""
    picture = tuple(shape[-3:])
    if len(shape) not in (3, 4) or not {picture[0], picture[2]} & {3, 4}:
        raise InvalidFrame(f"{WANTED}. Got shape {tuple(shape)} of {kind}.{_hint(shape)}")
    if kind not in RGB_TYPES:
        raise InvalidFrame(f"{WANTED}. Got shape {tuple(shape)} of {kind}: convert it to uint8 first.")
    height, width = picture[:2] if picture[2] in (3, 4) else picture[1:]
    return height, width, _batch(shape, 3)


def _hint(shape: Sequence[int]) -> str:
    grey = "give a grey picture three channels: numpy.stack([grey] * 3, axis=-1)."
    if len(shape) == 2:
        return f' Two axes are a grey picture or a format of YUV. Say format="nv12" if it is NV12, or {grey}'
    if shape[-1:] == (1,):
        return f" If it is grey, {grey}"
    return f" If these are grey pictures, {grey.replace('a grey picture', 'them')}" if len(shape) == 3 else ""


def _size(shape: Sequence[int], kind: str, form: str) -> tuple[int, int, int | None]:
    """Height, width and number of pictures."""
    chroma, depth = FORMATS[form]
    wanted = PACKED.get(form) or ("uint16" if depth > 8 else "uint8")
    kinds = (
        (wanted,) if wanted == "uint8" else (wanted, wanted.removeprefix("u"))
    )  # some libraries have only signed ones
    rows, of = (1, 1) if form in PACKED else ROWS[chroma]
    axes = 3 if form in FOUR_BYTES else 2
    if form not in PACKED and chroma == "444" and len(shape) >= 3 and shape[-3] == 3:
        axes, rows = 3, 1  # three planes
    fits = len(shape) in (axes, axes + 1) and (form not in FOUR_BYTES or shape[-1] == 4)
    if kind not in kinds or not fits:
        raise InvalidFrame(f"{_wanted_of(form, wanted)} Got shape {tuple(shape)} of {kind}.")
    height, width = shape[-3:-1] if form in FOUR_BYTES else shape[-2:]
    if height * of % rows:
        raise InvalidFrame(
            f"{_wanted_of(form, wanted)} Got shape {tuple(shape)}: {height} rows are not a whole picture."
        )
    return height * of // rows, width, _batch(shape, axes)


def _wanted_of(form: str, kind: str) -> str:
    rows = {"420": "height * 3 // 2", "422": "height * 2", "444": "height * 3"}[FORMATS[form][0]]
    shape = f"({'height' if form in PACKED else rows}, width{', 4' if form in FOUR_BYTES else ''})"
    return f"Expected an array {shape}, or a batch of these, of {kind} for format {form!r}."


def _batch(shape: Sequence[int], axes: int) -> int | None:
    return shape[0] if len(shape) > axes else None


def _place(frame: Any) -> tuple[str, int | None]:
    kind, number = dlpack_device(frame)
    if kind in CUDA_DEVICES:
        return "gpu", number
    is_on_gpu = kind is None and hasattr(type(frame), "__cuda_array_interface__")
    return ("gpu", None) if is_on_gpu else ("host", None)


def dlpack_device(frame: Any) -> tuple[int | None, int | None]:
    ask = getattr(frame, "__dlpack_device__", None)
    if ask is None:
        return None, None
    try:
        kind, number = ask()
    except Exception:  # TensorFlow's and NumPy's odd types refuse
        return None, None
    return int(kind), int(number)
