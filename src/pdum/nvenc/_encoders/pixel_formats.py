"""The names of pixel formats: ours, which ``EncoderConfig.format`` takes, and FFmpeg's."""

from __future__ import annotations

ENCODED_FORMATS = {
    ("420", 8): "yuv420",
    ("420", 10): "p010",
    ("422", 8): "nv16",
    ("422", 10): "p210",
    ("444", 8): "yuv444",
    ("444", 10): "yuv444_10",
}
"""Our formats for the frames of a file, by chroma and depth."""

STREAM_FORMATS = {
    ("420", 8): "yuv420p",
    ("420", 10): "yuv420p10le",
    ("422", 8): "yuv422p",
    ("422", 10): "yuv422p10le",
    ("444", 8): "yuv444p",
    ("444", 10): "yuv444p10le",
}
"""What the codecs encode, by chroma and depth. SVT-AV1 has only the first two."""

FRAME_FORMATS = {
    "nv12": "nv12",
    "p010": "p010le",
    "yuv420": "yuv420p",
    "yuv444": "yuv444p",
    "yuv444_10": "yuv444p10le",
    "nv16": "nv16",
    "p210": "p210le",
    "argb": "bgra",
    "abgr": "rgba",
    "ayuv": "vuya",
    "argb10": "x2rgb10le",
    "abgr10": "x2bgr10le",
    "rgb": "rgb24",
}
"""FFmpeg's name for each layout in memory, with A in the highest byte of the words of "argb"."""

FULL_RANGE_NAMES = ("yuvj420p", "yuvj422p", "yuvj444p")
"""FFmpeg's old names. The numbers in such a frame mean what they mean in the format without the j."""

SEMI_PLANAR = ("nv12", "p010", "nv16", "p210")
"""Blue and red alternate in one plane. The hardware's encoder takes PyAV's frames in these without a copy."""

SEMI_PLANAR_NAMES = tuple(FRAME_FORMATS[form] for form in SEMI_PLANAR)
"""FFmpeg's names for these."""
