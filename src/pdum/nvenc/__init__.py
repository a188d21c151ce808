"""Video encoding on NVIDIA's hardware encoders.

``NvencEncoder`` is one session on one of them. Importing this package does not open the driver; the first encoder does.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

try:
    from . import _nvenc as _nvenc
except ImportError as error:
    from ._distributions import explanation

    if told := explanation(error):
        raise ImportError(told, name=error.name) from error
    raise

from ._encoders.nvenc import NvencEncoder, forced_abi
from ._errors import (
    Cancelled,
    ClusterFailed,
    CudaFailed,
    DecoderClosed,
    DecoderFailed,
    DeviceLost,
    DriverNotFound,
    DriverTooOld,
    EncoderClosed,
    EncoderFailed,
    FolderBusy,
    FolderMissing,
    InvalidConfig,
    InvalidFrame,
    NoEncoder,
    NoEngineLeft,
    NvencError,
    OutOfMemory,
    OutOfSessions,
    PieceDamaged,
    SeveralErrors,
    SourceEnded,
    SourceUnreadable,
    StorageFailed,
    TargetOutOfReach,
    TimedOut,
    UnsupportedFeature,
    VerificationFailed,
)
from ._machine.availability import available, unavailable_reason
from ._nvenc import DecodedFrame, Packet, PictureStatistics, ReconstructedFrame, chosen_abi, nvtx_enabled
from ._version import __version__ as __version__

if TYPE_CHECKING:
    from ._config.colour import Colour
    from ._config.config import EncoderConfig
    from ._config.film_grain import FilmGrain
    from ._config.filters import Filters
    from ._config.hdr import ContentLight, MasteringDisplay
    from ._config.layers import Layers
    from ._config.picture import Metadata, PictureOptions, Sei, TimeCode
    from ._config.references import References
    from ._config.regions import Region
    from ._encoders.attempts import Attempts
    from ._encoders.motion import MotionEstimator
    from ._encoders.software import SoftwareEncoder
    from ._files.job import FileJob, FileSettings
    from ._files.stored_job import StoredJob
    from ._files.task import FileTask
    from ._live.live_encoder import LiveEncoder
    from ._live.packet import LivePacket
    from ._live.statistics import LiveStatistics
    from ._machine.capabilities import Capabilities, capabilities
    from ._machine.devices import Device, devices
    from ._machine.doctor import Diagnosis, doctor
    from ._machine.finding import Finding
    from ._machine.nvml import EncodeSession
    from ._media.gpu_decoder import DecodedVideo, Decoder, decode
    from ._metrics.server import MetricsServer
    from ._pool.pool import EncoderPool
    from ._pool.run import Run
    from ._results import Result, RunReport
    from ._storage.settings import StorageSettings
    from ._tasks import BaseTask, PieceSink, Plan, Task, VideoEncoder
    from ._writer.one_liner import encode_frames
    from ._writer.writer import VideoWriter
    from .events import EngineInfo, Event

__all__ = [
    "Attempts",
    "BaseTask",
    "Cancelled",
    "Capabilities",
    "ClusterFailed",
    "Colour",
    "ContentLight",
    "CudaFailed",
    "DecodedFrame",
    "DecodedVideo",
    "Decoder",
    "DecoderClosed",
    "DecoderFailed",
    "Device",
    "DeviceLost",
    "Diagnosis",
    "DriverNotFound",
    "DriverTooOld",
    "EncodeSession",
    "EncoderClosed",
    "EncoderConfig",
    "EncoderFailed",
    "EncoderPool",
    "EngineInfo",
    "Event",
    "FileJob",
    "FileSettings",
    "FileTask",
    "FilmGrain",
    "Filters",
    "Finding",
    "FolderBusy",
    "FolderMissing",
    "InvalidConfig",
    "InvalidFrame",
    "Layers",
    "LiveEncoder",
    "LivePacket",
    "LiveStatistics",
    "MasteringDisplay",
    "Metadata",
    "MetricsServer",
    "MotionEstimator",
    "NoEncoder",
    "NoEngineLeft",
    "NvencEncoder",
    "NvencError",
    "OutOfMemory",
    "OutOfSessions",
    "Packet",
    "PictureOptions",
    "PictureStatistics",
    "PieceDamaged",
    "PieceSink",
    "Plan",
    "ReconstructedFrame",
    "References",
    "Region",
    "Result",
    "Run",
    "RunReport",
    "Sei",
    "SeveralErrors",
    "SoftwareEncoder",
    "SourceEnded",
    "SourceUnreadable",
    "StorageFailed",
    "StorageSettings",
    "StoredJob",
    "TargetOutOfReach",
    "Task",
    "TimeCode",
    "TimedOut",
    "UnsupportedFeature",
    "VerificationFailed",
    "VideoEncoder",
    "VideoWriter",
    "abi",
    "available",
    "capabilities",
    "decode",
    "devices",
    "doctor",
    "encode_frames",
    "nvtx_enabled",
    "unavailable_reason",
]

_LAZY = {
    "Attempts": "._encoders.attempts",
    "BaseTask": "._tasks",
    "Capabilities": "._machine.capabilities",
    "Colour": "._config.colour",
    "ContentLight": "._config.hdr",
    "DecodedVideo": "._media.gpu_decoder",
    "Decoder": "._media.gpu_decoder",
    "Device": "._machine.devices",
    "Diagnosis": "._machine.doctor",
    "EncodeSession": "._machine.nvml",
    "EncoderConfig": "._config.config",
    "EncoderPool": "._pool.pool",
    "EngineInfo": ".events",
    "Event": ".events",
    "FileJob": "._files.job",
    "FileSettings": "._files.job",
    "FileTask": "._files.task",
    "FilmGrain": "._config.film_grain",
    "Filters": "._config.filters",
    "Finding": "._machine.finding",
    "Layers": "._config.layers",
    "LiveEncoder": "._live.live_encoder",
    "LivePacket": "._live.packet",
    "LiveStatistics": "._live.statistics",
    "MasteringDisplay": "._config.hdr",
    "Metadata": "._config.picture",
    "MetricsServer": "._metrics.server",
    "MotionEstimator": "._encoders.motion",
    "PictureOptions": "._config.picture",
    "PieceSink": "._tasks",
    "Plan": "._tasks",
    "References": "._config.references",
    "Region": "._config.regions",
    "Result": "._results",
    "Run": "._pool.run",
    "RunReport": "._results",
    "Sei": "._config.picture",
    "SoftwareEncoder": "._encoders.software",
    "StorageSettings": "._storage.settings",
    "StoredJob": "._files.stored_job",
    "Task": "._tasks",
    "TimeCode": "._config.picture",
    "VideoEncoder": "._tasks",
    "VideoWriter": "._writer.writer",
    "capabilities": "._machine.capabilities",
    "decode": "._media.gpu_decoder",
    "devices": "._machine.devices",
    "doctor": "._machine.doctor",
    "encode_frames": "._writer.one_liner",
}
"""What is loaded at first use: dataclasses would double the time that importing this package takes."""

abi: str | None
"""The version of NVIDIA's encode interface that an encoder made now would use; None if none can be used."""


def __getattr__(name: str) -> object:
    if name in _LAZY:
        from importlib import import_module

        return getattr(import_module(_LAZY[name], __name__), name)
    if name == "abi":
        try:
            return chosen_abi(forced_abi())
        except NvencError:
            return None
    raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
