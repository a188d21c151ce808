"""The decoders that help with a file while an engine encodes it: the GPU's, and the processor's beside them."""

from __future__ import annotations

from collections.abc import Generator
from contextlib import ExitStack
from pathlib import Path
from typing import TYPE_CHECKING, Any

from .. import _nvenc
from .._errors import NvencError
from .decode import stretch_frames
from .decoder import Decoding, OnGpu
from .decoder_places import PLACES, PROCESSOR, chip_limit, processor_limit, processor_threads
from .frames_ahead import Bounds
from .idle_decoders import IDLE_DECODERS
from .stream_headers import CODECS
from .stretches import Stretch, Stretches

if TYPE_CHECKING:
    from .look import Look
    from .source import Index

SHARE_OF_MEMORY = 16
"""An engine's further decoders and their frames take at most this part of the GPU's memory."""
SURFACES = 39
"""The most that one decoder has: 32 to decode into, and 7 that frames are read from."""
KEPT_FOR_EACH = 2
"""Frames for which a decoder has memory, for each that is ahead."""
FULL_CHROMA = {"420": 1.5, "422": 2.0, "444": 3.0}
"""Samples for each pixel."""


def bounds_for(look: Look, stretches: Stretches, memory: int) -> Bounds:
    """What fits in this part of a GPU's memory. It counts all surfaces of a decoder, and the frames that are ahead
    twice: a decoder keeps as much memory for its next frames as it has frames out."""
    frame = look.pixels * FULL_CHROMA[look.chroma] * (2 if look.depth > 8 else 1)
    frames = int(memory / SHARE_OF_MEMORY / max(frame, 1))
    each = SURFACES + KEPT_FOR_EACH * stretches.mean
    further = min(int(frames / each), len(stretches) - 1)
    if further < 1 and frames >= 2 * SURFACES and len(stretches) > 1:
        further = 1  # it is ahead by less than a stretch
    return Bounds(decoders=1 + max(further, 0), room=max(0, frames - further * SURFACES) // KEPT_FOR_EACH)


class FurtherDecoders:
    """Opens decoders that help with a file for an engine of this GPU.

    Args:
        on_gpu: the GPU's decoder for this file; None if the GPU has none for it.
        gpu: the GPU.
    """

    def __init__(self, path: Path, index: Index, on_gpu: OnGpu | None, gpu: int) -> None:
        self._path, self._index, self._gpu = path, index, gpu
        self._on_gpu = on_gpu if on_gpu is not None and on_gpu.own is not None else None
        self.chips = (
            0 if self._on_gpu is None else chips_for(index.look.codec, index.look.chroma, index.look.depth, gpu)
        )
        """Decoders of the GPU that may work on this file at once. 0 if it has none for it."""

    def open_decoder(self) -> FurtherDecoder | None:
        """A decoder of the GPU if one is free, else one of the processor if there are cores for it."""
        if self._on_gpu is not None and PLACES.take(self._gpu, self.chips):
            return FurtherDecoder(self._path, self._index, Decoding(on_gpu=self._on_gpu), self._gpu)
        if PLACES.take(PROCESSOR, processor_limit()):
            return FurtherDecoder(self._path, self._index, Decoding(processor_threads()), PROCESSOR)
        return None


def chips_for(codec: str, chroma: str, depth: int, gpu: int) -> int:
    """How many decoders of the GPU may work on such videos at once. ``codec``: FFmpeg's name."""
    allowed = chip_limit(gpu)
    there = _chips_of(CODECS.get(codec), ":".join(chroma), depth, gpu)
    return there if allowed is None else min(allowed, there)


def _chips_of(codec: str | None, chroma: str, depth: int, gpu: int) -> int:
    """What the driver says. One that cannot say how many decoders there are has at least one."""
    if codec is None:
        return 0
    try:
        limits = _nvenc.decode_limits(codec=codec, chroma=chroma, bit_depth=depth, gpu_id=gpu)
    except NvencError:
        return 1
    return max(1, int(limits["engines"]))


def fair_share(chips: int, engines: int) -> int:
    """How many decoders each of the engines of a GPU begins with."""
    return max(1, chips // max(1, engines))


class FurtherDecoder:
    """A decoder that is open for one file. It decodes stretches of it."""

    def __init__(self, path: Path, index: Index, decoding: Decoding, place: int) -> None:
        self._path, self._index, self._decoding, self._place = path, index, decoding, place
        self.is_on_processor = place == PROCESSOR
        self._source = ExitStack()
        self._container: Any = None
        self._is_closed = False

    def frames(self, stretch: Stretch) -> Generator[Any, None, None]:
        return stretch_frames(self._opened_for(stretch), self._index, stretch, self._decoding)

    def _opened_for(self, stretch: Stretch) -> Any:
        """The container, which stays open: to open one takes FFmpeg as long as a chip needs for ten pictures."""
        if self._container is None or stretch.begin.is_first or self._index.changes_headers:
            self._source.close()
            self._container = self._source.enter_context(self._decoding.opened(self._path))
        return self._container

    def close(self) -> None:
        if not self._is_closed:
            self._is_closed = True
            PLACES.give_back(self._place)
            self._source.close()
            IDLE_DECODERS.end_idle()
