"""Event streams of pool runs: plausible ones from a small model, and arbitrary ones."""

from __future__ import annotations

import random
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, field, replace

from hypothesis import strategies as st

from pdum.nvenc import events

HOSTILE_NAMES = (
    "[bold]not bold[/bold].mkv",
    "[/]closes nothing.mkv",
    "line\nbreak.mp4",
    "\x1b[31mred\x1b[0m and bell\x07.mkv",
    "\u202egpj.exe\u202c.mkv",
    "שלום עולם وداعا.mp4",
    "日本語のとても長い名前" * 6 + ".mkv",
    "🎬👩‍👩‍👧‍👦🇪🇺.mov",
    "a" * 255,
    "<script>alert(1)</script>.mkv",
    "\"quotes' & ampersands.mkv",
    "-rf --help.mkv",
    "\udcff\udc80 not utf-8.mkv",
    "   .mkv",
    "tab\there.avi",
    "\x00nothing.mkv",
    "]]>.mkv",
    "$(reboot) `reboot` %s {0}.mkv",
)
FOLDERS = ("/video/holiday", "/video/lectures", "/video/[red]odd[/red]")
TICK = 0.25


def engines(gpus: int = 1, each: int = 2, software: int = 0) -> tuple[events.EngineInfo, ...]:
    hardware = [
        events.EngineInfo(
            index=gpu * each + number, kind="nvenc", gpu_id=gpu, gpu_name="NVIDIA GeForce RTX 4090", number=number
        )
        for gpu in range(gpus)
        for number in range(each)
    ]
    shares = [
        events.EngineInfo(index=len(hardware) + number, kind="software", number=number) for number in range(software)
    ]
    return (*hardware, *shares)


@dataclass
class _Job:
    number: int
    source: str
    source_bytes: int
    frames: int
    fate: str
    ratio: float
    done: int = 0
    began: float = 0.0


@dataclass
class _Lane:
    info: events.EngineInfo
    rate: float
    job: _Job | None = None
    piece: int = 0
    first: int = 0
    last: int = 0
    position: float = 0.0
    since: float = 0.0


