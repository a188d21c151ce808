"""Reads a result as any player would, before it gets its name."""

from __future__ import annotations

import os
from collections.abc import Callable, Collection, Sequence
from contextlib import closing
from itertools import islice
from pathlib import Path
from typing import Any, NoReturn

from .._errors import SourceUnreadable, VerificationFailed
from .._profiling import profiled
from .alpha_check import AlphaTaken
from .av import import_av, readable, time_base
from .decode import frames_from
from .decoder import Decoding, every_frame, open_source, video_stream
from .passthrough import Passthrough, stream_metadata
from .sample import SAMPLED, decoded, require_alpha, wrong
from .source import Index, Key
from .spool import packets_of

MOST_THREADS_OF_A_SAMPLE = 4
"""In AV1, the second frame may need six others that are not shown."""


@profiled("pdum.verify")
def verify(
    part: Path,
    expected: Sequence[int],
    joined: Any,
    how: str,
    interrupted: Callable[[], None],
    sampled: Collection[int] = (),
    taken: AlphaTaken | None = None,
) -> None:
    """Raises VerificationFailed unless the file has these frames at these times, and the right streams.

    ``sampled``: parts whose first packets were decoded when the encoder returned them. ``taken``: what is known of the
    source's alpha, if the result has any.
    """
    try:
        with open_source(part) as container:
            _require_streams(container, joined)
            stream = video_stream(container, part)
            index = _required_packets(container, stream, expected, joined, interrupted)
        if how == "samples":
            _require_samples(part, index, joined, sampled)
        elif how == "full":
            _require_all(part, index, interrupted)
            if joined.stereo:
                _require_both_views(joined, interrupted)
            if joined.alpha:
                _require_alpha(joined, taken or AlphaTaken(), interrupted)
    except SourceUnreadable as error:
        raise VerificationFailed(f"The result cannot be read back: {error}") from error


def _fail(what: str) -> NoReturn:
    raise wrong(what)


def _require_streams(container: Any, joined: Any) -> None:
    wanted = ["video", *(one.source.type for one in joined.passthrough.carried if one.how != "attach")]
    kinds = [stream.type for stream in container.streams if stream.type != "attachment"]
    extra = kinds.count("data") - wanted.count("data")
    found = [kind for kind in kinds if kind != "data"] + ["data"] * wanted.count("data")
    if extra not in (
        0,
        *((1, 2) if joined.container in ("mp4", "mov") else ()),
    ):  # chapters and time codes are tracks too
        _fail(f"it has {kinds.count('data')} data streams; {wanted.count('data')} are wanted.")
    attached = sum(one.how == "attach" for one in joined.passthrough.carried)
    covers = len(found) - len(wanted)  # attached pictures in Matroska are read as video
    if not 0 <= covers <= attached or sorted(found) != sorted([*wanted, *["video"] * covers]):
        _fail(f"it has the streams {', '.join(found)}; wanted are {', '.join(wanted)}.")


def _required_packets(
    container: Any, stream: Any, expected: Sequence[int], joined: Any, interrupted: Callable[[], None]
) -> Index:
    times: list[int] = []
    before: int | None = None
    keys: list[tuple[int, int | None, bool]] = []
    for number, packet in enumerate(container.demux(stream)):
        if not number % 256:
            interrupted()
        if not packet.size:
            continue
        if packet.pts is None or packet.is_discard:
            _fail(f"packet {number} has no presentation time.")
        if packet.dts is not None:
            if (before is not None and packet.dts <= before) or packet.dts > packet.pts:
                _fail(f"packet {number} has the decode time {packet.dts} after {before}, and is shown at {packet.pts}.")
            before = packet.dts
        if packet.is_keyframe:
            keys.append((packet.pts, packet.dts, not times))
        times.append(packet.pts)
    shown = sorted(times)
    if len(shown) != len(expected):
        _fail(f"it has {len(shown)} frames; the source has {len(expected)}.")
    _require_times(shown, expected, joined, stream)
    numbers = {pts: number for number, pts in enumerate(shown)}
    found = [Key(frame=numbers[pts], pts=pts, dts=dts, is_first=first) for pts, dts, first in keys]
    starts = {key.frame for key in found}
    for piece in joined.pieces:
        if piece.first not in starts:
            _fail(f"frame {piece.first}, where two parts are joined, is not a key frame.")
    return Index(
        stream=stream.index, time_base=time_base(stream), pts=shown, keys=found, straight=False,
        look=joined.index.look, rate=joined.index.rate, last_duration=1,
    )  # fmt: skip


