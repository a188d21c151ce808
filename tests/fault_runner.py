"""Runs an encoder from its creation to its end on a driver that fails one call, each time in a separate forked child.

    python tests/fault_runner.py < cases > outcomes

A case is a JSON line `{"abi": "13.0", "faults": [{"call": "nvEncLockBitstream", "nth": 3, "status": 20}]}`, with
`"views": true` or `"alpha": true` for encoders of pairs; its outcome is one too: `problems` (sentences; none is good),
`errors` (what the calls raised), `calls` (uses of each call). A child that crashes or does not end has that as its
problem.
"""

from __future__ import annotations

import contextlib
import ctypes
import functools
import gc
import json
import os
import sys
from collections.abc import Callable, Iterator, Sequence
from importlib import import_module
from typing import Any

import numpy as np

from forked_children import outcomes_of
from frames import CudaFrame, Gpu, Nv12, cuda, nv12
from pdum.nvenc import Attempts, MotionEstimator, NvencEncoder, NvencError, Packet, PictureOptions

from simulator import EchoUnit, Simulator, checksum, parse

WIDTH, HEIGHT = 320, 192
MAP = np.arange(60, dtype=np.int8).reshape(6, 10) - 30  # of HEVC's blocks
FLUSHES = 3  # a flush that fails may be asked again; one fault cannot make more than that fail

# A fault keeps these from giving back an object, which then has to stay: the kind of object in the report, by call.
KEPT_BY_FAULT = {
    "nvEncDestroyEncoder": {"sessions", "bitstream_buffers", "registered", "mapped"},
    "cuMemFree_v2": {"device_allocations"},
    "cuStreamDestroy_v2": {"streams"},
    "cuEventDestroy_v2": {"events"},
    "cuDevicePrimaryCtxRelease_v2": {"primary_retains"},
    "cuCtxPopCurrent_v2": set(),
}
# Nothing can be done about a failure of these, or something else is done instead, and nothing is lost by it: they need
# not be told. A frame is registered anew if the driver does not say whether its memory is still the same. A frame that
# cannot be registered or mapped is copied. A stream is taken for one of the encoder's own context, or for one that is
# not being captured. A surface that came back is left aside if the driver does not say whether it is still being
# written. An IDR takes the place of an invalidation that fails.
UNTOLD = {*KEPT_BY_FAULT} - {"nvEncDestroyEncoder"} | {
    "cuDeviceGetName",
    "cuEventQuery",
    "cuPointerGetAttribute",
    "cuStreamGetCtx",
    "cuStreamIsCapturing",
    "nvEncInvalidateRefFrames",
    "nvEncMapInputResource",
    "nvEncRegisterResource",
}
# Without these, which end the stream and wait for a picture, a session cannot be emptied before it is destroyed.
WAITS = {"nvEncEncodePicture", "nvEncLockBitstream"}
# A single failure of these leaves something behind forever.
RELEASING = ("UnlockBitstream", "UnmapInputResource", "UnregisterResource", "DestroyBitstreamBuffer", "DestroyMVBuffer")
RELEASES = {f"nvEnc{name}" for name in RELEASING}
LOCK_BUSY, NEED_MORE_INPUT, ENCODER_BUSY = 13, 17, 18
# A driver that says so has never seen the frame that it claims to hold: no client can make good for that.
LIE = ("nvEncEncodePicture", NEED_MORE_INPUT)
ASKED_AGAIN = {*WAITS, "nvEncLookaheadPicture", "nvEncRestoreEncoderState"}
BUSY = {(call, status) for call in ASKED_AGAIN for status in (LOCK_BUSY, ENCODER_BUSY)}

Views = tuple[object, object]
Case = dict[str, Any]
Outcome = dict[str, Any]


@functools.cache
def picture_of(number: int) -> Nv12:
    return nv12(WIDTH, HEIGHT, number)