@dataclass
class Model:
    """Plays a run: each engine takes the next job or, if there is none, half of the rest of another one's."""

    lanes: tuple[events.EngineInfo, ...]
    names: Sequence[str]
    seed: int = 0
    trouble: float = 0.2
    """How many jobs fail."""
    longest: int = 2000
    now: float = 0.0
    pieces: int = 0
    jobs: list[_Job] = field(default_factory=list)

    def play(self) -> Iterator[events.Event]:
        chance = random.Random(self.seed)
        self.jobs = [self._job(chance, number, name) for number, name in enumerate(self.names)]
        lanes = [_Lane(info, chance.uniform(180, 420)) for info in self.lanes]
        yield events.RunStarted(at=0.0, engines=self.lanes, jobs=len(self.jobs), started=1.7e9)
        for job in self.jobs:
            destination = f"{job.source}.out.mkv"
            yield events.JobQueued(
                at=0.0, job=job.number, source=job.source, destination=destination, source_bytes=job.source_bytes
            )
        queue = list(self.jobs)
        while queue or any(lane.job for lane in lanes):
            for lane in lanes:
                yield from self._step(chance, lane, lanes, queue)
            self.now += TICK
            yield self._overall(lanes)
        yield self._end()

    def _job(self, chance: random.Random, number: int, name: str) -> _Job:
        fates = ["finished", "skipped", "failed", "cancelled"]
        fate = chance.choices(fates, [1 - self.trouble, *[self.trouble / 3] * 3])[0]
        frames = chance.randint(1, self.longest)
        folder = chance.choice(FOLDERS)
        ratio = chance.uniform(1.0, 1.3) if fate == "skipped" else chance.triangular(0.1, 1.15, 0.35)
        return _Job(number, f"{folder}/{name}", frames * chance.randint(20_000, 120_000), frames, fate, ratio)

    def _step(
        self, chance: random.Random, lane: _Lane, lanes: list[_Lane], queue: list[_Job]
    ) -> Iterator[events.Event]:
        if lane.job is None:
            yield from self._take(lane, queue.pop(0)) if queue else self._steal(lane, lanes)
            return
        job = lane.job
        lane.position = min(lane.last, lane.position + lane.rate * TICK * chance.uniform(0.7, 1.3))
        if job.fate == "failed" and lane.position > job.frames / 2:
            yield from self._give_up(job, lanes, chance)
        elif lane.position >= lane.last:
            yield from self._piece_done(lane, lanes)
            yield from self._take(lane, queue.pop(0)) if queue else self._steal(lane, lanes)
        else:
            yield self._progress(lane, lanes)

    def _take(self, lane: _Lane, job: _Job) -> Iterator[events.Event]:
        if job.fate == "cancelled":
            yield events.JobCancelled(at=self.now, job=job.number)
            return
        job.began = self.now
        yield events.JobPrepared(
            at=self.now, job=job.number, frames=job.frames, width=1920, height=1080, fps=30.0, duration=job.frames / 30
        )
        yield self._begin(lane, job, 0, job.frames)

    def _begin(self, lane: _Lane, job: _Job, first: int, last: int) -> events.Event:
        self.pieces += 1
        lane.job, lane.piece, lane.first, lane.last = job, self.pieces, first, last
        lane.position, lane.since = first, self.now
        return events.PieceStarted(
            at=self.now, job=job.number, engine=lane.info.index, piece=lane.piece, first=first, last=last
        )

    def _steal(self, lane: _Lane, lanes: list[_Lane]) -> Iterator[events.Event]:
        victims = [one for one in lanes if one.job is not None and one.last - one.position > 100]
        if victims:
            victim = max(victims, key=lambda one: one.last - one.position)
            middle = int(victim.position + (victim.last - victim.position) / 2) + 1
            last, victim.last = victim.last, middle
            assert victim.job is not None
            yield self._begin(lane, victim.job, middle, last)

    def _encoded(self, job: _Job, lanes: list[_Lane]) -> int:
        return job.done + sum(int(lane.position) - lane.first for lane in lanes if lane.job is job)

    def _progress(self, lane: _Lane, lanes: list[_Lane]) -> events.Event:
        job = lane.job
        assert job is not None
        rate = sum(one.rate for one in lanes if one.job is job)
        encoded = self._encoded(job, lanes)
        return events.Progress(
            at=self.now,
            job=job.number,
            engine=lane.info.index,
            piece=lane.piece,
            first=lane.first,
            last=lane.last,
            frames=int(lane.position) - lane.first,
            fps=lane.rate,
            job_frames=encoded,
            job_total=job.frames,
            speed=rate / 30,
            eta=(job.frames - encoded) / rate,
        )

    def _piece_done(self, lane: _Lane, lanes: list[_Lane]) -> Iterator[events.Event]:
        job = lane.job
        assert job is not None
        frames = lane.last - lane.first
        job.done += frames
        lane.job = None
        yield events.PieceFinished(
            at=self.now,
            job=job.number,
            engine=lane.info.index,
            piece=lane.piece,
            first=lane.first,
            last=lane.last,
            size=frames * 20_000,
            seconds=self.now - lane.since,
        )
        if not any(one.job is job for one in lanes):
            yield events.JobFinishing(at=self.now, job=job.number)
            yield self._outcome(job)

    def _outcome(self, job: _Job) -> events.Event:
        size = int(job.source_bytes * job.ratio)
        if job.fate == "skipped":
            return events.JobSkipped(
                at=self.now,
                job=job.number,
                reason="bigger",
                source_bytes=job.source_bytes,
                size=size,
            )
        return events.JobFinished(
            at=self.now,
            job=job.number,
            destination=f"{job.source}.out.mkv",
            frames=job.frames,
            source_bytes=job.source_bytes,
            size=size,
            seconds=self.now - job.began,
            warnings=("one subtitle stream has no place in MP4",) if job.number % 7 == 3 else (),
        )

    def _give_up(self, job: _Job, lanes: list[_Lane], chance: random.Random) -> Iterator[events.Event]:
        """Half of the time, the engines' pieces end with the job without events of their own."""
        for lane in lanes:
            if lane.job is job:
                lane.job = None
                if chance.random() < 0.5:
                    yield events.PieceRetried(
                        at=self.now,
                        job=job.number,
                        engine=lane.info.index,
                        piece=lane.piece,
                        first=lane.first,
                        last=lane.last,
                        reason="the decoder gave up",
                    )
        yield events.JobFailed(
            at=self.now, job=job.number, error="InvalidFrame", message="frame 17 is corrupt:\nthe file ends within it"
        )

    def _overall(self, lanes: list[_Lane]) -> events.Event:
        total = sum(job.frames for job in self.jobs)
        frames = sum(self._encoded(job, lanes) for job in self.jobs)
        rate = sum(lane.rate for lane in lanes if lane.job)
        done = sum(job.done >= job.frames for job in self.jobs)
        return events.RunProgress(
            at=self.now,
            frames=frames,
            total=total,
            fps=rate,
            eta=(total - frames) / rate if rate else None,
            jobs_done=done,
            jobs=len(self.jobs),
        )

    def _end(self) -> events.Event:
        fates = [job.fate for job in self.jobs]
        return events.RunFinished(
            at=self.now,
            finished=fates.count("finished"),
            failed=fates.count("failed"),
            skipped=fates.count("skipped"),
            cancelled=fates.count("cancelled"),
            frames=sum(job.done for job in self.jobs),
            seconds=self.now,
        )


