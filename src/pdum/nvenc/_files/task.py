"""Video files as tasks of a pool. A file is looked through, decoded in ranges, joined, verified and committed."""

from __future__ import annotations

import hashlib
import json
import os
from collections.abc import Callable, Generator, Iterator
from contextlib import closing
from threading import Lock
from typing import TYPE_CHECKING, Any

from .._config.settings import codec_name
from .._errors import InvalidConfig, NvencError, SourceUnreadable
from .._media.containers import CONTAINERS, require_video_codec
from .._media.decode import frames_from
from .._media.decoder import FEW_THREADS, MANY_THREADS, Decoding, OnGpu, ignore
from .._media.disk_errors import naming_the_disk
from .._media.filtered_video import FilteredVideo
from .._media.frame_conversion import converter_for_hardware, converter_for_software
from .._media.hardware_decode import decoder_on
from .._media.join import Joined, join
from .._media.matroska import TrackLook, roll_of
from .._media.passthrough import OF_THE_FILE, Passthrough, plan
from .._media.rehearsal import rehearse
from .._media.sample import SampledSink, has_decoder
from .._media.source import Index, look_through
from .._media.spool import Piece, WorkFolder, missing_ranges
from .._media.verify import lost_metadata, verify
from .._tasks import BaseTask, PieceSink, Plan, Result
from ..events import EngineInfo
from .commit import Commit, CommitRequest, FileIdentity, require_same_source
from .encoder_config import Recipe, choose_recipe
from .job import FileJob, target_of
from .overwrite import Overwrite, unfinished
from .ranges import cuts, divide, good_range, require_whole, shortest_range
from .recipes import Recipes
from .source_files import SourceFiles

if TYPE_CHECKING:
    from .._config.config import EncoderConfig

WORK_VERSION = 1
MOST_KEPT_PIXELS = 1920 * 1088
"""In larger sources, the decoders of all jobs that wait for an engine would take gigabytes."""


