"""The alpha of decoded frames, and which decoders bring it."""

from __future__ import annotations

from typing import Any

from .._profiling import profiled

DECODERS_WITH_ALPHA = {"vp8": "libvpx", "vp9": "libvpx-vp9"}
"""FFmpeg's decoders that return alpha, by the codec. Its own decoders leave it out. For HEVC, see ``alpha_layer``."""
PLACES = {"rgba": 3, "bgra": 3, "vuya": 3, "argb": 0, "abgr": 0, "ayuv": 0, "uyva": 3, "ya": 1}
"""Where alpha is among the components of each pixel, by how the name of a packed format begins."""
OPAQUE = 255


def has_alpha_beside(stream: Any) -> bool:
    """Whether the packets of a WebM video bring alpha beside the pictures, which only some decoders read."""
    return stream.codec_context.codec.canonical_name in DECODERS_WITH_ALPHA and stream.metadata.get("alpha_mode") == "1"


def has_alpha(frame: Any) -> bool:
    """Whether the frame can be transparent."""
    return frame.format.has_palette or any(component.is_alpha for component in frame.format.components)


def is_transparent(frame: Any) -> bool:
    """Whether it is, somewhere."""
    return has_alpha(frame) and bool(alpha_of(frame).min() < OPAQUE)


@profiled("pdum.convert")
def alpha_of(frame: Any) -> Any:
    """An array (height, width) of bytes, from 0 (transparent) to 255. FFmpeg's conversion is off by one here and there.

    A frame without alpha is opaque.
    """
    import numpy as np

    form = frame.format
    if form.has_palette:
        return alpha_of(frame.reformat(format="rgba"))
    found = next((component for component in form.components if component.is_alpha), None)
    if found is None:
        return np.full((frame.height, frame.width), OPAQUE, np.uint8)
    if len(frame.planes) > 1:
        return _as_bytes(_samples(frame, found.plane)[:, : frame.width], found.bits)
    place = next((place for begin, place in PLACES.items() if form.name.startswith(begin)), None)
    if place is None:
        return alpha_of(frame.reformat(format="rgba"))
    count = len(form.components)
    return _as_bytes(_samples(frame, 0)[:, place : count * frame.width : count], found.bits)


def _samples(frame: Any, plane: int) -> Any:
    """The rows of a plane, with what is behind each."""
    import numpy as np

    name, bits = frame.format.name, frame.format.components[-1].bits
    kind = "u1" if bits <= 8 else f"{'f' if name.rstrip('ble').endswith(f'f{bits}') else 'u'}{bits + 15 >> 4 << 1}"
    held = frame.planes[plane]
    rows = np.frombuffer(held, f"{'>' if name.endswith('be') else '<'}{kind}")
    columns = held.line_size // rows.itemsize
    return rows[: columns * frame.height].reshape(frame.height, columns)


def _as_bytes(samples: Any, bits: int) -> Any:
    """The nearest of 256 values."""
    import numpy as np

    if samples.dtype.kind == "f":
        return np.rint(np.clip(np.nan_to_num(samples.astype(np.float32)), 0, 1) * OPAQUE).astype(np.uint8)
    if bits <= 8:
        return np.ascontiguousarray(samples)
    most = (1 << bits) - 1
    return ((samples.astype(np.uint32) * OPAQUE + most // 2) // most).astype(np.uint8)
