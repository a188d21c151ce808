"""Several attempts at a picture, of which the caller keeps one."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

from .settings import whole

MOST = {"h264": 16, "hevc": 16, "av1": 32}
"""As many states of an encoder as NVENC can keep."""

EncoderConfig = Any  # a module above this one, which calls it


def native(codec: str, value: int) -> int:
    return whole("attempts", value, most=MOST[codec], of=codec)


def contradictions(config: EncoderConfig, may_have_b_frames: bool) -> Iterator[str]:
    if not config.attempts:
        return
    asked = f"attempts={config.attempts}"
    if may_have_b_frames:
        yield (
            f"{asked} does not work with bframes={config.bframes}: a picture that waits for a later one cannot be "
            "coded again at once. Give bframes=0."
        )
    if config.extra_output_delay:
        yield (
            f"{asked} does not work with extra_output_delay={config.extra_output_delay}: each attempt is looked at "
            "before the next. Leave it out."
        )
    if config.session()["copy"] == "never":
        yield f"{asked} does not work with copy={config.copy!r}: the encoder keeps a copy for all attempts."
    for name in ("sub_frames", "stereo"):
        if getattr(config, name):
            yield f"{asked} does not work with {name}={getattr(config, name)}. Leave one out."
