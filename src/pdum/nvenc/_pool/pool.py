"""Every engine of the machine at work, from one process."""

from __future__ import annotations

import os
import threading
from collections.abc import Callable, Iterable, Sequence
from dataclasses import replace
from typing import TYPE_CHECKING, Any, overload

from .._config.config import EncoderConfig
from .._config.settings import one_of, whole
from .._encoders.opening import BACKENDS
from .._errors import EncoderClosed, InvalidConfig, NoEngineLeft
from .._old_names import warn_of_old_name
from .engines import find_engines
from .run import Run, RunSettings

if TYPE_CHECKING:
    from pathlib import Path
    from types import TracebackType

    from distributed import Client
    from typing_extensions import Self, Unpack

    from .._cluster.cluster_engines import ClusterEngines
    from .._cluster.seam import Cluster
    from .._config import choices
    from .._config.encoder_fields import EncodeFileFields, EncoderFields
    from .._files.job import FileJob
    from .._files.stored_job import StoredJob
    from .._files.stored_task import StoredTask
    from .._files.task import FileTask
    from .._results import Result, RunReport
    from .._storage.settings import StorageSettings
    from .._tasks import Task
    from ..events import EngineInfo, Event
    from .generated import GeneratedTask, Render

IDLE_RELEASE = 2.0
"""Seconds after which an engine with nothing to do gives its session back, so that other processes can have it."""


