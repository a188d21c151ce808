"""PyAV from version 17 on. This module hides the differences between its versions."""

from __future__ import annotations

import errno
import os
from collections.abc import Iterator
from contextlib import contextmanager
from fractions import Fraction
from pathlib import Path
from typing import Any

from .._errors import NvencError, UnsupportedFeature
from .._text import error_text

BEFORE_19: dict[str, Any] = {"metadata_errors": "surrogateescape"}
"""Passes tags that are not UTF-8 through unchanged. From 19 on, PyAV does so by itself."""
LIMITED_RANGE, FULL_RANGE = 1, 2  # FFmpeg's AVCOL_RANGE_MPEG and AVCOL_RANGE_JPEG


def import_av() -> Any:
    try:
        import av
    except ImportError as error:
        raise UnsupportedFeature("Containers of video need PyAV: pip install pdum-nvenc[files].") from error
    return av


def open_container(file: Any, mode: str, **more: Any) -> Any:
    """``av.open``, which accepts any metadata and never changes it."""
    av = import_av()
    has_19 = int(av.__version__.partition(".")[0]) >= 19
    return av.open(file, mode, **more, **({} if has_19 else BEFORE_19))


def rows_of(plane: Any) -> Any:
    """The bytes of a frame's plane, with what is behind each row."""
    import numpy as np

    return np.frombuffer(plane, np.uint8)[: plane.line_size * plane.height].reshape(plane.height, -1)


EXPLAINED = {
    "Invalid data found when processing input": "the data is damaged or incomplete",
    "End of file": "the data ends too early",
}
"""The meaning of some of FFmpeg's messages. All others are quoted."""


def words_of(error: Exception) -> str:
    """What the error means, without numbers, FFmpeg's own words, and its name for the file."""
    if type(error).__module__ != "av.error" or (isinstance(error, OSError) and error.errno in errno.errorcode):
        return error_text(error)
    words = getattr(error, "strerror", None) or str(error)
    return EXPLAINED.get(words, f'FFmpeg reports "{words}"')


@contextmanager
def naming_file(path: Path) -> Iterator[None]:
    """While a file is written, makes errors from the system and from FFmpeg name it."""
    try:
        yield
    except Exception as error:
        is_ffmpegs = type(error).__module__ == "av.error"
        number = getattr(error, "errno", None)
        if isinstance(error, OSError) and number is not None and (is_ffmpegs or error.filename is None):
            raise OSError(number, os.strerror(number), str(path)) from error
        if is_ffmpegs:
            raise NvencError(f"{path} cannot be written: {words_of(error)}.") from error
        raise


def fraction(rational: Any) -> Fraction | None:
    """The value, or None if it is not set. Before 19, PyAV has None for that; from 19 on, a zero of its own type."""
    return Fraction(rational.numerator, rational.denominator) if rational else None


def time_base(timed: Any) -> Fraction:
    """In seconds. Everything that comes from a container has one."""
    return Fraction(timed.time_base.numerator, timed.time_base.denominator)


def readable(text: str) -> str:
    """Metadata for messages. Tags that are not UTF-8 would break terminals and JSON files."""
    return text.encode("utf-8", "surrogateescape").decode("utf-8", "replace")


def side_data(frame: Any) -> dict[str, bytes]:
    """The side data of a decoded frame, by kind. Iterating over it differs between versions; indexing does not.

    PyAV gives none if it does not know one of the kinds, such as the number of a view.
    """
    try:
        found = frame.side_data
    except ValueError:
        return {}
    return {one.type.name: bytes(one) for one in (found[number] for number in range(len(found)))}


def side_data_of_all(decoder: Any) -> dict[str, bytes]:
    """Side data that holds for all frames of a decoder. From PyAV 19 on, the first frame may lack it."""
    return {kind.name: bytes(data) for kind, data in getattr(decoder, "decoded_side_data", {}).items()}
