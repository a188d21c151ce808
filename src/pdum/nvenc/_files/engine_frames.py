"""The frames of a file for one engine, by one decoder or several."""

from __future__ import annotations

from collections.abc import Callable, Generator, Iterator
from contextlib import ExitStack, closing
from dataclasses import replace
from functools import cached_property, partial
from pathlib import Path
from typing import TYPE_CHECKING, Any

from .. import _nvenc
from .._media.decoder import Decoding, Stumbled
from .._media.decoder_places import PLACES, chip_limit
from .._media.frames_ahead import FramesAhead, SharedDecoding
from .._media.further_decoders import FurtherDecoder, FurtherDecoders, bounds_for, fair_share
from .._media.idle_decoders import IDLE_DECODERS
from .._media.stretches import Stretches

if TYPE_CHECKING:
    from .._media.filtered_video import FilteredVideo
    from .source_files import SourceFiles

LOOKED_AHEAD = 16
"""Frames of the source that filters may need beyond the last one that is wanted."""


class EngineFrames:
    """An iterator over the frames of a video from ``first`` on, as ``convert`` makes them for the encoder.

    Whoever iterates may change the number of decoders meanwhile: see ``FramesAhead``.
    """

    def __init__(
        self,
        video: FilteredVideo,
        first: int,
        decode: Callable[[int], FramesAhead],
        convert: Callable[[Any], Any],
        require_wanted: Callable[[], object],
        fair_share: Callable[[int], int],
    ) -> None:
        self.fair_share = fair_share
        self._decoding = ExitStack()
        self._decoding.enter_context(IDLE_DECODERS.in_use())
        self._steering = Steering(video)
        self._frames = _converted(video, first, partial(_decoded, decode, self._steering), convert, require_wanted)

    def __iter__(self) -> Iterator[Any]:
        return self

    def __next__(self) -> Any:
        return next(self._frames)

    def close(self) -> None:
        """Waits for the decoders to end."""
        self._frames.close()
        self._decoding.close()

    @property
    def _ahead(self) -> FramesAhead | None:
        return self._steering.ahead

    @property
    def decoders(self) -> int:
        return 1 if self._ahead is None else self._ahead.decoders

    @property
    def decoders_on_processor(self) -> int:
        return 0 if self._ahead is None else self._ahead.decoders_on_processor

    @property
    def idle_seconds(self) -> float:
        return 0.0 if self._ahead is None else self._ahead.idle_seconds

    @property
    def frames_decoded(self) -> int:
        return 0 if self._ahead is None else self._ahead.frames_decoded

    @property
    def frames_a_round(self) -> int:
        return 1 if self._ahead is None else self._ahead.frames_a_round

    @property
    def is_all_begun(self) -> bool:
        return self._ahead is not None and self._ahead.is_all_begun

    def use_decoders(self, wanted: int) -> None:
        self._steering.wanted = wanted
        self._steering.apply()

    def end_at(self, last: int) -> None:
        self._steering.end = last
        self._steering.apply_end()


class Steering:
    """What the user of the frames wants. The generators know this alone and not their user, so that they end as soon
    as nobody refers to it."""

    def __init__(self, video: FilteredVideo) -> None:
        self.wanted = 1
        self.end: int | None = None
        self.ahead: FramesAhead | None = None
        """None before the first frame."""
        self._video = video

    def apply(self) -> None:
        if self.ahead is not None:
            self.ahead.use_decoders(self.wanted)

    def apply_end(self) -> None:
        if self.ahead is not None and self.end is not None:
            self.ahead.end_at(self._video.needed_for(self.end) + LOOKED_AHEAD)


def _converted(
    video: FilteredVideo,
    first: int,
    decoded: Callable[[int], Generator[Any, None, None]],
    convert: Callable[[Any], Any],
    require_wanted: Callable[[], object],
) -> Generator[Any, None, None]:
    with closing(video.frames(first, decoded)) as frames:
        for frame in frames:
            require_wanted()
            yield convert(frame)


def _decoded(decode: Callable[[int], FramesAhead], steering: Steering, first: int) -> Generator[Any, None, None]:
    with closing(decode(first)) as ahead:
        steering.ahead = ahead
        steering.apply_end()
        steering.apply()
        yield from ahead


class Decoders:
    """The decoders of a file on one GPU.

    Args:
        decoding: how one decoder decodes the file.
        gpu: the engine's GPU.
    """

    def __init__(
        self,
        path: Path,
        video: FilteredVideo,
        files: SourceFiles,
        decoding: Decoding,
        gpu: int,
        on_repeated: Callable[[int], object],
    ) -> None:
        self._path, self._index, self._files = path, video.source, files
        self._decoding, self._gpu, self._on_repeated = decoding, gpu, on_repeated
        self._goes_on_alone = False

    def frames_from(self, first: int) -> FramesAhead:
        return FramesAhead(first, self._by_one, self._shared, f"pdum.nvenc GPU {self._gpu} decoder")

    def _stumble(self, error: Exception) -> None:
        """Without the GPU's decoder, one careful thread goes on to the end: several mend damage in another way."""
        self._goes_on_alone = self._goes_on_alone or self._decoding.on_gpu is None
        self._decoding.on_stumble(error)

    def _by_one(self, first: int, stumbled: Stumbled | None, before: Any) -> Generator[Any, None, None]:
        decoding = replace(self._decoding, on_stumble=self._stumble)
        if stumbled is not None:
            self._stumble(stumbled)
        is_damaged, stumbled = stumbled is not None, None  # it refers to frames
        on_chip = decoding.on_gpu is not None
        if on_chip and not PLACES.take(self._gpu, chip_limit(self._gpu)):
            on_chip, decoding = False, replace(decoding, on_gpu=None)
        try:
            yield from self._files.frames_from(
                self._index, first, decoding, self._on_repeated, before, is_damaged=is_damaged
            )
        finally:
            if on_chip:
                PLACES.give_back(self._gpu)

    def fair_share(self, engines: int) -> int:
        return fair_share(self._further.chips, engines)

    @cached_property
    def _further(self) -> FurtherDecoders:
        return FurtherDecoders(self._path, self._index, self._decoding.on_gpu, self._gpu)

    def _shared(self) -> SharedDecoding:
        stretches = Stretches(self._index)
        memory = int(_nvenc.gpus()[self._gpu]["memory_bytes"])
        return SharedDecoding(
            stretches=stretches,
            bounds=bounds_for(self._index.look, stretches, memory),
            open_decoder=self._open_further,
        )

    def _open_further(self) -> FurtherDecoder | None:
        if self._goes_on_alone:
            return None
        decoder = self._further.open_decoder()
        if decoder is not None:
            self._files.close_start()  # which is not needed if several decode from the beginning
        return decoder
