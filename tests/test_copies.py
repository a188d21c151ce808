"""How often a byte is copied: a library that replaces memcpy adds up what the process moves.

Access units are a MiB each, so that one copy too many of the output, or of the frame, stands out.
"""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path

import pytest

AU = 1 << 20
WIDTH, HEIGHT = 1920, 1080
FRAME = WIDTH * HEIGHT * 3 // 2
FRAMES = 64
# Copies below this are not counted: structs. Rows of a frame are above it.
SMALLEST = 1024
# How many bytes of structs the simulated driver may copy for each frame.
STRUCTS = 32 << 10

CLIENT = """
import ctypes, json, sys
import numpy
from pdum.nvenc import NvencEncoder

width, height, frames, smallest = 1920, 1080, int(sys.argv[2]), int(sys.argv[3])
counter = ctypes.CDLL(None)
counter.copy_counter_start.argtypes = [ctypes.c_size_t]
counter.copy_counter_stop.restype = ctypes.c_ulonglong
how, where = sys.argv[1].split()[:2]

if where == "device":
    cuda = ctypes.CDLL("libcuda.so.1")
    context, pointer, pitch = ctypes.c_void_p(), ctypes.c_uint64(), ctypes.c_size_t()
    assert cuda.cuInit(0) == 0
    assert cuda.cuDevicePrimaryCtxRetain(ctypes.byref(context), 0) == 0
    assert cuda.cuCtxPushCurrent_v2(context) == 0
    rows = height * 3 // 2
    assert cuda.cuMemAllocPitch_v2(ctypes.byref(pointer), ctypes.byref(pitch), width, rows, 16) == 0
    class Frame:
        __cuda_array_interface__ = {
            "shape": (rows, width), "typestr": "|u1", "data": (pointer.value, False), "strides": (pitch.value, 1),
            "stream": 1, "version": 3,
        }
    frame = Frame()
else:
    frame = numpy.zeros((height * 3 // 2, width), numpy.uint8)

mode = {"copy": "never"} if "never" in sys.argv[1] else {}
encoder = NvencEncoder(width, height, extra_output_delay=0 if how == "encode" else 3, **mode)

def units(count):
    if how == "encode":
        for _ in range(count):
            yield encoder.encode(frame)
    elif how == "render":
        for seq in range(count):
            with encoder.surface() as surface:
                for packet in encoder.submit(surface, seq):
                    yield memoryview(packet)
        for packet in encoder.flush_pipeline():
            yield memoryview(packet)
    else:
        for seq in range(count):
            for packet in encoder.submit(frame, seq):
                yield packet.data
        for packet in encoder.flush_pipeline():
            yield packet.data

def encode(count):
    total = 0
    for unit in units(count):
        if "extra" in sys.argv[1]:
            unit = bytearray(unit)
        total += len(unit)
    return total

encode(4)
counter.copy_counter_start(smallest)
coded = encode(frames)
print(json.dumps({"copied": counter.copy_counter_stop() / frames, "coded": coded / frames}))
"""


@pytest.fixture(scope="module")
def counter(tmp_path_factory: pytest.TempPathFactory, root: Path) -> Path:
    library = tmp_path_factory.mktemp("copy_counter") / "copy_counter.so"
    source = root / "tests" / "copy_counter.cpp"
    compiler = [os.environ.get("CXX", "g++"), "-std=c++17", "-O2", "-fno-builtin", "-shared", "-fPIC"]
    subprocess.run([*compiler, str(source), "-o", str(library), "-ldl"], check=True, timeout=120)
    return library


def copied_per_frame(client: str, copies: bool, counter: Path, nvsim_dir: Path) -> float:
    """Bytes that the whole process copied for each frame. The output is checked to be complete."""
    gpu = {"name": "L40S", "fps_1080p": 0}
    environment = dict(
        os.environ,
        LD_LIBRARY_PATH=str(nvsim_dir / "full"),
        LD_PRELOAD=str(counter),
        NVSIM_CONFIG=json.dumps({"gpus": [gpu], "backend": "null", "null_bytes": AU, "copy": copies}),
    )
    command = [sys.executable, "-c", CLIENT, client, str(FRAMES), str(SMALLEST)]
    result = subprocess.run(command, env=environment, capture_output=True, text=True, timeout=120)
    assert result.returncode == 0, result.stderr
    found: dict[str, float] = json.loads(result.stdout)
    assert found["coded"] == AU
    return found["copied"]


@pytest.mark.parametrize("client", ["encode device", "encode host", "submit device", "submit host"])
def test_output_and_frame_are_copied_once(client: str, counter: Path, nvsim_dir: Path) -> None:
    """A device frame that the call waits for is read in place: nothing is copied."""
    frame = 0 if client == "encode device" else FRAME
    copied = copied_per_frame(client, True, counter, nvsim_dir)
    assert AU + frame <= copied < AU + frame + STRUCTS


@pytest.mark.parametrize("client", ["encode device never", "submit device never", "render device"])
def test_read_in_place_only_the_output_is_copied(client: str, counter: Path, nvsim_dir: Path) -> None:
    """With frames in flight, registered or written into surfaces, too. A packet read as a buffer is not copied."""
    copied = copied_per_frame(client, True, counter, nvsim_dir)
    assert AU <= copied < AU + STRUCTS


@pytest.mark.parametrize("client", ["encode device", "encode host", "submit device", "submit host"])
def test_without_the_gpu_s_copy_only_the_output_is_copied(client: str, counter: Path, nvsim_dir: Path) -> None:
    """The GPU makes the frame's only copy: with libcuda's copies as no-ops, its bytes are not touched."""
    copied = copied_per_frame(client, False, counter, nvsim_dir)
    assert AU <= copied < AU + STRUCTS


def test_a_copy_too_many_is_seen(counter: Path, nvsim_dir: Path) -> None:
    copied = copied_per_frame("encode device extra", False, counter, nvsim_dir)
    assert 2 * AU <= copied < 2 * AU + STRUCTS
