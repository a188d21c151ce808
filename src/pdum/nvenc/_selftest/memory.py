"""Which kinds of memory the encoder takes, and what it costs to tell it of a new frame."""

from __future__ import annotations

import contextlib
import ctypes
import time
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager
from functools import partial
from statistics import median
from typing import Any

from .bench import Bench, Encoder
from .cuda import LEGACY_IPC_CAPABLE, Cuda, CudaRefused
from .driver import Refused
from .pictures import SIZE, nv12
from .probe import Answer, NotHere, Probe

TAKEN = "registers, maps and encodes"
REGISTRATIONS = 16
FRAME = SIZE[0] * SIZE[1] * 3 // 2

Lending = Callable[[Cuda], AbstractContextManager[tuple[int, int]]]
"""Lends memory for one frame: its address and pitch."""


def _unpadded(lend: Callable[[Cuda, int], AbstractContextManager[int]]) -> Lending:
    @contextlib.contextmanager
    def lending(cuda: Cuda) -> Iterator[tuple[int, int]]:
        with lend(cuda, FRAME) as pointer:
            cuda.upload(pointer, nv12(0))
            yield pointer, SIZE[0]

    return lending


def _pitched(cuda: Cuda) -> AbstractContextManager[tuple[int, int]]:
    return cuda.pitched(SIZE[0], SIZE[1] * 3 // 2)


def taken_by_the_encoder(lend: Lending) -> Callable[[Bench], Answer]:
    """Asks for one kind of memory how far a frame in it comes."""

    def ask(bench: Bench) -> Answer:
        try:
            with lend(bench.cuda) as (pointer, pitch):
                numbers = {"legacy IPC capable": bench.cuda.pointer_attribute(pointer, LEGACY_IPC_CAPABLE)}
                refusal = bench.refusal()
                if refusal is not None:
                    raise NotHere(f"the memory is there, but no session: {refusal}", numbers)
                with bench.encoder(bench.best_codec(), tuning=2) as encoder:
                    return Answer(found=_way_through(encoder, pointer, pitch), numbers=numbers)
        except CudaRefused as refused:
            raise NotHere(f"CUDA has no such memory here: {refused}") from None

    return ask


def _way_through(encoder: Encoder, pointer: int, pitch: int) -> str:
    try:
        encoder.add_registered(pointer, pitch)
        encoder.submit(0)
        encoder.end()
        unit = encoder.take(0)
    except Refused as refused:
        return f"is refused by {refused.call}"
    return TAKEN if unit.data else "gives an empty access unit"


def registration_cost(bench: Bench) -> Answer:
    """Microseconds of registering, mapping and both ways back, each with memory that the driver has not seen."""
    spent: dict[str, list[float]] = {name: [] for name in ("register", "map", "unmap", "unregister")}
    with bench.encoder(bench.best_codec(), tuning=2) as encoder, contextlib.ExitStack() as memory:
        for pointer in [memory.enter_context(bench.cuda.plain(FRAME)) for _ in range(REGISTRATIONS)]:
            registered = _timed(spent["register"], partial(encoder.register, pointer, SIZE[0]))
            mapped = _timed(spent["map"], partial(encoder.map, registered))
            _timed(spent["unmap"], partial(_release, encoder, "nvEncUnmapInputResource", mapped))
            _timed(spent["unregister"], partial(_release, encoder, "nvEncUnregisterResource", registered))
    numbers = {f"{name}, microseconds": round(median(times), 1) for name, times in spent.items()}
    return Answer(found="each frame can be registered anew", numbers=numbers)


def _release(encoder: Encoder, call: str, handle: int) -> None:
    encoder.session.must(call, ctypes.c_void_p(handle))


def _timed(spent: list[float], work: Callable[[], Any]) -> Any:
    start = time.perf_counter()
    result = work()
    spent.append((time.perf_counter() - start) * 1e6)
    return result


KINDS: tuple[tuple[str, str, Lending, str], ...] = (
    ("plain", "memory of cuMemAlloc", _unpadded(Cuda.plain), TAKEN),
    ("pitched", "memory of cuMemAllocPitch", _pitched, TAKEN),
    ("pool", "memory of a stream-ordered pool (cuMemAllocAsync)", _unpadded(Cuda.pooled), "is refused by {}"),
    ("virtual", "memory of CUDA's virtual memory management", _unpadded(Cuda.mapped_virtual), "is refused by {}"),
    ("managed", "managed memory", _unpadded(Cuda.managed), "is refused by {}"),
)

PROBES = (
    *(
        Probe(
            theme="memory",
            name=name,
            question=f"Does {what} register, map and encode?",
            assumed=assumed.format("nvEncRegisterResource"),
            source="other clients copy what is not of cuMemAlloc"
            if "{}" in assumed
            else "every client registers such memory",
            ask=taken_by_the_encoder(lend),
        )
        for name, what, lend, assumed in KINDS
    ),
    Probe(
        theme="memory",
        name="cost",
        question="What does it cost to register and map a frame that the driver has not seen?",
        assumed="each frame can be registered anew",
        source="GStreamer registers every frame",
        ask=registration_cost,
    ),
)
