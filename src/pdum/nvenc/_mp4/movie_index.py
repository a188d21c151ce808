"""The index of a whole file while it is written."""

from __future__ import annotations

import struct
from array import array
from bisect import bisect_right
from collections.abc import Iterator, Sequence

from .boxes import full_box, mdat_head
from .movie import Edit, Timeline, file_type, movie, movie_scale
from .sample_table import Run, SampleTable
from .track_header import TrackHeader


class MovieIndex:
    """Where the samples of all tracks are. The media data lies in regions of the file, one for each fragment."""

    def __init__(self, headers: Sequence[TrackHeader]) -> None:
        self.headers = list(headers)
        self.tables = [SampleTable(header.fixed_size) for header in headers]
        self.media_size = 0
        self._starts = array("Q")  # of the regions in the media data
        self._places = array("Q")  # of the regions in the file

    def add(self, runs: Sequence[tuple[int, Run, int]], place: int) -> None:
        """The place of a track, a run of its samples and the run's bytes, one after the other from ``place`` on."""
        self._starts.append(self.media_size)
        self._places.append(place)
        for track, run, size in runs:
            self.tables[track].add(run, self.media_size)
            self.media_size += size

    def regions(self) -> Iterator[tuple[int, int]]:
        """Places in the file, and sizes."""
        for number, place in enumerate(self._places):
            end = self._starts[number + 1] if number + 1 < len(self._starts) else self.media_size
            yield place, end - self._starts[number]

    def moov(self, media_place: int | None = None) -> bytes:
        """The index for media data that lies in one piece at that place; None: where it is now."""
        scale = movie_scale(self.headers)
        timelines = [timeline_of(*one, scale) for one in zip(self.headers, self.tables, strict=True)]
        tables = []
        for header, table in zip(self.headers, self.tables, strict=True):
            places = self._places_of(table.chunks, media_place)
            tables.append([*table.boxes(places), *_roll_group(header.roll, table.count)])
        return movie(self.headers, timelines, tables)

    def _places_of(self, chunks: array[int], media_place: int | None) -> array[int]:
        if media_place is not None:
            return array("Q", (media_place + chunk for chunk in chunks))
        made = array("Q")
        for chunk in chunks:
            region = bisect_right(self._starts, chunk) - 1
            made.append(self._places[region] + chunk - self._starts[region])
        return made

    def head(self) -> bytes:
        """Everything before the media data in a file that has its index in front."""
        before, after = file_type(self.headers, fragmented=False), mdat_head(self.media_size)
        place = 0
        while True:
            moov = self.moov(place)
            found = len(before) + len(moov) + len(after)
            if found == place:
                return before + moov + after
            place = found


def timeline_of(header: TrackHeader, table: SampleTable, scale: int) -> Timeline:
    """When the parts of the media are shown. Nothing is shown before 0."""
    media = table.end_decode - table.first_decode
    start, end = max(table.shown_from - header.skipped, 0), table.shown_until - header.skipped
    if end <= start:
        return Timeline(media=media)
    first = start + header.skipped - table.first_decode - table.least_offset
    before, until = (-(-time * scale // header.timescale) for time in (start, end))
    edits = [Edit(before, -1)] if before else []
    if before or first or end - start != media:
        edits.append(Edit(until - before, first))
    return Timeline(media, until, edits)


def _roll_group(distance: int, samples: int) -> list[bytes]:
    """How many samples a decoder takes in before its output is right."""
    if not distance or not samples:
        return []
    group = full_box("sgpd", 1, 0, b"roll", struct.pack(">IIh", 2, 1, -distance))
    return [group, full_box("sbgp", 0, 0, b"roll", struct.pack(">III", 1, samples, 1))]
