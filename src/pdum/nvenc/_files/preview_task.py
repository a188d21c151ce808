"""Examines a file like the task that encodes it, and refuses the same files. It writes nothing."""

from __future__ import annotations

from collections.abc import Sequence
from contextlib import suppress
from dataclasses import dataclass
from statistics import mean, stdev
from threading import Lock
from typing import TYPE_CHECKING

from .._config.filter_words import AUTO
from .._config.settings import tuning_name
from .._errors import OutOfSessions
from .._pool.sessions import for_engine, open_encoder
from .._results import Result
from .._tasks import NextPlan, Plan
from .job import FileJob
from .quality_choice import QualityChoice
from .samples import Samples
from .searching_task import SearchingTask

if TYPE_CHECKING:
    from .._config.config import EncoderConfig
    from ..events import EngineInfo

LEAST_SPREAD, SPREAD_OF_A_WHOLE = 0.05, 0.02
"""The least relative error of an estimated size: from samples, and from all of a video."""
OPENING = Lock()
"""Held while an encoder is opened, so that only one at a time takes memory."""
SHORTEST_MEASUREMENT = 0.05
"""Seconds of encoding. Shorter samples do not show how fast an engine is."""


@dataclass(frozen=True, kw_only=True)
class Estimate:
    """What samples predict about a result: it has ``size`` bytes, plus or minus ``spread``."""

    quality: float | None
    size: int
    spread: int
    score: float | None = None


class PreviewTask(SearchingTask):
    """Finds out what would become of a job. With ``estimates``, samples are encoded for it.

    Args:
        engines: those that would encode it.
    """

    def __init__(self, job: FileJob, engines: Sequence[EngineInfo], *, estimates: bool) -> None:
        super().__init__(job, engines[0].kind)
        self._engines = list({(engine.node, engine.kind, engine.gpu_id): engine for engine in engines}.values())
        self._estimates = estimates
        self._spread = 0.0
        self.codec = self.crop = ""
        self.cq: float | None = None
        """The ``cq``; None if a search finds it, or if another setting decides the number of bits."""
        self.warnings: tuple[str, ...] = ()
        self.estimate: Estimate | None = None
        self.frames_of_video = 0
        self.lanes = 1

    @property
    def goal(self) -> str:
        return super().goal or "an estimate"

    @property
    def finds_crop(self) -> bool:
        return self._asked.settings.filters.crop == AUTO

    @property
    def _predicts_sizes(self) -> bool:
        return self._estimates

    @property
    def _is_lossless(self) -> bool:
        return tuning_name(self._asked.settings.encoder.get("tuning", "hq")) == "lossless"

    def prepare(self, lanes: int) -> Plan:
        self.look_for_search(lanes)
        if self.is_unfinished:
            return Plan(frames=1, ranges=[])
        for engine in self._engines:
            config = self.config(engine)
            if not engine.node:
                _require_encoder(config, engine)
        self.codec = self.any_config.settings()["codec"]
        self.cq = None if self._asked.settings.needs_search else self.any_config.cq
        self.crop = self._looked_through_video().filters.crop
        self.frames_of_video = self.index.frames
        self.warnings = self._all_warnings([])
        plan = self._plan_for_samples() if self._estimates else Plan(frames=self.index.frames, ranges=[])
        self.lanes = self._lanes
        return plan

    def _set_value(self, value: int) -> None:
        if not self._is_lossless:
            super()._set_value(value)

    def finish(self) -> Result | NextPlan:
        if self._samples_now is not None:
            return self._after_samples(self._samples_now)
        self._close_files()
        return self._nothing_done()

    def _after_samples(self, samples: Samples) -> Result | NextPlan:
        self._spread = _spread(samples, self.index.frames)
        return super()._after_samples(samples)

    def _end_search(self, choice: QualityChoice, last: int) -> Result:  # noqa: ARG002
        value = choice.chosen()
        tried = choice.tried[value]
        self.estimate = Estimate(
            quality=None if self._is_lossless else self._exact(value),
            size=tried.size,
            spread=round(self._spread * (tried.size - self._beside)),
            score=tried.score,
        )
        self._close_files()
        return self._nothing_done()

    def _nothing_done(self) -> Result:
        size = 0 if self.estimate is None else self.estimate.size
        return Result(destination="", frames=self.frames_of_video, size=size, source_bytes=self.source_bytes)

    def abandon(self, keep: bool) -> None:  # noqa: ARG002
        """Leaves the work of an earlier run as it is."""
        self._samples_now = None
        self._close_files()


def _require_encoder(config: EncoderConfig, engine: EngineInfo) -> None:
    """Opens an encoder, because only it knows everything that it refuses. If no session is free, the run would wait."""
    with OPENING, suppress(OutOfSessions):
        open_encoder(for_engine(config, engine), engine, 1).close()


def _spread(samples: Samples, frames: int) -> float:
    """The relative error of the video's predicted size: by how much the samples differ."""
    if samples.frames == frames:
        return SPREAD_OF_A_WHOLE
    sizes = [part.size / part.frames for part in samples.parts]
    if len(sizes) < 2:
        return 0.5
    return max(LEAST_SPREAD, float(2 * stdev(sizes) / mean(sizes) / len(sizes) ** 0.5))
