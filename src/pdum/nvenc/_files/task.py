"""Video files as tasks of a pool. A file is examined, decoded in ranges, joined, verified and committed."""

from __future__ import annotations

import hashlib
import json
import os
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from threading import Lock
from typing import Any

from .._errors import InvalidConfig, PieceDamaged
from .._media.disk_errors import naming_the_disk
from .._media.join import Joined, join
from .._media.matroska import TrackLook, roll_of
from .._media.passthrough import OF_THE_FILE, Passthrough, plan
from .._media.sample import SampledSink, has_decoder
from .._media.spool import Piece, missing_ranges
from .._media.verify import lost_metadata, verify
from .._results import Result
from .._tasks import EncodedRange, NextPlan, PieceSink, Plan, Portable, Remarks
from .commit import CommitRequest, require_same_source
from .job import FileJob, FileSettings
from .overwrite import Overwrite
from .portable_file import PortableFile
from .ranges import require_whole
from .source_task import SourceTask

WORK_VERSION = 1


class ResultTooLarge(Exception):
    """``size`` is that of the result, ``video`` that of its pictures. A search tries again; users never see it."""

    def __init__(self, size: int, video: int) -> None:
        super().__init__(f"The result has {size} bytes, which is more than max_size allows.")
        self.size, self.video = size, video


