"""The half of a file's task that reads the source: it examines the file, and makes the frames for engines."""

from __future__ import annotations

import os
from collections import Counter
from collections.abc import Callable, Generator, Iterator, Sequence
from contextlib import closing
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Any

from .._config.filters import Filters
from .._config.settings import codec_name
from .._errors import InvalidConfig, NvencError
from .._media.alpha_check import AlphaTaken
from .._media.containers import CONTAINERS, require_place_for_alpha, require_place_for_views, require_video_codec
from .._media.decode import frames_from
from .._media.decoder import FEW_THREADS, MANY_THREADS, Decoding, OnGpu, ignore, no_such_file
from .._media.filtered_video import FilteredVideo
from .._media.frame_conversion import converter_for_hardware, converter_for_software, converter_with_alpha
from .._media.hardware_decode import decoder_on
from .._media.rehearsal import rehearse
from .._media.source import Index, look_through
from .._media.span import Span
from .._media.spool import WorkFolder
from .._tasks import BaseTask, Plan
from ..events import EngineInfo
from .commit import Commit, FileIdentity
from .encoder_config import Recipe, choose_recipe
from .engine_frames import Decoders, EngineFrames
from .job import FileJob, target_of
from .overwrite import Overwrite, unfinished
from .ranges import plan_of
from .recipes import Recipes
from .right_view import PairFrames, RightView
from .source_files import SourceFiles
from .transparency import multiplied_colours, require_alpha

if TYPE_CHECKING:
    from .._config.config import EncoderConfig

GAVE_UP = "The GPU's decoder gave up"
MOST_KEPT_PIXELS = 1920 * 1088
"""Pixels of a frame. For larger sources, the decoders of all waiting jobs would take gigabytes."""


