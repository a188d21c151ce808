"""Decodes a video on a driver that fails one call, for each call and many of its uses. What a fault leaves alive stays.

    python tests/decoder_fault_runner.py VIDEO > problems

Asserted of each such life: only one error comes out, of the tree; a frame at most is lost, and all others are the
processor's, but for those that may need a picture that was not decoded; nothing is left alive; no rule of the driver's
is broken.
"""

from __future__ import annotations

import os
import sys
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import av
import numpy as np

from decoder.videos import by_processor
from pdum.nvenc import DecodedFrame, NvencError
from pdum.nvenc._media.gpu_decoder import StreamDecoder

from simulator import Simulator

LIBRARIES = ("cuda", "decode")
L4: dict[str, Any] = {"gpus": {"name": "L4", "fps_1080p": 0}, "count": True}
GROUP = 8
"""Frames of a group of pictures of the video."""
COPIES_FROM, COPIES_TO = 8, 16
"""Frames that are kept for a while, so that most of them are copies."""
ENDS = 3
"""One fault cannot make more than one end of the stream fail."""
STATUSES = {"cuda": (1, 2, 46, 400, 709, 719, 999), "decode": (1, 2, 46, 100, 719, 801, 999)}
# A fault keeps these from giving back an object, which then has to stay: the kind of object in the report, by call.
KEPT_BY_FAULT = {
    "cuvidDestroyDecoder": {"decoders", "mapped_frames", "device_allocations", "host_allocations", "primary_retains"},
    "cuvidDestroyVideoParser": {"parsers"},
    "cuMemFree_v2": {"device_allocations"},
    "cuStreamDestroy_v2": {"streams"},
    "cuEventDestroy_v2": {"events"},
    "cuDevicePrimaryCtxRelease_v2": {"primary_retains"},
    # Whether the decoder's context still exists is unknown then.
    "cuCtxGetCurrent": {"decoders", "device_allocations", "host_allocations"},
    "cuCtxPushCurrent_v2": {"decoders", "device_allocations", "host_allocations"},
}
AT_RELEASE = {"cuCtxGetCurrent", "cuCtxPushCurrent_v2", "cuEventCreate", "cuEventRecord", "cuStreamWaitEvent"}
"""Also used when a frame is given back, which cannot raise an error. Its memory is not used again then."""
UNTOLD = {*KEPT_BY_FAULT, *AT_RELEASE, "cuCtxPopCurrent_v2", "cuDeviceGetName", "cuEventQuery", "cuStreamGetCtx",
          "cuvidGetDecodeStatus", "cuvidUnmapVideoFrame64", "cuStreamSynchronize"}  # fmt: skip
"""Nothing can be done about a failure of these, or something else is done instead."""
LOSING = {"cuCtxGetCurrent", "cuCtxPushCurrent_v2", "cuvidCreateDecoder", "cuvidGetDecoderCaps", "cuvidDecodePicture",
          "cuvidParseVideoData", "cuEventSynchronize"}  # fmt: skip
"""A picture is not decoded if one of these fails, and those that refer to it look wrong."""


class Life:
    """A decoder from its creation to its end."""

    def __init__(self, path: Path) -> None:
        self.errors: list[NvencError] = []
        self.harmed: set[int] = set()
        """The groups of pictures with a packet that failed."""
        self.frames: list[tuple[int, Any]] = []
        with av.open(str(path)) as container:
            stream = container.streams.video[0]
            decoder = self._made(stream)
            kept: list[DecodedFrame] = []
            for number, packet in enumerate(container.demux(stream)):
                for frame in self._decoded(decoder, packet, number):
                    self._read(frame, number)
                    if COPIES_FROM <= number < COPIES_TO:
                        kept.append(frame)
                if number == COPIES_TO:
                    kept.clear()
            decoder.close()

    def _made(self, stream: Any) -> StreamDecoder:
        """At the second attempt if the first fails: one fault spoils one attempt."""
        try:
            return StreamDecoder(stream, surfaces=2)
        except NvencError as error:
            self.errors.append(error.with_traceback(None))
            return StreamDecoder(stream, surfaces=2)

    def _decoded(self, decoder: StreamDecoder, packet: Any, number: int) -> Iterator[DecodedFrame]:
        """If it fails at the end, where no packet follows that the frames could come with, it is asked again."""
        for _ in range(1 if packet.size else ENDS):
            try:
                yield from decoder.frames(packet)
            except NvencError as error:
                self.errors.append(error.with_traceback(None))
                self.harmed.add(number // GROUP)

    def _read(self, frame: DecodedFrame, number: int) -> None:
        try:
            if number % 3 == 1:
                frame.__dlpack__(stream=1)  # its stream is a reader from now on
            self.frames.append((frame.pts or 0, np.asarray(frame)))
        except NvencError as error:
            self.errors.append(error.with_traceback(None))


def uses_of(simulator: Simulator, clip: Path) -> dict[tuple[str, str], int]:
    with simulator.machine(**L4) as machine:
        life = Life(clip)
        counts = {(library, call): uses for library in LIBRARIES for call, uses in machine.calls(library).items()}
    assert not life.errors
    return counts


def spread(uses: int) -> list[int]:
    looked_at = (1, 3, uses // 2, uses) if "PDUM_SANITIZER" in os.environ else (1, 2, 3, 5, uses // 2, uses - 1, uses)
    return sorted({nth for nth in looked_at if 1 <= nth <= uses})


def grown(before: dict[str, int], after: dict[str, int]) -> set[str]:
    return {kind for kind, count in after.items() if count > before.get(kind, 0) and kind != "primary_retains"}


def problems_of(life: Life, wanted: dict[int, Any], left: set[str], call: str) -> Iterator[str]:
    shown, harmed = dict(life.frames), life.harmed if call in LOSING else set()
    number_of = {pts: number for number, pts in enumerate(wanted)}
    intact = {pts: picture for pts, picture in wanted.items() if number_of[pts] // GROUP not in harmed}
    for pts, picture in intact.items():
        if pts in shown and not np.array_equal(shown[pts], picture):
            yield f"the frame at {pts} holds another picture"
    if len(missing := intact.keys() - shown.keys()) > 1:
        yield f"the frames at {missing} are missing"
    if len(life.errors) > 1:
        yield f"one fault is told {len(life.errors)} times: {[str(one) for one in life.errors]}"
    if not life.errors and call not in UNTOLD:
        yield "nobody was told"
    if more := left - KEPT_BY_FAULT.get(call, set()):
        yield f"{more} are left alive"


def problems_of_all(simulator: Simulator, clip: Path) -> Iterator[str]:
    wanted = dict(by_processor(clip))
    for (library, call), uses in uses_of(simulator, clip).items():
        for step, nth in enumerate(spread(uses)):
            status = STATUSES[library][step % len(STATUSES[library])]
            before = simulator.all_live()
            with simulator.machine(**L4 | {"faults": [{"call": call, "nth": nth, "status": status}]}, check=False):
                with ThreadPoolExecutor(1) as thread:  # a fault leaves nothing on the stack of the next one's contexts
                    life = thread.submit(Life, clip).result()
                left = {kind for name, live in simulator.all_live().items() for kind in grown(before[name], live)}
                found = [*problems_of(life, wanted, left, call), *(text["message"] for text in simulator.violations())]
            yield from (f"{call}, use {nth} of {uses}, status {status}: {text}" for text in found)


if __name__ == "__main__":
    print("\n".join(problems_of_all(Simulator(), Path(sys.argv[1]))))
