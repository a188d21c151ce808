"""Checks of what is needed for files and for software encoding: PyAV, its codecs, and the driver's decoder."""

from __future__ import annotations

import ctypes
from collections.abc import Iterator
from typing import Any

from .._encoders.software_options import CODECS
from .finding import Finding

DECODE_LIBRARY = "libnvcuvid.so.1"


def of_pyav() -> Iterator[Finding]:
    try:
        import av
    except (ImportError, OSError) as error:
        is_missing = isinstance(error, ModuleNotFoundError)
        text = "PyAV is not installed." if is_missing else f"PyAV cannot be loaded: {error}."
        advice = "Files and software encoding need it: pip install 'pdum-nvenc[files]'."
        yield Finding(level="note", topic="pyav", text=text, advice=advice)
        return
    yield Finding(level="ok", topic="pyav", text=f"PyAV {av.__version__} reads and writes video files.")
    codecs = software_codecs(av)
    missing = [codec for codec in CODECS if codec not in codecs]
    if codecs:
        yield Finding(level="ok", topic="software", text=f"The processor can encode {', '.join(codecs)} (software).")
    if missing:
        text = f"This PyAV cannot encode {', '.join(missing)} in software."
        advice = "Install PyAV from PyPI, which has all codecs: pip install --force-reinstall av."
        yield Finding(level="note", topic="missing codecs", text=text, advice=advice)


def software_codecs(av: Any) -> list[str]:
    """The codecs that this PyAV encodes."""
    found = []
    for codec, name in CODECS.items():
        try:
            av.Codec(name, "w")
        except (ValueError, av.error.FFmpegError):
            continue
        found.append(codec)
    return found


def of_gpu_decoder() -> Finding:
    try:
        ctypes.CDLL(DECODE_LIBRARY)
    except OSError:
        text = f"The driver's decoder library {DECODE_LIBRARY} is missing: the processor decodes video files."
        return Finding(level="note", topic="gpu decoder", text=text)
    return Finding(level="ok", topic="gpu decoder", text="The GPU's decoder can be used for video files.")
