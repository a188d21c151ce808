"""The index of one track while it grows: a few bytes for each frame, so that days of video fit in memory.

A frame takes 4 bytes for its size and 4 more if it is a key frame. Durations and composition offsets are runs of equal
values: nothing for a constant frame rate, up to 16 bytes for each frame if every one differs from the one before.
"""

from __future__ import annotations

from array import array
from typing import NamedTuple

from .._errors import NvencError
from .boxes import LARGEST_32, big_endian, full_box


class Run(NamedTuple):
    """Samples that follow each other in the file."""

    sizes: array[int]
    """One for each sample; a single one if all have it."""
    durations: array[int]
    offsets: array[int]
    """The offsets from decode to presentation time; empty if all are 0."""
    keys: array[int] | None
    """Places of the key frames in this run. None if all samples are."""
    samples: int
    decode: int
    """The decode time of the first."""


class EqualRuns:
    """A list of numbers, as runs of equal ones."""

    def __init__(self) -> None:
        self.counts = array("I")
        self.values = array("q")

    def add(self, value: int, count: int = 1) -> None:
        if self.values and self.values[-1] == value and self.counts[-1] + count <= LARGEST_32:
            self.counts[-1] += count
        else:
            self.counts.append(count)
            self.values.append(value)

    def pairs(self, shift: int = 0) -> list[int]:
        """Counts and values in turn."""
        return [
            number for count, value in zip(self.counts, self.values, strict=True) for number in (count, value + shift)
        ]


class SampleTable:
    """Everything in the box stbl except stsd. Times are in the track's time scale."""

    def __init__(self, fixed_size: int = 0) -> None:
        self.fixed_size = fixed_size
        """The size of every sample; 0 if they differ."""
        self.count = 0
        self._sizes = array("I")
        self._durations = EqualRuns()
        self._offsets = EqualRuns()
        self._keys = array("I")
        self._other_than_keys = False
        self._chunks = array("Q")  # places in the media data
        self._chunk_counts = array("I")
        self.first_decode = 0
        self.end_decode = 0
        self.shown_from = 0
        self.shown_until = 0
        self.least_offset = 0
        """0 or less. Subtracted from all offsets, so that none is negative: not every player knows negative ones."""

    def add(self, run: Run, place: int) -> None:
        """A chunk of samples that stand at ``place`` of the media data."""
        if self.count == 0:
            self.first_decode = run.decode
            self.shown_from = self.shown_until = run.decode + (run.offsets[0] if run.offsets else 0)
        elif run.decode != self.end_decode:
            self._stretch_last(run.decode - self.end_decode)
        self._note_times(run)
        self._note_keys(run)
        if not self.fixed_size:
            self._sizes.extend(run.sizes if len(run.sizes) == run.samples else array("I", run.sizes * run.samples))
        self.count += run.samples
        self._chunks.append(place)
        self._chunk_counts.append(run.samples)

    def _stretch_last(self, more: int) -> None:
        """The last sample before a gap between two runs lasts until the gap's end."""
        durations = self._durations
        last = durations.values[-1]
        durations.counts[-1] -= 1
        if durations.counts[-1] == 0:
            durations.counts.pop()
            durations.values.pop()
        if last + more < 0:
            raise NvencError("Expected decode times that rise, got a fragment that begins before its predecessor ends.")
        durations.add(last + more)
        self.end_decode += more

    def _note_times(self, run: Run) -> None:
        if not run.offsets and len(run.durations) == 1:
            self._durations.add(run.durations[0], run.samples)
            self._offsets.add(0, run.samples)
            self.end_decode = run.decode + run.durations[0] * run.samples
            self.shown_from = min(self.shown_from, run.decode)
            self.shown_until = max(self.shown_until, self.end_decode)
            return
        decode = run.decode
        durations = run.durations if len(run.durations) > 1 else run.durations * run.samples
        for duration, offset in zip(durations, run.offsets or bytes(run.samples), strict=True):
            self._durations.add(duration)
            self._offsets.add(offset)
            self.shown_from = min(self.shown_from, decode + offset)
            self.shown_until = max(self.shown_until, decode + offset + duration)
            self.least_offset = min(self.least_offset, offset)
            decode += duration
        self.end_decode = decode

    def _note_keys(self, run: Run) -> None:
        """The list of key frames is not needed as long as every sample is one."""
        if run.keys is None and not self._other_than_keys:
            return
        if not self._other_than_keys:
            self._keys = array("I", range(1, self.count + 1))
            self._other_than_keys = True
        places = range(run.samples) if run.keys is None else run.keys
        self._keys.extend(self.count + place + 1 for place in places)

    def boxes(self, places: array[int]) -> list[bytes]:
        """stts, ctts, stss, stsc, stsz and stco, with the chunks at these places of the file."""
        made = [full_box("stts", 0, 0, _counted(self._durations.pairs(), 2))]
        if self._has_offsets:
            made.append(full_box("ctts", 0, 0, _counted(self._offsets.pairs(-self.least_offset), 2)))
        if self._other_than_keys:
            made.append(full_box("stss", 0, 0, _counted(self._keys, 1)))
        made += [full_box("stsc", 0, 0, _counted(self._chunk_runs(), 3)), self._sizes_box()]
        kind, code = ("co64", "Q") if places and places[-1] > LARGEST_32 else ("stco", "I")
        return [*made, full_box(kind, 0, 0, len(places).to_bytes(4, "big"), big_endian(array(code, places)))]

    @property
    def chunks(self) -> array[int]:
        """Their places in the media data."""
        return self._chunks

    @property
    def _has_offsets(self) -> bool:
        return any(value != self.least_offset for value in self._offsets.values)

    def _chunk_runs(self) -> list[int]:
        """The first chunk, samples in each, and the sample entry, for each run of equal chunks."""
        made, before = [], 0
        for number, count in enumerate(self._chunk_counts, 1):
            if count != before:
                made += [number, count, 1]
                before = count
        return made

    def _sizes_box(self) -> bytes:
        listed = b"" if self.fixed_size else big_endian(self._sizes)
        head = self.fixed_size.to_bytes(4, "big") + self.count.to_bytes(4, "big")
        return full_box("stsz", 0, 0, head, listed)


def empty_tables() -> list[bytes]:
    """For the index of a fragmented file."""
    listless = [full_box(kind, 0, 0, bytes(4)) for kind in ("stts", "stsc", "stco")]
    return [*listless[:2], full_box("stsz", 0, 0, bytes(8)), listless[2]]


def _counted(values: list[int] | array[int], columns: int) -> bytes:
    return (len(values) // columns).to_bytes(4, "big") + big_endian(array("I", values))
