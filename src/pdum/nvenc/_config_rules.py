"""Settings that contradict each other, and what to do instead."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

from ._errors import InvalidConfig
from ._settings import codec_name, tuning_name

EncoderConfig = Any  # which stands above this module and calls it


def require_compatible(config: EncoderConfig) -> None:
    """Raises InvalidConfig for the first contradiction."""
    for contradiction in (*_of_rates(config), *_of_tuning(config), *_of_codec(config), *_of_format(config)):
        raise InvalidConfig(contradiction)


def _of_rates(config: EncoderConfig) -> Iterator[str]:
    mode, qp, cq = config.rate_control, config.qp, config.cq
    if config.max_bitrate and not config.bitrate and cq is None:
        yield f"max_bitrate={config.max_bitrate} came with bitrate=0 and no cq; give the mean as bitrate."
    if 0 < config.max_bitrate < config.bitrate:
        yield f"max_bitrate={config.max_bitrate} came, which is less than bitrate={config.bitrate}."
    if mode == "constqp" and qp is None:
        yield "rate_control='constqp' came without qp."
    if mode in ("vbr", "cbr") and qp is not None:
        yield f"qp={qp} came with rate_control={mode!r}. Use min_qp, max_qp or cq."
    if mode in ("constqp", "cbr") and cq is not None:
        yield f"cq={cq} came with rate_control={mode!r}; it is part of 'vbr'."
    if qp is not None and cq is not None:
        yield f"qp={qp} came with cq={cq}; choose one."


def _of_tuning(config: EncoderConfig) -> Iterator[str]:
    tuning = tuning_name(config.tuning)
    if tuning == "lossless" and (
        config.bitrate or config.max_bitrate or config.cq is not None or config.qp is not None
    ):
        yield "tuning='lossless' came with a bitrate, cq or qp; a lossless stream takes the bits that it needs."
    if tuning in ("ll", "ull") and config.bframes:
        yield f"bframes={config.bframes} came with tuning={tuning!r}; B-frames wait for later frames. Use tuning='hq'."


def _of_codec(config: EncoderConfig) -> Iterator[str]:
    codec = codec_name(config.codec)
    if codec == "h264" and config.profile == "baseline" and config.bframes:
        yield f"bframes={config.bframes} came with profile='baseline', which has none. Use profile='main'."
    if codec == "h264" and config.split_encode not in (None, "off"):
        yield f"split_encode={config.split_encode!r} came with codec='h264'; it is for HEVC and AV1."
    if codec == "h264" and config.tier is not None:
        yield f"tier={config.tier!r} came with codec='h264', which has none."
    if codec == "av1" and config.slices is not None:
        yield f"slices={config.slices!r} came with codec='av1', which has tiles instead."


def _of_format(config: EncoderConfig) -> Iterator[str]:
    if config.format.lower() == "rgb" and config.copy == "never":
        yield "copy='never' came with format='rgb', whose frames are converted and never read in place."
