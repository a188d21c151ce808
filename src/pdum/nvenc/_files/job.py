"""What to do with one video file, as plain data. This module loads nothing else of the package's media code."""

from __future__ import annotations

import os
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, fields
from functools import wraps
from pathlib import Path
from typing import Any

from .._config import alpha
from .._config.filters import FILTERS, Filters
from .._config.quality_scale import rates_in, require_quality
from .._config.settings import Bits, bits, codec_name, nearest
from .._config.targets import Target, byte_count
from .._errors import InvalidConfig
from .._storage.address import Address, is_address, local_path

OF_A_JOB = ("right", "segments", "smaller_than", "in_place", "keep_work", "verify")
OF_THE_SETTINGS = ("filters", "target", "max_size")
VERIFY = ("structure", "samples", "full")


PER_PICTURE = "it is about single pictures, which a file has no options for"
OF_PACKETS = "a file keeps only the bytes of packets"
NOT_OF_A_FILE = {
    "width": "the source decides it; Filters(scale=…) changes it",
    "height": "the source decides it; Filters(scale=…) changes it",
    "max_width": "files keep their size",
    "max_height": "files keep their size",
    "fps": "the source decides it; Filters(fps=…) changes it",
    "format": "the source decides it; bit_depth and chroma are the result's",
    "sample_aspect": "the source decides it",
    "codec": "it is an argument of its own, codec=…",
    "gpu_id": "the pool decides it; use EncoderPool(gpus=…)",
    "cuda_context": "the pool decides it",
    "time_code": PER_PICTURE,
    "qp_map": PER_PICTURE,
    "motion_hints": PER_PICTURE,
    "picture_types": PER_PICTURE,
    "long_term_references": PER_PICTURE,
    "stereo": "give the video for the right eye, right=…",
    "attempts": "somebody has to choose; use NvencEncoder",
    "statistics": OF_PACKETS,
    "sub_frames": OF_PACKETS,
    "reconstruction": OF_PACKETS,
}
"""Fields of ``EncoderConfig`` that have no effect on a file, and what to use instead."""


def _require_encoder_fields(given: Mapping[str, Any]) -> None:
    from .._config.config import EncoderConfig  # which is loaded by those who give settings

    known = [name for name in EncoderConfig.names() if name not in NOT_OF_A_FILE]
    for name in given:
        if name in NOT_OF_A_FILE:
            raise InvalidConfig(f"{name} cannot be set for a file: {NOT_OF_A_FILE[name]}.")
        if name not in known and name in FILTERS:
            raise InvalidConfig(f"{name!r} is a filter: use filters=Filters({name}={given[name]!r}).")
        if name not in known:
            raise InvalidConfig(f"Unknown encoder setting {name!r}.{nearest(name, known)}")


def _require_one_kind_of_rate(given: Mapping[str, Any]) -> None:
    """Raises if two settings exclude each other: an encoder would ignore one of them."""
    mode = str(given.get("rate_control") or "").lower()
    bitrate, cq, qp = given.get("bitrate"), given.get("cq"), given.get("qp")
    if str(given.get("tuning")).lower() == "lossless":
        return  # which takes none of these, as the configuration says
    if bitrate and cq is not None:
        raise InvalidConfig(
            f"bitrate={bitrate} and cq={cq} conflict: a file has a mean bitrate or a constant quality. Leave one out, "
            "or use max_bitrate to limit the bitrate of a constant quality."
        )
    if mode == "cbr" and not bitrate:
        raise InvalidConfig("rate_control='cbr' needs a bitrate. Give bitrate, or leave out rate_control.")
    if mode == "constqp" and qp is None:
        raise InvalidConfig("rate_control='constqp' needs qp. Give qp, or leave out rate_control.")


def _require_one_quality(quality: float | None, given: Mapping[str, Any]) -> None:
    if quality is None:
        return
    require_quality(quality)
    others = rates_in(given)
    if others:
        raise InvalidConfig(
            f"quality={quality:g} does not work with {' and '.join(others)}: each decides how many bits there are. "
            "Leave one out."
        )


