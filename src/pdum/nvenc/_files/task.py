"""Video files as tasks of a pool: looked through, decoded in ranges, joined, verified, named."""

from __future__ import annotations

import hashlib
import json
import os
from collections.abc import Generator, Iterator
from contextlib import closing
from itertools import pairwise
from threading import Event, Lock
from typing import TYPE_CHECKING, Any

from .._config.settings import codec_name
from .._errors import Cancelled, InvalidConfig, NvencError, SourceUnreadable
from .._media.background import BackgroundCall
from .._media.containers import CONTAINERS, require_video_codec
from .._media.decode import frames_from
from .._media.decoder import FEW_THREADS, MANY_THREADS, Decoding, Start, open_source
from .._media.frame_conversion import converter_for_hardware, converter_for_software
from .._media.hardware_decode import decoder_on
from .._media.join import Joined, join
from .._media.matroska import TrackLook, roll_of
from .._media.passthrough import OF_THE_FILE, Passthrough, plan
from .._media.rehearsal import rehearse
from .._media.sample import SampledSink, has_decoder
from .._media.source import Index, look_through
from .._media.spool import RECIPE, Piece, WorkFolder, beside, missing_ranges, write_atomically
from .._media.verify import lost_metadata, verify
from .._tasks import BaseTask, PieceSink, Plan, Result
from ..events import EngineInfo
from .job import FileJob
from .naming import take_place
from .recipe import Recipe, recipe

if TYPE_CHECKING:
    from .._config.config import EncoderConfig

WORK_VERSION = 1
MOST_KEPT_PIXELS = 1920 * 1088
"""In larger sources, the decoders of all jobs that wait for an engine would take gigabytes."""
CORES_KEPT_BUSY = {"h264": 8, "hevc": 1, "av1": 1}
"""By the threads of one encoder in software: on no more of them a second range costs a key frame and brings nothing."""
GOOD_SECONDS = 2.0
"""Of software's ranges: time to look ahead and a key frame are not small beside a second of video."""
MANY_CORES = {"h264": 8, "hevc": 4, "av1": 8}
"""For one encoder. Where each has so many, ranges shorter than good ones will do: most of the cores are idle then, and
x264, which keeps its eight busy, has no others."""
SNAP = 8  # a cut moves to a key frame of the source that is nearer than this part of a range


