"""The names of streams for browsers and manifests, such as ``avc1.64002a``."""

from __future__ import annotations

from .._errors import InvalidConfig
from . import av1, h264, hevc
from .stream_description import StreamDescription

DESCRIBE = {"h264": h264.describe, "hevc": hevc.describe, "av1": av1.describe}


def describe(codec: str, header: bytes) -> StreamDescription:
    """Reads what an encoder's ``sequence_header()`` gives.

    Raises:
        InvalidConfig: another codec, or a header that is not complete.
    """
    if codec not in DESCRIBE:
        raise InvalidConfig(f"Expected one of {', '.join(DESCRIBE)}, got codec={codec!r}.")
    return DESCRIBE[codec](header)


def codec_string(codec: str, header: bytes) -> str:
    """The stream's name for browsers and manifests: ``avc1.…``, ``hvc1.…``, ``av01.…`` (RFC 6381).

    Raises:
        InvalidConfig: another codec, or a header that is not complete.
    """
    return describe(codec, header).codec_string
