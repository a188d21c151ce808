"""Tries the end of a job before it begins: a result that cannot be written is reported before hours of encoding."""

from __future__ import annotations

from io import BytesIO
from pathlib import Path

from .._errors import UnsupportedFeature
from .av import import_av, open_container, words_of
from .containers import container_times
from .decoder import open_source
from .passthrough import add_streams, plan
from .source import Index


def rehearse(source: Path, index: Index, container: str, audio: str | int) -> None:
    """Plans what is carried over from the source, and writes an empty file with it.

    Raises:
        UnsupportedFeature: the container could not hold the result.
    """
    container_times(container, index.time_base, index.pts)
    with open_source(source) as opened:
        passthrough = plan(opened, index.stream, container, audio)
        if not passthrough.carried:
            return
        av = import_av()
        try:
            with open_container(BytesIO(), "w", format=container) as trial:
                add_streams(passthrough, opened, trial, lambda: None)
                trial.start_encoding()
        except (ValueError, OSError, NotImplementedError, av.error.FFmpegError) as error:
            raise UnsupportedFeature(
                f"{container} cannot hold the other streams of {source} together: {words_of(error)}. Use .mkv, which "
                "holds nearly everything, or audio='none'."
            ) from error
