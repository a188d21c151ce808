"""Whether the engine reads frames in the order of a CUDA stream, without the host waiting for anything."""

from __future__ import annotations

import ctypes
import time
from collections.abc import Iterator
from contextlib import contextmanager

from .bench import Bench, Encoder
from .driver import Change, Settings
from .pictures import SIZE, decode, flat, mean_luma
from .probe import Answer, NotHere, Probe

SLOW = 0.1
"""Seconds that the producer of a frame takes."""
OLD, NEW = 60, 180
"""Luma of a frame before and after somebody wrote it."""
NEAR = 6
HIGH_QUALITY, LOW_LATENCY = 1, 2
LUMA = SIZE[0] * SIZE[1]


@contextmanager
def streamed(
    bench: Bench, change: Change | None = None, tuning: int = LOW_LATENCY
) -> Iterator[tuple[Encoder, ctypes.c_void_p]]:
    """An encoder whose input and output are ordered on one stream."""
    with bench.cuda.stream() as stream, bench.encoder(bench.best_codec(), change, tuning=tuning) as encoder:
        encoder.session.must("nvEncSetIOCudaStreams", ctypes.byref(stream), ctypes.byref(stream))
        yield encoder, stream


def _seen(encoder: Encoder, outputs: range) -> list[str]:
    """Which content each decoded picture has."""
    pictures = decode(encoder.settings.codec, [encoder.take(number).data for number in outputs])
    means = [mean_luma(picture) for picture in pictures]
    return ["old" if abs(m - OLD) < NEAR else "new" if abs(m - NEW) < NEAR else f"luma {m}" for m in means]


def slow_producer(bench: Bench) -> Answer:
    """A frame is written on the stream only after a while; the call that encodes it comes at once."""
    with streamed(bench) as (encoder, stream):
        encoder.add_surface(flat(OLD))
        bench.cuda.hold_up(stream, SLOW)
        bench.cuda.fill(encoder.pointers[0], NEW, LUMA, stream)
        start = time.perf_counter()
        encoder.submit(0)
        waited = time.perf_counter() - start
        encoder.end()
        (seen,) = _seen(encoder, range(1))
    numbers = {"nvEncEncodePicture, milliseconds": round(waited * 1e3, 2), "producer, milliseconds": SLOW * 1e3}
    found = {"new": "the engine waits for the producer", "old": "the engine does not wait"}
    return Answer(found=found.get(seen, seen), numbers=numbers)


def overwritten_in_order(bench: Bench) -> Answer:
    """The frame is overwritten on the stream directly after the call."""
    with streamed(bench) as (encoder, stream):
        encoder.add_surface(flat(OLD))
        encoder.submit(0)
        bench.cuda.fill(encoder.pointers[0], NEW, LUMA, stream)
        encoder.end()
        (seen,) = _seen(encoder, range(1))
    return Answer(found={"old": "it may", "new": "it may not"}.get(seen, seen))


def overwritten_after_its_packet(bench: Bench) -> Answer:
    """One surface for all pictures, written anew as soon as its access unit was locked, without any stream."""
    lumas = [OLD, NEW, OLD, NEW]
    codec = bench.best_codec()
    with bench.encoder(codec, tuning=LOW_LATENCY) as encoder:
        encoder.add_surface(flat(OLD))
        units = []
        for number, luma in enumerate(lumas):
            bench.cuda.upload(encoder.pointers[0], flat(luma))
            encoder.submit(0, timestamp=number)
            units.append(encoder.take(0).data)
        means = [mean_luma(picture) for picture in decode(codec, units)]
    good = len(means) == len(lumas) and all(abs(a - b) < NEAR for a, b in zip(means, lumas, strict=True))
    return Answer(found="it may" if good else f"it may not: luma {means} for {lumas}")


def overwritten_while_held(bench: Bench) -> Answer:
    """B-frames wait for their anchor. Here one is overwritten meanwhile, which this package never does."""
    codec = bench.best_codec()
    if bench.cap(codec, "NUM_MAX_BFRAMES") == 0:
        raise NotHere("this card codes no B-frames")

    def with_b_frames(settings: Settings) -> None:
        settings.structure(bframes=2, gop=30)
        settings.codec_config.useBFramesAsRef = 0

    with streamed(bench, with_b_frames, HIGH_QUALITY) as (encoder, stream):
        for _ in range(4):
            encoder.add_surface(flat(OLD))
        for number in range(4):
            encoder.submit(number)
            if number == 1:
                bench.cuda.fill(encoder.pointers[1], NEW, LUMA, stream)
        encoder.end()
        seen = _seen(encoder, range(4))
    if seen[:1] + seen[2:] != ["old", "old", "old"]:
        return Answer(found=f"unclear: {seen}")
    return Answer(found={"old": "the frame as it was at the call", "new": "the frame as it became"}[seen[1]])


PROBES = (
    Probe(
        theme="ordering",
        name="slow producer",
        question="Does the engine wait for the input stream, without the host?",
        assumed="the engine waits for the producer",
        source="the header: nvEncSetIOCudaStreams",
        ask=slow_producer,
    ),
    Probe(
        theme="ordering",
        name="overwritten on the stream",
        question="May a frame be overwritten on the output stream as soon as the call has returned?",
        assumed="it may",
        source="the header: nvEncSetIOCudaStreams",
        ask=overwritten_in_order,
    ),
    Probe(
        theme="ordering",
        name="overwritten after its packet",
        question="May a frame be overwritten once its access unit was locked?",
        assumed="it may",
        source="every client does it",
        ask=overwritten_after_its_packet,
    ),
    Probe(
        theme="ordering",
        name="overwritten while held",
        question="What is coded of a B-frame that was overwritten while it waited for its anchor?",
        assumed="the frame as it was at the call",
        source="not known of any card; this package keeps such frames untouched",
        ask=overwritten_while_held,
    ),
)
