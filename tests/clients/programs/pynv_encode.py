"""Encodes raw NV12 pictures by PyNvVideoCodec; one JSON object tells what, its answer comes on standard output.

{"input": file, "output": file, "width", "height", "options": {}, "device": false, "keys_at": [],
 "bit_rate_at": {"10": 900000}, "sei_at": []}
"""

from __future__ import annotations

import json
import sys
from pathlib import Path
from typing import Any

import numpy as np
import PyNvVideoCodec
from cuda.bindings import driver

FORCE_IDR, OUTPUT_PARAMETER_SETS = 2, 4  # NV_ENC_PIC_FLAGS
SEI = (({"sei_type": 5}, [*range(16), *b"hello"]),)


def check(answer: tuple[Any, ...]) -> Any:
    assert int(answer[0]) == 0, answer[0]
    return answer[1] if len(answer) > 1 else None


class Plane:
    """A plane with the CUDA array interface."""

    def __init__(self, pointer: int, shape: tuple[int, ...]) -> None:
        self.__cuda_array_interface__ = {
            "shape": shape, "strides": (shape[1] * shape[2], shape[2], 1), "data": (pointer, False), "typestr": "|u1",
            "version": 3,
        }  # fmt: skip


class DeviceFrame:
    """NV12 in device memory, as PyNvVideoCodec needs it."""

    def __init__(self, picture: np.ndarray[Any, Any], height: int) -> None:
        pointer = int(check(driver.cuMemAlloc(picture.nbytes)))
        check(driver.cuMemcpyHtoD(pointer, picture.ctypes.data, picture.nbytes))
        width = picture.shape[1]
        chroma = pointer + width * height
        self.planes = [Plane(pointer, (height, width, 1)), Plane(chroma, (height // 2, width // 2, 2))]

    def cuda(self) -> list[Plane]:
        return self.planes


def use_primary_context() -> None:
    check(driver.cuInit(0))
    check(driver.cuCtxSetCurrent(check(driver.cuDevicePrimaryCtxRetain(0))))


def reconfigure(encoder: Any, bit_rate: int) -> None:
    settings = encoder.GetEncodeReconfigureParams()
    settings.averageBitrate = bit_rate
    settings.maxBitRate = bit_rate
    assert encoder.Reconfigure(settings)


def encode(encoder: Any, frame: Any, index: int, job: dict[str, Any]) -> list[dict[str, Any]]:
    flags = FORCE_IDR | OUTPUT_PARAMETER_SETS if index in job.get("keys_at", []) else 0
    if index in job.get("sei_at", []):
        return list(encoder.Encode(frame, flags, list(SEI)))
    return list(encoder.Encode(frame, flags) if flags else encoder.Encode(frame))


def main(job: dict[str, Any]) -> None:
    use_primary_context()
    pictures = np.fromfile(job["input"], np.uint8).reshape(-1, job["height"] * 3 // 2, job["width"])
    device = bool(job.get("device"))
    encoder: Any = PyNvVideoCodec.CreateEncoder(job["width"], job["height"], "NV12", not device, **job["options"])
    units: list[dict[str, Any]] = []
    for index, picture in enumerate(pictures):
        if str(index) in job.get("bit_rate_at", {}):
            reconfigure(encoder, job["bit_rate_at"][str(index)])
        units += encode(encoder, DeviceFrame(picture, job["height"]) if device else picture, index, job)
    units += encoder.EndEncode()
    Path(job["output"]).write_bytes(b"".join(bytes(unit["data"]) for unit in units))
    answer = [{"size": len(u["data"]), "kind": u["picture_type"], "timestamp": u["timestamp"]} for u in units]
    print("\n" + json.dumps(answer))


if __name__ == "__main__":
    main(json.loads(sys.argv[1]))
