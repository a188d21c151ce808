"""Reads the box moof: where the samples of a fragment are."""

from __future__ import annotations

import struct
from array import array
from collections.abc import Iterator
from typing import NamedTuple

from .fragment import BASE_IS_MOOF, DATA_OFFSET, DURATIONS, FIRST_FLAGS, FLAGS, OFFSETS, SIZES
from .movie_reader import Defaults, FoundMovie, child, children
from .sample_table import Run

BASE_GIVEN, DESCRIPTION = 0x1, 0x2
DEFAULTS = (0x08, 0x10, 0x20)
"""Flags for the duration, the size and the flags of samples."""
NO_KEY_FRAME = 0x10000
MOST_SAMPLES = 1 << 24
"""The most samples in one run. A damaged file may name billions, and each takes memory."""


class FoundRun(NamedTuple):
    """Samples of one track that follow each other in the file."""

    track: int
    """Its place in the list of tracks."""
    run: Run
    place: int
    """The place of the first byte in the file."""


def read_fragment(moof: bytes, place: int, movie: FoundMovie) -> list[FoundRun]:
    """``place``: where the box begins. Raises ValueError or struct.error if it is damaged."""
    found: list[FoundRun] = []
    end = place
    for kind, body in children(moof):
        if kind == "traf":
            found += _read_track(body, place, end, movie)
            if found:
                end = found[-1].place + run_size(found[-1].run)
    return found


def run_size(run: Run) -> int:
    return sum(run.sizes) if len(run.sizes) == run.samples else run.sizes[0] * run.samples


def _read_track(traf: bytes, moof: int, end: int, movie: FoundMovie) -> Iterator[FoundRun]:
    head = child(traf, "tfhd")
    flags, number = struct.unpack(">II", head[:8])
    track = next((place for place, one in enumerate(movie.headers) if one.number == number), None)
    if track is None:
        raise ValueError(f"a track {number} that is not described")
    at, base = 8, moof if flags & BASE_IS_MOOF else end
    if flags & BASE_GIVEN:
        base, at = struct.unpack(">Q", head[8:16])[0], 16
    if flags & DESCRIPTION:
        at += 4
    values = list(movie.defaults.get(number, Defaults(0, 0, 0)))
    for column, flag in enumerate(DEFAULTS):
        if flags & flag:
            values[column] = int.from_bytes(head[at : at + 4], "big")
            at += 4
    time = child(traf, "tfdt")
    decode = int.from_bytes(time[4:12] if time[0] else time[4:8], "big")
    place = base
    for kind, body in children(traf):
        if kind == "trun":
            offset, run = _read_run(body, Defaults(*values), decode)
            place = place if offset is None else base + offset
            if place < 0:
                raise ValueError("samples before the beginning of the file")
            yield FoundRun(track, run, place)
            place += run_size(run)
            decode += sum(run.durations) if len(run.durations) == run.samples else run.durations[0] * run.samples


def _read_run(trun: bytes, defaults: Defaults, decode: int) -> tuple[int | None, Run]:
    """The place of the data, if it is given, and the samples."""
    word, samples = struct.unpack(">II", trun[:8])
    if samples > MOST_SAMPLES:
        raise ValueError(f"a run of {samples} samples")
    flags, at = word & 0xFFFFFF, 8
    offset = None
    if flags & DATA_OFFSET:
        offset, at = struct.unpack(">i", trun[at : at + 4])[0], at + 4
    first = None
    if flags & FIRST_FLAGS:
        first, at = struct.unpack(">I", trun[at : at + 4])[0], at + 4
    names = [flag for flag in (DURATIONS, SIZES, FLAGS, OFFSETS) if flags & flag]
    rows = array("I", struct.unpack(f">{samples * len(names)}I", trun[at : at + 4 * samples * len(names)]))
    columns = {flag: rows[place :: len(names)] for place, flag in enumerate(names)}
    signed = [value - (1 << 32) if word >> 24 and value >> 31 else value for value in columns.get(OFFSETS, ())]
    return offset, Run(
        sizes=columns.get(SIZES, array("I", [defaults.size])),
        durations=columns.get(DURATIONS, array("I", [defaults.duration])),
        offsets=array("q", signed) if any(signed) else array("q"),
        keys=_keys(columns.get(FLAGS), defaults.flags, first, samples),
        samples=samples,
        decode=decode,
    )


def _keys(listed: array[int] | None, default: int, first: int | None, samples: int) -> array[int] | None:
    if listed is None and first is None:
        return array("I") if default & NO_KEY_FRAME else None
    flags = listed[:] if listed is not None else array("I", [default]) * samples
    if first is not None and flags:
        flags[0] = first
    keys = array("I", (place for place, value in enumerate(flags) if not value & NO_KEY_FRAME))
    return None if len(keys) == samples else keys
