"""What an encoder gives besides packets: does it agree with the packets, and with the pictures?"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from .._encoders.motion import MotionEstimator
from .._encoders.nvenc import NvencEncoder
from .._errors import UnsupportedFeature
from .bench import Bench
from .pictures import SIZE, decode, image, luma
from .probe import Answer, NotHere, Probe

CODECS = ("h264", "hevc", "av1")
FRAMES = 6
SHIFT = (6, -3)
SAME_PICTURES = "it is what a decoder shows"
ALL_BITS = "the bits of all units are those of the packet"
POINTING_BACK = "the block is found at its place plus the vector"


def _opened(codec: str, **settings: Any) -> NvencEncoder:
    try:
        return NvencEncoder(*SIZE, codec=codec, **settings)
    except UnsupportedFeature as lacking:
        raise NotHere(str(lacking)) from None


def reconstruction(codec: str) -> Callable[[Bench], Answer]:
    def ask(bench: Bench) -> Answer:
        import numpy as np

        bench.need_codec(codec)
        units, shown = [], []
        with _opened(codec, reconstruction=True) as encoder:
            for number in range(FRAMES):
                for packet in encoder.submit(image(number), number):
                    units.append(packet.data)
                    shown.append(np.asarray(packet.reconstruction)[: SIZE[1]])
        decoded = [luma(picture)[: SIZE[1], : SIZE[0]] for picture in decode(codec, units)]
        different = [n for n, pair in enumerate(zip(shown, decoded, strict=True)) if not np.array_equal(*pair)]
        return Answer(
            found=f"the pictures {different} differ from a decoder's" if different else SAME_PICTURES,
            numbers={"pictures": len(shown)},
        )

    return ask


def statistics(codec: str, level: str) -> Callable[[Bench], Answer]:
    """The bits of headers may count or not, so a tenth is left open."""

    def ask(bench: Bench) -> Answer:
        bench.need_codec(codec)
        with _opened(codec, statistics=level) as encoder:
            packets = [packet for n in range(FRAMES) for packet in encoder.submit(image(n), n)]
        shares = []
        for packet in packets:
            counted: Any = packet.statistics
            units = counted.rows if level == "rows" else counted.blocks
            shares.append(round(float(units["bits"].sum()) / (8 * len(packet.data)), 3))
        agree = all(abs(share - 1) < 0.1 for share in shares)
        return Answer(found=ALL_BITS if agree else "the bits differ from the packet's", numbers={"shares": shares})

    return ask


def motion(codec: str) -> Callable[[Bench], Answer]:
    def ask(bench: Bench) -> Answer:
        import numpy as np

        bench.need_codec(codec)
        reference = np.full((SIZE[1] * 3 // 2, SIZE[0]), 128, np.uint8)
        reference[: SIZE[1]] = np.random.default_rng(1).integers(16, 236, (SIZE[1], SIZE[0]), dtype=np.uint8)
        frame = reference.copy()
        frame[: SIZE[1]] = np.roll(reference[: SIZE[1]], (-SHIFT[1], -SHIFT[0]), (0, 1))
        try:
            estimator = MotionEstimator(*SIZE, codec=codec)
        except UnsupportedFeature as lacking:
            raise NotHere(str(lacking)) from None
        with estimator:
            blocks = estimator.estimate(frame, reference)
        vectors = blocks["vectors"][:, 0]
        found = {name: sum(map(bool, (vectors == wanted).all(1))) for name, wanted in _DIRECTIONS.items()}
        numbers = {"blocks": len(blocks), "intra": int(blocks["intra"].sum()), **found}
        best = max(found, key=lambda name: found[name])
        return Answer(
            found=best if found[best] > len(blocks) // 2 else "no vector is the most frequent", numbers=numbers
        )

    return ask


_DIRECTIONS = {
    POINTING_BACK: [4 * SHIFT[0], 4 * SHIFT[1]],
    "the vector points the other way": [-4 * SHIFT[0], -4 * SHIFT[1]],
}


def _probe(name: str, question: str, assumed: str, ask: Callable[[Bench], Answer]) -> Probe:
    source = "docs/reading-more-than-packets.md"
    return Probe(theme="beyond packets", name=name, question=question, assumed=assumed, source=source, ask=ask)


PROBES = (
    *(
        _probe(
            f"reconstruction, {codec}",
            "Is it the decoder's picture, byte by byte?",
            SAME_PICTURES,
            reconstruction(codec),
        )
        for codec in CODECS
    ),
    *(
        _probe(f"{level}, {codec}", "Do they share out the packet's bits?", ALL_BITS, statistics(codec, level))
        for codec in CODECS
        for level in ("rows", "blocks")
    ),
    *(
        _probe(f"motion, {codec}", "Which way do vectors point in a shifted picture?", POINTING_BACK, motion(codec))
        for codec in ("h264", "hevc")
    ),
)
