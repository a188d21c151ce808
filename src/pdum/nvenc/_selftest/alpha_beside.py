"""What a stream of pairs of a frame and its alpha holds: files have to describe it, and no card was asked before."""

from __future__ import annotations

from typing import Any

from .._config.config import EncoderConfig
from .._media.alpha_layer import as_two_views
from .._mp4.bits import nal_units
from .._mp4.hevc_units import ALPHA_CHANNEL_INFORMATION, has_second_picture, is_message
from .bench import Bench
from .controls import LEAST_PSNR
from .pictures import decode, image, psnr
from .probe import Answer, Probe
from .second_layer import ask_with_pairs, numbers_of
from .takes import FRAMES

BOTH = "the colours come back, each packet has alpha, and key frames say what it means"


def ask(bench: Bench) -> Answer:
    return ask_with_pairs(bench, _pair, _judged, alpha=True)


def _judged(header: bytes, packets: list[bytes]) -> Answer:
    messages = [unit.hex() for unit in nal_units(packets[0]) if is_message(unit, ALPHA_CHANNEL_INFORMATION)]
    return Answer(
        found="; ".join(_wrong(packets, messages)) or BOTH,
        numbers={
            **numbers_of(header, packets),
            "what key frames say of alpha": messages,
            "pictures of alpha that FFmpeg decodes": len(_shown_alpha(packets)),
        },
    )


def _shown_alpha(packets: list[bytes]) -> list[Any]:
    """The pictures of the second layer, if FFmpeg decodes all of both."""
    shown = decode("hevc", list(map(as_two_views, packets)), both_views=True)
    return shown[1::2] if len(shown) == 2 * FRAMES else []


def _pair(config: EncoderConfig, number: int) -> tuple[Any, Any]:
    """The alpha is the luma of another time."""
    return image(number), image(number + FRAMES)[: config.height]


def _wrong(packets: list[bytes], messages: list[str]) -> list[str]:
    shown = decode("hevc", packets)
    wrong = []
    if len(shown) != FRAMES:
        wrong.append(f"{len(shown)} pictures of {FRAMES} come back")
    elif min(psnr(picture, number) for number, picture in enumerate(shown)) < LEAST_PSNR:
        wrong.append("the colours are those of another picture")
    if not all(map(has_second_picture, packets)):
        wrong.append("there are packets without alpha")
    elif any(psnr(picture, number + FRAMES) < LEAST_PSNR for number, picture in enumerate(_shown_alpha(packets))):
        wrong.append("the alpha is that of another picture")
    return wrong if messages else [*wrong, "the first packet does not say what the alpha means"]


PROBES = (
    Probe(
        theme="beyond packets",
        name="alpha beside NV12",
        question="Does a frame that comes with its alpha give a stream of its colours, with a layer of alpha?",
        assumed=BOTH,
        source="NVIDIA's documentation",
        ask=ask,
    ),
)
