"""Ends of processes and of decoders that a test must not have in its own process: decoder/test_lifetime.py runs it.

python tests/decoder_lifetime_runner.py SCENARIO VIDEO
"""

from __future__ import annotations

import atexit
import ctypes
import gc
import os
import sys
import threading
import warnings
from collections.abc import Callable
from pathlib import Path
from typing import Any, NoReturn

import numpy as np
import pytest

from decoder.videos import assert_same, by_processor, on_host
from pdum.nvenc import Decoder, DecoderClosed, decode

from simulator import Simulator

VIDEO = Path(sys.argv[2]) if len(sys.argv) > 2 else Path()
FRAMES = 30

simulator = Simulator()
kept: list[Any] = []  # alive until the interpreter clears the module


def video() -> Any:
    return decode(VIDEO, surfaces=2)


def holding() -> list[Any]:
    """A decoder in its work, with a surface, copies and a tensor that are out."""
    one = video()
    frames = [next(one) for _ in range(4)]
    return [one, *frames, frames[0].__dlpack__(), frames[2].__dlpack__(max_version=(1, 0))]


# --- the end of the interpreter ---


def module_global() -> None:
    kept.extend(holding())


def in_a_cycle() -> None:
    cycle: list[Any] = holding()
    cycle.append(cycle)


def closed_at_exit() -> None:
    one, *frames = holding()
    atexit.register(one.close)
    kept.extend([one, *frames])


def daemon_decodes() -> None:
    """The interpreter ends while daemon threads are in every part of a decoder."""
    begun = threading.Semaphore(0)

    def work() -> NoReturn:
        while True:
            with video() as one:
                for frame in one:
                    np.asarray(frame)
                    frame.__dlpack__()
                    begun.release()

    for _ in range(3):
        threading.Thread(target=work, daemon=True).start()
    for _ in range(60):
        begun.acquire()


# --- fork ---


def in_child(use: Callable[[], object]) -> int:
    """The exit status of a forked child that calls this and then ends as Python ends."""
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", DeprecationWarning)  # of Python 3.12 on, about threads
        child = os.fork()
    if child == 0:
        use()
        sys.exit(0)
    return os.waitstatus_to_exitcode(os.waitpid(child, 0)[1])


def refuses_everything(one: Any, decoder: Decoder) -> None:
    for use in (lambda: next(one), lambda: decoder.decode(b"\0\0\1"), decoder.flush):
        with pytest.raises(DecoderClosed, match="fork"):
            use()
    one.close()
    decoder.close()


def forked() -> None:
    one, decoder = video(), Decoder("h264")
    found = on_host([next(one) for _ in range(3)])
    assert in_child(lambda: refuses_everything(one, decoder)) == 0
    found += on_host(one)
    assert_same(found, by_processor(VIDEO))


def forked_calls_nothing() -> None:
    """A child that drops any owner of a driver object makes no call."""
    simulator.configure(gpus={"name": "L4", "fps_1080p": 0}, count=True)
    holders = [holding(), Decoder("hevc")]

    def drop() -> None:
        def calls() -> dict[str, int]:
            return {**simulator.calls("cuda"), **simulator.calls("decode")}

        before = calls()
        holders.clear()
        gc.collect()
        assert calls() == before, {name: count for name, count in calls().items() if count != before.get(name)}

    assert in_child(drop) == 0


def forked_in_use() -> None:
    """Another thread is inside the decoder at the fork, so that the child sees its lock taken forever."""
    decoder, over, begun = Decoder("h264"), threading.Event(), threading.Semaphore(0)

    def work() -> None:
        while not over.is_set():
            decoder.decode(b"\0\0\0\1\x09\xf0" * 4000)
            begun.release()

    thread = threading.Thread(target=work)
    thread.start()
    begun.acquire()
    one = video()
    statuses = [in_child(lambda: refuses_everything(one, decoder)) for _ in range(2)]
    over.set()
    thread.join()
    assert statuses == [0] * 2, statuses


# --- tensors ---


def pointer_of(capsule: Any) -> int:
    """Takes the tensor out of its capsule, as a consumer does."""
    api = ctypes.pythonapi
    api.PyCapsule_GetPointer.restype = ctypes.c_void_p
    api.PyCapsule_GetPointer.argtypes = [ctypes.py_object, ctypes.c_char_p]
    api.PyCapsule_SetName.argtypes = [ctypes.py_object, ctypes.c_char_p]
    pointer: int = api.PyCapsule_GetPointer(capsule, b"dltensor")
    assert api.PyCapsule_SetName(capsule, USED) == 0
    return pointer


USED = b"used_dltensor"  # a capsule does not copy its name
DELETER = 56
"""Where DLManagedTensor has the function that deletes it."""


def delete(pointer: int) -> None:
    """Without the GIL, as a consumer's own threads call it."""
    function = ctypes.c_void_p.from_address(pointer + DELETER).value
    assert function is not None
    ctypes.CFUNCTYPE(None, ctypes.c_void_p)(function)(pointer)


def tensors_end_in_other_threads() -> None:
    """After the frames, the video and its decoder."""
    with simulator.machine(gpus={"name": "L4", "fps_1080p": 0}):
        pointers = [pointer_of(frame.__dlpack__()) for frame in video()]
        gc.collect()
        assert simulator.live("decode")["decoders"] == 1
        threads = [threading.Thread(target=delete, args=(pointer,)) for pointer in pointers]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
        assert not simulator.live("decode")


def threads_share_frames() -> None:
    """Some read a frame while others give it back: each gets the whole picture, or is told."""
    wanted = dict(by_processor(VIDEO))
    wrong: list[Any] = []

    def read(frame: Any, gate: threading.Barrier) -> None:
        gate.wait()
        try:
            picture = np.asarray(frame)
            if not np.array_equal(picture, wanted[frame.pts]):
                wrong.append(frame.pts)
        except DecoderClosed:
            pass
        frame.release()

    with simulator.machine(gpus={"name": "L4", "fps_1080p": 0}):
        for frame in video():
            gate = threading.Barrier(4)
            threads = [threading.Thread(target=read, args=(frame, gate)) for _ in range(4)]
            for thread in threads:
                thread.start()
            for thread in threads:
                thread.join()
            del frame, threads
        gc.collect()
    assert not wrong


def threads_share_a_decoder() -> None:
    """Each call waits for its turn, and closing waits for the others."""
    stream, decoder = by_packets(), Decoder("h264")
    told = []

    def work() -> None:
        try:
            for data in stream:
                for frame in decoder.decode(data):
                    np.asarray(frame)
        except DecoderClosed:
            told.append(True)

    threads = [threading.Thread(target=work) for _ in range(3)]
    for thread in threads:
        thread.start()
    threads[0].join(0.05)
    decoder.close()
    for thread in threads:
        thread.join()
    gc.collect()
    assert not simulator.live("decode")
    assert not simulator.violations()


def by_packets() -> list[bytes]:
    import av

    from pdum.nvenc._media.stream_headers import filter_for, filtered

    with av.open(str(VIDEO)) as container:
        one = container.streams.video[0]
        bitstream_filter = filter_for(one)
        packets = [part for packet in container.demux(one) for part in filtered(packet, bitstream_filter)]
        return [bytes(packet) for packet in packets if packet.size] * 3


if __name__ == "__main__":
    globals()[sys.argv[1]]()