@dataclass(frozen=True, kw_only=True)
class FileSettings:
    """How a file is encoded.

    Args:
        codec: ``"h264"``, ``"hevc"``, ``"av1"``; ``"auto"``: on hardware AV1 where the engine can, else HEVC; in
            software H.264, or HEVC for sources of 10 bits. A codec that keeps the source's chroma is preferred.
        quality: from 1 (best) to 63, the same look with every codec and engine; None: 28, unless ``encoder`` has a
            ``cq``, a ``qp`` or a ``bitrate``. ``cq`` is the encoder's own number.
        audio: ``"copy"``, ``"none"``, or bits a second: encoded again, as AAC or Opus, whichever suits the container.
        encoder: fields of ``EncoderConfig``, which override the source's. ``gop`` is the frames of five seconds if
            it is None or not given.
        filters: what is done to the pictures before they are encoded.
        target: ``"vmaf=95"``, ``"xpsnr=40"`` or ``"ssim=0.98"``: the highest quality value whose result reaches it is
            found by samples.
        max_size: the largest size of the whole result in bytes, or a text such as ``"500M"``; 0: no
            limit. If the result would be larger, a higher quality value is found.
        max_bitrate: the field of ``EncoderConfig``.
    """

    codec: str = "auto"
    quality: float | None = None
    audio: str | int = "copy"
    encoder: Mapping[str, Any] = field(default_factory=dict)
    filters: Filters = field(default_factory=Filters)
    target: str = ""
    max_size: int | str = 0
    max_bitrate: Bits = 0

    def __post_init__(self) -> None:
        if self.codec != "auto":
            codec_name(self.codec)
        is_rate = isinstance(self.audio, int) and not isinstance(self.audio, bool) and self.audio >= 6000
        if self.audio not in ("copy", "none") and not is_rate:
            raise InvalidConfig(f"Expected 'copy', 'none' or bits a second from 6000, got audio={self.audio!r}.")
        _require_encoder_fields(self.encoder)
        _require_one_kind_of_rate(self.encoder)
        _require_one_quality(self.quality, self.encoder)
        if not isinstance(self.filters, Filters):
            raise InvalidConfig(f"Expected Filters, such as Filters(scale='50%'), got filters={self.filters!r}.")
        object.__setattr__(self, "target", Target.of(self.target).text if self.target else "")
        object.__setattr__(self, "max_size", byte_count("max_size", self.max_size))
        object.__setattr__(self, "max_bitrate", bits("max_bitrate", self.max_bitrate))
        self._require_searchable()
        if self.keeps_alpha and self.codec != "auto" and codec_name(self.codec) != "hevc":
            raise InvalidConfig(
                f"alpha={self.encoder['alpha']!r} does not work with codec={self.codec!r}: it is a part of HEVC. Use "
                "codec='hevc', or leave out alpha."
            )

    def _require_searchable(self) -> None:
        """Raises InvalidConfig if two settings decide about the same."""
        if self.max_bitrate and self.encoder.get("max_bitrate", self.max_bitrate) != self.max_bitrate:
            raise InvalidConfig("max_bitrate and encoder['max_bitrate'] conflict. Leave one out.")
        others = [name for name in rates_in(self.encoder) if name != "cq"]
        if self.needs_search and others:
            raise InvalidConfig(
                f"{'target' if self.target else 'max_size'} and {' and '.join(others)} conflict: the quality value is "
                "found by samples. Leave one out."
            )

    @property
    def keeps_alpha(self) -> bool:
        """Whether the result has the source's transparency."""
        return alpha.native(self.encoder.get("alpha")) is not None

    @property
    def needs_search(self) -> bool:
        """Whether the quality value has to be found first."""
        return bool(self.target or self.max_size)

    @property
    def most_bytes(self) -> int:
        """``max_size`` as a number; 0: no limit."""
        return int(self.max_size)

    @property
    def encoder_fields(self) -> dict[str, Any]:
        """All fields of ``EncoderConfig`` that are set."""
        return {**self.encoder, **({"max_bitrate": self.max_bitrate} if self.max_bitrate else {})}


def _say_where_encoder_fields_go() -> None:
    """Makes the TypeError for a field of the encoder say where the field belongs."""
    made = FileSettings.__init__

    @wraps(made)
    def checked(self: FileSettings, *positional: Any, **given: Any) -> None:
        own = [one.name for one in fields(FileSettings)]
        for name in given:
            if name not in own:
                _require_encoder_fields({name: given[name]})
                raise TypeError(f"FileSettings() takes {name} as a field of the encoder: encoder={{{name!r}: …}}.")
        made(self, *positional, **given)

    FileSettings.__init__ = checked  # type: ignore[method-assign]


_say_where_encoder_fields_go()


