"""The task of a file whose quality value is found first, by samples that are encoded with one value after the other."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import closing
from dataclasses import replace
from itertools import islice
from typing import Any

from .._config.quality_scale import DEFAULT, WORST, cq_for
from .._config.settings import bits as bits_of
from .._config.targets import Target
from .._config.values import LARGEST_CQ
from .._errors import InvalidConfig, TargetOutOfReach
from .._media.other_streams import bytes_beside_video
from .._media.sample import decoded
from .._results import Result
from .._tasks import NextPlan, Phase, PieceSink, Plan, Trial
from .._text import size
from .job import FileJob, FileSettings
from .quality_choice import ROOM, QualityChoice, Tried
from .samples import Sample, Samples, sample_ranges
from .scores import compare, require_scores
from .task import FileTask, ResultTooLarge

USUAL_ROUNDS = 3
"""How many values a search usually tries, for the progress: each one after that is a smaller part of the rest."""
SHARE_OF_A_ROUND = 0.55
MOST_ATTEMPTS = 3
"""How often a whole file is encoded if the result is larger than allowed."""
SHARE_OF_AN_ATTEMPT = 0.9
SHORTEST_MEASUREMENT = 0.2
"""Seconds. Shorter work does not predict how long the rest will take."""
BITRATE_ROOM = 0.95
"""The part of the bitrate for the largest size that is used, because encoders may exceed a limit."""
BUFFER_SECONDS = 1.0
"""Seconds that the buffer of a limited bitrate holds, if nothing else is set."""
SHARE_OF_THE_BUFFER = 0.05
"""The share of a short video that the buffer holds. For a long video, it holds one second."""


class SearchingTask(FileTask):
    """Tries quality values with samples until one reaches the target and fits into the greatest size, then encodes the
    file with it. If the result is too large all the same, it does that again with a corrected value.

    Args:
        known: the quality value that an earlier run found; nothing is searched for then.
    """

    def __init__(
        self, job: FileJob, kind: str | None = None, refusal: InvalidConfig | None = None, known: int | None = None
    ) -> None:
        super().__init__(job, kind, refusal)
        self._asked = job
        self._known = known
        self._start_over()

    def _start_over(self) -> None:
        self.job = self._asked
        self._choice: QualityChoice | None = None
        self._samples_now: Samples | None = None
        self._value = round(self._asked_value)
        self._beside = 0
        self._rounds = self._attempts = 0
        self._sampled = (0, 0.0)

    @property
    def _has_own_number(self) -> bool:
        """Whether the user has set the encoder's own number. Then those are searched; else the scale of all codecs."""
        return self._asked.settings.encoder.get("cq") is not None

    @property
    def _asked_value(self) -> float:
        settings = self._asked.settings
        asked = float(settings.encoder["cq"] if self._has_own_number else settings.quality or DEFAULT)
        return int(asked) if asked.is_integer() else asked

    def _exact(self, value: int) -> float:
        """Keeps the requested value, even if it lies between two whole ones."""
        return self._asked_value if value == round(self._asked_value) else value

    def _settings_with(self, value: int, **encoder: Any) -> FileSettings:
        settings, exact = self._asked.settings, self._exact(value)
        own = {"cq": exact} if self._has_own_number else {}
        found = replace(settings, encoder={**settings.encoder, **own, **encoder})
        if "max_bitrate" in encoder:
            found = replace(found, max_bitrate=0)
        return found if self._has_own_number else replace(found, quality=exact)

    def _cq(self, value: int) -> float:
        """The encoder's own number for a value."""
        exact = self._exact(value)
        return exact if self._has_own_number else cq_for(exact, self._codec, self._kind or "nvenc")

    @property
    def _codec(self) -> str:
        return str(self.any_config.settings()["codec"])

    @property
    def goal(self) -> str:
        return " and ".join(map(str, self._goals()))

    def _goals(self) -> Iterator[str]:
        if self._asked.settings.target:
            yield str(Target.of(self._asked.settings.target))
        if self._asked.settings.most_bytes:
            yield f"at most {size(self._asked.settings.most_bytes)}"

    def prepare(self, lanes: int) -> Plan:
        self.look_for_search(lanes)
        if self.is_unfinished:
            return self.begin()
        return self._plan_for_samples() if self._known is None else self._begin_with(self._known)

    def look_for_search(self, lanes: int) -> None:
        """Examines the source, and refuses targets that no search could reach."""
        self._forget()
        self._start_over()
        settings = self._asked.settings
        if settings.target:
            require_scores(Target.of(settings.target).metric)
        self.look(lanes)
        if not self.is_unfinished and (self._predicts_sizes or settings.most_bytes):
            self._beside = bytes_beside_video(
                self.job.source, self.index, self.container, settings.audio, self.span, self._require_not_cancelled
            )
            self._require_room()

    @property
    def _predicts_sizes(self) -> bool:
        return self._known is None

    def _require_room(self) -> None:
        most = self._asked.settings.most_bytes
        if most and self._beside >= most:
            raise TargetOutOfReach(
                f"The result cannot be as small as {size(most)}: sound, other streams and the container take "
                f"{size(self._beside)} without the video. Allow more (--max-size), or reduce the sound (-a 96k)."
            )

    # ---- samples -------------------------------------------------------------------------------------------------

    def _plan_for_samples(self) -> Plan:
        index = self.index
        self._set_value(self._value)
        self._samples_now = Samples(sample_ranges(index.frames, float(index.rate)))
        done = self._share_of_search * (1 - SHARE_OF_A_ROUND**self._rounds)
        self._rounds += 1
        phase = Phase(
            work=self._work_of_all, begins_at=done,
            ends_at=self._share_of_search * (1 - SHARE_OF_A_ROUND**self._rounds), goal=self.goal,
        )  # fmt: skip
        ranges = self._samples_now.ranges
        return replace(self.plan_of([]), ranges=ranges, whole_ranges=True, phase=phase)

    def _set_value(self, value: int) -> None:
        self.change_settings(self._settings_with(value))

    @property
    def _frames_of_search(self) -> int:
        if self._known is not None:
            return 0
        ranges = sample_ranges(self.index.frames, float(self.index.rate))
        return USUAL_ROUNDS * sum(last - first for first, last in ranges)

    @property
    def _work_of_all(self) -> int:
        return self._frames_of_search + self.index.frames

    @property
    def _share_of_search(self) -> float:
        return self._frames_of_search / self._work_of_all

    @property
    def _keeps_pieces(self) -> bool:
        return self._samples_now is None

    def sink(self, first: int) -> PieceSink:
        return super().sink(first) if self._samples_now is None else self._samples_now.sink(first)

    def finish(self) -> Result | NextPlan:
        if self._samples_now is not None:
            return self._after_samples(self._samples_now)
        try:
            return self.finished()
        except ResultTooLarge as large:
            return self._try_again(large)

    def _after_samples(self, samples: Samples) -> Result | NextPlan:
        choice = self._choice = self._choice or self._new_choice()
        predicted = self._predicted_video(samples) + self._beside
        choice.add(self._value, Tried(size=predicted, score=self._score(samples)))
        self._sampled = samples.frames, samples.seconds
        tried, value = self._value, choice.next_value
        if value is None:
            return self._end_search(choice, tried)
        trial = self._trial(choice, tried)
        self._value = value
        return NextPlan(plan=self._plan_for_samples(), trials=(trial,))

    def _end_search(self, choice: QualityChoice, last: int) -> Result | NextPlan:
        """Goes on with the whole file. ``last`` is the value that was tried last."""
        chosen = choice.chosen()
        self._warn_of_target(choice.tried[chosen].score)
        trials = [self._trial(choice, chosen, is_chosen=True)]
        if chosen != last:
            trials.insert(0, self._trial(choice, last))
        return NextPlan(plan=self._begin_with(chosen), trials=tuple(trials))

    def _predicted_video(self, samples: Samples) -> int:
        """Each sample begins with a full buffer of the bitrate's limit, the video only once."""
        predicted = round(samples.bytes_a_frame * self.index.frames)
        given = self._asked.settings.encoder_fields.get("max_bitrate")
        if not given:
            return predicted
        return min(predicted, round(bits_of("max_bitrate", given) * (self.index.duration + BUFFER_SECONDS) / 8))

    def _warn_of_target(self, score: float | None) -> None:
        """A size goes before a target. ``score``: what the result has; None if that is not known."""
        settings = self._asked.settings
        if not settings.target:
            return
        target = Target.of(settings.target)
        if score is None or score < target.wanted:
            has = "" if score is None else f" The result has {target.score_text(score)}."
            self._warnings.append(
                f"The target {target} is not reached, because the result may have at most "
                f"{size(settings.most_bytes)}.{has}"
            )

    def _new_choice(self) -> QualityChoice:
        settings = self._asked.settings
        return QualityChoice(
            target=Target.of(settings.target) if settings.target else None,
            max_size=settings.most_bytes,
            start=self._value,
            worst=int(LARGEST_CQ[self._codec]) if self._has_own_number else WORST,
        )

    def _score(self, samples: Samples) -> float | None:
        if not self._asked.settings.target:
            return None
        scores = [(self._score_of(part), part.frames) for part in samples.parts]
        return sum(score * frames for score, frames in scores) / sum(frames for _, frames in scores)

    def _score_of(self, part: Sample) -> float:
        metric = Target.of(self._asked.settings.target).metric
        with closing(self.originals(part.first)) as originals:
            return compare(metric, islice(originals, part.frames), decoded(self._codec, part.stream()))

    def _trial(self, choice: QualityChoice, value: int, is_chosen: bool = False) -> Trial:
        tried, target = choice.tried.get(value), self._asked.settings.target
        return Trial(
            quality=self._exact(value),
            cq=self._cq(value),
            size=choice.predicted(value),
            metric=Target.of(target).metric if target else "",
            score=None if tried is None else tried.score,
            seconds=self._seconds_left(),
            is_chosen=is_chosen,
        )

    def _seconds_left(self) -> float | None:
        frames, seconds = self._sampled
        return self.index.frames * seconds / frames if frames and seconds >= SHORTEST_MEASUREMENT else None

    # ---- the whole file ------------------------------------------------------------------------------------------

    def _begin_with(self, value: int, **more: Any) -> Plan:
        self._samples_now, self._value = None, value
        if self.on_found is not None:
            self.on_found(value)
        self.change_settings(self._settings_with(value, **more))
        begins_at, ends_at = self._share_of_search, 1.0
        if self._asked.settings.most_bytes:
            whole = 1 - begins_at
            ends_at = 1 - whole * (1 - SHARE_OF_AN_ATTEMPT) ** (self._attempts + 1)
            begins_at = 1 - whole * (1 - SHARE_OF_AN_ATTEMPT) ** self._attempts
        self._attempts += 1
        return replace(self.begin(), phase=Phase(work=self._work_of_all, begins_at=begins_at, ends_at=ends_at))

    def _try_again(self, large: ResultTooLarge) -> NextPlan:
        choice = self._choice or self._new_choice()
        self._choice = choice
        most, tried = self._asked.settings.most_bytes, self._value
        value = choice.corrected(tried, large.size)
        if value is None or self._attempts >= MOST_ATTEMPTS:
            raise TargetOutOfReach(
                f"The result cannot be as small as {size(most)}: the smallest of {self._attempts} attempts has "
                f"{size(large.size)}. Allow more (--max-size), make the picture smaller (--scale), or reduce the sound "
                "(-a 96k)."
            )
        predicted = round(large.size * choice.predicted(value) / choice.predicted(tried)) if choice.tried else most
        self._beside = large.size - large.video
        numbers = self._cq(tried), self._cq(value)
        is_last = self._attempts + 1 == MOST_ATTEMPTS
        plan = self._begin_with(value, **(self._limits() if is_last else {}))
        self._warn_of_target(None)
        trials = (
            Trial(quality=self._exact(tried), cq=numbers[0], size=large.size, is_whole=True),
            Trial(
                quality=self._exact(value), cq=numbers[1], size=min(predicted, most), seconds=self._seconds_left(),
                is_chosen=True,
            ),
        )  # fmt: skip
        return NextPlan(plan=plan, trials=trials)

    def _limits(self) -> dict[str, int]:
        """The limit for the last attempt. Even with this bitrate throughout and a full buffer, the result fits."""
        duration = max(self.index.duration, 0.1)
        buffer = min(1.0, duration * SHARE_OF_THE_BUFFER)
        bits = (ROOM * self._asked.settings.most_bytes - self._beside) * 8
        limit = max(1000, round(BITRATE_ROOM * bits / (duration + buffer)))
        given = self._asked.settings.encoder_fields.get("max_bitrate")
        limit = min(limit, bits_of("max_bitrate", given)) if given else limit
        return {"max_bitrate": limit, "vbv_size": max(1000, round(limit * buffer))}

    def abandon(self, keep: bool) -> None:
        self._samples_now = None
        super().abandon(keep)
