"""What is to be done with one video file: plain data, which loads nothing."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from .._config.settings import codec_name, nearest
from .._errors import InvalidConfig

OF_A_JOB = ("segments", "smaller_than", "in_place", "keep_work", "verify")
VERIFY = ("structure", "samples", "full")


FROM_THE_SOURCE = ("width", "height", "codec", "format", "fps", "gpu_id", "cuda_context", "max_width", "max_height")


def _require_encoder_fields(given: Mapping[str, Any]) -> None:
    from .._config.config import EncoderConfig  # which is loaded by those who give settings

    known = [name for name in EncoderConfig.names() if name not in FROM_THE_SOURCE]
    for name in given:
        if name in FROM_THE_SOURCE:
            raise InvalidConfig(f"encoder[{name!r}] came, which the source or the engine decides. Leave it out.")
        if name not in known:
            raise InvalidConfig(f"encoder[{name!r}] is no setting of an encoder.{nearest(name, known)}")


@dataclass(frozen=True, kw_only=True)
class FileSettings:
    """How a file is encoded.

    Args:
        codec: ``"h264"``, ``"hevc"``, ``"av1"``; ``"auto"``: AV1 where the engine can, else HEVC.
        audio: ``"copy"``, ``"none"``, or bits a second: encoded anew as AAC or Opus, as the container likes best.
        encoder: fields of ``EncoderConfig``, laid over what the source says.
    """

    codec: str = "auto"
    audio: str | int = "copy"
    encoder: Mapping[str, Any] = field(default_factory=dict)

    def __post_init__(self) -> None:
        if self.codec != "auto":
            codec_name(self.codec)
        is_rate = isinstance(self.audio, int) and not isinstance(self.audio, bool) and self.audio >= 6000
        if self.audio not in ("copy", "none") and not is_rate:
            raise InvalidConfig(f"audio={self.audio!r} came; it can be 'copy', 'none' or bits a second from 6000 on.")
        _require_encoder_fields(self.encoder)


@dataclass(frozen=True, kw_only=True)
class FileJob:
    """One file to be encoded into another.

    Args:
        source, destination: the files; the destination's suffix chooses the container.
        segments: into how many ranges of frames the video is cut; ``"auto"``: as the engines at hand need it.
        smaller_than: a result that is not smaller than this times the source is dropped.
        in_place: the result takes the source's name, times, owner and permissions once it is verified. Where the
            source has further names (hard links), it is written into all of them.
        keep_work: what is encoded survives an interruption, for a later run to go on from.
        verify: ``"structure"`` looks at the file's streams and packets, ``"samples"`` also decodes where its parts are
            joined, ``"full"`` decodes all of it.
    """

    source: Path
    destination: Path
    settings: FileSettings = field(default_factory=FileSettings)
    segments: int | str = "auto"
    smaller_than: float | None = None
    in_place: bool = False
    keep_work: bool = False
    verify: str = "samples"

    def __post_init__(self) -> None:
        object.__setattr__(self, "source", Path(self.source))
        object.__setattr__(self, "destination", Path(self.destination))
        if self.segments != "auto" and not (isinstance(self.segments, int) and self.segments >= 1):
            raise InvalidConfig(f"segments={self.segments!r} came; it can be 'auto' or a number from 1 on.")
        if self.verify not in VERIFY:
            raise InvalidConfig(f"verify={self.verify!r} came; it can be {', '.join(VERIFY)}.")
        if self.smaller_than is not None and not self.smaller_than > 0:
            raise InvalidConfig(f"smaller_than={self.smaller_than!r} came; it is a ratio above 0.")


def job_of(
    source: str | Path, destination: str | Path, *, codec: str = "auto", audio: str | int = "copy", **more: Any
) -> FileJob:
    """A job of fields by name: those of ``FileJob``, and for the rest those of an encoder."""
    own = {name: more.pop(name) for name in OF_A_JOB if name in more}
    settings = FileSettings(codec=codec, audio=audio, encoder=more)
    return FileJob(source=Path(source), destination=Path(destination), settings=settings, **own)