@dataclass(frozen=True, kw_only=True)
class FileJob:
    """One file to be encoded into another.

    Args:
        source, destination: the files; the destination's suffix chooses the container.
        right: the video for the right eye, if ``source`` is that for the left one. The result is MV-HEVC, with the
            sound of ``source``. Both have the same size and times.
        segments: the number of ranges of frames that the video is cut into; ``"auto"``: as many as the engines need.
        smaller_than: a result that is not smaller than this times the source is dropped.
        in_place: the verified result takes the place of the source, with its times, owner and permissions. The
            destination is the source then. If the source has other names (hard links), they all show the result.
        keep_work: complete pieces survive a cancel, a full disk and lost engines, so that a later run continues there.
        verify: ``"structure"`` looks at the file's streams and packets, ``"samples"`` also decodes where its parts are
            joined, ``"full"`` decodes all of it.
    """

    source: Path
    destination: Path
    settings: FileSettings = field(default_factory=FileSettings)
    right: Path | None = None
    segments: int | str = "auto"
    smaller_than: float | None = None
    in_place: bool = False
    keep_work: bool = False
    verify: str = "samples"

    def __post_init__(self) -> None:
        for name in ("source", "destination"):
            _require_local(name, getattr(self, name))
            object.__setattr__(self, name, local_path(getattr(self, name)))
        if self.right is not None:
            _require_local("right", self.right)
            object.__setattr__(self, "right", local_path(self.right))
            self._require_two_views()
        if self.segments != "auto" and not (isinstance(self.segments, int) and self.segments >= 1):
            raise InvalidConfig(f"Expected 'auto' or a number from 1, got segments={self.segments!r}.")
        if self.verify not in VERIFY:
            raise InvalidConfig(f"Expected one of {', '.join(VERIFY)}, got verify={self.verify!r}.")
        if self.in_place and not is_same_file(self.source, self.destination):
            raise InvalidConfig(
                f"in_place=True replaces {self.source}, but the destination is {self.destination}. Leave out in_place, "
                "or give the source as the destination too."
            )
        if self.smaller_than is not None and not self.smaller_than > 0:
            raise InvalidConfig(f"Expected a ratio above 0, got smaller_than={self.smaller_than!r}.")

    def _require_two_views(self) -> None:
        """Raises InvalidConfig for what does not work with a video for the right eye."""
        settings, conflicts = self.settings, []
        if settings.codec not in ("auto", "hevc") and codec_name(settings.codec) != "hevc":
            conflicts.append(f"codec={settings.codec!r}: two views are a part of HEVC")
        for name in ("target", "max_size"):
            if getattr(settings, name):
                conflicts.append(f"{name}={getattr(settings, name)!r}: samples have one view")
        if settings.keeps_alpha:
            conflicts.append(f"alpha={settings.encoder['alpha']!r}: two views have no transparency")
        if self.in_place:
            conflicts.append("in_place=True: there are two sources")
        for conflict in conflicts:
            raise InvalidConfig(f"right={str(self.right)!r} does not work with {conflict}. Leave one out.")


def _require_local(name: str, given: str | Path) -> None:
    if is_address(given):
        raise InvalidConfig(
            f"Expected a local path, got {name}={Address(str(given)).shown!r}. Use StoredJob, which takes addresses, "
            "or EncoderPool.encode_file()."
        )


def job_of(
    source: str | Path,
    destination: str | Path,
    *,
    codec: str = "auto",
    quality: float | None = None,
    audio: str | int = "copy",
    **more: Any,
) -> FileJob:
    """A job of fields by name: those of ``FileJob``, and for the rest those of an encoder."""
    own = {name: more.pop(name) for name in OF_A_JOB if name in more}
    of_settings = {name: more.pop(name) for name in OF_THE_SETTINGS if name in more}
    settings = FileSettings(codec=codec, quality=quality, audio=audio, encoder=more, **of_settings)
    return FileJob(source=Path(source), destination=Path(destination), settings=settings, **own)


def is_same_file(one: Path, other: Path) -> bool:
    """Whether both names mean one file, also through links and on file systems that ignore case."""
    try:
        return one.samefile(other)
    except OSError:
        return os.path.realpath(one) == os.path.realpath(other)


def target_of(job: FileJob) -> Path:
    """The file that the result becomes. A symbolic link to a source that is replaced in place stays a link."""
    return Path(os.path.realpath(job.destination)) if job.in_place else job.destination


def refusals(jobs: Sequence[FileJob]) -> list[InvalidConfig | None]:
    """For each job, why it must not begin: an earlier job of the list has the same destination, or replaces a file
    that is the same under another name."""
    owners: dict[object, FileJob] = {}
    found: list[InvalidConfig | None] = []
    for job in jobs:
        keys = _keys(job)
        owner = next((owners[key] for key in keys if key in owners), None)
        if owner is None:
            owners.update(dict.fromkeys(keys, job))
            found.append(None)
        else:
            alias = "" if owner.destination == job.destination else f", under the name {owner.destination}"
            text = f"{job.destination} is also the destination of {owner.source}{alias}. Give {job.source} another one."
            found.append(InvalidConfig(text))
    return found


def _keys(job: FileJob) -> list[object]:
    """The destination's name with all links in its folder resolved, and the file that has the name now."""
    target = target_of(job)
    keys: list[object] = [(os.path.realpath(target.parent), target.name)]
    try:
        stat = target.stat()
    except OSError:
        return keys
    return [*keys, (stat.st_dev, stat.st_ino)]
