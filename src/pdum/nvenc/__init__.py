"""Video encoding on NVIDIA's hardware encoders.

``NvencEncoder`` is one session on one of them. Importing this package opens no driver: the first encoder does.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from ._availability import available, unavailable_reason
from ._encoder import NvencEncoder, forced_abi
from ._errors import (
    Cancelled,
    CudaFailed,
    DeviceLost,
    DriverNotFound,
    DriverTooOld,
    EncoderClosed,
    EncoderFailed,
    FolderBusy,
    InvalidConfig,
    InvalidFrame,
    NoEncoder,
    NoEngineLeft,
    NvencError,
    OutOfMemory,
    OutOfSessions,
    PieceDamaged,
    SourceEnded,
    SourceUnreadable,
    TargetOutOfReach,
    UnsupportedFeature,
    VerificationFailed,
)
from ._nvenc import Packet, chosen_abi, nvtx_enabled
from ._version import __version__ as __version__

if TYPE_CHECKING:
    from ._capabilities import Capabilities, capabilities
    from ._colour import Colour
    from ._config import EncoderConfig
    from ._devices import Device, devices
    from ._doctor import Diagnosis, Finding, doctor
    from ._events import EngineInfo, Event
    from ._files._task import FileTask
    from ._jobs import FileJob, FileSettings
    from ._nvml import EncodeSession
    from ._picture import ContentLight, MasteringDisplay, Metadata, PictureOptions, Sei, TimeCode
    from ._pool._pool import EncoderPool
    from ._pool._run import Run
    from ._software._encoder import SoftwareEncoder
    from ._work import Plan, Result, RunReport, Task

__all__ = [
    "Cancelled",
    "Capabilities",
    "Colour",
    "ContentLight",
    "CudaFailed",
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
    "Finding",
    "FolderBusy",
    "InvalidConfig",
    "InvalidFrame",
    "MasteringDisplay",
    "Metadata",
    "NoEncoder",
    "NoEngineLeft",
    "NvencEncoder",
    "NvencError",
    "OutOfMemory",
    "OutOfSessions",
    "Packet",
    "PictureOptions",
    "PieceDamaged",
    "Plan",
    "Result",
    "Run",
    "RunReport",
    "Sei",
    "SoftwareEncoder",
    "SourceEnded",
    "SourceUnreadable",
    "TargetOutOfReach",
    "Task",
    "TimeCode",
    "UnsupportedFeature",
    "VerificationFailed",
    "abi",
    "available",
    "capabilities",
    "devices",
    "doctor",
    "nvtx_enabled",
    "unavailable_reason",
]

_LAZY = {
    "Capabilities": "._capabilities",
    "Colour": "._colour",
    "ContentLight": "._picture",
    "Device": "._devices",
    "Diagnosis": "._doctor",
    "EncodeSession": "._nvml",
    "EncoderConfig": "._config",
    "EncoderPool": "._pool._pool",
    "EngineInfo": "._events",
    "Event": "._events",
    "FileJob": "._jobs",
    "FileSettings": "._jobs",
    "FileTask": "._files._task",
    "Finding": "._doctor",
    "MasteringDisplay": "._picture",
    "Metadata": "._picture",
    "PictureOptions": "._picture",
    "Plan": "._work",
    "Result": "._work",
    "Run": "._pool._run",
    "RunReport": "._pool._run",
    "Sei": "._picture",
    "SoftwareEncoder": "._software._encoder",
    "Task": "._work",
    "TimeCode": "._picture",
    "capabilities": "._capabilities",
    "devices": "._devices",
    "doctor": "._doctor",
}
"""What is loaded at first use: dataclasses would double the time that importing this package takes."""

abi: str | None
"""The version of NVIDIA's encode interface that an encoder made now would use; None where none can be used."""


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