def _require_times(shown: Sequence[int], expected: Sequence[int], joined: Any, stream: Any) -> None:
    """In MPEG-TS and Matroska, all times may be shifted by the same offset."""
    unit = time_base(stream)
    if unit != joined.time_base:
        factor = joined.time_base / unit
        expected = [round(time * factor) for time in expected]
    offset = shown[0] - expected[0]
    may_move = joined.container == "mpegts" or joined.container in ("matroska", "webm")
    if offset and not may_move:
        _fail(f"it begins at {shown[0]}, not at {expected[0]} (in units of {unit} s).")
    for number, (time, wanted) in enumerate(zip(shown, expected, strict=True)):
        if time != wanted + offset:
            _fail(f"frame {number} is shown at {time - offset}, not at {wanted} (in units of {unit} s).")


def _require_samples(part: Path, index: Index, joined: Any, sampled: Collection[int]) -> None:
    """Decodes the beginnings of all parts and of the last group of pictures. A whole group would often take longer to
    decode than to encode on the hardware."""
    last_group = index.key_for(index.frames - 1).frame
    starts = sorted({*(piece.first for piece in joined.pieces), last_group})
    cores = len(os.sched_getaffinity(0))
    threads = 1 if joined.look.codec != "av1" else max(1, min(cores // len(starts), MOST_THREADS_OF_A_SAMPLE))

    def require(first: int) -> None:
        count = 1 if first in sampled else min(SAMPLED, index.frames - first)
        _require_sample(part, index, first, count, 1 if count == 1 else threads)

    if len(starts) == 1:
        require(starts[0])
        return
    from concurrent.futures import ThreadPoolExecutor  # not needed for a short clip, which has one

    with ThreadPoolExecutor(min(len(starts), cores)) as pool:
        for _ in pool.map(require, starts):
            pass


def _require_sample(part: Path, index: Index, first: int, count: int, threads: int) -> None:
    with closing(frames_from(part, index, first, Decoding(threads, strict=True), _missing)) as frames:
        found = sum(1 for _ in islice(frames, count))
    if found < count:
        _missing(first + found)


def _missing(number: int) -> NoReturn:
    _fail(f"frame {number} cannot be decoded.")


def _require_all(part: Path, index: Index, interrupted: Callable[[], None]) -> None:
    shown = [frame.pts for frame in every_frame(part, Decoding(strict=True), interrupted)]
    if shown != list(index.pts):
        place = next((n for n, (a, b) in enumerate(zip(shown, index.pts, strict=False)) if a != b), len(shown))
        _missing(place)


def _require_both_views(joined: Any, interrupted: Callable[[], None]) -> None:
    """The decoder of a file shows only one view, so the other one is decoded from the packets that were joined."""
    av, count = import_av(), 0
    packets = (data for piece in joined.pieces for _, _, data in packets_of(piece))
    try:
        for _ in decoded(joined.look.codec, packets, strict=True, views=2):
            count += 1
            if not count % 64:
                interrupted()
    except av.error.FFmpegError:
        pass
    if count < 2 * joined.index.frames:
        _fail(f"the views of frame {count // 2} cannot be decoded.")


def _require_alpha(joined: Any, taken: AlphaTaken, interrupted: Callable[[], None]) -> None:
    for piece in joined.pieces:
        packets = ((number, data) for number, _, data in packets_of(piece))
        require_alpha(packets, taken.of(piece.first), interrupted)


def _titles(container: Any) -> set[str]:
    streams = [stream for stream in container.streams if stream.type != "attachment"]
    return {metadata["title"] for metadata in map(stream_metadata, streams) if metadata.get("title")}


def lost_metadata(source: Any, part: Path, passthrough: Passthrough, skipped: Sequence[str]) -> list[str]:
    """Warnings about metadata and chapters of the source that are missing in the result."""
    with open_source(part) as made:
        known = {key.lower() for key in made.metadata}
        lost = [key for key in source.metadata if key.lower() not in known and key.lower() not in skipped]
        found = [f"The container does not hold the metadata {', '.join(map(readable, sorted(lost)))}."] if lost else []
        titles, kept = _titles(source), _titles(made)
        if titles - kept:
            missing = ", ".join(map(readable, sorted(titles - kept)))
            found.append(f"The container does not hold the streams' titles {missing}.")
        chapters = len(passthrough.chapters(source)), len(made.chapters())
        if chapters[0] > chapters[1]:
            found.append(f"{chapters[0] - chapters[1]} of {chapters[0]} chapters are lost: the container has none.")
    return found
