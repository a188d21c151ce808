"""What stands behind a writer: its encoder, its threads and its file. It does not know the writer.

A writer that is forgotten can so be collected, while the threads still work.
"""

from __future__ import annotations

import os
import threading
import warnings
from collections.abc import Callable, Iterable
from contextlib import suppress
from fractions import Fraction
from typing import TYPE_CHECKING, Any

from .._errors import InvalidConfig, InvalidFrame, UnsupportedFeature
from .._media.mux import VideoFormat
from .._profiling import profiled
from .encoding_thread import EncodingThread, Waiting
from .frame_copies import kept
from .output import Output
from .packet_thread import PATIENCE, Coded, PacketThread
from .times import PacketTimes

if TYPE_CHECKING:
    from .._config.config import EncoderConfig
    from .._nvenc import Packet
    from .frame_encoder import FrameEncoder
    from .output import Kind
    from .settings import WriterSettings
    from .targets import AnyTarget


REFUSALS = (InvalidFrame, InvalidConfig, UnsupportedFeature, TypeError)
"""Errors for a frame that an encoder refuses. The encoder goes on; after other errors, frames may be missing."""


class Pipeline:
    """Frames go to the encoder, at once or through a queue; its packets go through another queue to the file."""

    def __init__(self, settings: WriterSettings, target: AnyTarget, kind: Kind, base: Fraction, step: int) -> None:
        self.output = Output(target, kind, self._video_format)
        self.dropped = self.encoded = 0
        self._settings = settings
        self._base = base
        self._times = PacketTimes(step)
        self._encoder: FrameEncoder | None = None
        self._config: EncoderConfig | None = None
        self._header = b""
        self._count = 0
        self._failure: BaseException | None = None  # of the encoder, called in the writer's own thread
        self._frames: EncodingThread | None = None
        self._packets = PacketThread(self.output.write, self.output.complete)
        self._encoding = threading.Lock()  # held while the encoder is called

    @property
    def waiting(self) -> int:
        return 0 if self._frames is None else self._frames.waiting

    @property
    def is_open(self) -> bool:
        return self._encoder is not None

    @property
    def is_writing(self) -> bool:
        return self._packets.is_started

    @property
    def has_failed(self) -> bool:
        in_queue = self._frames is not None and self._frames.error is not None
        return in_queue or self._failure is not None or self._packets.error is not None

    def open(self, encoder: FrameEncoder, config: EncoderConfig) -> None:
        self._encoder, self._config = encoder, config
        # Ctrl-C in the middle of a call would lose its packets. In another thread, it does not reach the encoder.
        is_interruptible = self._settings.on_error == "keep"
        if not encoder.is_quick or self._settings.drop or is_interruptible:
            self._frames = EncodingThread(self._encode, self._settings.queue_frames, self._settings.queue_bytes)

    def start_writing(self) -> None:
        """Says that no more tracks come, so the file can be opened."""
        self._packets.start()

    def put(self, frame: Any, ticks: int, stream: Any, picture: Any) -> None:
        """Takes a frame, which the caller may change afterwards. Raises what a thread met."""
        self._packets.raise_error()
        if self._frames is None:
            self._encode(Waiting(frame, ticks, stream, picture))
            return
        assert self._encoder is not None
        copied, size = kept(frame, on_gpu=self._encoder.is_quick)
        drops = self._settings.drop == "oldest"
        self.dropped += self._frames.put(Waiting(copied, ticks, stream, picture), size, drops=drops)

    def put_sound(self, packets: Iterable[Coded]) -> None:
        for packet in packets:
            self._packets.put(packet)

    def finish(self) -> None:
        """All frames have come: waits until the file is complete. Raises what a thread met."""
        if self._frames is not None:
            self._frames.finish()
        if self._encoder is not None:
            with self._encoding:
                self._write(self._encoder.finish())
        self._packets.finish()
        self._close_encoder()

    def abort(self) -> None:
        """Gives up the video. Raises nothing, and waits for nothing that may not end."""
        is_over = self._packets.abort()
        if self._frames is not None:
            self._frames.abort(PATIENCE)
        _within(PATIENCE, self._close_encoder)
        _quietly(lambda: self.output.discard(is_stuck=not is_over))

    def _video_format(self) -> VideoFormat:
        """For the file, which is opened with the first packet."""
        assert self._config is not None
        config = self._config
        return VideoFormat(
            codec=str(config.settings()["codec"]), header=self._header, width=config.width, height=config.height,
            fps=self._settings.rate, time_base=self._base, stereo=self._settings.stereo,
        )  # fmt: skip

    def _encode(self, waiting: Waiting) -> None:
        with self._encoding:
            try:
                self._write(self._submitted(waiting))
            except REFUSALS:
                raise
            except BaseException as error:
                self._failure = error
                raise

    @profiled("pdum.writer.encode")
    def _submitted(self, waiting: Waiting) -> list[Packet]:
        assert self._encoder is not None
        number = self._count
        self._times.add(number, waiting.ticks)
        try:
            found = self._encoder.submit(waiting.frame, number, stream=waiting.stream, picture=waiting.picture)
        except REFUSALS:
            self._times.forget(number)
            raise
        self._count += 1
        return found

    def _write(self, packets: Iterable[Packet]) -> None:
        for packet in packets:
            if not self.encoded:
                assert self._encoder is not None
                self._header = self._encoder.header()
            self.encoded += 1
            pts, dts, duration = self._times.take(packet)
            self._packets.put(Coded("video", packet.data, pts, dts, packet.keyframe, duration))

    def _close_encoder(self) -> None:
        if self._encoder is not None:
            _quietly(self._encoder.close)


def _within(seconds: float, call: Callable[[], Any]) -> None:
    """Waits no longer than this. An engine may never answer again, and closing its encoder waits for it."""
    thread = threading.Thread(target=call, name="pdum.nvenc end", daemon=True)
    try:
        thread.start()
    except RuntimeError:  # the interpreter ends, and starts no more threads
        call()
    else:
        thread.join(seconds)


def _quietly(call: Callable[[], Any]) -> None:
    """Ignores errors while clearing up after an error, because that one is reported."""
    with suppress(Exception):
        call()


def forgotten(pipeline: Pipeline, name: str, made_in: int) -> None:
    """Discards the video of a writer that was dropped without ``close``."""
    if os.getpid() != made_in:
        return
    try:
        warnings.warn(
            f"The VideoWriter for {name} was never closed, so its video is discarded. Use it in a with block, or "
            "call close().",
            ResourceWarning,
            stacklevel=2,
        )
    finally:
        pipeline.abort()
