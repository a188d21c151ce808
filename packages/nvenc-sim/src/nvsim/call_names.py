"""The names of the calls that can be made to fail."""

from __future__ import annotations

import ctypes
import difflib
from collections.abc import Mapping

# Clients reach these through the function list; the other calls are exported by their libraries.
OF_THE_FUNCTION_LIST = (
    "nvEncCreateBitstreamBuffer",
    "nvEncCreateInputBuffer",
    "nvEncCreateMVBuffer",
    "nvEncDestroyBitstreamBuffer",
    "nvEncDestroyEncoder",
    "nvEncDestroyInputBuffer",
    "nvEncDestroyMVBuffer",
    "nvEncEncodePicture",
    "nvEncGetEncodeCaps",
    "nvEncGetEncodeGUIDCount",
    "nvEncGetEncodeGUIDs",
    "nvEncGetEncodePresetConfig",
    "nvEncGetEncodePresetConfigEx",
    "nvEncGetEncodePresetCount",
    "nvEncGetEncodePresetGUIDs",
    "nvEncGetEncodeProfileGUIDCount",
    "nvEncGetEncodeProfileGUIDs",
    "nvEncGetEncodeStats",
    "nvEncGetInputFormatCount",
    "nvEncGetInputFormats",
    "nvEncGetLastErrorString",
    "nvEncGetSequenceParamEx",
    "nvEncGetSequenceParams",
    "nvEncInitializeEncoder",
    "nvEncInvalidateRefFrames",
    "nvEncLockBitstream",
    "nvEncLockInputBuffer",
    "nvEncLookaheadPicture",
    "nvEncMapInputResource",
    "nvEncOpenEncodeSession",
    "nvEncOpenEncodeSessionEx",
    "nvEncReconfigureEncoder",
    "nvEncRegisterAsyncEvent",
    "nvEncRegisterResource",
    "nvEncRestoreEncoderState",
    "nvEncRunMotionEstimationOnly",
    "nvEncSetIOCudaStreams",
    "nvEncUnlockBitstream",
    "nvEncUnlockInputBuffer",
    "nvEncUnmapInputResource",
    "nvEncUnregisterAsyncEvent",
    "nvEncUnregisterResource",
)


def check_call(name: str, libraries: Mapping[str, ctypes.CDLL]) -> None:
    """Raises ValueError if no library has this call. A fault in a misspelt call would never come."""
    if name in OF_THE_FUNCTION_LIST or any(hasattr(library, name) for library in libraries.values()):
        return
    near = difflib.get_close_matches(name, OF_THE_FUNCTION_LIST, 1, 0)
    raise ValueError(f"Expected a call of the driver, such as {near[0]}, got {name!r}")
