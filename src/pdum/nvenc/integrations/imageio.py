"""Writes video for imageio: ``imageio.v3.imwrite("out.mp4", frames, plugin=NvencPlugin, fps=30)``."""

from __future__ import annotations

from collections.abc import Iterable
from pathlib import Path
from typing import Any

from .._errors import EncoderClosed, InvalidConfig, InvalidFrame, NvencError
from .._writer.writer import VideoWriter

NAME, BYTES = "pdum-nvenc", "<bytes>"


class NvencPlugin:
    """What ``plugin=`` of ``imageio.v3.imwrite`` and ``imageio.v3.imopen`` takes. It writes; other plugins read.

    Settings go to ``imopen`` or to the first ``write``: whatever ``VideoWriter`` takes. Frames may lie on a GPU. A file
    gets its name when it is closed. If a ``write`` fails, or an error ends the ``with`` block, there is no file.
    """

    def __init__(self, request: Any, **settings: Any) -> None:
        self.request = request
        self._target = _target(request)
        if request.extension is not None and not isinstance(self._target, Path):
            settings = {"container": request.extension.lstrip("."), **settings}
        self._settings = settings
        self._video: VideoWriter | None = None
        self._is_closed = False

    def write(self, ndimage: Any, *, is_batch: bool | None = None, **settings: Any) -> bytes | None:  # noqa: ARG002
        """Writes a picture, a batch, or each picture of a list or other iterable. Returns a file of ``"<bytes>"``."""
        if self._is_closed:
            raise EncoderClosed('The video is closed. "<bytes>" takes one write: give it all frames at once.')
        try:
            video = self._opened({**self._settings, **settings})
            is_series = isinstance(ndimage, Iterable) and not hasattr(ndimage, "shape")
            for frames in ndimage if is_series else (ndimage,):
                video.write(frames)
            if not video.frames:
                raise InvalidFrame("Expected at least one picture, got none: without one there is no video to write.")
            if self.request.raw_uri != BYTES:
                return None
            video.close()
            found: bytes = self._target.getvalue()
        except BaseException:
            self._end(is_whole=False)
            raise
        self.close()
        return found

    def _opened(self, settings: dict[str, Any]) -> VideoWriter:
        if self._video is None:
            self._video, self._settings = VideoWriter(self._target, **settings), settings
        elif settings != self._settings:
            raise InvalidConfig(f"Expected the settings of the first write, {self._settings}, got {settings}.")
        return self._video

    def close(self) -> None:
        self._end(is_whole=True)

    def _end(self, is_whole: bool) -> None:
        if not self._is_closed:
            self._is_closed = True
            try:
                if self._video is not None:
                    self._video.close() if is_whole else self._video.abort()
            finally:
                self.request.finish()

    def __enter__(self) -> NvencPlugin:
        return self

    def __exit__(self, kind: type[BaseException] | None, *_: object) -> None:
        self._end(is_whole=kind is None)


def _target(request: Any) -> Any:
    """The path or the file to write. After an ``InitializationError``, imageio looks for another plugin."""
    from imageio.core.request import InitializationError

    if request.mode.io_mode != "w":
        raise InitializationError('pdum.nvenc writes video and reads none. Use plugin="pyav" to read.')
    if request.raw_uri == BYTES or hasattr(request.raw_uri, "write"):
        return request.get_file()
    try:
        VideoWriter(request.filename).abort()
    except NvencError as error:
        raise InitializationError(str(error)) from error
    return Path(request.filename)


def register() -> None:
    """Makes the plugin known to imageio by name: ``plugin="pdum-nvenc"``, or ``format="pdum-nvenc"`` in its v2."""
    from imageio.config import PluginConfig, known_plugins

    known_plugins[NAME] = PluginConfig(NAME, NvencPlugin.__name__, __name__, install_name=NAME)
