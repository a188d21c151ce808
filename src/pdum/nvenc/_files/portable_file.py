"""A file's task as other machines have it: they decode ranges of the source and write pieces to the work folder."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path, PurePosixPath
from typing import TYPE_CHECKING

from .._errors import NvencError, SourceUnreadable
from .._media.filtered_video import FilteredVideo
from .._media.sample import SampledSink, has_decoder
from .._media.spool import Piece, PieceWriter
from .._results import Result
from .._storage.path_mapping import PathMapping, mappings_of_this_process, to_worker
from .._tasks import Plan, Remarks
from .commit import FileIdentity
from .job import FileJob
from .source_task import SourceTask

if TYPE_CHECKING:
    from .._config.config import EncoderConfig
    from .._nvenc import Packet
    from .._tasks import PieceSink
    from ..events import EngineInfo


@dataclass(frozen=True, kw_only=True)
class PortableFile:
    """What another machine needs of a file's task. It does not look through the source again."""

    job: FileJob
    kind: str | None
    video: FilteredVideo
    seen: FileIdentity | None
    folder: Path
    """The work folder, for pieces."""
    keeps_pieces: bool

    def task(self) -> FileElsewhere:
        return FileElsewhere(self._with_paths_of(mappings_of_this_process()))

    def _with_paths_of(self, mappings: Sequence[PathMapping]) -> PortableFile:
        """With the paths that the files have on this machine."""

        def here(path: Path) -> Path:
            return Path(to_worker(PurePosixPath(path), mappings))

        job = replace(self.job, source=here(self.job.source), destination=here(self.job.destination))
        return replace(self, job=job, folder=here(self.folder))


@dataclass(frozen=True, kw_only=True)
class KeptPiece:
    """What the file's own task learns of a piece."""

    name: str
    """The name of its file in the work folder."""
    file_size: int
    is_sampled: bool
    """Its first frames were decoded again."""


class FileElsewhere(SourceTask):
    """A ``PortableTask``. It has no plan and no end: the file's own task does both."""

    def __init__(self, work: PortableFile) -> None:
        super().__init__(work.job, work.kind)
        self.encoder_config: EncoderConfig
        _require_same_file(work.job.source, work.seen)
        self._work.path = work.folder
        self._source_seen, self._video, self._keeps_pieces = work.seen, work.video, work.keeps_pieces

    def prepare(self, lanes: int) -> Plan:
        raise NotImplementedError

    def finish(self) -> Result:
        raise NotImplementedError

    def config(self, engine: EngineInfo) -> EncoderConfig:
        """The pool's configuration, for frames as this machine's decoder returns them."""
        may_differ = self.encoder_config.format == "yuv420" and engine.kind == "nvenc"
        if may_differ and self._decoder_on(engine, self.job.source) is not None:
            return self.encoder_config.replaced(format="nv12")
        return self.encoder_config

    def sink(self, first: int) -> PieceSink | None:  # None: the packets go back
        if not self._keeps_pieces:
            return None
        kept: list[Piece] = []
        writer = self._work.writer(first, kept.append)
        return KeepingSink(self, writer, kept, first)

    def samples(self) -> bool:
        codec = self.encoder_config.settings()["codec"]
        return self.job.verify == "samples" and has_decoder(codec)

    def new_remarks(self) -> Remarks:
        """Other threads may be adding to them."""
        repeated, warnings = self._repeated.copy(), self._warnings.copy()
        self._repeated -= repeated
        del self._warnings[: len(warnings)]
        return Remarks(repeated=repeated, warnings=warnings)

    def close(self) -> None:
        self._files.close()


class KeepingSink:
    """Writes a piece to the work folder, and decodes its first frames again if the job wants that."""

    def __init__(self, task: FileElsewhere, writer: PieceWriter, kept: list[Piece], first: int) -> None:
        self._kept = kept
        codec = task.encoder_config.settings()["codec"]
        alpha = task.alpha_for(first)
        self._sample = SampledSink(writer, first, codec, alpha=alpha) if task.samples() else None
        self._sink: PieceSink = self._sample or writer

    def write(self, packets: Sequence[Packet]) -> None:
        self._sink.write(packets)

    def complete(self, last: int, header: bytes) -> int:
        if self._sample is None:
            return self._sink.complete(last, header)
        size = self._sink.complete(last, header)
        try:
            self._sample.require()
        except NvencError:
            self._kept[0].path.unlink(missing_ok=True)
            raise
        return size

    def kept(self) -> KeptPiece:
        path = self._kept[0].path
        return KeptPiece(name=path.name, file_size=path.stat().st_size, is_sampled=self._sample is not None)

    def discard(self) -> None:
        if self._sample is not None:
            self._sample.stop()
        self._sink.discard()


def _require_same_file(source: Path, seen: FileIdentity | None) -> None:
    """Machines number the files and disks of a shared storage differently, but agree on sizes and times."""
    here = FileIdentity.of(source)
    if here is None:
        raise SourceUnreadable(f"{source} does not exist on this machine. Mount the shared storage at the same path.")
    if seen is not None and (here.size, here.mtime_ns) != (seen.size, seen.mtime_ns):
        raise SourceUnreadable(
            f"{source} is not the same file on this machine as where the job was given. Mount the same storage there."
        )
