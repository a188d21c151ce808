"""PyAV of any version from 17 on: where its versions differ, this module speaks to each of them."""

from __future__ import annotations

import os
from collections.abc import Iterator
from contextlib import contextmanager
from fractions import Fraction
from pathlib import Path
from typing import Any

from .._errors import NvencError, UnsupportedFeature

BEFORE_19: dict[str, Any] = {"metadata_errors": "surrogateescape"}
"""Tags in another encoding than UTF-8 go through as the bytes that they are. From 19 on PyAV does so by itself."""


def import_av() -> Any:
    try:
        import av
    except ImportError as error:
        raise UnsupportedFeature("Containers of video need PyAV: pip install pdum-nvenc[files].") from error
    return av


def open_container(file: Any, mode: str, **more: Any) -> Any:
    """``av.open``, with metadata that is never refused and never changed."""
    av = import_av()
    has_19 = int(av.__version__.partition(".")[0]) >= 19
    return av.open(file, mode, **more, **({} if has_19 else BEFORE_19))


def words_of(error: Exception) -> str:
    """What FFmpeg says, without its numbers and its name for the file."""
    return getattr(error, "strerror", None) or str(error)


@contextmanager
def naming_file(path: Path) -> Iterator[None]:
    """For the time in which a file is written: errors of the system and of FFmpeg name it."""
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
    """None for what is not set, which is None before PyAV 19 and a zero of a type of its own from then on."""
    return Fraction(rational.numerator, rational.denominator) if rational else None


def time_base(timed: Any) -> Fraction:
    """Of what comes from a container, in seconds: there it is always set."""
    return Fraction(timed.time_base.numerator, timed.time_base.denominator)


def readable(text: str) -> str:
    """Metadata in words for a person: a tag in another encoding would stop a terminal or a JSON file."""
    return text.encode("utf-8", "surrogateescape").decode("utf-8", "replace")


def side_data(frame: Any) -> dict[str, bytes]:
    """Of a decoded frame, by its kind's name. What iterating gives differs; by number it is the same everywhere."""
    found = frame.side_data
    return {one.type.name: bytes(one) for one in (found[number] for number in range(len(found)))}


def side_data_of_all(decoder: Any) -> dict[str, bytes]:
    """What a decoder found that holds for all of its frames; from PyAV 19 on the first of them may lack it."""
    return {kind.name: bytes(data) for kind, data in getattr(decoder, "decoded_side_data", {}).items()}