class FileTask(BaseTask):
    """Encodes one file; a ``Task`` of the pool.

    ``kind`` is that of the engines, where it is known: what an earlier run left is taken up only if it was made by the
    same kind.
    """

    def __init__(self, job: FileJob, kind: str | None = None) -> None:
        self.job = job
        self._kind = kind
        self._lock = Lock()
        self._stopped = Event()
        self._work = WorkFolder(job.destination)
        self._part = beside(job.destination, ".pdum-part")
        self._lanes = 1
        """That can work on it at once."""
        self._start: Start | None = None
        """The decoder that has looked at the first frames, for who encodes from there."""
        self._whole: BackgroundCall[Any] | None = None
        """The source opened once more, for what is copied from it at the end: that takes time which a short clip's
        encoder leaves over."""
        self._samples: list[SampledSink] = []
        self._stat: os.stat_result | None = None
        self._forget()

    def _forget(self) -> None:
        """As it was before anything was done, for a task that is done again."""
        self._stopped.clear()
        self._index: Index | None = None
        self._let_go()
        self._pieces: list[Piece] = []
        self._recipes: dict[tuple[str, int | None], Recipe] = {}
        self._warnings: list[str] = []
        self._repeated: set[int] = set()

    @property
    def source(self) -> str:
        return str(self.job.source)

    @property
    def destination(self) -> str:
        return str(self.job.destination)

    @property
    def source_bytes(self) -> int:
        try:
            return self.job.source.stat().st_size
        except OSError:
            return 0

    @property
    def estimated_work(self) -> float:
        return float(self.source_bytes)

    @property
    def container(self) -> str:
        suffix = self.job.destination.suffix.lower()
        if suffix not in CONTAINERS:
            raise InvalidConfig(
                f"{self.job.destination.name!r} does not tell which container is wanted; its end may be "
                f"{', '.join(CONTAINERS)}."
            )
        return CONTAINERS[suffix]

    def prepare(self, lanes: int) -> Plan:
        self._forget()
        self._require_paths()
        self._stat = self.job.source.stat()
        index, self._start = look_through(self.job.source, self._threads_to_look(), self._not_stopped)
        self._index = index
        rehearse(self.job.source, index, self.container, self.job.settings.audio)
        self._warnings += index.warnings
        self.job.destination.parent.mkdir(parents=True, exist_ok=True)
        self._pieces = self._work.open(self._identity(), self.job.keep_work)
        ranges = missing_ranges(self._pieces, index.frames)
        if index.straight or index.careful or not ranges or ranges[0][0] > 0 or index.look.pixels > MOST_KEPT_PIXELS:
            self._let_go_of_start()
        whole = isinstance(self.job.segments, int) or index.straight
        if isinstance(self.job.segments, int) and not index.straight:
            ranges = _cut(ranges, cuts(index, self.job.segments))
        shortest = self._shortest_range()
        good = self._good_range(shortest)
        parts = len(ranges) if whole else index.frames // good
        self._lanes = max(1, min(lanes, parts))
        return Plan(
            frames=index.frames,
            ranges=ranges,
            whole_ranges=whole,
            width=index.look.width,
            height=index.look.height,
            fps=float(index.rate),
            duration=index.duration,
            shortest_range=shortest,
            good_range=good,
        )

    def config(self, engine: EngineInfo) -> EncoderConfig:
        return self._recipe(engine).config

    def frames(self, first: int, engine: EngineInfo) -> Iterator[Any]:
        index, config = self._looked_through(), self.config(engine)
        on_gpu = decoder_on(engine, self.job.source) if engine.kind == "nvenc" else None
        convert = converter_for_hardware(config) if engine.kind == "nvenc" else converter_for_software(config)
        on_stumble = id if on_gpu is None else self._gpu_stumbled
        decoding = Decoding(self._decoder_threads(), on_gpu=on_gpu, on_stumble=on_stumble)
        with closing(self._frames_from(index, first, decoding)) as frames:
            for frame in frames:
                self._not_stopped()
                yield convert(frame)

    def _frames_from(self, index: Index, first: int, decoding: Decoding) -> Generator[Any, None, None]:
        start = self._taken_start() if first == 0 else None
        if start is not None and not start.may_go_on_as(decoding):
            start.close()
            start = None
        try:
            yield from frames_from(self.job.source, index, first, decoding, self._repeated.add, start)
        finally:
            if start is not None:
                start.close()

    def _taken_start(self) -> Start | None:
        with self._lock:
            start, self._start = self._start, None
            return start

    def _opened(self) -> Any:
        return open_source(self.job.source)

    def _let_go(self) -> None:
        """Of what is open of the source, and of the threads that look at the result."""
        self._let_go_of_start()
        whole, self._whole = self._whole, None
        if whole is not None:
            whole.undo(lambda container: container.close())
        for sample in self._samples:
            sample.let_go()
        self._samples = []

    def _let_go_of_start(self) -> None:
        start = self._taken_start()
        if start is not None:
            start.close()

    def _threads_to_look(self) -> int:
        """Software goes on with this decoder, maybe alone. A GPU's decoder is another one."""
        return min(len(os.sched_getaffinity(0)), MANY_THREADS) if self._kind == "software" else FEW_THREADS

    def _gpu_stumbled(self, error: Exception) -> None:
        self._warnings.append(f"The GPU's decoder gave up, and the processor decoded the rest of a part: {error}")

    def _good_range(self, shortest: int) -> int:
        """So long that software has as many ranges as its codec finds cores for."""
        if self._kind != "software":
            return shortest
        index = self._looked_through()
        cores, codec = len(os.sched_getaffinity(0)), self._codec_of_software()
        good = max(1, round(index.rate * GOOD_SECONDS))
        parts = min(cores // CORES_KEPT_BUSY[codec], index.frames // good)
        at_least = min(cores // MANY_CORES[codec], index.frames // shortest)
        return max(shortest, index.frames // max(parts, at_least, 1))

    def _shortest_range(self) -> int:
        """A range begins with decoding from a key frame of the source: about one group of pictures for nothing, which
        is not much beside a slow codec's time for a second."""
        index = self._looked_through()
        if index.straight:
            return index.frames
        is_slow = self._kind == "software" and self._codec_of_software() != "h264"
        return max(8, round(index.rate), 0 if is_slow else index.frames // max(1, len(index.keys)))

    def _codec_of_software(self) -> str:
        engine = EngineInfo(index=0, kind="software", number=0)
        return str(self._recipe(engine).config.settings()["codec"])

    def _decoder_threads(self) -> int:
        """Its share of the cores: of a short clip the codec takes all frames before it has much to do."""
        return max(1, len(os.sched_getaffinity(0)) // self._lanes)

    def sink(self, first: int) -> PieceSink:
        if self._whole is None:
            self._whole = BackgroundCall(self._opened)
        writer, codec = self._work.writer(first, self._add_piece), self._any_recipe().config.settings()["codec"]
        if self.job.verify != "samples" or not has_decoder(codec):
            return writer
        sample = SampledSink(writer, first, codec)
        self._samples.append(sample)
        return sample

    def interrupt(self) -> None:
        """The job is over: what runs ends soon."""
        self._stopped.set()

    def finish(self) -> Result:
        index = self._looked_through()
        pieces = sorted(self._pieces, key=lambda piece: piece.first)
        _require_whole(pieces, index.frames)
        self._require_same_source()
        try:
            with self._opened() if self._whole is None else self._whole.answer() as source:
                passthrough = plan(source, index.stream, self.container, self.job.settings.audio)
                joined = self._joined(pieces, passthrough)
                join(joined, source)
                self._verify(joined)
                lost = lost_metadata(source, self._part, OF_THE_FILE)
            warnings = self._all_warnings([*passthrough.all_warnings(), *joined.warnings, *lost])
            result = self._named(warnings)
            self._index, self._pieces = None, []  # megabytes of a long film, and the task may be kept for days
            return result
        except BaseException:
            self._part.unlink(missing_ok=True)
            raise
        finally:
            self._let_go()

    def _verify(self, joined: Joined) -> None:
        sampled = [sample for sample in self._samples if sample.is_whole]
        for sample in sampled:
            sample.require()
        decoded = {sample.first for sample in sampled}
        verify(self._part, joined.times(), joined, self.job.verify, self._not_stopped, decoded)

    def abandon(self, keep: bool) -> None:
        self._let_go()
        self._part.unlink(missing_ok=True)
        if not (keep and self.job.keep_work and self._pieces):
            self._work.remove()

    def _named(self, warnings: tuple[str, ...]) -> Result:
        index, job = self._looked_through(), self.job
        size, before = self._part.stat().st_size, self.source_bytes
        result = Result(
            destination=self.destination, frames=index.frames, size=size, source_bytes=before, warnings=warnings,
            skipped="bigger" if job.smaller_than is not None and size >= job.smaller_than * before else None,
        )  # fmt: skip
        if result.skipped:
            self._part.unlink()
        else:
            take_place(self._part, job.destination, job.source if job.in_place else None)
        self._work.remove()
        return result

    def _joined(self, pieces: list[Piece], passthrough: Passthrough) -> Joined:
        index = self._looked_through()
        config = self._any_recipe().config
        look = index.look
        return Joined(
            source=self.job.source,
            part=self._part,
            container=self.container,
            index=index,
            pieces=pieces,
            look=TrackLook(
                codec=config.settings()["codec"],
                width=config.width,
                height=config.height,
                crop_right=config.width - look.width,
                crop_bottom=config.height - look.height,
                colour=look.colour,
                mastering_display=look.mastering_display,
                content_light=look.content_light,
                roll=roll_of(look.matrix),
            ),
            passthrough=passthrough,
            interrupted=self._not_stopped,
        )

    def _recipe(self, engine: EngineInfo) -> Recipe:
        key = engine.kind, engine.gpu_id
        with self._lock:
            if key not in self._recipes:
                on_gpu = engine.kind == "nvenc" and decoder_on(engine, self.job.source) is not None
                found = recipe(self._looked_through(), self.job.settings, engine, self.container, on_gpu)
                self._require_fitting(found)
                self._recipes[key] = found
                self._remember(found)
            return self._recipes[key]

    def _require_fitting(self, found: Recipe) -> None:
        """Parts of two codecs or sizes are no video."""
        for other in self._recipes.values():
            names = ("codec", "width", "height", "chroma", "bit_depth")
            mine, yours = ([one.config.settings()[name] for name in names] for one in (found, other))
            if mine != yours:
                raise InvalidConfig(
                    f"The engines would encode parts of one file as {mine} and {yours}. Name a codec and settings that "
                    "all of them have."
                )

    def _remember(self, found: Recipe) -> None:
        """With the pieces, for a run that finds all of them done and asks no engine."""
        if self._work.path.is_dir():
            write_atomically(self._work.path / RECIPE, json.dumps(found.config.to_dict()).encode())

    def _any_recipe(self) -> Recipe:
        for found in self._recipes.values():
            return found
        from .._config.config import EncoderConfig

        return Recipe(EncoderConfig.from_dict(json.loads((self._work.path / RECIPE).read_bytes())))

    def _add_piece(self, piece: Piece) -> None:
        with self._lock:
            self._pieces.append(piece)

    def _all_warnings(self, more: list[str]) -> tuple[str, ...]:
        found = [*self._warnings, *(text for one in self._recipes.values() for text in one.warnings)]
        if self._repeated:
            found.append(
                f"{len(self._repeated)} frames of the source cannot be decoded, from number {min(self._repeated)} on; "
                "the ones before them are repeated."
            )
        return tuple(dict.fromkeys([*found, *more]))

    def _identity(self) -> dict[str, Any]:
        """What has to be the same for an earlier run's work to be of use."""
        stat, settings = self._stat, self.job.settings
        assert stat is not None
        told = {name: repr(value) for name, value in sorted(settings.encoder.items())}
        digest = hashlib.sha256(json.dumps([settings.codec, told]).encode()).hexdigest()
        return {
            "version": WORK_VERSION,
            "source": str(self.job.source.resolve()),
            "size": stat.st_size,
            "mtime_ns": stat.st_mtime_ns,
            "settings": digest,
            "container": self.container,
            "engines": self._kind,
        }

    def _looked_through(self) -> Index:
        if self._index is None:
            raise NvencError("The task has not been prepared.")
        return self._index

    def _not_stopped(self) -> None:
        if self._stopped.is_set():
            raise Cancelled("The job was cancelled.")

    def _require_paths(self) -> None:
        source, destination = self.job.source, self.job.destination
        container = self.container  # raises if the name tells nothing
        if self.job.settings.codec != "auto":
            require_video_codec(destination.name, container, codec_name(self.job.settings.codec))
        if not source.exists():
            raise SourceUnreadable(f"{source} does not exist.")
        if destination.exists() and destination.samefile(source) and not self.job.in_place:
            raise InvalidConfig(f"{destination} is the source itself. Say in_place=True, or name another file.")
        if destination.is_dir():
            raise InvalidConfig(f"{destination} is a folder; the name of a file is wanted.")

    def _require_same_source(self) -> None:
        now, then = self.job.source.stat(), self._stat
        if then is not None and (now.st_size, now.st_mtime_ns) != (then.st_size, then.st_mtime_ns):
            raise SourceUnreadable(f"{self.job.source} was changed while it was encoded. Encode it again.")


def cuts(index: Index, segments: int) -> list[int]:
    """Where ranges of about equal length begin: on a key frame of the source, where one is near."""
    length = index.frames / segments
    starts = sorted({key.frame for key in index.keys})
    found = []
    for number in range(1, segments):
        cut = round(number * length)
        near = min(starts, key=lambda start: abs(start - cut), default=cut)
        found.append(near if abs(near - cut) <= length / SNAP else cut)
    return sorted({cut for cut in found if 0 < cut < index.frames})


def _cut(ranges: list[tuple[int, int]], at: list[int]) -> list[tuple[int, int]]:
    found = []
    for first, last in ranges:
        edges = [first, *(cut for cut in at if first < cut < last), last]
        found += list(pairwise(edges))
    return found


def _require_whole(pieces: list[Piece], frames: int) -> None:
    at = 0
    for piece in pieces:
        if piece.first != at:
            raise NvencError(f"The ranges do not fit together: one begins at {piece.first}, where {at} is wanted.")
        at = piece.last
    if at != frames:
        raise NvencError(f"{at} of {frames} frames are encoded.")
