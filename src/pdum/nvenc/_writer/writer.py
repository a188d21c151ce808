"""``VideoWriter``: frames in, one after the other; a video file out."""

from __future__ import annotations

import os
import threading
import warnings
import weakref
from fractions import Fraction
from typing import TYPE_CHECKING, Any, Literal

from .._config.settings import codec_name
from .._encoders.aio import stream_here
from .._errors import EncoderClosed, InvalidConfig
from .._profiling import profiled
from .bounded_queue import QueueClosed
from .frame_copies import require_unit_range
from .opening import open_frame_encoder, require_engines
from .output import kind_of
from .pipeline import Pipeline, forgotten
from .settings import WriterSettings
from .sound import SoundEncoder, as_samples, codec_for, passed_on
from .statistics import WriterStatistics
from .targets import MemoryTarget, PathTarget, target_of
from .times import FrameTimes
from .views import checked_views, pictures_of, views_of

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Iterator
    from types import TracebackType
    from typing import BinaryIO

    from typing_extensions import Self, Unpack

    from .._config import choices
    from .._config.config import EncoderConfig
    from .._config.encoder_fields import WriterFields
    from .._config.picture import PictureOptions
    from .._config.settings import Bits, FrameRate
    from .._encoders.frame_layout import FrameLayout
    from .opencv import OpenCvWriter


