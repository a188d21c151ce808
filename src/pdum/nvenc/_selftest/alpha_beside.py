"""What a stream of pairs of a frame and its alpha holds: files have to describe it, and no card was asked before."""

from __future__ import annotations

from typing import Any

from .._config.config import EncoderConfig
from .._encoders.nvenc import NvencEncoder
from .._errors import NvencError, UnsupportedFeature
from .._mp4.bits import nal_units
from .._mp4.hevc_units import ALPHA_CHANNEL_INFORMATION, has_second_picture, is_message
from .bench import Bench
from .controls import LEAST_PSNR
from .pictures import SIZE, decode, image, psnr
from .probe import Answer, NotHere, Probe
from .second_layer import numbers_of
from .takes import FRAMES

BOTH = "the colours come back, each packet has alpha, and key frames say what it means"


def ask(bench: Bench) -> Answer:
    bench.need_codec("hevc")
    config = EncoderConfig(width=SIZE[0], height=SIZE[1], codec="hevc", alpha=True, gpu_id=bench.gpu_id)
    try:
        header, packets = _encoded(config)
    except UnsupportedFeature as lacking:
        raise NotHere(str(lacking)) from None
    except NvencError as error:
        return Answer(found=f"it is refused: {error}")
    messages = [unit.hex() for unit in nal_units(packets[0]) if is_message(unit, ALPHA_CHANNEL_INFORMATION)]
    return Answer(
        found="; ".join(_wrong(packets, messages)) or BOTH,
        numbers={**numbers_of(header, packets), "what key frames say of alpha": messages},
    )


def _encoded(config: EncoderConfig) -> tuple[bytes, list[bytes]]:
    with NvencEncoder(config) as encoder:
        packets = [packet for number in range(FRAMES) for packet in encoder.submit(_pair(number), number)]
        return encoder.sequence_header(), [packet.data for packet in [*packets, *encoder.flush_pipeline()]]


def _pair(number: int) -> tuple[Any, Any]:
    """The alpha is the luma of another time."""
    return image(number), image(number + FRAMES)[: SIZE[1]]


def _wrong(packets: list[bytes], messages: list[str]) -> list[str]:
    shown = decode("hevc", packets)
    wrong = []
    if len(shown) != FRAMES:
        wrong.append(f"{len(shown)} pictures of {FRAMES} come back")
    elif min(psnr(picture, number) for number, picture in enumerate(shown)) < LEAST_PSNR:
        wrong.append("the colours are those of another picture")
    if not all(map(has_second_picture, packets)):
        wrong.append("there are packets without alpha")
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
