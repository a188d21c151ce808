"""Decodes exactly the frames of an index, starting at any of them."""

from __future__ import annotations

from collections.abc import Callable, Generator, Iterator
from contextlib import closing
from dataclasses import replace
from itertools import islice
from pathlib import Path
from typing import Any

from .._errors import SourceUnreadable
from .av import import_av, time_base, words_of
from .decoder import Decoding, Start, Stumbled, every_frame, ignore
from .source import Index, Key
from .stream_headers import new_headers
from .stretches import Stretch

SEEK_BACK = (0, 1, 10)  # seconds before the key frame, tried in turn if the demuxer overshoots
SEEKS_BY_PTS = ("mp4", "matroska", "webm", "flv", "avi")
"""FFmpeg takes the time that is sought in MP4 for one of these, too, and a DTS would end a group too early."""


def frames_from(
    path: Path,
    index: Index,
    first: int,
    decoding: Decoding | None = None,
    on_repeat: Callable[[int], object] = ignore,
    start: Start | None = None,
    before: Any = None,
    *,
    is_damaged: bool = False,
) -> Generator[Any, None, None]:
    """Yields one frame for each frame of the index from ``first`` on, in order, even if the source is damaged.

    A frame that cannot be decoded repeats its neighbour, so that all others keep their times, and ``on_repeat``
    is called with its number. If decoding begins at the first key frame, it continues with ``start``. ``before``: the
    frame before ``first``, if it is known. ``is_damaged``: a decoder has found damage at ``first``.
    """
    decoding = replace(decoding or Decoding(), alpha=index.alpha)
    if index.careful:
        decoding = replace(decoding, threads=1)
    if index.straight:
        yield from _by_order(path, index, first, decoding, on_repeat)
    elif start is not None and index.key_for(first).is_first:
        decoding = replace(decoding, threads=start.decoding.threads)
        frames = _frames_before_and_from(path, index, first, decoding, start)
        yield from _by_time(index, first, frames, on_repeat)
    else:
        frames = _frames_before_and_from(path, index, first, decoding, is_damaged=is_damaged)
        yield from _by_time(index, first, frames, on_repeat, before)


def stretch_frames(container: Any, index: Index, stretch: Stretch, decoding: Decoding) -> Generator[Any, None, None]:
    """The frames of a stretch. Nothing behind it is decoded.

    ``container``: the source, opened by ``decoding``. If the first stretch is wanted, nothing may have been read of it.

    Raises:
        Stumbled: one of them cannot be decoded. ``frames_from`` knows what to do then.
    """
    wanted, place = index.pts, stretch.first
    for frame in _from_key_to_key(container, index, stretch, replace(decoding, alpha=index.alpha)):
        if frame.pts is None or frame.pts < wanted[place]:
            continue
        if frame.pts > wanted[place]:
            break
        yield frame
        place += 1
        if place == stretch.last:
            return
    raise Stumbled(f"Frame {place} is missing.")


def _by_order(
    path: Path, index: Index, first: int, decoding: Decoding, on_repeat: Callable[[int], object]
) -> Iterator[Any]:
    frame = None
    number = -1
    for number, frame in enumerate(_all_in_order(path, index, decoding)):
        if number >= first:
            yield frame
    for place in range(max(number + 1, first), index.frames if frame is not None else 0):
        on_repeat(place)
        yield frame


def _all_in_order(path: Path, index: Index, decoding: Decoding) -> Iterator[Any]:
    count = 0
    for frame in islice(every_frame(path, decoding), index.frames):
        yield frame
        count += 1
    if count < index.frames and not decoding.is_careful:
        yield from islice(every_frame(path, decoding.carefully()), count, index.frames)


def _by_time(
    index: Index, first: int, frames: Iterator[Any], on_repeat: Callable[[int], object], before: Any = None
) -> Iterator[Any]:
    wanted, place = index.pts, first
    for frame in frames:
        if frame.pts is None:
            continue
        while place < len(wanted) and wanted[place] < frame.pts:
            on_repeat(place)
            yield frame if before is None else before
            place += 1
        if place == len(wanted):
            return
        if wanted[place] == frame.pts:
            yield frame
            place += 1
        before = frame
    while before is not None and place < len(wanted):
        on_repeat(place)
        yield before
        place += 1


