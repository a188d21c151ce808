"""What a stream with a view for each eye holds: files have to describe it, and no card was asked before."""

from __future__ import annotations

from .._mp4.hevc_units import has_two_views
from .bench import Bench
from .controls import LEAST_PSNR
from .pictures import decode, psnr
from .probe import Answer, Probe
from .second_layer import ask_with_pairs, numbers_of
from .takes import FRAMES, frame_of

BOTH = "both views come back, and key frames say which one is for which eye"


def ask(bench: Bench) -> Answer:
    return ask_with_pairs(bench, frame_of, _judged, stereo=True)


def _judged(header: bytes, packets: list[bytes]) -> Answer:
    wrong = ["the first packet does not say which view is for which eye"] * (not has_two_views(packets[0]))
    return Answer(found="; ".join([*wrong, *_unlike(packets)]) or BOTH, numbers=numbers_of(header, packets))


def _unlike(packets: list[bytes]) -> list[str]:
    """How the decoded views differ from the frames that went in."""
    shown = decode("hevc", packets, both_views=True)
    if len(shown) != 2 * FRAMES:
        return [f"{len(shown)} pictures of {2 * FRAMES} come back"]
    views = (("left", shown[::2], 0), ("right", shown[1::2], FRAMES))
    return [
        f"the {eye} view is another picture"
        for eye, pictures, later in views
        if min(psnr(picture, number + later) for number, picture in enumerate(pictures)) < LEAST_PSNR
    ]


PROBES = (
    Probe(
        theme="beyond packets",
        name="two views",
        question="Does a decoder show both views of a stream for both eyes?",
        assumed=BOTH,
        source="FFmpeg's client of NVENC",
        ask=ask,
    ),
)
