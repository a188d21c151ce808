"""Decodes a file by PyNvVideoCodec and prints a JSON list with the time and the pixels' MD5 of each picture.

{"input": file, "device": whether frames stay in device memory}
"""

from __future__ import annotations

import hashlib
import json
import sys
from typing import Any

import numpy as np
import PyNvVideoCodec as Nv
from cuda.bindings import driver


def check(answer: tuple[Any, ...]) -> Any:
    assert int(answer[0]) == 0, answer[0]
    return answer[1] if len(answer) > 1 else None


def on_host(plane: Any) -> np.ndarray[Any, Any]:
    """A copy of a plane in device memory, without the ends of its rows."""
    interface = plane.__cuda_array_interface__
    shape, strides, (pointer, _) = interface["shape"], interface["strides"], interface["data"]
    rows = np.empty((shape[0], strides[0]), np.uint8)
    check(driver.cuMemcpyDtoH(rows.ctypes.data, pointer, (shape[0] - 1) * strides[0] + shape[1] * strides[1]))
    return np.ascontiguousarray(rows[:, : shape[1] * strides[1]])


def pixels(frame: Any, device: bool) -> bytes:
    if device:
        return b"".join(on_host(plane).tobytes() for plane in frame.cuda())
    return np.from_dlpack(frame).tobytes()


def main() -> None:
    job = json.loads(sys.argv[1])
    check(driver.cuInit(0))
    device = check(driver.cuDeviceGet(0))
    check(driver.cuCtxSetCurrent(check(driver.cuDevicePrimaryCtxRetain(device))))
    demuxer = Nv.CreateDemuxer(job["input"])
    decoder = Nv.CreateDecoder(gpuid=0, codec=demuxer.GetNvCodecId(), usedevicememory=job["device"])
    found = []
    for packet in demuxer:
        for frame in decoder.Decode(packet):
            found.append((frame.getPTS(), hashlib.md5(pixels(frame, job["device"])).hexdigest()))
    print(json.dumps(found))
    del frame, decoder
    check(driver.cuDevicePrimaryCtxRelease(device))


if __name__ == "__main__":
    main()