class FileTask(BaseTask):
    """Encodes one file; a ``Task`` of the pool.

    Args:
        job: what to do.
        kind: the kind of the engines, if it is known. Only pieces from engines of the same kind are taken up.
        refusal: why the job must not begin, if it conflicts with other jobs.
    """

    def __init__(self, job: FileJob, kind: str | None = None, refusal: InvalidConfig | None = None) -> None:
        self.job = job
        self.on_commit: Callable[[tuple[int, int]], None] | None = None
        """Called just before the result gets its name, with the size and the modification time that it will have."""
        self._kind, self._refusal = kind, refusal
        self._lock = Lock()
        self._target = target_of(job)
        self._work = WorkFolder(self._target)
        self._part = self._work.part
        self._recipes = Recipes(self._work.path, self._make_recipe)
        self._lanes = 1
        """Engines that can work on the file at once."""
        self._files = SourceFiles(job.source)
        self._samples: list[SampledSink] = []
        self._forget()

    def _forget(self) -> None:
        """Goes back to the state before ``prepare``, for a task that is done again."""
        self._work.release()
        self._commit = Commit()
        self._unfinished: Overwrite | None = None
        self._video: FilteredVideo | None = None
        self._close_files()
        self._source_seen: FileIdentity | None = None
        self._destination_seen: FileIdentity | None = None
        self._pieces: list[Piece] = []
        self._recipes.clear()
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
                f"{self.job.destination.name!r} does not say which container to write. Use a name that ends with "
                f"{', '.join(CONTAINERS)}."
            )
        return CONTAINERS[suffix]

    def prepare(self, lanes: int) -> Plan:
        self._forget()
        self._require_paths()
        if self.job.in_place and (overwrite := unfinished(self._target)) is not None:
            self._work.lock()
            self._unfinished = overwrite
            return Plan(frames=overwrite.result.frames, ranges=[])
        self._source_seen = FileIdentity.of(self.job.source)
        self._destination_seen = FileIdentity.of(self._target)
        source, start = look_through(self.job.source, self._threads_to_look(), self._require_not_cancelled)
        self._files.keep_start(start)
        self._video = FilteredVideo(source, self.job.settings.filters, start.frames, self._decoder_to_look(source))
        index = self._video.index
        rehearse(self.job.source, index, self.container, self.job.settings.audio)
        self._warnings += [*self._video.notes, *index.warnings]
        self._pieces = self._work.open(self._identity(), self.job.keep_work)
        ranges = missing_ranges(self._pieces, index.frames)
        begins_later = not ranges or ranges[0][0] > 0 or self._video.begins_at > 0
        if source.straight or source.careful or begins_later or source.look.pixels > MOST_KEPT_PIXELS:
            self._files.close_start()
        whole = isinstance(self.job.segments, int) or index.straight
        if isinstance(self.job.segments, int) and not index.straight:
            ranges = divide(ranges, cuts(index, self.job.segments))
        is_slow = self._kind == "software" and self._software_codec() != "h264"
        shortest = shortest_range(index, is_slow)
        good = good_range(index, self._software_codec(), shortest) if self._kind == "software" else shortest
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
        return self._recipes.of(engine).config

    def frames(self, first: int, engine: EngineInfo) -> Iterator[Any]:
        video, config = self._looked_through_video(), self.config(engine)
        on_gpu = self._decoder_on(engine)
        convert = converter_for_hardware(config) if engine.kind == "nvenc" else converter_for_software(config)
        on_stumble = ignore if on_gpu is None else self._gpu_stumbled
        decoding = Decoding(self._decoder_threads(), on_gpu=on_gpu, on_stumble=on_stumble)

        def decode(number: int) -> Generator[Any, None, None]:
            return self._files.frames_from(video.source, number, decoding, self._repeated.add)

        with closing(video.frames(first, decode)) as frames:
            for frame in frames:
                self._require_not_cancelled()
                yield convert(frame)

    def _decoder_on(self, engine: EngineInfo) -> OnGpu | None:
        """The decoder of the engine's GPU; None if the processor decodes."""
        found = decoder_on(engine, self.job.source) if engine.kind == "nvenc" else None
        if found is not None and self._looked_through_video().runs_on_host:
            self._warnings.append("The processor decodes the source instead of the GPU, because filters run there.")
            return None
        return found

    def _decoder_to_look(self, source: Index) -> Callable[[int], Generator[Any, None, None]]:
        def decode(number: int) -> Generator[Any, None, None]:
            with closing(frames_from(self.job.source, source, number)) as frames:
                for frame in frames:
                    self._require_not_cancelled()
                    yield frame

        return decode

    def _close_files(self) -> None:
        """Closes what is open of the source, and ends the threads that look at the result."""
        self._files.close()
        for sample in self._samples:
            sample.stop()
        self._samples = []

    def _threads_to_look(self) -> int:
        """Software continues with this decoder. A GPU has its own decoder."""
        return min(len(os.sched_getaffinity(0)), MANY_THREADS) if self._kind == "software" else FEW_THREADS

    def _gpu_stumbled(self, error: Exception) -> None:
        self._warnings.append(f"The GPU's decoder gave up, and the processor decoded the rest of a part: {error}")

    def _software_codec(self) -> str:
        engine = EngineInfo(index=0, kind="software", number=0)
        return str(self._recipes.of(engine).config.settings()["codec"])

    def _decoder_threads(self) -> int:
        """Its share of the cores: a codec takes all frames of a short clip before it has much to do."""
        return max(1, len(os.sched_getaffinity(0)) // self._lanes)

    def sink(self, first: int) -> PieceSink:
        self._files.open_again()
        writer, codec = self._work.writer(first, self._add_piece), self._recipes.any().config.settings()["codec"]
        if self.job.verify != "samples" or not has_decoder(codec):
            return writer
        sample = SampledSink(writer, first, codec)
        self._samples.append(sample)
        return sample

    def interrupt(self) -> None:
        """Ends what runs soon, unless the commit has begun: then the job finishes."""
        self._commit.cancel()

    @property
    def is_committing(self) -> bool:
        """Whether it is too late to cancel the job."""
        return self._commit.has_begun

    def finish(self) -> Result:
        if self._unfinished is not None:
            return self._finish_overwrite(self._unfinished)
        index = self._looked_through()
        pieces = sorted(self._pieces, key=lambda piece: piece.first)
        require_whole(pieces, index.frames)
        require_same_source(self.job.source, self._seen())
        try:
            with self._files.opened_again() as source:
                span = self._looked_through_video().span
                passthrough = plan(source, index.stream, self.container, self.job.settings.audio, span)
                joined = self._joined(pieces, passthrough)
                with naming_the_disk(self._part):
                    join(joined, source)
                self._verify(joined)
                lost = lost_metadata(source, self._part, passthrough, OF_THE_FILE)
            result = self._committed(self._all_warnings([*passthrough.all_warnings(), *joined.warnings, *lost]))
            self._video, self._pieces = None, []  # megabytes for a long film, and the caller may keep the task for days
            return result
        except BaseException:
            if not self._commit.needs_part:
                self._part.unlink(missing_ok=True)
            raise
        finally:
            self._close_files()

    def _verify(self, joined: Joined) -> None:
        sampled = [sample for sample in self._samples if sample.is_whole]
        for sample in sampled:
            sample.require()
        decoded = {sample.first for sample in sampled}
        verify(self._part, joined.times(), joined, self.job.verify, self._require_not_cancelled, decoded)

    def abandon(self, keep: bool) -> None:
        """Removes the job's work. ``keep`` leaves complete pieces for a later run if the job asks for that."""
        self._close_files()
        keep = keep and self.job.keep_work
        if self._commit.needs_part or self._unfinished is not None:
            self._work.release()  # the next run finishes what was begun
        elif not self._work.is_locked:
            if not keep and self._refusal is None:
                self._work.remove_unless_busy()
        else:
            self._part.unlink(missing_ok=True)
            if keep and self._pieces:
                self._work.release()
            else:
                self._work.remove()

    def _committed(self, warnings: tuple[str, ...]) -> Result:
        index, job = self._looked_through(), self.job
        size, before = self._part.stat().st_size, self.source_bytes
        result = Result(
            destination=self.destination, frames=index.frames, size=size, source_bytes=before, warnings=warnings,
            skipped="bigger" if job.smaller_than is not None and size >= job.smaller_than * before else None,
        )  # fmt: skip
        if result.skipped:
            self._part.unlink()
        else:
            with naming_the_disk(self._part):
                self._commit.run(self._request(result))
        self._work.remove()
        return result

    def _request(self, result: Result) -> CommitRequest:
        return CommitRequest(
            part=self._part,
            destination=self._target,
            source=self.job.source,
            source_seen=self._seen(),
            destination_seen=self._destination_seen,
            overwrite=Overwrite(target=self._target, part=self._part, result=result) if self.job.in_place else None,
            announce=self.on_commit,
        )

    def _finish_overwrite(self, overwrite: Overwrite) -> Result:
        self._commit.begin()
        overwrite.run()
        self._work.remove()
        return overwrite.result

    def _joined(self, pieces: list[Piece], passthrough: Passthrough) -> Joined:
        index = self._looked_through()
        config = self._recipes.any().config
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
            interrupted=self._require_not_cancelled,
        )

    def _make_recipe(self, engine: EngineInfo) -> Recipe:
        on_gpu = self._decoder_on(engine) is not None
        return choose_recipe(self._looked_through(), self.job.settings, engine, self.container, on_gpu)

    def _add_piece(self, piece: Piece) -> None:
        with self._lock:
            self._pieces.append(piece)

    def _all_warnings(self, more: list[str]) -> tuple[str, ...]:
        found = [*self._warnings, *self._recipes.warnings()]
        if self._repeated:
            found.append(
                f"{len(self._repeated)} frames of the source cannot be decoded, from number {min(self._repeated)} on; "
                "the ones before them are repeated."
            )
        return tuple(dict.fromkeys([*found, *more]))

    def _identity(self) -> dict[str, Any]:
        """What has to be the same for a later run to take up this run's pieces."""
        seen, settings, filters = self._seen(), self.job.settings, self._looked_through_video().filters
        encoder = {name: repr(value) for name, value in sorted(settings.encoder.items())}
        parts = [settings.codec, {"quality": settings.quality}, encoder]
        made_by = [*parts, *([filters.given] if filters.given else [])]
        digest = hashlib.sha256(json.dumps(made_by).encode()).hexdigest()
        return {
            "version": WORK_VERSION,
            "source": str(self.job.source.resolve()),
            "size": seen.size,
            "mtime_ns": seen.mtime_ns,
            "settings": digest,
            "container": self.container,
            "engines": self._kind,
        }

    def _looked_through(self) -> Index:
        """Of the video behind the filters."""
        return self._looked_through_video().index

    def _looked_through_video(self) -> FilteredVideo:
        if self._video is None:
            raise NvencError("The task has not been prepared.")
        return self._video

    def _require_not_cancelled(self) -> None:
        self._commit.require_not_cancelled()

    def _require_paths(self) -> None:
        source, destination = self.job.source, self.job.destination
        if self._refusal is not None:
            raise self._refusal
        container = self.container  # raises if the name tells nothing
        if self.job.settings.codec != "auto":
            require_video_codec(destination.name, container, codec_name(self.job.settings.codec))
        if not source.exists():
            raise SourceUnreadable(f"{source}: The file does not exist.")
        if destination.exists() and destination.samefile(source) and not self.job.in_place:
            raise InvalidConfig(f"{destination} is the source itself. Use in_place=True, or name another file.")
        if destination.is_dir():
            raise InvalidConfig(f"{destination} is a folder. Name a file instead.")

    def _seen(self) -> FileIdentity:
        if self._source_seen is None:
            raise SourceUnreadable(f"{self.job.source}: The file does not exist.")
        return self._source_seen