class Life:
    """A few encoders from creation to end, with all their errors and packets."""

    def __init__(self, calls: Callable[[], dict[str, int]]) -> None:
        self.calls = calls
        self.untold: list[tuple[str, int, int]] = []  # a call, and which of its uses: above the one, up to the other
        self.errors: list[NvencError] = []
        self.problems: list[str] = []
        self.maps: dict[int, bytes] = {}  # of QP offsets
        self.pictures: dict[int, Nv12 | None] = {}  # None: a picture that was never written
        self.pairs: dict[int, tuple[Nv12, Nv12]] = {}
        self.accepted: list[int] = []
        self.received: list[int] = []

    def attempt(self, step: Callable[[], Any]) -> Any:
        """The step's result, or None if it failed in an allowed way."""
        try:
            return step()
        except NvencError as error:
            self.errors.append(error.with_traceback(None))  # its frames would keep the encoder
        except BaseException as error:
            self.problems.append(f"raised {error!r}, which is no NvencError")
        return None

    @contextlib.contextmanager
    def without_witness(self, *only: str) -> Iterator[None]:
        """Errors in this block cannot be raised, as when the last reference to an encoder goes."""
        before = self.calls()
        yield
        after = self.calls()
        self.untold += [(call, before.get(call, 0), after[call]) for call in only or after if call in after]

    def submit(self, encoder: NvencEncoder, frame: object, pixels: Nv12 | None, seq: int, **options: Any) -> None:
        self.pictures[seq] = pixels
        packets = self.attempt(lambda: encoder.submit(frame, seq, **options))
        if packets is not None:
            self.accepted.append(seq)
            self.take(packets)

    def submit_pair(self, encoder: NvencEncoder, views: Views, pixels: tuple[Nv12, Nv12], seq: int) -> None:
        self.pairs[seq] = pixels
        packets = self.attempt(lambda: encoder.submit(views, seq))
        if packets is not None:
            self.accepted.append(seq)
            self.take(packets)

    def take(self, packets: Any) -> None:
        for packet in packets:
            seq, data, _ = packet
            if seq in self.pairs:
                self.take_pair(seq, parse(data))
                continue
            if packet.reconstruction is not None:
                self.compare(seq, packet.reconstruction)
            units = parse(data)
            if seq in self.received:
                self.problems.append(f"seq {seq} came out twice")
            picture = self.pictures[seq]
            if len(units) != 1 or (picture is not None and units[0].checksum != checksum(picture)):
                self.problems.append(f"the packet of seq {seq} holds another picture")
            elif units[0].map != self.maps.get(seq, units[0].map):
                self.problems.append(f"the packet of seq {seq} was coded by another map")
            self.received.append(seq)

    def take_pair(self, seq: int, units: Sequence[EchoUnit]) -> None:
        if seq in self.received:
            self.problems.append(f"the pair {seq} came out twice")
        if [unit.checksum for unit in units] != [checksum(view) for view in self.pairs[seq]]:
            self.problems.append(f"the packet of the pair {seq} holds other views")
        self.received.append(seq)

    def compare(self, seq: int, reconstruction: Any) -> None:
        """The simulated encoder that only echoes loses nothing."""
        with self.without_witness("cuCtxPushCurrent_v2"):  # a stream is freed without it
            pixels = self.attempt(lambda: np.asarray(reconstruction))
        wanted = self.pictures[seq]
        if pixels is not None and wanted is not None and not np.array_equal(pixels, wanted):
            self.problems.append(f"the reconstruction of seq {seq} is another picture")

    def flush(self, encoder: NvencEncoder, seq: int | None = None) -> None:
        """`seq`: that of the only picture in flight, if it was submitted without one."""
        for _ in range(FLUSHES):
            packets = self.attempt(encoder.flush_pipeline)
            if packets is not None:
                return self.take(packets if seq is None else [Packet(seq, one.data, False) for one in packets])
        return None

    def lost(self) -> Iterator[str]:
        missing = set(self.accepted) - set(self.received)
        if missing:
            yield f"frames {sorted(missing)} were accepted and never came out"


def made(life: Life, **options: Any) -> NvencEncoder | None:
    """An encoder, at the second attempt if the first fails: one fault spoils one attempt."""
    for _ in range(2):
        encoder = life.attempt(lambda: NvencEncoder(WIDTH, HEIGHT, **options))
        if encoder is not None:
            return encoder  # type: ignore[no-any-return]
    return None


