"""The public encoder. It checks settings; its native base class handles frames."""

from __future__ import annotations

import os
from threading import Lock
from typing import TYPE_CHECKING, Any, SupportsIndex, overload

from .. import _nvenc
from .arguments import config_of

if TYPE_CHECKING:
    from collections.abc import AsyncIterable, AsyncIterator, Callable, Iterable, Iterator
    from types import TracebackType

    from typing_extensions import Self, Unpack

    from .._config import choices
    from .._config.config import EncoderConfig
    from .._config.encoder_fields import FurtherFields, LiveFields
    from .._config.picture import PictureOptions
    from .._config.settings import Bits, FrameRate
    from .._nvenc import Packet
    from .aio import Worker
    from .attempts import Attempts

ABI_VARIABLE = "PDUM_NVENC_ABI"

MOST_IN_VAIN = 200
"""How often slices are asked for without any coming, a hundredth of a second each time. Then the whole picture is
waited for, as by other calls, so that a driver that is busy forever is told."""


def forced_abi() -> str | None:
    """The interface version that the environment asks for, read at each use."""
    return os.environ.get(ABI_VARIABLE) or None


class NvencEncoder(_nvenc.Encoder):
    """One session on a hardware encoder: NV12 frames in, H.264, HEVC or AV1 out.

    ::

        with NvencEncoder(1920, 1080, codec="hevc", bitrate=8_000_000) as encoder:
            for frame in frames:                    # CuPy, PyTorch, NumPy, …
                output.write(encoder.encode(frame))
            output.write(encoder.flush())

    A frame is an array of shape ``(height * 3 // 2, width)`` and type uint8 (NV12: the rows of Y, then half as many of
    interleaved U and V) with ``__cuda_array_interface__``, ``__dlpack__`` or Python's buffer protocol. Rows may be
    padded. ``format`` names other kinds, such as ``"rgb"``. A frame on the GPU is read in the order of its
    producer's stream, and may be overwritten on that stream as soon as the call returns; the host waits for neither.

    Threads may share an encoder, whose calls run one at a time. Many encoders in many threads run in parallel.

    Args:
        width, height: the picture's size in pixels, both even.
        codec: ``"h264"``, ``"hevc"`` (``"h265"``) or ``"av1"``.
        preset: ``"p1"`` (fastest) to ``"p7"`` (best).
        tuning: ``"ll"`` low latency, ``"ull"`` ultra low latency, ``"hq"`` high quality, ``"uhq"`` ultra high quality
            (interface 13.0), ``"lossless"``; the long names (``"low_latency"``) work, too.
        fps: frames a second: a number, ``"30000/1001"``, a ``Fraction`` or a pair.
        gop: frames from one IDR to the next; 0: only the first frame is one; None: as the preset has it (250 frames
            for ``hq``, only the first frame for ``ll`` and ``ull``).
        bitrate: bits a second; 0: the preset's own rate control. Constant for ``ll`` and ``ull``, else variable.
        gpu_id: the GPU, as CUDA counts.
        cuda_context: a ``CUcontext`` of yours as an int, alive as long as the encoder; 0: the GPU's primary context,
            in which CuPy and PyTorch work.
        extra_output_delay: how many frames ``submit`` may leave in flight, so that encoding overlaps with what the
            caller does meanwhile. 0: each call waits for its own frame.
        profile: ``"auto"``, or one of the codec's: ``"baseline"``, ``"main"``, ``"high"`` (H.264), ``"main"``,
            ``"main10"`` (HEVC), ``"main"`` (AV1).
        more: any further field of ``EncoderConfig``; or pass one ``EncoderConfig`` instead of all.

    Raises:
        InvalidConfig: a setting is wrong, or a size is beyond the limits of the GPU.
        UnsupportedFeature: the GPU or the driver cannot do it; the message says which capability or version is missing.
        DriverNotFound, DriverTooOld, NoEncoder, OutOfSessions: there is no encoder, or none is free; ``available()``
            tells without raising.
    """

    unmapped: tuple[str, ...] = ()
    """Settings that were left out. Only a ``SoftwareEncoder`` has some; the hardware takes all or raises."""

    _config: EncoderConfig | None = None  # until __init__ has run
    _worker: Worker | None = None  # until the first awaited call

    @overload
    def __init__(self, config: EncoderConfig, /) -> None: ...

    @overload
    def __init__(
        self,
        width: int,
        height: int,
        codec: choices.Codec = "h264",
        preset: choices.Preset = "p3",
        tuning: choices.Tuning = "ll",
        fps: FrameRate = 30,
        gop: int | None = 30,
        bitrate: Bits = 0,
        gpu_id: int = 0,
        cuda_context: int = 0,
        extra_output_delay: int = 0,
        profile: choices.Profile = "auto",
        **more: Unpack[FurtherFields],
    ) -> None: ...

    def __init__(
        self,
        width: int | EncoderConfig,
        height: int | None = None,
        codec: choices.Codec = "h264",
        preset: choices.Preset = "p3",
        tuning: choices.Tuning = "ll",
        fps: FrameRate = 30,
        gop: int | None = 30,
        bitrate: Bits = 0,
        gpu_id: int = 0,
        cuda_context: int = 0,
        extra_output_delay: int = 0,
        profile: choices.Profile = "auto",
        **more: Unpack[FurtherFields],
    ) -> None:
        first = (width, height, codec, preset, tuning, fps, gop, bitrate)
        config = config_of("NvencEncoder", (*first, gpu_id, cuda_context, extra_output_delay, profile), more)
        self._config = config
        self._changing = Lock()  # held while driver and configuration change together
        self._starting = Lock()  # held while the thread for awaited calls is started
        self._made_in = os.getpid()
        super().__init__(settings=config.settings(), **config.session(), abi=forced_abi())

    def __setattr__(self, name: str, value: object) -> None:
        if not name.startswith("_"):
            from .._config.live_changes import require_settable

            require_settable(name, is_subclass=type(self) is not NvencEncoder)
        super().__setattr__(name, value)

    @property
    def config(self) -> EncoderConfig | None:
        """The encoder's configuration, including changes by ``reconfigure``."""
        return self._config

    @property
    def nvtx_enabled(self) -> bool:
        """Whether this build marks NVTX ranges for NVIDIA's profilers."""
        return _nvenc.nvtx_enabled

    def reconfigure(self, **changes: Unpack[LiveFields]) -> None:
        """Changes the given settings from the next frame on. All others stay as they are.

        Bitrates, VBV, ``fps``, ``rate_control``, QPs, ``cq``, ``multipass`` and AQ can change, and so can ``width`` and
        ``height``, up to the ``max_width`` and ``max_height`` that the encoder was made with. Anything else is an
        InvalidConfig that names it.

        Another size begins with an IDR. So does another mode of rate control (variable, constant, constant quantisers)
        if the GPU cannot change it in a running session; the encoder then opens a new one. In both cases the frames in
        flight are finished first, and their packets come out with the next call.

        If it raises, the settings stay as they were. If it raises because no new session could be opened, the next
        frame may be an IDR or raise, too; the packets of the frames in flight are not lost.
        """
        if self._config is None or not self._is_usable:
            self._reconfigure({})  # raises the right error
            return
        # After the check: in a forked child, another thread's unfinished import would be waited for without end.
        from .._config.live_changes import live_changes

        with self._changing:
            after, native = live_changes(self._config, changes)
            self._reconfigure(native)
            self._config = after

    async def lost_async(self, seq: SupportsIndex) -> bool:
        """``lost`` for asyncio. It waits in another thread until the encoder is free."""
        if not self._is_usable:
            return self.lost(seq)  # raises the right error
        from asyncio import to_thread

        return await to_thread(self.lost, seq)

    def encode_slices(
        self, frame: Any, force_idr: bool = False, *, stream: Any = None, picture: PictureOptions | None = None
    ) -> Iterator[bytes]:
        """``encode`` in parts, each as soon as it is ready: whole slices, the first one behind the parameter sets.

        The encoder has to be made with ``sub_frames=True`` and ``slices``. The frame is taken at once, and may be
        changed when this returns. While you wait for the next part, this thread asks the driver for it ten thousand
        times a second. If you stop before the last part, call ``flush`` before the next frame; it returns the picture
        as a whole.
        """
        return self._slices(self._begin_slices(frame, force_idr, stream, picture))

    def _slices(self, pts: int) -> Iterator[bytes]:
        taken, is_over, in_vain = 0, False, 0
        while not is_over:
            part, is_over = self._next_slices(pts, taken, in_vain >= MOST_IN_VAIN)
            taken += len(part)
            in_vain = 0 if part else in_vain + 1
            if part:
                yield part

    def begin_attempts(
        self, frame: Any = None, seq: SupportsIndex = 0, *, stream: Any = None, picture: PictureOptions | None = None
    ) -> Attempts | None:
        """Takes a frame that is then coded as often as you like, up to ``attempts`` times; you keep one result.

        The frame is copied, and may be changed when this returns. No other frame can be encoded until one of the
        attempts is kept. With ``lookahead``, what is returned is about an earlier frame, or None as long as there is
        none; at the end, call it without a frame until it gives None.
        """
        from .attempts import Attempts

        if not self._begin_attempts(frame, seq, stream, picture):
            return None
        return Attempts(self)

    def attempts_at(self, frames: Iterable[Any]) -> Iterator[Attempts]:
        """All frames, one after the other, each as ``begin_attempts`` gives it. ``packet.seq`` is the frame's number.

        What you do not keep yourself is kept as by leaving a ``with`` block.
        """
        for seq, frame in enumerate(frames):
            picture = self.begin_attempts(frame, seq)
            if picture is not None:
                with picture:
                    yield picture
        while (picture := self.begin_attempts()) is not None:
            with picture:
                yield picture

    def flush_lazily(self) -> Iterator[Packet]:
        """``flush_pipeline`` as an iterator, as ``SoftwareEncoder`` has it."""
        return iter(self.flush_pipeline())

    async def encode_async(
        self, frame: Any, force_idr: bool = False, *, stream: Any = None, picture: PictureOptions | None = None
    ) -> bytes:
        """``encode`` for asyncio: the event loop runs on while the engine works.

        Do not change the frame until this returns. If it is cancelled, the frame is encoded nevertheless, and the next
        awaited call returns its packet. Do not change the frame until then.
        """
        from .aio import join

        return join(await self.submit_async(frame, 0, force_idr, stream=stream, picture=picture))

    async def submit_async(
        self,
        frame: Any,
        seq: SupportsIndex,
        force_idr: bool = False,
        *,
        stream: Any = None,
        picture: PictureOptions | None = None,
        on_released: Callable[[Any], object] | None = None,
    ) -> list[Packet]:
        """``submit`` for asyncio, cancelled like ``encode_async``. ``on_released`` is called in another thread."""
        from .aio import stream_here

        made_on = stream_here(frame, stream)
        return await self._in_thread(
            lambda: self.submit(frame, seq, force_idr, stream=made_on, picture=picture, on_released=on_released)
        )

    async def flush_async(self) -> bytes:
        """``flush`` for asyncio. Includes the packets that cancelled calls left."""
        from .aio import join

        return join(await self.flush_pipeline_async())

    async def flush_pipeline_async(self) -> list[Packet]:
        """``flush_pipeline`` for asyncio. Includes the packets that cancelled calls left."""
        return await self._in_thread(self.flush_pipeline)

    async def packets_async(self, frames: Iterable[Any] | AsyncIterable[Any]) -> AsyncIterator[Packet]:
        """Encodes all frames, flushes, and yields their packets. ``packet.seq`` is the frame's number, from 0."""
        from .aio import each_of

        seq = 0
        async for frame in each_of(frames):
            for packet in await self.submit_async(frame, seq):
                yield packet
            seq += 1
        for packet in await self.flush_pipeline_async():
            yield packet

    async def begin_attempts_async(
        self, frame: Any = None, seq: SupportsIndex = 0, *, stream: Any = None, picture: PictureOptions | None = None
    ) -> Attempts | None:
        """``begin_attempts`` for asyncio. Use its result by ``async with`` and its methods that end with ``_async``.

        Do not change the frame until this returns. If it is cancelled, the frame is left out as one without attempts.
        """
        from .aio import stream_here

        made_on = stream if frame is None else stream_here(frame, stream)

        def begin() -> Attempts | None:
            return self.begin_attempts(frame, seq, stream=made_on, picture=picture)

        return await self._worker_here().begin(begin) if self._is_usable else begin()  # which raises the right error

    async def attempts_at_async(self, frames: Iterable[Any] | AsyncIterable[Any]) -> AsyncIterator[Attempts]:
        """``attempts_at`` for asyncio."""
        from .aio import each_of

        seq = 0
        async for frame in each_of(frames):
            picture = await self.begin_attempts_async(frame, seq)
            seq += 1
            if picture is not None:
                async with picture:
                    yield picture
        while (picture := await self.begin_attempts_async()) is not None:
            async with picture:
                yield picture

    async def _in_thread(self, call: Callable[[], list[Packet]]) -> list[Packet]:
        return await self._worker_here().run(call) if self._is_usable else call()  # which raises the right error

    async def _do(self, work: Callable[[], object]) -> None:
        if not self._is_usable:
            work()  # raises the right error
            return
        await self._worker_here().do(work)

    def _worker_here(self) -> Worker:
        from .aio import Worker

        with self._starting:
            if self._worker is None:
                self._worker = Worker()
            return self._worker

    @property
    def _is_usable(self) -> bool:
        """Whether it was made in this process. In a forked child, locks may be held forever."""
        return self._config is not None and self._made_in == os.getpid()

    def close(self) -> None:
        if self._worker is not None and self._is_usable:
            self._worker.end()
        super().close()

    close.__doc__ = _nvenc.Encoder.close.__doc__

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None
    ) -> None:
        self.close()