class SourceTask(BaseTask):
    """Examines the source of a job and decodes it. It writes nothing.

    Args:
        job: what to do.
        kind: the kind of the engines, if it is known. Only pieces from engines of the same kind are taken up.
        refusal: why the job must not begin, if it conflicts with other jobs.
    """

    def __init__(self, job: FileJob, kind: str | None = None, refusal: InvalidConfig | None = None) -> None:
        self.job = job
        self._kind, self._refusal = kind, refusal
        self._target = target_of(job)
        self._work = WorkFolder(self._target)
        self._recipes = Recipes(self._work.path, self._make_recipe)
        self._lanes = self._most_lanes = 1
        """Engines that can work on the file at once, and engines that there are."""
        self._expected: tuple[EngineInfo, ...] = ()
        self._files = SourceFiles(job.source)
        self._right = None if job.right is None else RightView(job.right)
        self._forget_source()

    def expect_engines(self, engines: Sequence[EngineInfo]) -> None:
        self._expected = tuple(engines)

    def use_engines(self, kind: str) -> None:
        self._kind = kind

    def _forget_source(self) -> None:
        """Goes back to the state before ``look``."""
        self._commit = Commit()
        self._unfinished: Overwrite | None = None
        self._video: FilteredVideo | None = None
        self._close_sources()
        self._source_seen: FileIdentity | None = None
        self._destination_seen: FileIdentity | None = None
        self._recipes.clear()
        self._warnings: list[str] = []
        self._repeated: set[int] = set()
        self._alpha_taken = AlphaTaken()

    def _close_sources(self) -> None:
        self._files.close()
        if self._right is not None:
            self._right.forget()

    @property
    def source(self) -> str:
        return str(self.job.source)

    @property
    def destination(self) -> str:
        return str(self.job.destination)

    @property
    def source_bytes(self) -> int:
        further = 0 if self._right is None else self._right.size
        try:
            return self.job.source.stat().st_size + further
        except OSError:
            return further

    @property
    def estimated_work(self) -> float:
        return float(self.source_bytes)

    @property
    def container(self) -> str:
        suffix = self.job.destination.suffix.lower()
        if suffix not in CONTAINERS:
            raise InvalidConfig(
                f"Expected a name that ends with {', '.join(CONTAINERS)}, got {self.job.destination.name!r}."
            )
        return CONTAINERS[suffix]

    def look(self, lanes: int) -> None:
        """Examines the source, and refuses what could not be written in the end. It writes nothing."""
        self._forget_source()
        self._require_paths()
        if self.job.in_place:
            self._unfinished = unfinished(self._target)
        if self._unfinished is not None:
            return
        self._files.keep_decoders()
        self._make_decoders_ready()
        self._most_lanes = lanes
        self._source_seen = FileIdentity.of(self.job.source)
        self._destination_seen = FileIdentity.of(self._target)
        alpha = self.job.settings.keeps_alpha
        source, start = look_through(self.job.source, self._threads_to_look(), self._require_not_cancelled, alpha)
        self._files.keep_start(start)
        self._video = FilteredVideo(source, self.job.settings.filters, start.frames, self._decoder_to_look(source))
        index = self._video.index
        if alpha:
            require_alpha(self.job.source, self._video)
            self._warnings += multiplied_colours(self._video)
        if self._right is not None:
            self._right.look(self.job.source, self._video, self._threads_to_look(), self._require_not_cancelled)
            self._warnings += [f"{self._right.path}: {text}" for text in self._right.video.index.warnings]
        rehearse(self.job.source, index, self.container, self.job.settings.audio)
        self._warnings += [*self._video.notes, *index.warnings]

    def plan_of(self, ranges: list[tuple[int, int]]) -> Plan:
        """The plan to encode these frames."""
        source = self._looked_through_video().source
        begins_later = not ranges or ranges[0][0] > 0 or self._looked_through_video().begins_at > 0
        if source.straight or source.careful or begins_later or source.look.pixels > MOST_KEPT_PIXELS:
            self._files.close_start()
            if self._right is not None:
                self._right.files.close_start()
        plan = plan_of(
            self.index, ranges, self.job.segments, self._software_codec() if self._kind == "software" else None
        )
        parts = len(plan.ranges) if plan.whole_ranges else plan.frames // plan.good_range
        self._lanes = max(1, min(self._most_lanes, parts))
        return plan

    @property
    def is_unfinished(self) -> bool:
        """Whether an earlier run has encoded the file, and was overwriting it with the result when it ended."""
        return self._unfinished is not None

    def config(self, engine: EngineInfo) -> EncoderConfig:
        return self._recipes.of(engine).config

    def frames(self, first: int, engine: EngineInfo) -> Iterator[Any]:
        config, video = self.config(engine), self._looked_through_video()
        if engine.kind != "nvenc":
            return self._converted(first, self._decoding(engine, self.job.source), converter_for_software(config))
        convert = self._converter(config, first)
        left = self._for_hardware(first, engine, self.job.source, video, self._files, convert)
        if self._right is None:
            return left
        right = self._right
        return PairFrames(left, self._for_hardware(first, engine, right.path, right.video, right.files, convert))

    def _converter(self, config: EncoderConfig, first: int) -> Callable[[Any], Any]:
        if config.alpha:
            return self._alpha_taken.noting(first, converter_with_alpha(config))
        return converter_for_hardware(config)

    def alpha_for(self, first: int) -> Callable[[], dict[int, Any]] | None:
        """Returns what an engine gets as alpha in the range that begins at this frame; None if it gets none."""
        return partial(self._alpha_taken.of, first) if self.job.settings.keeps_alpha else None

    def _decoding(self, engine: EngineInfo, path: Path) -> Decoding:
        on_gpu = self._decoder_on(engine, path)
        on_stumble = ignore if on_gpu is None else self._gpu_stumbled
        return Decoding(self._decoder_threads(), on_gpu=on_gpu, on_stumble=on_stumble)

    def _for_hardware(
        self,
        first: int,
        engine: EngineInfo,
        path: Path,
        video: FilteredVideo,
        files: SourceFiles,
        convert: Callable[[Any], Any],
    ) -> EngineFrames:
        files.wait_for_decoders()
        decoding = self._decoding(engine, path)
        decoders = Decoders(path, video, files, decoding, engine.gpu_id or 0, self._repeated.add)
        wanted = self._require_not_cancelled
        return EngineFrames(video, first, decoders.frames_from, convert, wanted, decoders.fair_share)

    def originals(self, first: int) -> Generator[Any, None, None]:
        """The frames that an engine gets from this one on, as pictures on the host, to compare a result with them."""
        return self._converted(first, Decoding(self._decoder_threads()), converter_for_software(self.any_config))

    @property
    def any_config(self) -> EncoderConfig:
        """The configuration of some engine that works on the file."""
        return self._recipes.any().config

    def _converted(self, first: int, decoding: Decoding, convert: Callable[[Any], Any]) -> Generator[Any, None, None]:
        video = self._looked_through_video()

        def decode(number: int) -> Generator[Any, None, None]:
            return self._files.frames_from(video.source, number, decoding, self._repeated.add)

        with closing(video.frames(first, decode)) as frames:
            for frame in frames:
                self._require_not_cancelled()
                yield convert(frame)

    def _decoder_on(self, engine: EngineInfo, path: Path) -> OnGpu | None:
        """The decoder of the engine's GPU; None if the processor decodes, or if another machine decides that."""
        if engine.node or self.job.settings.keeps_alpha:
            return None
        found = decoder_on(engine, path) if engine.kind == "nvenc" else None
        if found is not None and self._looked_through_video().runs_on_host:
            self._warnings.append("The processor decodes the source instead of the GPU, because filters run there.")
            return None
        return found

    def _make_decoders_ready(self) -> None:
        """While the source is examined. Filters may run where the processor decodes."""
        settings = self.job.settings
        if self._kind == "software" or settings.filters != Filters() or settings.keeps_alpha:
            return
        on_gpus = Counter(one.gpu_id or 0 for one in self._expected if one.kind == "nvenc" and not one.node)
        for gpu, engines in on_gpus.items():
            self._files.make_decoders_ready(gpu, engines)

    def _decoder_to_look(self, source: Index) -> Callable[[int], Generator[Any, None, None]]:
        def decode(number: int) -> Generator[Any, None, None]:
            with closing(frames_from(self.job.source, source, number)) as frames:
                for frame in frames:
                    self._require_not_cancelled()
                    yield frame

        return decode

    def _threads_to_look(self) -> int:
        """Software continues with this decoder. A GPU has its own decoder."""
        return min(len(os.sched_getaffinity(0)), MANY_THREADS) if self._kind == "software" else FEW_THREADS

    def _gpu_stumbled(self, error: Exception) -> None:
        self._warn(f"{GAVE_UP}, and the processor decoded up to the next key frame: {error}")

    def _warn(self, *texts: str) -> None:
        """The first of each kind: a damaged file may have thousands, on several machines."""
        for text in texts:
            if not (text.startswith(GAVE_UP) and any(told.startswith(GAVE_UP) for told in self._warnings)):
                self._warnings.append(text)

    def _software_codec(self) -> str:
        engine = EngineInfo(index=0, kind="software", number=0)
        return str(self._recipes.of(engine).config.settings()["codec"])

    def _decoder_threads(self) -> int:
        """Its share of the cores: a codec takes all frames of a short clip before it has much to do."""
        views = 1 if self._right is None else 2
        return max(1, len(os.sched_getaffinity(0)) // self._lanes // views)

    def interrupt(self) -> None:
        """Soon ends what is running, unless the commit has begun: then the job finishes."""
        self._commit.cancel()

    @property
    def is_committing(self) -> bool:
        """Whether it is too late to cancel the job."""
        return self._commit.has_begun

    def _make_recipe(self, engine: EngineInfo) -> Recipe:
        on_gpu = self._decoder_on(engine, self.job.source) is not None
        stereo = self._right is not None
        return choose_recipe(self.index, self.job.settings, engine, self.container, on_gpu, stereo)

    @property
    def index(self) -> Index:
        """The index of the video behind the filters."""
        return self._looked_through_video().index

    @property
    def span(self) -> Span | None:
        """What is kept of the other streams; None: all."""
        return self._looked_through_video().span

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
        container = self.container  # raises if the name has no known suffix
        if self.job.settings.codec != "auto":
            require_video_codec(destination.name, container, codec_name(self.job.settings.codec))
        if self.job.right is not None:
            require_place_for_views(destination.name, container)
        if self.job.settings.keeps_alpha:
            require_place_for_alpha(destination.name, container)
        if not source.exists():
            raise no_such_file(source)
        if self._right is not None:
            self._right.require_there()
        if destination.exists() and destination.samefile(source) and not self.job.in_place:
            raise InvalidConfig(f"{destination} is the source itself. Use in_place=True, or name another file.")
        if self.job.right is not None and destination.exists() and destination.samefile(self.job.right):
            raise InvalidConfig(f"{destination} is the video for the right eye itself. Name another file.")
        if destination.is_dir():
            raise InvalidConfig(f"{destination} is a folder. Name a file instead.")

    def _seen(self) -> FileIdentity:
        if self._source_seen is None:
            raise no_such_file(self.job.source)
        return self._source_seen
