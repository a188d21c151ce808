"""Lists of a run's jobs, of which a screen shows a few rows: a row costs the same however many jobs there are."""

from __future__ import annotations

from bisect import bisect_left, insort
from collections.abc import Iterator, Mapping

from .run_parts import AT_WORK, WAITING, Job, Sums


class Marks:
    """Marks on the places of a sequence that grows. What is asked of them takes time with the logarithm of its length.

    The sums are those of a Fenwick tree: number n, from 1, is of as many places up to n as its lowest bit says.
    """

    def __init__(self) -> None:
        self._marked = bytearray()
        self._sums = [0]
        self.count = 0

    def append(self) -> int:
        """Makes a place without a mark, and returns its number."""
        self._marked.append(0)
        number, total = len(self._marked), 0
        part, end = number - 1, number - (number & -number)
        while part > end:
            total += self._sums[part]
            part -= part & -part
        self._sums.append(total)
        return number - 1

    def set(self, place: int, is_marked: bool) -> None:
        change = is_marked - self._marked[place]
        self._marked[place] = is_marked
        self.count += change
        number = place + 1
        while change and number < len(self._sums):
            self._sums[number] += change
            number += number & -number

    def is_set(self, place: int) -> bool:
        return bool(self._marked[place])

    def before(self, place: int) -> int:
        """How many places before this one have a mark."""
        total = 0
        while place > 0:
            total += self._sums[place]
            place -= place & -place
        return total

    def place(self, row: int) -> int:
        """The place that has so many marks before it and one of its own."""
        number, step = 0, 1 << len(self._sums).bit_length()
        while step:
            if number + step < len(self._sums) and self._sums[number + step] <= row:
                number += step
                row -= self._sums[number]
            step >>= 1
        return number


class JobQueue:
    """Jobs at work, then those that wait. Both are in the order in which the run got them."""

    def __init__(self, jobs: Mapping[int, Job]) -> None:
        self._jobs = jobs
        self._numbers: list[int] = []
        self._places: dict[int, int] = {}
        self._working: list[int] = []
        """The places of the jobs at work, sorted. There are only a few."""
        self._waiting = Marks()

    def update(self, job: Job) -> None:
        """Call this when a job is new, and when its state has changed."""
        if job.number not in self._places:
            self._places[job.number] = self._waiting.append()
            self._numbers.append(job.number)
        place = self._places[job.number]
        self._waiting.set(place, job.state in WAITING)
        row = bisect_left(self._working, place)
        was_working = row < len(self._working) and self._working[row] == place
        if was_working and job.state not in AT_WORK:
            del self._working[row]
        elif not was_working and job.state in AT_WORK:
            self._working.insert(row, place)

    @property
    def waiting(self) -> int:
        """How many jobs wait."""
        return self._waiting.count

    def __len__(self) -> int:
        return len(self._working) + self._waiting.count

    def __getitem__(self, row: int) -> Job:
        if not 0 <= row < len(self):
            raise IndexError(row)
        is_working = row < len(self._working)
        place = self._working[row] if is_working else self._waiting.place(row - len(self._working))
        return self._jobs[self._numbers[place]]

    def row_of(self, number: object) -> int | None:
        place = self._places.get(number) if isinstance(number, int) else None
        if place is None:
            return None
        if self._waiting.is_set(place):
            return len(self._working) + self._waiting.before(place)
        return self._working.index(place) if place in self._working else None


class EndedJobs:
    """Jobs that are over. The one that ended last is the first."""

    def __init__(self, jobs: Mapping[int, Job]) -> None:
        self._jobs = jobs
        self._numbers: list[int] = []
        self._places: dict[int, int] = {}
        self._marks = Marks()

    def add(self, number: int) -> None:
        self.discard(number)
        self._places[number] = self._marks.append()
        self._marks.set(self._places[number], True)
        self._numbers.append(number)

    def discard(self, number: int) -> None:
        place = self._places.pop(number, None)
        if place is not None:
            self._marks.set(place, False)

    def in_order(self) -> list[int]:
        """The numbers of the jobs, in the order in which they ended."""
        return list(self._places)

    def __len__(self) -> int:
        return len(self._places)

    def __getitem__(self, row: int) -> Job:
        if not 0 <= row < len(self):
            raise IndexError(row)
        return self._jobs[self._numbers[self._marks.place(len(self) - 1 - row)]]

    def row_of(self, number: object) -> int | None:
        place = self._places.get(number) if isinstance(number, int) else None
        return None if place is None else len(self) - 1 - self._marks.before(place)


class FolderSums:
    """The sums of the sources' folders, sorted by name."""

    def __init__(self) -> None:
        self._names: list[str] = []
        self._sums: dict[str, Sums] = {}

    def add(self, job: Job) -> None:
        if job.folder not in self._sums:
            self._sums[job.folder] = Sums()
            insort(self._names, job.folder)
        self._sums[job.folder].add(job)

    def remove(self, job: Job) -> None:
        """Takes a job out again, before it is changed."""
        sums = self._sums[job.folder]
        sums.remove(job)
        if not sums.jobs:
            del self._sums[job.folder]
            del self._names[bisect_left(self._names, job.folder)]

    def __iter__(self) -> Iterator[tuple[str, Sums]]:
        return ((name, self._sums[name]) for name in self._names)

    def __len__(self) -> int:
        return len(self._names)

    def __getitem__(self, row: int) -> tuple[str, Sums]:
        return self._names[row], self._sums[self._names[row]]

    def row_of(self, name: object) -> int | None:
        return bisect_left(self._names, name) if isinstance(name, str) and name in self._sums else None
