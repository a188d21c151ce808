"""Makes a complete file of what a killed recorder left."""

from __future__ import annotations

import errno
import os
import struct
from array import array
from collections.abc import Iterator
from dataclasses import dataclass
from itertools import accumulate, chain
from pathlib import Path
from typing import BinaryIO

from .._errors import FolderMissing, NvencError, SourceUnreadable
from .coded_frames import is_whole_sample
from .fragment_reader import FoundRun, read_fragment, run_size
from .movie_index import MovieIndex
from .movie_reader import LARGEST_INDEX, Box, FoundMovie, boxes_of, read_movie
from .recording import write_complete
from .sample_table import Run

FIRST_BOXES = ("ftyp", "styp", "moov", "moof", "free")
CHECKED = ("h264", "hevc", "av1")


@dataclass(frozen=True, kw_only=True)
class RepairReport:
    """What was found, and what of it is in the new file."""

    destination: Path
    frames: int
    """Pictures in the new file."""
    lost_frames: int
    """Pictures that the damaged file lists, but does not hold completely."""
    seconds: float
    sound_seconds: float
    """0 if there is no sound."""
    unused_bytes: int
    """Bytes at the end of the damaged file that are not complete."""

    @property
    def text(self) -> str:
        """The result in a sentence or two."""
        sound = f" and {self.sound_seconds:.1f} s of sound" if self.sound_seconds else ""
        made = f"{self.destination}: {self.frames} frames, {self.seconds:.1f} s{sound}."
        if self.lost_frames:
            made += f" {self.lost_frames} more at the end are incomplete and not included."
        return made


def repair(
    part: str | os.PathLike[str], destination: str | os.PathLike[str], *, overwrite: bool = False
) -> RepairReport:
    """Writes a complete MP4 file from one that consists of fragments, such as the ``.part`` of a killed recorder.

    The damaged file stays as it is. This also works while a recording is still going on.

    Args:
        part: the damaged file.
        destination: the new file. It gets its name when it is complete.
        overwrite: whether a file of that name may be replaced.

    Raises:
        SourceUnreadable: there is nothing in it that could be repaired; the message says why.
        FileExistsError: the destination exists.
        FolderMissing: its folder does not.
    """
    source, target = Path(part), Path(destination)
    if not target.parent.is_dir():
        raise FolderMissing(f"The folder {target.parent} does not exist. Create it first.")
    if not overwrite and target.exists():
        raise FileExistsError(errno.EEXIST, os.strerror(errno.EEXIST), str(target))
    with source.open("rb") as file:
        size = file.seek(0, os.SEEK_END)
        index, lost, used = _recovered(file, size, source)
        try:
            index.head()
        except (struct.error, OverflowError) as error:
            raise SourceUnreadable(f"{source} is damaged: it has times that no file can hold.") from error
        _write(index, file, target, overwrite)
    pictures = [table for header, table in zip(index.headers, index.tables, strict=True) if header.is_video]
    lengths = [_seconds(index, is_video) for is_video in (True, False)]
    return RepairReport(
        destination=target,
        frames=sum(table.count for table in pictures),
        lost_frames=lost,
        seconds=lengths[0],
        sound_seconds=lengths[1],
        unused_bytes=size - used,
    )


def _seconds(index: MovieIndex, is_video: bool) -> float:
    both = zip(index.headers, index.tables, strict=True)
    return max(
        (
            (table.shown_until - table.shown_from) / header.timescale
            for header, table in both
            if header.is_video == is_video
        ),
        default=0.0,
    )


def _recovered(file: BinaryIO, size: int, source: Path) -> tuple[MovieIndex, int, int]:
    """The index of everything that is complete, the frames that are not, and where the complete part ends."""
    boxes = boxes_of(file, size)
    movie = _find_movie(file, size, source, boxes)
    index, lost, used = MovieIndex(movie.headers), 0, 0
    for box in boxes:
        if box.end > size and box.kind != "mdat":
            break
        if box.kind != "moof":
            used = used if box.kind == "mdat" else box.end
            continue
        try:
            runs = [_by_instants(movie, found) for found in read_fragment(_contents(file, box), box.place, movie)]
            kept = [_complete_part(file, size, movie, found) for found in runs]
            for found in kept:
                index.add([(found.track, found.run, run_size(found.run))] if found.run.samples else [], found.place)
                used = max(used, found.place + run_size(found.run)) if found.run.samples else used
        except (ValueError, struct.error, IndexError, NvencError):
            break
        missing = [(one.track, one.run.samples - other.run.samples) for one, other in zip(runs, kept, strict=True)]
        lost += sum(count for track, count in missing if movie.headers[track].is_video)
        if any(count for _, count in missing):
            break
    if not any(table.count for table in index.tables):
        raise SourceUnreadable(f"{source} has no complete frame in it: it ended before the first ones were written.")
    return index, lost, used