class EncoderPool:
    """All hardware encoders of the machine, for one video in segments or for many videos at once.

    ::

        with EncoderPool() as pool:
            pool.render_video(render, 10_000, width=1920, height=1080, fps=30, destination="film.mp4")

    Each encoder gets one session while there is work for it. Free engines take the next work, and the last part of it
    is divided, so that all engines end together.

    Args:
        gpus: ``"all"``, or the numbers of the GPUs to use.
        engines: ``"auto"``: as many as the GPUs say they have; a number for all, or a sequence of one for each GPU.
            The environment's ``PDUM_NVENC_ENGINES``, ``"3"`` or ``"2,3"``, limits them further, and
            ``PDUM_NVENC_DECODERS`` the decoders of the GPUs that files use.
        config: settings of the encoders that a call does not give.
        backend: ``"nvenc"``, ``"software"`` (the processor), or ``"auto"``: hardware if there is any. ``"both"`` is for
            a cluster: hardware and software engines work at once, each on files of its own.
        session_timeout: how long to wait, in seconds, while other processes have all sessions.
        watchdog: after how many seconds an encoder whose call does not return counts as lost.
        cluster: the engines of other machines instead of this one's: the address of a scheduler
            (``"tcp://head:8786"``), or a ``distributed.Client``. Needs ``pip install 'pdum-nvenc[cluster]'``.
        tls: the file or folder of certificates that the scheduler uses, for an address.

    Raises:
        NoEncoder: there is no hardware, and it was asked for.
        OutOfSessions: other processes had all sessions for longer than ``session_timeout``.
        ClusterFailed: the scheduler does not answer.
    """

    def __init__(
        self,
        *,
        gpus: str | int | Iterable[int] = "all",
        engines: str | int | Sequence[int] = "auto",
        config: EncoderConfig | None = None,
        backend: str = "auto",
        session_timeout: float = 60.0,
        watchdog: float = 30.0,
        idle_release: float = IDLE_RELEASE,
        cluster: str | Client | Cluster | None = None,
        tls: str | Path | None = None,
        engine: str | None = None,
    ) -> None:
        if engine is not None:
            warn_of_old_name("EncoderPool(engine=…)", "backend=…")
            backend = engine
        seconds = {"session_timeout": session_timeout, "watchdog": watchdog, "idle_release": idle_release}
        for name, value in seconds.items():
            if not value > 0:
                raise InvalidConfig(f"Expected a number of seconds above 0, got {name}={value}.")
        settings = RunSettings(
            cores=0, session_timeout=session_timeout, watchdog=watchdog, idle_release=idle_release, leases={}
        )
        self.config = config
        self._cluster_engines: ClusterEngines | None = None
        if cluster is not None:
            self._settings = replace(settings, **self._join(cluster, tls, gpus, engines, backend, session_timeout))
        else:
            if tls is not None:
                raise InvalidConfig("tls=… is for a cluster: name one with cluster=….")
            if backend == "both":
                raise InvalidConfig(
                    'backend="both" is for the engines of a cluster: name one with cluster=… (--cluster).'
                )
            found = find_engines(gpus, engines, backend, session_timeout)
            self._engines = found.lanes
            leases = {one.index: threading.Lock() for one in found.lanes}
            self._settings = replace(settings, cores=found.cores, leases=leases, notices=found.notices)
        self._process = os.getpid()
        self._lock = threading.Lock()
        self._runs: list[Run] = []
        self._is_closed = False

    def _join(
        self,
        cluster: str | Client | Cluster,
        tls: str | Path | None,
        gpus: str | int | Iterable[int],
        engines: str | int | Sequence[int],
        backend: str,
        session_timeout: float,
    ) -> dict[str, Any]:
        """The settings of runs that are other than those of this machine's engines."""
        from .._cluster.opening import open_cluster

        one_of("backend", backend, {name: name for name in (*BACKENDS, "both")})
        if gpus != "all":
            raise InvalidConfig("gpus=… chooses GPUs of this machine. A cluster's workers choose them: worker --gpu.")
        if engines != "auto" and not isinstance(engines, int):
            raise InvalidConfig(f'Expected "auto" or a number of engines of the cluster, got engines={engines!r}.')
        most = None if engines == "auto" else whole("engines", engines, least=1)
        self._cluster_engines = found = open_cluster(cluster, tls, backend, session_timeout)
        return {"leases": found.locks, "notices": tuple(found.notices), "remote": found, "most_engines": most,
                "has_both": found.kind == "both"}  # fmt: skip

    @property
    def engines(self) -> tuple[EngineInfo, ...]:
        """The engines; those of a cluster as they are now."""
        return self._engines if self._cluster_engines is None else self._cluster_engines.engines

    @property
    def kind(self) -> str:
        """``"nvenc"``, ``"software"``, or ``"both"``."""
        return self._engines[0].kind if self._cluster_engines is None else self._cluster_engines.kind

    @property
    def uses_hardware(self) -> bool:
        """Whether any of the engines is hardware."""
        return any(engine.kind == "nvenc" for engine in self.engines)

    def start(self, tasks: Iterable[Task], on_event: Callable[[Event], object] | None = None) -> Run:
        """Begins to work on the tasks and returns at once."""
        run = self._make_run(tasks, on_event)
        run.begin()
        return run

    def _make_run(self, tasks: Iterable[Task], on_event: Callable[[Event], object] | None) -> Run:
        if os.getpid() != self._process:
            raise EncoderClosed(
                f"This pool belongs to process {self._process}, from which this one was forked. Make another one here."
            )
        with self._lock:
            if self._is_closed:
                raise EncoderClosed("The pool is closed. Make a new one.")
            self._runs = [run for run in self._runs if not run.is_over or run.hanging_engines()]
            run = Run(list(tasks), self._usable(), self._settings, on_event)
            self._runs.append(run)
            return run

    def run(self, tasks: Iterable[Task], on_event: Callable[[Event], object] | None = None) -> RunReport:
        """Works on the tasks until all are done. Ctrl+C, or another exception in the meantime, cancels them."""
        run = self._make_run(tasks, on_event)
        try:
            run.begin()
            return run.wait()
        except BaseException:
            run.cancel_soon()
            run.begin()
            run.wait()
            raise

    @overload
    def render_video(
        self,
        render: Render,
        n_frames: int,
        *,
        destination: None = None,
        segments: str | int = "auto",
        surfaces: bool = False,
        on_event: Callable[[Event], object] | None = None,
        **encoder: Unpack[EncoderFields],
    ) -> bytes: ...

    @overload
    def render_video(
        self,
        render: Render,
        n_frames: int,
        *,
        destination: str | Path,
        segments: str | int = "auto",
        surfaces: bool = False,
        on_event: Callable[[Event], object] | None = None,
        **encoder: Unpack[EncoderFields],
    ) -> Result: ...

    def render_video(
        self,
        render: Render,
        n_frames: int,
        *,
        destination: str | Path | None = None,
        segments: str | int = "auto",
        surfaces: bool = False,
        on_event: Callable[[Event], object] | None = None,
        **encoder: Unpack[EncoderFields],
    ) -> bytes | Result:
        """Encodes generated video on all engines: ``render(index, surface)`` returns the frame of that number.

        Each engine works on a range of frames, and then on a part of another engine's. So several threads call
        ``render`` at once, in no particular order. Each range begins with a key frame and refers to no earlier frame,
        so that the ranges are joined without being encoded again.

        Args:
            render: called with the frame's number from 0 and None, or with ``surfaces`` an array on the engine's GPU
                to write the frame to. With a parameter ``engine`` it also gets the engine, whose ``gpu_id`` is the GPU.
            destination: the file, whose suffix decides its kind (.mp4, .mov, .mkv, .webm, .ts; .h264, .hevc, .annexb,
                .obu, .ivf); None: the stream's bytes are returned.
            segments: ``"auto"``, or a number of ranges that no engine divides further.
            on_event: called with each event.
            encoder: fields of ``EncoderConfig``, which override the pool's ``config``.

        Raises:
            Exception: what ``render`` raised.
            NvencError: what an encoder raises.
        """
        task = self.generated(
            render, n_frames, destination=destination, segments=segments, surfaces=surfaces, **encoder
        )
        (result,) = self.run([task], on_event).raise_for_errors()
        return task.encoded if destination is None else result

    def map_segments(self, render: Render, n_frames: int, **more: Any) -> Any:
        """The old name of ``render_video``."""
        warn_of_old_name("EncoderPool.map_segments()", "render_video()")
        if "output" in more:
            more["destination"] = more.pop("output")
        return self.render_video(render, n_frames, **more)

    def generated(
        self,
        render: Render,
        n_frames: int,
        *,
        destination: str | Path | None = None,
        segments: str | int = "auto",
        surfaces: bool = False,
        **encoder: Unpack[EncoderFields],
    ) -> GeneratedTask:
        """Returns a task for ``start`` that does the same as ``render_video``."""
        from .generated import GeneratedTask

        given: dict[str, Any] = {**encoder}
        if "output" in given:
            warn_of_old_name("EncoderPool.generated(output=…)", "destination=…")
            destination = given.pop("output")
        config = EncoderConfig.of(given) if self.config is None else self.config.replaced(**given)
        return GeneratedTask(render, n_frames, config, output=destination, segments=segments, surfaces=surfaces)

    def encode_file(
        self,
        source: str | Path,
        destination: str | Path,
        *,
        segments: str | int = "auto",
        codec: choices.CodecOrAuto = "auto",
        quality: float | None = None,
        audio: choices.Audio = "copy",
        storage: StorageSettings | None = None,
        on_event: Callable[[Event], object] | None = None,
        **more: Unpack[EncodeFileFields],
    ) -> Result:
        """Encodes the video of one file on all engines; everything else of the file is copied.

        Args:
            source, destination: the files, each a path or an address such as ``s3://bucket/film.mp4`` (extra:
                storage); the suffix of the destination decides the container.
            segments: ``"auto"``, or a number of ranges that no engine divides further.
            codec, quality, audio: as in ``FileSettings``.
            storage: how files at addresses are copied and published.
            on_event: called with each event.
            more: ``filters``, ``target`` and ``max_size`` as in ``FileSettings``, further fields of ``FileJob``
                (``verify``, ``smaller_than``, ``in_place``, ``keep_work``) and of ``EncoderConfig`` (``preset``,
                ``cq``, ``max_bitrate``, …).

        Raises:
            SourceUnreadable: the file has no video that can be decoded.
            StorageFailed: a file at an address could not be read or written.
            VerificationFailed: the result was wrong, and was discarded.
            TargetOutOfReach: no quality value reaches ``target``, or none gives a result within ``max_size``.
        """
        from .._files.stored_job import stored_or_local

        given: dict[str, Any] = {"segments": segments, "codec": codec, "quality": quality, "audio": audio, **more}
        job = stored_or_local(source, destination, storage=storage, **given)
        (result,) = self.run(self.files([job]), on_event).raise_for_errors()
        return result

    def encode_files(
        self, jobs: Iterable[FileJob | StoredJob], on_event: Callable[[Event], object] | None = None
    ) -> RunReport:
        """Encodes many files. The longest goes first, and the last ones are divided between the engines.

        If a file fails, the report says why, and the others go on.
        """
        return self.run(self.files(jobs), on_event)

    def files(self, jobs: Iterable[FileJob | StoredJob]) -> list[FileTask | StoredTask]:
        """Tasks for ``start`` that do the same as ``encode_files``."""
        from .._files.stored_job import StoredJob, all_refusals
        from .._files.stored_task import StoredTask, file_task

        jobs = list(jobs)
        kind = None if self.kind == "both" else self.kind
        return [
            StoredTask(job, kind, refusal) if isinstance(job, StoredJob) else file_task(job, kind, refusal)
            for job, refusal in zip(jobs, all_refusals(jobs), strict=True)
        ]

    def close(self) -> None:
        """Cancels all runs and gives all sessions back. Further calls do nothing, and so do calls in a forked child."""
        if os.getpid() != self._process:
            return
        with self._lock:
            self._is_closed = True
            runs, self._runs = self._runs, []
        for run in runs:
            run.cancel_soon("The pool was closed.")
            run.begin()
        for run in runs:
            run.wait()
        if self._cluster_engines is not None:
            self._cluster_engines.close()

    def _usable(self) -> tuple[EngineInfo, ...]:
        """The engines that do not hang."""
        hanging = {engine: why for run in self._runs for engine, why in run.hanging_engines().items()}
        usable = tuple(engine for engine in self.engines if engine.index not in hanging)
        if not usable and self._cluster_engines is None:
            raise NoEngineLeft(f"All engines of this pool hang. {' '.join(hanging.values())} Restart the process.")
        return usable

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None
    ) -> None:
        self.close()
