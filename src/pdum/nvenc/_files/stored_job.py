"""What to do with one video whose source or result is at a storage, such as S3 or another machine."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from .._errors import InvalidConfig
from .._storage.address import Address, is_address, local_path
from .._storage.settings import StorageSettings
from .job import OF_A_JOB, FileJob, FileSettings, job_of, refusals


@dataclass(frozen=True, kw_only=True)
class StoredJob:
    """One file to be encoded into another. Each is a local path, or an address such as ``s3://bucket/film.mp4``.

    A source at a storage is copied to the local disk first. A result for a storage is made and verified there, and then
    published.

    Args:
        source, destination: the files; the destination's suffix chooses the container.
        settings, segments, smaller_than, keep_work, verify: as in ``FileJob``.
        storage: how files are copied and published.
        source_bytes: the size of the source, if it is known. The largest source goes first.
    """

    source: str | Path
    destination: str | Path
    settings: FileSettings = field(default_factory=FileSettings)
    segments: int | str = "auto"
    smaller_than: float | None = None
    keep_work: bool = False
    verify: str = "samples"
    storage: StorageSettings = field(default_factory=StorageSettings)
    source_bytes: int = 0

    def __post_init__(self) -> None:
        for name in ("source", "destination"):
            given = getattr(self, name)
            if is_address(given):
                Address(given)
            else:
                object.__setattr__(self, name, local_path(given))
        if str(self.source) == str(self.destination):
            shown = self.source_address or self.source
            raise InvalidConfig(f"{shown} is the source itself. Name another file.")
        if not isinstance(self.storage, StorageSettings):
            given = type(self.storage).__name__  # its values may be secrets
            raise InvalidConfig(f"Expected StorageSettings, such as StorageSettings(spool='/scratch'), got a {given}.")
        self.local(Path("source"), Path("result"))  # checks the other values

    @property
    def source_address(self) -> Address | None:
        """None: a local path."""
        return Address(self.source) if isinstance(self.source, str) else None

    @property
    def destination_address(self) -> Address | None:
        return Address(self.destination) if isinstance(self.destination, str) else None

    def local(self, source: Path, destination: Path) -> FileJob:
        """The same job between two local files."""
        return FileJob(
            source=source,
            destination=destination,
            settings=self.settings,
            segments=self.segments,
            smaller_than=self.smaller_than,
            keep_work=self.keep_work,
            verify=self.verify,
        )


def stored_or_local(
    source: str | Path, destination: str | Path, *, storage: StorageSettings | None = None, **more: Any
) -> FileJob | StoredJob:
    """A job of fields by name, as ``job_of`` makes it, for any two places."""
    if not is_address(source) and not is_address(destination):
        if storage is not None:
            raise InvalidConfig(f"storage=… has no effect on local files: {source} and {destination}. Leave it out.")
        return job_of(local_path(source), local_path(destination), **more)
    if more.get("right") is not None:
        raise InvalidConfig("right=… works with local files only. Copy both videos here first.")
    if more.pop("in_place", False):
        raise InvalidConfig("in_place=True replaces local files only. Leave it out, and give both addresses.")
    local = job_of(Path("source"), Path("result"), **more)
    own = {name: getattr(local, name) for name in OF_A_JOB if name not in ("in_place", "right")}
    return StoredJob(
        source=source, destination=destination, settings=local.settings, storage=storage or StorageSettings(), **own
    )


def all_refusals(jobs: Sequence[FileJob | StoredJob]) -> list[InvalidConfig | None]:
    """As ``refusals``, for jobs of both kinds."""
    owners: dict[str, StoredJob] = {}
    found = dict(zip((id(job) for job in jobs if isinstance(job, FileJob)),
                     refusals([job for job in jobs if isinstance(job, FileJob)]), strict=True))  # fmt: skip
    return [found[id(job)] if isinstance(job, FileJob) else _refusal(job, owners) for job in jobs]


def _refusal(job: StoredJob, owners: dict[str, StoredJob]) -> InvalidConfig | None:
    owner = owners.setdefault(str(job.destination), job)
    if owner is job:
        return None
    shown = job.destination_address or job.destination
    other, source = (one.source_address or one.source for one in (owner, job))
    return InvalidConfig(f"{shown} is also the destination of {other}. Give {source} another one.")