def delayed(life: Life, device_frames: list[tuple[object, Nv12]], device_map: object) -> None:
    """B-frames and a delay: frames are held back, and the stream ends and begins again. They have maps."""
    options: dict[str, Any] = {"tuning": "hq", "bframes": 2, "extra_output_delay": 4, "bitrate": 2_000_000}
    encoder = made(life, codec="hevc", qp_map="delta", **options)
    if encoder is None:
        return
    life.attempt(encoder.sequence_header)
    array = np.empty(MAP.shape, np.int8)
    for number in range(4):
        picture = picture_of(number)
        array[...] = MAP + number
        life.maps[-number] = array.tobytes()
        life.submit(encoder, picture, picture, -number, picture=PictureOptions(qp_map=array))
    life.attempt(lambda: encoder.reconfigure(bitrate=1_000_000, fps="30000/1001"))
    for number, (frame, picture) in enumerate(device_frames, 4):
        options = {"picture": PictureOptions(qp_map=device_map), "force_idr": number == 5}
        life.maps[10**12 + number] = MAP.tobytes()
        life.submit(encoder, frame, picture, 10**12 + number, **options)
    life.flush(encoder)
    picture = picture_of(50)
    life.submit(encoder, picture, picture, 50)
    life.flush(encoder)
    with life.without_witness("cuCtxPushCurrent_v2"):  # freeing memory goes on without it
        life.attempt(encoder.close)
    life.attempt(encoder.close)


