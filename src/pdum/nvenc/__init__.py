"""Video encoding on NVIDIA's hardware encoders.

``NvencEncoder`` is one session on one of them. Importing this package opens no driver: the first encoder does.
"""

from __future__ import annotations

from ._availability import available, unavailable_reason
from ._encoder import NvencEncoder, forced_abi
from ._errors import (
    CudaFailed,
    DeviceLost,
    DriverNotFound,
    DriverTooOld,
    EncoderClosed,
    EncoderFailed,
    InvalidConfig,
    InvalidFrame,
    NoEncoder,
    NvencError,
    OutOfMemory,
    OutOfSessions,
    UnsupportedFeature,
)
from ._nvenc import Packet, chosen_abi, nvtx_enabled

__version__ = "0.1.0"

__all__ = [
    "CudaFailed",
    "DeviceLost",
    "DriverNotFound",
    "DriverTooOld",
    "EncoderClosed",
    "EncoderFailed",
    "InvalidConfig",
    "InvalidFrame",
    "NoEncoder",
    "NvencEncoder",
    "NvencError",
    "OutOfMemory",
    "OutOfSessions",
    "Packet",
    "UnsupportedFeature",
    "abi",
    "available",
    "nvtx_enabled",
    "unavailable_reason",
]

abi: str | None
"""The version of NVIDIA's encode interface that an encoder made now would use; None where none can be used."""


def __getattr__(name: str) -> object:
    if name == "abi":
        try:
            return chosen_abi(forced_abi())
        except NvencError:
            return None
    raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
