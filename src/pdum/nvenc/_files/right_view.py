"""The video for the right eye: another file, whose frames go with those of the left one."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from contextlib import suppress
from itertools import starmap
from operator import sub
from pathlib import Path
from typing import TYPE_CHECKING, Any

from .._errors import InvalidConfig
from .._media.decode import frames_from
from .._media.decoder import no_such_file
from .._media.filtered_video import FilteredVideo
from .._media.source import look_through
from .commit import FileIdentity, require_same_source
from .source_files import SourceFiles

if TYPE_CHECKING:
    from .._media.source import Index
    from .engine_frames import EngineFrames


class RightView:
    """The second source of a job. The job closes it however it ends."""

    def __init__(self, path: Path) -> None:
        self.path = path
        self.files = SourceFiles(path)
        self._video: FilteredVideo | None = None
        self._seen: FileIdentity | None = None

    @property
    def video(self) -> FilteredVideo:
        assert self._video is not None
        return self._video

    @property
    def size(self) -> int:
        """In bytes; 0 if the file is not there."""
        with suppress(OSError):
            return self.path.stat().st_size
        return 0

    def require_there(self) -> None:
        if not self.path.exists():
            raise no_such_file(self.path)

    def look(self, left: Path, video: FilteredVideo, threads: int, interrupted: Callable[[], None]) -> None:
        """Examines the file, behind the same filters as the left one's ``video``.

        Raises:
            InvalidConfig: the two do not make up pairs of frames.
            SourceUnreadable: it cannot be read.
        """
        self.forget()
        self._seen = FileIdentity.of(self.path)
        source, start = look_through(self.path, threads, interrupted)
        self.files.keep_start(start)
        self._video = FilteredVideo(
            source, video.filters, start.frames, lambda number: frames_from(self.path, source, number)
        )
        require_pairs(left, video.index, self.path, self._video.index)

    def require_unchanged(self) -> None:
        if self._seen is None:
            raise no_such_file(self.path)
        require_same_source(self.path, self._seen)

    def identity(self) -> list[Any]:
        """What has to be the same for a later run to take up this run's pieces."""
        assert self._seen is not None
        return [str(self.path.resolve()), self._seen.size, self._seen.mtime_ns]

    def forget(self) -> None:
        """Goes back to the state before ``look``."""
        self.files.close()
        self._video = self._seen = None


def require_pairs(left: Path, of_left: Index, right: Path, of_right: Index) -> None:
    """Raises InvalidConfig, which says what differs, unless each frame of one goes with a frame of the other."""
    both = f"{left} and {right}"
    sizes = [f"{one.look.width}x{one.look.height}" for one in (of_left, of_right)]
    if sizes[0] != sizes[1]:
        raise InvalidConfig(
            f"Expected two views of one size, got {sizes[0]} and {sizes[1]} from {both}. Scale one of them first."
        )
    if of_left.look.width % 2 or of_left.look.height % 2:
        raise InvalidConfig(f"Expected two views of an even size, got {sizes[0]} from {both}. Crop or scale them.")
    if of_left.frames != of_right.frames:
        raise InvalidConfig(
            f"Expected two views of one length, got {of_left.frames} and {of_right.frames} frames from {both}. Cut the "
            "longer one first, or use trim for both."
        )
    if of_left.look.matrix != of_right.look.matrix:
        raise InvalidConfig(f"{both} are turned differently for display. Turn one of them first.")
    _require_same_times(of_left, of_right, both)


def _require_same_times(left: Index, right: Index, both: str) -> None:
    """No frame may be half a frame's time away from its other view."""
    most = 1 / left.rate / 2
    times = zip(_times(left), _times(right), strict=True)
    for number, apart in enumerate(starmap(sub, times)):
        if abs(apart) >= most:
            raise InvalidConfig(
                f"Expected two views of one frame rate, got {float(left.rate):g} and {float(right.rate):g} frames a "
                f"second: frame {number} of {both} is {abs(float(apart)) * 1000:.0f} ms apart. fps=… converts both."
            )


def _times(index: Index) -> Iterator[Any]:
    """In seconds after the first frame."""
    return ((pts - index.pts[0]) * index.time_base for pts in index.pts)


class PairFrames:
    """An iterator over pairs of frames. Whoever iterates may change the number of decoders of each view."""

    def __init__(self, left: EngineFrames, right: EngineFrames) -> None:
        self._views: Sequence[EngineFrames] = (left, right)

    def __iter__(self) -> Iterator[Any]:
        return self

    def __next__(self) -> tuple[Any, ...]:
        return tuple(next(view) for view in self._views)

    def close(self) -> None:
        """Waits for the decoders to end."""
        try:
            self._views[0].close()
        finally:
            self._views[1].close()

    @property
    def decoders(self) -> int:
        return max(view.decoders for view in self._views)

    @property
    def decoders_on_processor(self) -> int:
        return max(view.decoders_on_processor for view in self._views)

    @property
    def idle_seconds(self) -> float:
        return sum(view.idle_seconds for view in self._views)

    @property
    def frames_decoded(self) -> int:
        return min(view.frames_decoded for view in self._views)

    @property
    def frames_a_round(self) -> int:
        return max(view.frames_a_round for view in self._views)

    @property
    def is_all_begun(self) -> bool:
        return all(view.is_all_begun for view in self._views)

    def fair_share(self, engines: int) -> int:
        return self._views[0].fair_share(2 * engines)

    def use_decoders(self, wanted: int) -> None:
        for view in self._views:
            view.use_decoders(wanted)

    def end_at(self, last: int) -> None:
        for view in self._views:
            view.end_at(last)
