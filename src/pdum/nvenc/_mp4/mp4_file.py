"""MP4 files, complete or fragmented, from encoded packets."""

from __future__ import annotations

import io
import os
import stat
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, BinaryIO, cast

from .._errors import InvalidConfig, NvencError
from .fragment import Fragment, take_fragment
from .fragment_index import FragmentIndex
from .movie import file_type, fragmented_movie
from .movie_index import MovieIndex
from .recording import Recording, write_all, write_complete
from .track_input import TrackInput, VideoInput, input_at, inputs_of
from .tracks import AudioTrack, VideoTrack

if TYPE_CHECKING:
    from types import TracebackType

    from typing_extensions import Self

SHORTEST, LONGEST = 1.0, 2.0
"""Seconds of a fragment. It ends before the first key frame after the shorter time, or when the longer one is over."""
LARGEST = 8 << 20
"""Bytes of a fragment at which it ends."""


class Mp4File:
    """Writes one MP4 file.

    While a complete file is written to a path, the path holds a fragmented file, which can be played and repaired at
    any instant; ``close`` puts the index in front. What is not on the disk yet is up to two seconds long. To a file
    object, everything is written at the end.

    With ``fragmented``, the file stays in fragments, and they are written as they come.

    Args:
        file: a path, or a file that can be written to. Nothing is read from it, it need not be able to seek, and it is
            not closed.
        tracks: VideoTrack and AudioTrack objects.
    """

    def __init__(
        self,
        file: str | os.PathLike[str] | BinaryIO,
        tracks: Sequence[VideoTrack | AudioTrack],
        *,
        fragmented: bool = False,
    ) -> None:
        self._inputs: list[TrackInput] = inputs_of(tracks)
        self._first_video = next((one for one in self._inputs if isinstance(one, VideoInput)), None)
        self._output: _Output | None = _output(file, fragmented)
        self._fragments = 0
        self._is_broken = False

    def write(self, track: int, data: bytes, pts: int, dts: int, keyframe: bool, duration: int = 0) -> None:
        """Takes the next packet of a track in coding order.

        Args:
            track: its place in ``tracks``, from 0.
            data: Annex B, OBUs, or a packet of sound.
            pts, dts: when it is shown and when it is decoded, in units of the track's time base.
            duration: in the same unit. Only that of the last packet counts: all others last until the next one.

        Raises:
            InvalidConfig: it is no packet of the track's codec.
            NvencError: the file is closed or broken, or the decode times do not rise.
        """
        self._require_output()
        one = input_at(self._inputs, track)
        one.add(data, pts, dts, keyframe, duration)
        if self._is_due(one is self._first_video and keyframe):
            self._end_fragment()

    def _is_due(self, at_key_frame: bool) -> bool:
        longest = max(one.ready_time for one in self._inputs)
        limit = SHORTEST if at_key_frame else LONGEST
        return longest >= limit or sum(one.ready_bytes for one in self._inputs) >= LARGEST

    def _end_fragment(self) -> None:
        output = self._require_output()
        output.begin(self._inputs)
        fragment = take_fragment(self._inputs, self._fragments + 1)
        if fragment is None:
            return
        self._fragments += 1
        try:
            output.append(fragment)
        except BaseException:
            self._is_broken = True  # what the fragment held is lost, so the file must not pass for a whole one
            raise

    def _require_output(self) -> _Output:
        if self._output is None:
            raise NvencError("The file is closed. Make a new one.")
        if self._is_broken:
            raise NvencError("A part of the video could not be written, so the file cannot be completed.")
        return self._output

    def close(self) -> None:
        """Completes the file. Further calls do nothing.

        Raises:
            NvencError: a packet could not be written earlier. What is on the disk can be repaired.
        """
        if self._output is None:
            return
        try:
            for one in self._inputs:
                one.settle()
            self._end_fragment()
            self._output.complete()
        finally:
            self.abandon()

    def abandon(self) -> None:
        """Leaves the file as it is: a fragmented one, if it has a path."""
        output, self._output = self._output, None
        if output is not None:
            output.release()

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None
    ) -> None:
        if error is None:
            self.close()
        else:
            self.abandon()