class VideoWriter:
    """Writes frames into a video file, one after the other.

    ::

        with VideoWriter("out.mp4", fps=30) as video:
            for frame in frames:            # CuPy, PyTorch, NumPy, PIL, PyAV; single ones or batches
                video.write(frame)

    The first frame decides the size and the format. RGB is recognized by its shape, (height, width, 3) or (3, height,
    width), and may be of bytes or of floats from 0 to 1; other formats need ``format=``. The hardware encodes if there
    is any; otherwise the processor does, and a warning says so once. The file gets its name when it is complete. After
    an exception in the block there is no file, and what was written so far is discarded.

    Args:
        target: a path, a binary file-like object, or None: ``read()`` and iteration then give the bytes.
        fps: frames a second, as a number, a fraction or "30000/1001". None: 30, or what ``config`` has.
        size: (width, height), for frames that have no shape, such as flat bytes; other frames must have this size.
        format: the format of frames that are not RGB, as in ``EncoderConfig``: ``"nv12"``, ``"p010"``, …
        codec: ``"h264"``, ``"hevc"``, ``"av1"``, or ``"auto"``: H.264, unless the suffix belongs to another one.
        quality: from 0 to 100 (best), the same look for any content and codec; 60 if no rate is given.
        bitrate: bits a second, instead of ``quality``.
        backend: ``"auto"``, ``"nvenc"`` or ``"software"``.
        engines: 1, or ``"all"``: every hardware encoder of the machine works on this video, each on whole groups of
            ``gop`` pictures. A number: at most so many encoders.
        gpu_id: None: the GPU of the first frame.
        drop: None: ``write`` waits if the encoder cannot keep up. ``"oldest"``: it never waits, and drops the frames
            that have waited longest. The video keeps its speed, because each frame keeps its time.
        queue_frames, queue_bytes: how many frames and bytes may wait for the encoder.
        container: for targets without a name: ``"mp4"``, ``"mov"``, ``"mkv"``, ``"webm"``, ``"ts"``, or ``"stream"``.
        fragmented: makes an MP4 file that can be played while it grows, and after the process was killed. It has its
            name from the beginning.
        audio: ``"aac"``, ``"opus"`` or ``"pcm"``; ``"auto"``: the usual one of the container.
        time_base: the unit of ``pts``, in seconds; None: the time of one frame.
        on_error: after an exception in the block, ``"keep"`` completes the file with the frames so far. A fragmented
            file is always completed.
        config: an ``EncoderConfig`` for everything else; or give its fields as keywords, such as ``stereo=True``.
            ``gop`` is the frames of two seconds if it is None or not given, and at most 60 for several engines.

    Raises:
        InvalidConfig, FolderMissing: an argument is wrong. They are raised before the first frame.
    """

    def __init__(
        self,
        target: str | os.PathLike[str] | BinaryIO | Any | None,
        *,
        fps: FrameRate | None = None,
        size: tuple[int, int] | None = None,
        format: choices.FrameFormat | None = None,  # noqa: A002
        codec: choices.Codec | Literal["auto"] = "auto",
        quality: float | None = None,
        bitrate: Bits = 0,
        backend: str = "auto",
        engines: int | str = 1,
        gpu_id: int | None = None,
        drop: Literal["oldest"] | None = None,
        queue_frames: int = 16,
        queue_bytes: int = 256 << 20,
        container: str | None = None,
        fragmented: bool = False,
        audio: str = "auto",
        time_base: Fraction | None = None,
        on_error: Literal["discard", "keep"] = "discard",
        config: EncoderConfig | None = None,
        **fields: Unpack[WriterFields],
    ) -> None:
        self._finalizer: weakref.finalize[Any, Any] | None = None
        self._settings = WriterSettings(
            fps=fps, size=size, format=format, codec=codec, quality=quality, bitrate=bitrate, backend=backend,
            gpu_id=gpu_id, drop=drop, queue_frames=queue_frames, queue_bytes=queue_bytes, fragmented=fragmented,
            time_base=time_base, on_error=on_error, shared=engines != 1, config=config, fields=fields,
        )  # fmt: skip
        self._engines, self._audio = engines, audio
        self._target = target_of(target, fragmented=fragmented)
        path = self._target.path if isinstance(self._target, PathTarget) else None
        self._codec = codec_name(self._settings.codec_for(path))
        form = {"fragmented": fragmented, "stereo": self._settings.stereo}
        kind = kind_of(self._target, container, self._codec, self._settings.rate, **form)
        require_engines(engines)
        self._times = FrameTimes(self._settings.rate, time_base)
        self._pipeline = Pipeline(self._settings, self._target, kind, self._times.base, self._times.step)
        self._layout: FrameLayout | None = None
        self._sound: SoundEncoder | None = None
        self._written = self._calls = 0
        self._is_closed = False
        self._why_closed: BaseException | None = None
        self._made_in = os.getpid()
        self._lock = threading.Lock()

    @profiled("pdum.writer.write")
    def write(
        self,
        frame: Any,
        *,
        pts: int | None = None,
        time: float | Fraction | None = None,
        stream: Any = None,
        picture: PictureOptions | None = None,
    ) -> None:
        """Takes the next frame, or a batch. You may change its memory when this returns.

        Args:
            frame: an array, a PIL image, an ``av.VideoFrame``; or a batch (number, …). With ``stereo=True`` a pair of
                these, for the left and the right eye; with ``alpha`` and ``format="nv12"`` one of them and its alpha.
            pts: when the frame is shown, in units of ``time_base``, counted from the first frame. It must increase.
            time: the same in seconds, such as ``time.monotonic()``. Without both, frames follow at the rate ``fps``.
            stream: the CUDA stream on which the frame is made, if the frame does not name it.
            picture: ``PictureOptions``, for hardware encoders.

        Raises:
            InvalidFrame: it is not a frame, or it has another size or format than the first one. The writer goes on.
            InvalidConfig: its time is not after that of the last frame. The writer goes on.
            NvencError, OSError: the encoder or the file failed. The video is discarded.
        """
        self._require_open()
        with self._lock:
            self._require_open()
            kind = self._settings.kind
            views = views_of(frame, kind)
            layout = checked_views(views, self._settings.frame_format(), self._settings.size, self._layout, kind)
            if layout.batch is not None and (pts is not None or time is not None):
                raise InvalidConfig(
                    "A batch has no time of its own. Write its frames one by one to give each its time."
                )
            if self._layout is None:
                for view in views:
                    require_unit_range(view, layout)
                self._open(layout)
            self._calls += 1
            if self._calls == 2:
                self._pipeline.start_writing()
            made_on = stream_here(frame, stream) if layout.location == "gpu" else None
            for one in pictures_of(views, layout, kind):
                self._put(one, pts, time, made_on, picture)

    def add_audio(self, samples: Any, rate: int) -> None:
        """Adds sound to the end of the track, which begins with the first frame.

        Call it before the second ``write``, because the file is opened with all of its tracks. Make later calls along
        with the frames that the sound belongs to, or add all sound before the first frame.

        Args:
            samples: (number,), (number, channels) or (channels, number), of int16 or of floats from -1 to 1.
            rate: samples a second.
        """
        self._require_open()
        array = as_samples(samples)
        with self._lock:
            if self._sound is None:
                self._require_time_for_sound()
                codec = codec_for(self._audio, self._pipeline.output.kind.container)
                self._sound = SoundEncoder(codec, rate, array.shape[1])
                self._pipeline.output.sound = self._sound.format
            self._sound.require_same(rate, array.shape[1])
            coded = self._sound.encode(array)
            self._guarded(lambda: self._pipeline.put_sound(coded))

    def add_audio_packets(
        self,
        packets: Iterable[Any],
        *,
        codec: str | None = None,
        rate: int | None = None,
        channels: int | None = None,
        description: bytes = b"",
    ) -> None:
        """Passes on encoded sound, as ``add_audio`` does with samples.

        Args:
            packets: packets of a PyAV container; or tuples (data, pts, duration) in samples, with the
                further arguments.
            codec: ``"aac"``, ``"opus"`` or ``"pcm"``.
            description: the AudioSpecificConfig of AAC, or the OpusHead.
        """
        self._require_open()
        with self._lock:
            if self._sound is not None:
                raise InvalidConfig("A video has one track of sound. Expected either samples or packets, got both.")
            form, coded = passed_on(packets, codec, rate, channels, description)
            if self._pipeline.output.sound is None:
                self._require_time_for_sound()
                self._pipeline.output.sound = form
            self._guarded(lambda: self._pipeline.put_sound(coded))

    @profiled("pdum.writer.close")
    def close(self) -> None:
        """Waits until the file is complete, and gives it its name. Does nothing the second time.

        Raises:
            NvencError, OSError: the file could not be completed; there is none.
        """
        if self._is_closed:
            return
        self._require_process()
        with self._lock:
            if self._is_closed:
                return
            if self._layout is None:
                self._end(None)
                warnings.warn(f"{self._target.name}: no frame was written, so there is no video.", RuntimeWarning, 2)
                return
            self._guarded(self._finish)
            self._is_closed = True
            self._detach_finalizer()
        if self.dropped:
            warnings.warn(
                f"{self._target.name}: {self.dropped} of {self._written} frames were dropped, because the encoder "
                "could not keep up. Use a smaller size, a faster preset or a longer queue.",
                RuntimeWarning,
                stacklevel=2,
            )

    def abort(self) -> None:
        """Discards the video. Only a fragmented file stays. Does nothing after ``close``."""
        if not self._is_closed and self._made_in == os.getpid():
            self._end(None)

    @property
    def frames(self) -> int:
        """How many frames were written, without those that were dropped."""
        return self._written - self.dropped

    @property
    def dropped(self) -> int:
        """How many frames were dropped by ``drop="oldest"``."""
        return self._pipeline.dropped

    @property
    def statistics(self) -> WriterStatistics:
        pipeline = self._pipeline
        return WriterStatistics(
            frames=self.frames, dropped=self.dropped, encoded=pipeline.encoded, waiting=pipeline.waiting,
            bytes=pipeline.output.bytes_written, seconds=self._times.seconds,
        )  # fmt: skip

    def read(self) -> bytes:
        """The bytes since the last call, of a writer without a target; b"" if there are none yet."""
        return self._memory().take()

    def __iter__(self) -> Iterator[bytes]:
        """The bytes as they come, until the writer is closed by another thread or was closed before."""
        memory = self._memory()
        while data := memory.take_waiting():
            yield data

    @classmethod
    def opencv(
        cls,
        name: str,
        fourcc: int | str,
        fps: float,
        size: tuple[int, int],
        isColor: bool = True,  # noqa: N803  # as OpenCV calls it
        **more: Any,
    ) -> OpenCvWriter:
        """A writer with the methods of ``cv2.VideoWriter`` and ``cv2.cudacodec.VideoWriter``: frames are BGR."""
        from .opencv import OpenCvWriter

        return OpenCvWriter(cls, name, fourcc, fps, size, isColor, more)

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None
    ) -> None:
        if error is None:
            self.close()
        elif self._settings.keeps_what_is_there and self._layout is not None and not self._is_closed:
            try:
                self.close()
            except Exception as met:  # the error of the block is the one to report
                warnings.warn(f"{self._target.name} could not be completed: {met}", RuntimeWarning, stacklevel=2)
        else:
            self.abort()

    def _put(self, frame: Any, pts: int | None, time: Any, made_on: Any, picture: PictureOptions | None) -> None:
        before = self._times.now
        ticks = self._times.next(pts, time)
        try:
            self._guarded(lambda: self._pipeline.put(frame, ticks, made_on, picture))
        except BaseException:
            self._times.go_back(before)
            raise
        self._written += 1

    def _open(self, layout: FrameLayout) -> None:
        config, software = (self._settings.encoder_config(layout, self._codec, kind) for kind in ("nvenc", "software"))
        self._target.reserve()
        try:
            encoder = open_frame_encoder(config, self._settings.backend, self._engines, software)
        except BaseException:
            self._target.discard()
            raise
        self._pipeline.open(encoder, config)
        self._layout = layout
        self._finalizer = weakref.finalize(self, forgotten, self._pipeline, self._target.name, self._made_in)
        for notice in encoder.notices:
            warnings.warn(notice, RuntimeWarning, stacklevel=3)

    def _finish(self) -> None:
        if self._sound is not None:
            self._pipeline.put_sound(self._sound.finish())
        self._pipeline.finish()

    def _guarded(self, call: Callable[[], object]) -> None:
        """Calls it. If the video ends with an error, cleans up, and later calls raise with the same reason."""
        try:
            call()
        except QueueClosed:
            raise self._closed_error() from None
        except BaseException as error:
            if self._pipeline.has_failed or call == self._finish:
                self._end(error)
            raise

    def _end(self, error: BaseException | None) -> None:
        self._is_closed, self._why_closed = True, error
        self._detach_finalizer()
        self._pipeline.abort()

    def _detach_finalizer(self) -> None:
        if self._finalizer is not None:
            self._finalizer.detach()

    def _require_time_for_sound(self) -> None:
        if self._pipeline.is_writing:
            raise InvalidConfig(
                "Expected sound to begin before the second call of write(), got it later: the file is open, and all of "
                "its tracks are known then. Call add_audio() earlier, with silence if there is no sound yet."
            )

    def _memory(self) -> MemoryTarget:
        if not isinstance(self._target, MemoryTarget):
            raise InvalidConfig(f"Expected a VideoWriter(None) to read bytes from, got one for {self._target.name}.")
        return self._target

    def _require_open(self) -> None:
        self._require_process()
        if self._is_closed:
            raise self._closed_error() from self._why_closed

    def _require_process(self) -> None:
        if self._made_in != os.getpid():
            raise EncoderClosed(
                "The VideoWriter was made before this process was forked, and goes on in the parent. Make a new one "
                "here, for another file."
            )

    def _closed_error(self) -> EncoderClosed:
        if self._why_closed is None:
            return EncoderClosed(f"The VideoWriter for {self._target.name} is closed. Make a new one.")
        return EncoderClosed(
            f"The VideoWriter for {self._target.name} ended with an error: {self._why_closed} Make a new one."
        )