def immediate(life: Life, device_frames: list[tuple[object, Nv12]]) -> None:
    """One in, one out; never closed."""
    encoder = made(life, codec="h264", tuning="ll", motion_hints=1)
    if encoder is None:
        return
    with life.without_witness("nvEncEncodePicture"):  # a first picture that is refused is encoded from a copy
        for number, (frame, picture) in enumerate(device_frames, 100):
            life.submit(encoder, frame, picture, number)
    picture = picture_of(150)
    hints = np.ones((-(-HEIGHT // 16), -(-WIDTH // 16), 2), np.int16)
    life.submit(encoder, picture, picture, 150, picture=PictureOptions(motion_hints=hints))
    life.flush(encoder)
    life.attempt(encoder.sequence_header)  # hears of a release that failed in the flush
    with life.without_witness():
        del encoder


def in_place(life: Life, device_frames: list[tuple[object, Nv12]]) -> None:
    """The caller's memory is read in place, and the encoder lends surfaces."""
    encoder = made(life, codec="hevc", copy="never", extra_output_delay=2)
    if encoder is None:
        return
    for number, (frame, picture) in enumerate([*device_frames, device_frames[0]], 300):
        life.submit(encoder, frame, picture, number)
    for number in (310, 311):
        surface = life.attempt(encoder.surface)
        if surface is not None and number == 310:
            with life.without_witness(), surface:  # it is not reused if the end of its stream's work is unknown
                pass
        elif surface is not None:
            life.submit(encoder, surface, None, number)
        surface = None
    life.attempt(lambda: encoder.reconfigure(rate_control="vbr"))  # takes another session, with frames in flight
    for number, (frame, picture) in enumerate(device_frames, 320):
        life.submit(encoder, frame, picture, number)
    life.flush(encoder)
    with life.without_witness("cuCtxPushCurrent_v2"):
        life.attempt(encoder.close)
    life.attempt(encoder.close)


def repaired(life: Life) -> None:
    """Packets are lost, and pictures are kept as long-term references."""
    encoder = made(life, gop=0, reference_frames=4, long_term_references=2)
    if encoder is None:
        return
    life.submit(encoder, picture_of(0), picture_of(0), 400, picture=PictureOptions(mark_long_term=1))
    for number in range(1, 4):
        life.submit(encoder, picture_of(number), picture_of(number), 400 + number)
    life.attempt(lambda: encoder.lost(402))
    life.submit(encoder, picture_of(0), picture_of(0), 404)
    life.attempt(lambda: encoder.lost(400))
    life.submit(encoder, picture_of(1), picture_of(1), 405)
    life.flush(encoder)
    with life.without_witness("cuCtxPushCurrent_v2"):
        life.attempt(encoder.close)
    life.attempt(encoder.close)


def with_outputs(life: Life) -> None:
    """Pictures give more than their access units: statistics, and themselves as a decoder shows them."""
    encoder = made(life, codec="hevc", reconstruction=True, statistics="rows", extra_output_delay=1)
    if encoder is None:
        return
    for number in range(4):
        life.submit(encoder, picture_of(number), picture_of(number), 500 + number)
    life.flush(encoder)
    with life.without_witness("cuCtxPushCurrent_v2"):
        life.attempt(encoder.close)
    life.attempt(encoder.close)


def sliced(life: Life) -> None:
    """Slices are read before their picture is done; if that fails, a flush gives the picture."""
    encoder = made(life, slices=2, sub_frames=True)
    if encoder is None:
        return
    for number in range(2):
        seq = 600 + number
        life.pictures[seq] = picture_of(number)
        parts = life.attempt(functools.partial(encoder.encode_slices, picture_of(number)))
        if parts is None:
            continue
        life.accepted.append(seq)
        data = life.attempt(functools.partial(b"".join, parts))
        if data is not None:
            life.take([Packet(seq, data, False)])
        else:
            life.flush(encoder, seq)
    with life.without_witness("cuCtxPushCurrent_v2"):
        life.attempt(encoder.close)
    life.attempt(encoder.close)


def paired(life: Life, device_frames: list[tuple[object, Nv12]]) -> None:
    """Two views, on the host and on the GPU. Without its right view, a left one goes, and no other pair."""
    for first, delay in ((700, 0), (710, 2)):
        encoder = made(life, codec="hevc", stereo=True, extra_output_delay=delay)
        if encoder is None:
            continue
        for number, (frame, picture) in enumerate([*device_frames, (picture_of(0), picture_of(0))], first):
            life.submit_pair(encoder, (picture_of(1), frame), (picture_of(1), picture), number)
        life.attempt(encoder.sequence_header)
        life.submit_pair(encoder, (picture_of(2), picture_of(3)), (picture_of(2), picture_of(3)), first + 5)
        for _ in range(FLUSHES):  # a view that was not given makes the next call fail, and comes with the one after
            life.flush(encoder)
        with life.without_witness("cuCtxPushCurrent_v2"):
            life.attempt(encoder.close)
        life.attempt(encoder.close)


def transparent(life: Life, device_frames: list[tuple[object, Nv12]]) -> None:
    """Frames with their alpha beside them, both on the host and on the GPU."""
    for first, delay in ((800, 0), (810, 2)):
        encoder = made(life, codec="hevc", alpha=True, extra_output_delay=delay)
        if encoder is None:
            continue
        alphas = [picture_of(1)[:HEIGHT], CudaFrame(device_frames[0][0].pointer, (HEIGHT, WIDTH), stream=None)]  # type: ignore[attr-defined]
        for number, (frame, picture) in enumerate([*device_frames, (picture_of(0), picture_of(0))], first):
            life.submit(encoder, (frame, alphas[number % 2]), picture, number)
        life.attempt(encoder.sequence_header)
        life.submit(encoder, (picture_of(2), alphas[0]), picture_of(2), first + 5)
        for _ in range(FLUSHES):  # the failure of a packet comes with the call after, and the packet with the next one
            life.flush(encoder)
        with life.without_witness("cuCtxPushCurrent_v2"):
            life.attempt(encoder.close)
        life.attempt(encoder.close)


def tried(life: Life) -> None:
    """Pictures are coded several times, and shown to the driver before."""
    encoder = made(life, tuning="hq", lookahead=1, attempts=2)
    if encoder is None:
        return
    for number in range(3):
        seq = 700 + number
        life.pictures[seq] = picture_of(number)
        picture = life.attempt(functools.partial(encoder.begin_attempts, picture_of(number), seq))
        if picture is not None:
            choose(life, picture)
    while (picture := life.attempt(encoder.begin_attempts)) is not None:
        choose(life, picture)
    life.flush(encoder)
    with life.without_witness("cuCtxPushCurrent_v2"):
        life.attempt(encoder.close)
    life.attempt(encoder.close)


def choose(life: Life, picture: Attempts) -> None:
    """The first of two attempts is kept, at the second call if the first fails."""
    for _ in range(2):
        life.attempt(picture.encode)
    if not picture.packets:
        life.attempt(picture.encode)
    for _ in range(2 * bool(picture.packets)):
        kept = life.attempt(lambda: picture.keep(picture.packets[0]))
        if kept is not None:
            return life.take([kept])
    return None


def moved(life: Life) -> None:
    """A session that finds motion and encodes nothing."""
    for _ in range(2):
        estimator = life.attempt(lambda: MotionEstimator(WIDTH, HEIGHT))
        if estimator is not None:
            break
    else:
        return
    for _ in range(2):
        blocks = life.attempt(lambda: estimator.estimate(picture_of(1), picture_of(0)))
        if blocks is not None and len(blocks) != WIDTH * HEIGHT // 256:
            life.problems.append(f"there are vectors for {len(blocks)} blocks")
    with life.without_witness("cuCtxPushCurrent_v2"):
        life.attempt(estimator.close)
    life.attempt(estimator.close)


def dropped(life: Life) -> None:
    """Frames are in flight when the last reference goes."""
    encoder = made(life, codec="av1", tuning="hq", lookahead=2)
    if encoder is None:
        return
    for number in range(200, 203):
        life.submit(encoder, picture_of(number), picture_of(number), number)
    life.accepted = [seq for seq in life.accepted if seq < 200]
    life.attempt(encoder.sequence_header)
    with life.without_witness():
        del encoder


def grown(before: dict[str, int], after: dict[str, int]) -> dict[str, int]:
    return {kind: count - before.get(kind, 0) for kind, count in after.items() if count > before.get(kind, 0)}


def pop_what_is_left() -> None:
    """The contexts that stay current when no call pops one. A thread has room for 64 of them."""
    context = ctypes.c_void_p()
    cuda("cuCtxGetCurrent", ctypes.byref(context))
    while context:
        cuda("cuCtxPopCurrent_v2", ctypes.byref(ctypes.c_void_p()))
        cuda("cuCtxGetCurrent", ctypes.byref(context))


class Bench:
    """The simulator, and device frames that are made without faults."""

    def __init__(self) -> None:
        self.simulator = Simulator()

    @contextlib.contextmanager
    def unwatched(self) -> Iterator[None]:
        control = self.simulator.libraries["cuda"].control
        control(quiet=True)
        try:
            yield
        finally:
            control(quiet=False)

    def configure(self, faults: list[dict[str, Any]]) -> None:
        self.simulator.configure(gpus=["RTX 5090"], backend="echo", count=True, faults=faults, slices_per_lock=1)

    def live(self) -> dict[str, int]:
        return {**self.simulator.live("cuda"), **self.simulator.live("encode")}

    def calls(self) -> dict[str, int]:
        return {**self.simulator.calls("cuda"), **self.simulator.calls("encode")}

    def device_frames(self) -> tuple[Gpu, list[tuple[object, Nv12]], object]:
        with self.unwatched():
            gpu = Gpu()
            stream = gpu.stream()
            pictures = [picture_of(20 + number) for number in range(3)]
            frames: list[tuple[object, Nv12]] = [
                (gpu.frame(pictures[0]), pictures[0]),
                (gpu.frame(pictures[1], pitch=512, stream=stream), pictures[1]),
                (CudaFrame(gpu.frame(pictures[2]).pointer, pictures[2].shape, stream=None), pictures[2]),
            ]
            pointer = gpu.frame(MAP.view(np.uint8)).pointer
        return gpu, frames, CudaFrame(pointer, MAP.shape, typestr="|i1", stream=stream)

    def check_the_next_one(self, problems: list[str]) -> None:
        """An encoder made afterwards, on a driver that works again."""
        life = Life(self.calls)
        immediate(life, [])
        problems.extend(f"the next encoder: {problem}" for problem in life.lost())
        problems.extend(f"the next encoder: {problem}" for problem in life.problems)
        problems.extend(f"the next encoder raised {error!r}" for error in life.errors)
        if life.received != [150]:
            problems.append(f"the next encoder gave {life.received}")

    def run(self, case: Case) -> Outcome:
        os.environ["PDUM_NVENC_ABI"] = case["abi"]
        faults = case["faults"]
        self.configure([])
        _, frames, device_map = self.device_frames()
        self.configure(faults)
        self.simulator.reset()
        before = self.live()
        life = Life(self.calls)
        if case.get("views"):
            paired(life, frames)
        elif case.get("alpha"):
            transparent(life, frames)
        else:
            delayed(life, frames, device_map)
            immediate(life, frames)
            in_place(life, frames)
            repaired(life)
            with_outputs(life)
            sliced(life)
            tried(life)
            moved(life)
            dropped(life)
        calls = self.calls()
        left = grown(before, self.live())
        violations = self.simulator.violations()
        self.configure([])
        if any(fault["call"] == "cuCtxPopCurrent_v2" for fault in faults):
            pop_what_is_left()
        self.simulator.reset()
        problems = [*life.problems, *problems_of(life, faults, left), *rules_broken(faults, violations)]
        self.check_the_next_one(problems)
        if grown(left, grown(before, self.live())):
            problems.append(f"the next encoder left {self.live()}")
        return {"problems": problems, "errors": [told(error) for error in life.errors], "calls": calls}


def told(error: NvencError) -> dict[str, Any]:
    return {"class": type(error).__name__, "status": error.status, "call": error.call, "message": str(error)}


def problems_of(life: Life, faults: list[dict[str, Any]], left: dict[str, int]) -> Iterator[str]:
    """The checks that do not apply if the driver fails these calls."""
    names = {fault["call"] for fault in faults}
    may_stay = set().union(*(KEPT_BY_FAULT.get(name, set()) for name in names))
    wrongly_left = {kind: count for kind, count in left.items() if kind not in may_stay}
    if wrongly_left:
        yield f"left {wrongly_left}"
    once = len(faults) == 1 and faults[0]["nth"] > 0
    if not once:
        return
    fault = faults[0]
    call, status = fault["call"], fault["status"]
    lies = (call, status) == LIE
    if not lies:
        yield from life.lost()
    is_told = any(
        (error.call + suffix, error.status) == (call, status) for error in life.errors for suffix in ("", "_v2")
    )
    nobody_there = any(name == call and above < fault["nth"] <= last for name, above, last in life.untold)
    if not (is_told or nobody_there or call in UNTOLD or (call, status) in BUSY or lies):
        yield f"the failure was not told; told was {[str(error) for error in life.errors]}"
    if (call, status) in BUSY and life.errors:
        yield f"a busy driver was not asked again: {life.errors[0]}"


def rules_broken(faults: list[dict[str, Any]], violations: list[dict[str, str]]) -> Iterator[str]:
    """Objects that the driver failed to release end with the session: that breaks the rules, but leaks nothing."""
    if any((fault["call"], fault["status"]) == LIE for fault in faults):
        return
    lasting = len(faults) > 1 or any(fault["nth"] == 0 for fault in faults)
    excused = any(fault["call"] in (RELEASES | WAITS if lasting else RELEASES) for fault in faults)
    for violation in violations:
        if not (excused and violation["call"] == "nvEncDestroyEncoder"):
            yield f"broke a rule in {violation['call']} ({violation['object']}): {violation['message']}"


def main() -> None:
    """What every child needs is made and loaded once."""
    bench = Bench()
    for number in (*range(4), *range(20, 23), 50, 150, *range(200, 203)):
        picture_of(number)
    for name in ("fractions", "pdum.nvenc._config.live_changes"):
        import_module(name)
    gc.collect()
    gc.freeze()
    for case, outcome in outcomes_of(map(json.loads, sys.stdin), bench.run):
        print(json.dumps({"case": case, **outcome}), flush=True)


if __name__ == "__main__":
    main()