class _Output:
    """Where fragments go."""

    def begin(self, inputs: Sequence[TrackInput]) -> None:
        """Called before each fragment."""
        raise NotImplementedError

    def append(self, fragment: Fragment) -> None:
        raise NotImplementedError

    def complete(self) -> None:
        raise NotImplementedError

    def release(self) -> None:
        raise NotImplementedError


class _ToRecording(_Output):
    def __init__(self, path: Path, file: BinaryIO) -> None:
        self._path, self._file = path, file
        self._recording: Recording | None = None

    def begin(self, inputs: Sequence[TrackInput]) -> None:
        if self._recording is None:
            self._recording = Recording(self._path, self._file, [one.header() for one in inputs])

    def append(self, fragment: Fragment) -> None:
        assert self._recording is not None
        place = self._recording.append(fragment.pieces())
        _note(self._recording.index, fragment, place)

    def complete(self) -> None:
        assert self._recording is not None
        self._recording.complete()

    def release(self) -> None:
        self._file.close()


class _Spooled(_Output):
    """For files that cannot be changed once they are written: the media data waits in a file without a name."""

    def __init__(self, file: BinaryIO, is_ours: bool) -> None:
        import tempfile  # imported at the first use, because it loads much

        self._file, self._is_ours = file, is_ours
        self._spool = cast("BinaryIO", tempfile.TemporaryFile(buffering=0))  # noqa: SIM115  # closed by release()
        self._index: MovieIndex | None = None

    def begin(self, inputs: Sequence[TrackInput]) -> None:
        if self._index is None:
            self._index = MovieIndex([one.header() for one in inputs])

    def append(self, fragment: Fragment) -> None:
        assert self._index is not None
        place = self._index.media_size
        write_all(self._spool, b"".join(fragment.pieces()[1:]))
        _note(self._index, fragment, place - len(fragment.head))

    def complete(self) -> None:
        assert self._index is not None
        write_complete(self._index, self._spool, self._file)
        _flush(self._file)

    def release(self) -> None:
        self._spool.close()
        if self._is_ours:
            self._file.close()


class _Fragmented(_Output):
    def __init__(self, file: BinaryIO, is_ours: bool) -> None:
        self._file, self._is_ours = file, is_ours
        self._index: FragmentIndex | None = None
        self._end = 0

    def begin(self, inputs: Sequence[TrackInput]) -> None:
        if self._index is None:
            headers = [one.header() for one in inputs]
            self._index = FragmentIndex(headers)
            self._put(file_type(headers, fragmented=True) + fragmented_movie(headers))

    def append(self, fragment: Fragment) -> None:
        assert self._index is not None
        self._index.add(fragment, self._end)
        self._put(b"".join(fragment.pieces()))

    def complete(self) -> None:
        assert self._index is not None
        self._put(self._index.mfra())

    def _put(self, data: bytes) -> None:
        write_all(self._file, data)
        _flush(self._file)
        self._end += len(data)

    def release(self) -> None:
        if self._is_ours:
            self._file.close()


def _output(file: str | os.PathLike[str] | BinaryIO, fragmented: bool) -> _Output:
    if isinstance(file, io.TextIOBase):
        raise InvalidConfig("Expected a path or a binary file, got a text file. Open it with mode 'wb'.")
    if not isinstance(file, (str, os.PathLike)):
        return _Fragmented(file, is_ours=False) if fragmented else _Spooled(file, is_ours=False)
    path = Path(file).resolve()  # the file that a link names is replaced in the end, not the link
    opened: BinaryIO = path.open("wb+" if _is_regular(path) and not fragmented else "wb", buffering=0)
    if fragmented:
        return _Fragmented(opened, is_ours=True)
    return _ToRecording(path, opened) if _is_regular(path) else _Spooled(opened, is_ours=True)


def _is_regular(path: Path) -> bool:
    """Whether it is a file on a disk, or will be one."""
    return not path.exists() or stat.S_ISREG(path.stat().st_mode)


def _note(index: MovieIndex, fragment: Fragment, place: int) -> None:
    index.add([(part.track, part.run, part.size) for part in fragment.parts], place + len(fragment.head))


def _flush(file: BinaryIO) -> None:
    flush = getattr(file, "flush", None)
    if flush is not None:
        flush()
