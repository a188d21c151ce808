"""A list of pictures into a video, in one call."""

from __future__ import annotations

import os
from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import TYPE_CHECKING, Any

from .._errors import InvalidConfig, UnsupportedFeature
from .writer import VideoWriter

if TYPE_CHECKING:
    from .._config.settings import FrameRate


def encode_frames(
    frames: Iterable[Any], path: str | os.PathLike[str], fps: FrameRate | None = None, **more: Any
) -> Path:
    """Writes pictures into a video file, and returns its path.

    Args:
        frames: arrays, PIL images, PyAV frames or names of picture files, or one array of all frames. With
            ``stereo=True``, pairs of these.
        path: the name of the file. Its suffix chooses the container.
        fps: frames a second; None: 30.
        more: any argument of ``VideoWriter``.

    Raises:
        InvalidConfig: there is no frame.
    """
    path, is_empty = Path(os.fspath(path)), True
    with VideoWriter(path, fps=fps, **more) as video:
        for frame in _each(frames):
            video.write(frame)
            is_empty = False
        if is_empty:
            raise InvalidConfig(f"Expected at least one frame for {path}, got none.")
    return path


def _each(frames: Iterable[Any]) -> Iterator[Any]:
    if isinstance(frames, (str, bytes, os.PathLike)):
        raise InvalidConfig(
            f"Expected frames or a list of picture files, got {frames!r}. Give a list: sorted(Path(…).glob('*.png'))."
        )
    if len(getattr(frames, "shape", ()) or ()) in (3, 4):  # an array of all frames
        yield frames
        return
    for frame in frames:
        yield tuple(map(_opened, frame)) if isinstance(frame, (tuple, list)) else _opened(frame)


def _opened(frame: Any) -> Any:
    return _picture(frame) if isinstance(frame, (str, os.PathLike)) else frame


def _picture(path: str | os.PathLike[str]) -> Any:
    try:
        from PIL import Image
    except ImportError as error:
        raise UnsupportedFeature("Picture files need Pillow: pip install pillow.") from error
    with Image.open(path) as image:
        image.load()
        return image