def _frames_before_and_from(
    path: Path,
    index: Index,
    first: int,
    decoding: Decoding,
    start: Start | None = None,
    *,
    is_damaged: bool = False,
) -> Iterator[Any]:
    """From the key frame on that serves the frame.

    If the decoder stumbles or ends early, it goes on carefully; a GPU's decoder takes over again at the next key frame.
    It also stumbles if it leaves out a frame: behind a missing one, NVIDIA's parser shows others too early.
    If nothing at all comes, it begins at an earlier key frame, each time twice as far back, since the source may end
    with thousands of damaged key frames.
    """
    wanted, back = decoding, 0
    if is_damaged:
        decoding = wanted.carefully()
    while True:
        key, reached = index.key_for(first, back), None
        until = index.key_after(first) if decoding.is_careful and wanted.on_gpu is not None else None
        try:
            for frame in _from_key(path, index, key, decoding) if start is None else start.every_frame():
                if until is not None and frame.pts is not None and frame.pts >= until.pts:
                    reached = index.pts[until.frame - 1]
                    break
                if decoding.on_gpu is not None:
                    _require_next(index, first if reached is None else max(first, index.count_to(reached)), frame.pts)
                yield frame
                reached = frame.pts if reached is None or frame.pts is None else max(reached, frame.pts)
        except Stumbled as error:
            decoding.on_stumble(error)
        start = None
        if reached is not None:
            first, back = max(first, index.count_to(reached)), 0
        if until is not None and first == until.frame:
            decoding = wanted
        elif first < index.frames and not decoding.is_careful:
            decoding = decoding.carefully()
        elif reached is None and key.frame > 0:
            back = 2 * back or 1
        else:
            return


def _require_next(index: Index, place: int, pts: int | None) -> None:
    """Raises Stumbled if the frame lies behind the one with that number."""
    if pts is not None and place < index.frames and pts > index.pts[place]:
        raise Stumbled(f"Frame {place} is missing.")


def _from_key(path: Path, index: Index, key: Key, decoding: Decoding) -> Iterator[Any]:
    """Everything that can be decoded from the key frame on."""
    av = import_av()
    with decoding.opened(path) as container:
        stream = container.streams[index.stream]
        with closing(decoding.decoder_for(stream)) as decoder:
            try:
                for packet in _packets_from(container, stream, key):
                    yield from decoder.frames(packet)
            except av.error.FFmpegError:
                yield from decoder.rest()


def _from_key_to_key(container: Any, index: Index, stretch: Stretch, decoding: Decoding) -> Iterator[Any]:
    av = import_av()
    stream = container.streams[index.stream]
    with closing(decoding.decoder_for(stream)) as decoder:
        packets = _packets_from(container, stream, stretch.begin)
        try:
            for packet in packets if stretch.end is None else _before(packets, stretch.end):
                yield from decoder.frames(packet)
        except av.error.FFmpegError as error:
            raise Stumbled(f"The file cannot be read: {words_of(error)}.") from error
        yield from decoder.rest()


def _before(packets: Iterator[Any], key: Key) -> Iterator[Any]:
    """The packets of all frames that are shown before the key frame. Some of them may come after it and need it."""
    held: list[Any] = []
    is_reached = False
    for packet in packets:
        if not is_reached and packet.is_keyframe and packet.pts == key.pts and packet.size:
            is_reached, held = True, [packet]
        elif not is_reached or (packet.size and packet.pts is not None and packet.pts < key.pts):
            yield from held
            held = []
            yield packet
        else:
            return


def _packets_from(container: Any, stream: Any, key: Key) -> Iterator[Any]:
    if key.is_first:
        yield from container.demux(stream)
        return
    headers = None
    for target in _targets(container, stream, key):
        _seek(container, stream, target)
        packets = container.demux(stream)
        found, headers = _skipped_to(packets, key, headers)
        if found is not None:
            if headers is not None:
                found.set_sidedata(headers)
            yield found
            yield from packets
            return
    raise SourceUnreadable(f"The key frame at {key.pts} of {container.name} is not found again. Was the file changed?")


def _targets(container: Any, stream: Any, key: Key) -> Iterator[int | None]:
    """Where to seek, each target further back; None is the beginning of the file."""
    names = container.format.name.split(",")
    by_pts = key.dts is None or any(name in SEEKS_BY_PTS for name in names)
    start = key.pts if by_pts or key.dts is None else key.dts
    for seconds in SEEK_BACK:
        yield start - round(seconds / time_base(stream))
    yield None


def _seek(container: Any, stream: Any, target: int | None) -> None:
    av = import_av()
    try:
        container.seek(target if target is not None else -(1 << 62), stream=stream, backward=True)
    except (av.error.FFmpegError, OSError):
        if target is None:
            container.seek(0, stream=stream, any_frame=True)


def _skipped_to(packets: Iterator[Any], key: Key, headers: Any) -> tuple[Any, Any]:
    """The packet of the key frame; None if reading began after it. And the newest headers of those that were passed
    over, since the container tells of them once."""
    for packet in packets:
        headers = new_headers(packet) or headers
        if packet.is_keyframe and packet.pts == key.pts and packet.size:
            return packet, headers
        if packet.is_keyframe and packet.pts is not None and packet.pts > key.pts:
            break
    return None, headers