class FileTask(SourceTask):
    """Encodes one file; a ``Task`` of the pool. The arguments are those of ``SourceTask``."""

    def __init__(self, job: FileJob, kind: str | None = None, refusal: InvalidConfig | None = None) -> None:
        super().__init__(job, kind, refusal)
        self.on_commit: Callable[[tuple[int, int]], None] | None = None
        """Called just before the result gets its name, with the size and the modification time that it will have."""
        self.on_found: Callable[[int], object] | None = None
        """Called with the quality value that was found for the whole file."""
        self._lock = Lock()
        self._part = self._work.part
        self._samples: list[SampledSink] = []
        self._forget()

    def _forget(self) -> None:
        """Goes back to the state before ``prepare``, for a task that is done again."""
        self._work.release()
        self._pieces: list[Piece] = []
        self._sampled_elsewhere: set[int] = set()
        self._portable_key = os.urandom(9).hex()
        self._close_files()
        self._forget_source()

    def prepare(self, lanes: int) -> Plan:
        self._forget()
        if type(self) is FileTask and self.job.settings.needs_search:
            raise InvalidConfig("A target or a greatest size needs a task that searches: EncoderPool.files() makes it.")
        self.look(lanes)
        return self.begin()

    def engines_before(self) -> str:
        return self._work.engines_before() if self.job.keep_work else ""

    def begin(self) -> Plan:
        """Continues the work of an earlier run, and plans the rest."""
        if self._unfinished is not None:
            self._work.lock()
            return Plan(frames=self._unfinished.result.frames, ranges=[])
        self._pieces = self._work.open(self._identity(), self.job.keep_work)
        self._recipes.are_saved = True
        return self.plan_of(missing_ranges(self._pieces, self.index.frames))

    def change_settings(self, settings: FileSettings) -> None:
        """Changes the settings for all frames. What was encoded before is no longer used."""
        self.job = replace(self.job, settings=settings)
        self._recipes.clear()
        self._pieces = []

    def _close_files(self) -> None:
        """Closes the files of the sources, and ends the threads that check the result."""
        self._close_sources()
        for sample in self._samples:
            sample.stop()
        self._samples = []

    def sink(self, first: int) -> PieceSink:
        self._files.open_again()
        writer, codec = self._work.writer(first, self._add_piece), self._recipes.any().config.settings()["codec"]
        if self.job.verify != "samples" or not has_decoder(codec):
            return writer
        views = 1 if self._right is None else 2
        sample = SampledSink(writer, first, codec, views, self.alpha_for(first))
        self._samples.append(sample)
        return sample

    @property
    def _keeps_pieces(self) -> bool:
        """Whether engines write pieces to the work folder, and not samples to memory."""
        return True

    def portable(self) -> Portable:
        """Other machines read the source and write to the work folder by the same paths. Two views stay here."""
        if self.job.right is not None:
            raise InvalidConfig(
                f"right={str(self.job.right)!r} does not work with a cluster, whose machines take single files. Use a "
                "pool without one."
            )
        return Portable(key=f"{self._portable_key} {self._keeps_pieces}", make=self.portable_file().task)

    def portable_file(self) -> PortableFile:
        self._files.open_again()
        job = replace(self.job, source=_full_path(self.job.source), destination=_full_path(self.job.destination))
        return PortableFile(
            job=job, kind=self._kind, video=self._looked_through_video(), seen=self._seen(),
            folder=_full_path(self._work.path), keeps_pieces=self._keeps_pieces,
        )  # fmt: skip

    def adopt(self, encoded: EncodedRange) -> None:
        kept = encoded.kept
        piece = Piece(
            path=self._work.path / kept.name, first=encoded.first, last=encoded.last, header=encoded.header,
            size=encoded.size,
        )  # fmt: skip
        if not piece.path.exists():
            raise PieceDamaged(
                f"{piece.path} is not there, although another machine has written it. Mount the same storage there, "
                "under the same path or with worker --map-path."
            )
        if piece.path.stat().st_size != kept.file_size:
            raise PieceDamaged(f"{piece.path} is not as the other machine wrote it. Encode the file again.")
        if kept.is_sampled:
            self._sampled_elsewhere.add(encoded.first)
        self._add_piece(piece)

    def take_remarks(self, remarks: Remarks) -> None:
        self._repeated.update(remarks.repeated)
        self._warn(*remarks.warnings)

    def finish(self) -> Result | NextPlan:
        return self.finished()

    def finished(self) -> Result:
        if self._unfinished is not None:
            return self._finish_overwrite(self._unfinished)
        index = self.index
        pieces = sorted(self._pieces, key=lambda piece: piece.first)
        require_whole(pieces, index.frames)
        require_same_source(self.job.source, self._seen())
        if self._right is not None:
            self._right.require_unchanged()
        self._files.end_decoders()
        try:
            with self._files.opened_again() as source:
                span = self._looked_through_video().span
                passthrough = plan(source, index.stream, self.container, self.job.settings.audio, span)
                joined = self._joined(pieces, passthrough)
                with naming_the_disk(self._part):
                    join(joined, source)
                self._require_size(pieces)
                self._verify(joined)
                lost = lost_metadata(source, self._part, passthrough, OF_THE_FILE)
            result = self._committed(self._all_warnings([*passthrough.all_warnings(), *joined.warnings, *lost]))
            self._video, self._pieces = None, []  # megabytes, and the caller may keep the task for days
            return result
        except BaseException:
            if not self._commit.needs_part:
                self._part.unlink(missing_ok=True)
            raise
        finally:
            self._close_files()

    def _require_size(self, pieces: list[Piece]) -> None:
        found, most = self._part.stat().st_size, self.job.settings.most_bytes
        if most and found > most:
            raise ResultTooLarge(found, sum(piece.size for piece in pieces))

    def _verify(self, joined: Joined) -> None:
        sampled = [sample for sample in self._samples if sample.is_whole]
        for sample in sampled:
            sample.require()
        decoded = {sample.first for sample in sampled} | self._sampled_elsewhere
        verify(
            self._part, joined.times(), joined, self.job.verify, self._require_not_cancelled, decoded, self._alpha_taken
        )  # fmt: skip

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
        index, job = self.index, self.job
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
        index, config = self.index, self.any_config
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
            stereo=self._right is not None,
            alpha=self.job.settings.keeps_alpha,
            passthrough=passthrough,
            interrupted=self._require_not_cancelled,
        )

    def _add_piece(self, piece: Piece) -> None:
        with self._lock:
            self._pieces.append(piece)

    def _all_warnings(self, more: list[str]) -> tuple[str, ...]:
        found = [*self._warnings, *self._recipes.warnings()]
        if self._repeated:
            found.append(
                f"{len(self._repeated)} frames of the source cannot be decoded, from number {min(self._repeated)} on; "
                "each repeats the previous one."
            )
        return tuple(dict.fromkeys([*found, *more]))

    def _identity(self) -> dict[str, Any]:
        """What has to be the same for a later run to take up this run's pieces."""
        seen, settings, filters = self._seen(), self.job.settings, self._looked_through_video().filters
        encoder = {name: repr(value) for name, value in sorted(settings.encoder_fields.items())}
        parts = [settings.codec, {"quality": settings.quality}, encoder]
        made_by = [*parts, *([filters.given] if filters.given else [])]
        if self._right is not None:
            made_by.append({"right": self._right.identity()})
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


def _full_path(path: Path) -> Path:
    """For a worker, which is in another folder. It may have another path for a folder, which ``..`` must not leave."""
    return path.resolve() if ".." in path.parts else path.absolute()
