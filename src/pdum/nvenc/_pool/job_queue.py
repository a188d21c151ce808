"""The jobs that wait to be prepared, by their length."""

from __future__ import annotations

from collections.abc import Sequence
from heapq import heapify, heappop, heappush

from .job import QUEUED, Job


class JobQueue:
    """A job may be taken from either end. One that is no longer queued, such as a cancelled one, is passed over."""

    def __init__(self, jobs: Sequence[Job]) -> None:
        self._jobs = jobs
        self._longest_first = [(job.rank, job.number) for job in jobs]
        self._shortest_first = [(-job.rank, job.number) for job in jobs]
        heapify(self._longest_first)
        heapify(self._shortest_first)

    def add(self, job: Job) -> None:
        heappush(self._longest_first, (job.rank, job.number))
        heappush(self._shortest_first, (-job.rank, job.number))

    def longest(self) -> Job | None:
        return self._first(self._longest_first)

    def shortest(self) -> Job | None:
        return self._first(self._shortest_first)

    def _first(self, heap: list[tuple[int, int]]) -> Job | None:
        """It stays in the queue until its state changes."""
        while heap:
            job = self._jobs[heap[0][1]]
            if job.state is QUEUED:
                return job
            heappop(heap)
        return None