def recorded(
    names: Sequence[str] | int = 12,
    *,
    gpus: int = 1,
    each: int = 2,
    software: int = 0,
    seed: int = 0,
    trouble: float = 0.2,
    longest: int = 2000,
) -> list[events.Event]:
    """The events of one run. A number instead of names means this many ordinary ones."""
    if isinstance(names, int):
        names = [f"clip_{number:03}.mkv" for number in range(names)]
    return list(Model(engines(gpus, each, software), names, seed, trouble, longest).play())


names_of_files = st.one_of(
    st.sampled_from(HOSTILE_NAMES), st.text(min_size=1, max_size=40).map(lambda name: name.replace("/", "_"))
)


@st.composite
def runs(draw: st.DrawFn) -> list[events.Event]:
    """Any plausible run."""
    return recorded(
        draw(st.lists(names_of_files, max_size=8)),
        gpus=draw(st.integers(0, 2)),
        each=draw(st.integers(1, 3)),
        software=draw(st.integers(1, 2)),
        seed=draw(st.integers(0, 2**32)),
        trouble=draw(st.sampled_from([0.0, 0.3, 1.0])),
        longest=draw(st.sampled_from([1, 100, 1500])),
    )


SMALL = st.integers(0, 3)
FRAMES = st.integers(0, 50)
TEXT = st.one_of(st.sampled_from(HOSTILE_NAMES), st.text(max_size=8))
BYTES = st.integers(0, 10**12)
ETA = st.none() | st.floats(0, 1e6)
ENGINES = st.integers(0, 3).map(lambda number: engines(1, number))
FIELDS: dict[str, st.SearchStrategy[object]] = {
    "engines": ENGINES,
    "message": TEXT,
    "reason": TEXT,
    "error": TEXT,
    "source": TEXT,
    "destination": TEXT,
    "level": st.sampled_from(["info", "warning"]),
    "source_bytes": BYTES,
    "paused": st.booleans(),
    "eta": ETA,
    "warnings": st.tuples() | st.tuples(TEXT),
    "arguments": st.tuples() | st.tuples(TEXT),
    "version": TEXT,
    "goal": st.just("") | TEXT,
    "engine_kind": st.sampled_from(["", "nvenc", "software"]),
    "metric": TEXT,
    "score": ETA,
    "seconds": st.floats(0, 1e6),
    "is_chosen": st.booleans(),
    "is_whole": st.booleans(),
    "size": BYTES,
    "job": SMALL,
    "engine": SMALL,
    "piece": SMALL,
}


def any_event(kind: Callable[..., events.Event]) -> st.SearchStrategy[events.Event]:
    names = [name for name in kind.__dataclass_fields__ if name != "at"]  # type: ignore[attr-defined]
    fields = {**FIELDS, "engine": st.sampled_from(engines())} if kind is events.EngineJoined else FIELDS
    return st.builds(kind, at=st.just(0.0), **{name: fields.get(name, FRAMES) for name in names})


@st.composite
def nonsense(draw: st.DrawFn) -> list[events.Event]:
    """Events of all kinds in any order, even impossible ones; only time moves forwards."""
    kinds = st.sampled_from(events.Event.__subclasses__())
    stream = draw(st.lists(kinds.flatmap(any_event), max_size=40))
    return [replace(event, at=number * 0.1) for number, event in enumerate(stream)]