def _find_movie(file: BinaryIO, size: int, source: Path, boxes: Iterator[Box]) -> FoundMovie:
    """Reads up to the description of the tracks."""
    first = next(boxes, None)
    if first is None or first.kind not in FIRST_BOXES:
        raise SourceUnreadable(f"{source} is not an MP4 file.")
    for box in chain([first], boxes):
        if box.kind == "moov" and box.end <= size:
            movie = read_movie(_contents(file, box))
            if movie is None:
                raise SourceUnreadable(_about_index(source, all(one.end <= size for one in boxes_of(file, size))))
            return movie
    raise SourceUnreadable(
        f"{source} has no index and no fragments, so its frames cannot be found. "
        "Programs that write the index at the end leave such files; this package does not."
    )


def _about_index(source: Path, is_complete: bool) -> str:
    if is_complete:
        return f"{source} is a complete MP4 file already. There is nothing to repair."
    return f"{source} was complete once, and its end is cut off. Only files that consist of fragments can be repaired."


def _contents(file: BinaryIO, box: Box) -> bytes:
    if box.size > LARGEST_INDEX:
        raise SourceUnreadable(f"The file has a box {box.kind!r} of {box.size} bytes, which cannot be right.")
    file.seek(box.place + box.head)
    return file.read(box.size - box.head)


def _by_instants(movie: FoundMovie, found: FoundRun) -> FoundRun:
    """PCM has a sample for each instant in a complete file. Fragments list packets of it."""
    size, run = movie.headers[found.track].fixed_size, found.run
    if not size or not run.samples:
        return found
    return found._replace(
        run=Run(array("I", [size]), array("I", [1]), array("q"), None, run_size(run) // size, run.decode)
    )


def _complete_part(file: BinaryIO, size: int, movie: FoundMovie, found: FoundRun) -> FoundRun:
    """The samples up to the first that is not whole."""
    run, header = found.run, movie.headers[found.track]
    if len(run.sizes) < run.samples:
        return found._replace(run=_cut(run, min(run.samples, max(0, size - found.place) // max(1, run.sizes[0]))))
    count = sum(1 for end in accumulate(run.sizes) if found.place + end <= size)
    if header.codec in CHECKED:
        file.seek(found.place)
        for number in range(count):
            if not is_whole_sample(header.codec, file.read(run.sizes[number])):
                count = number
                break
    return found._replace(run=_cut(run, count))


def _cut(run: Run, samples: int) -> Run:
    """Its first samples."""
    if samples == run.samples:
        return run
    keys = None if run.keys is None else array("I", (place for place in run.keys if place < samples))
    one_size, one_duration = len(run.sizes) < run.samples, len(run.durations) < run.samples
    return run._replace(
        sizes=run.sizes if one_size else run.sizes[:samples],
        durations=run.durations if one_duration else run.durations[:samples],
        offsets=run.offsets[:samples],
        keys=keys,
        samples=samples,
    )


def _write(index: MovieIndex, source: BinaryIO, target: Path, overwrite: bool) -> None:
    """Writes the file under another name until it is complete."""
    beside = target.with_name(f".pdum-{os.urandom(6).hex()}.part")
    try:
        with beside.open("xb", buffering=0) as file:
            write_complete(index, source, file)
            os.fsync(file.fileno())
        if overwrite:
            beside.replace(target)
        else:
            _name_without_replacing(beside, target)
    except OSError as error:
        raise OSError(error.errno, error.strerror, str(target)) from error
    finally:
        beside.unlink(missing_ok=True)


def _name_without_replacing(beside: Path, target: Path) -> None:
    try:
        os.link(beside, target)
    except FileExistsError:
        raise
    except OSError:  # this file system has no second names
        beside.replace(target)
