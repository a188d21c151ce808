"""Digests of settings, by which a journal tells whether a result was made with the settings of this run.

A digest covers only the settings that differ from their baseline. A setting that a later version adds therefore leaves
the digest of every earlier result as it was, as long as nobody uses the new setting.

The baseline of a setting is the value that it had when it was introduced, not its default of today. If a default
changes, results that were made with the old one get another digest, as they should.
"""

from __future__ import annotations

import os
from dataclasses import asdict, dataclass, replace
from pathlib import Path
from typing import Any

from .journal_entry import digest, identity_of
from .settings import BatchSettings

NOT_OF_THE_RESULT = frozenset(
    (
        *(
            "engine",
            "gpu",
            "engines",
            "cluster",
            "tls",
            "segments",
            "destination",
            "in_place",
            "keep_bigger",
            "smaller_than",
        ),
        *("overwrite", "recursive", "include", "exclude", "verify", "container"),
    )
)
"""Settings that leave a finished result as good as it was."""

FIRST_BASELINE: dict[str, Any] = {
    "codec": "auto",
    "preset": "p4",
    "quality": 28,
    "lossless": False,
    "target": "",
    "audio": "copy",
    "multipass": "full",
    "lookahead": 32,
    "spatial_aq": True,
    "temporal_aq": True,
    "bframes": 3,
    "adaptive_b": True,
    "gop": 250,
    "encoder": {},
}
"""The settings of the versions whose digests covered every value. Do not add to these: see ``BASELINE``."""

NO_FILTERS: dict[str, Any] = {
    **dict.fromkeys(("scale", "fps", "crop", "deinterlace", "denoise", "trim", "vf"), ""),
    "rotate": 0,
}

NO_FURTHER_SOURCE: dict[str, Any] = {"right": ""}

NO_TRANSPARENCY: dict[str, Any] = {"alpha": False}

NO_LIMITS: dict[str, Any] = {"max_size": 0, "max_bitrate": 0}

BASELINE: dict[str, Any] = {
    **FIRST_BASELINE,
    **NO_FILTERS,
    **NO_LIMITS,
    **NO_FURTHER_SOURCE,
    **NO_TRANSPARENCY,
    "lookahead": 28,
    "cq": 0,
}
"""Every setting that makes a result what it is. Add new settings here, with their defaults; never change a value.

One exception: a lookahead of 28 stands for the 32 of the first versions, which drivers do not take beside 3 B-frames.
"""


@dataclass(frozen=True, kw_only=True)
class SettingsDigest:
    """``current`` is what journals record now; ``earlier`` are other digests that mean the same settings."""

    current: str
    earlier: frozenset[str] = frozenset()

    def matches(self, recorded: str) -> bool:
        """Whether a journal's entry was made with these settings."""
        return recorded == self.current or recorded in self.earlier


def digest_of(settings: BatchSettings) -> SettingsDigest:
    if _has_another_cq(settings):
        return SettingsDigest(current=digest({**_of_the_result(settings)[1], "quality_scale": 1}))
    found = _without_scale(settings)
    if settings.cq and settings.codec in ("h264", "hevc"):
        before = _without_scale(replace(settings, quality=settings.cq, cq=0))
        return replace(found, earlier=found.earlier | before.earlier | {before.current})
    return found


def _without_scale(settings: BatchSettings) -> SettingsDigest:
    """As in the versions whose ``quality`` was each codec's own ``cq``."""
    values, different = _of_the_result(settings)
    earlier = {_digest_of_all(values)} if different.keys() <= FIRST_BASELINE.keys() else set()
    return SettingsDigest(current=digest(different), earlier=frozenset(earlier))


def _of_the_result(settings: BatchSettings) -> tuple[dict[str, Any], dict[str, Any]]:
    """The settings that make a result what it is, and those of them that differ from the baseline."""
    values = {name: value for name, value in asdict(settings).items() if name not in NOT_OF_THE_RESULT}
    if settings.right:
        values["right"] = _identity(Path(settings.right))
    return values, {name: value for name, value in values.items() if not _is_same(value, BASELINE[name])}


def _identity(path: Path) -> list[Any]:
    """The file's name, and what changes when the file does."""
    found = identity_of(path)
    return [os.path.abspath(path), *(found or ())]


def _has_another_cq(settings: BatchSettings) -> bool:
    """Whether the same settings gave another ``cq`` before all codecs had one scale, which is that of NVENC's AV1."""
    return settings.codec in ("h264", "hevc") and not (settings.lossless or settings.cq or settings.target)


def _is_same(value: Any, other: Any) -> bool:
    """Unlike ``==``, this distinguishes True from the strength 1."""
    return isinstance(value, bool) == isinstance(other, bool) and bool(value == other)


def _digest_of_all(values: dict[str, Any]) -> str:
    """As the first versions made it: of every setting that they had, whether it was changed or not."""
    first = {name: values[name] for name in FIRST_BASELINE}
    if first["lookahead"] == BASELINE["lookahead"]:
        first["lookahead"] = FIRST_BASELINE["lookahead"]
    return digest(first)
