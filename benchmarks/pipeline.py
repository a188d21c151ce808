"""What a pipeline gains: frames a second with `encode`, and with `submit` and 1 to 4 frames in flight, side by side.

A loop renders a frame and encodes it. With `encode` it waits for each access unit, so a frame takes the sum of both
times. With `submit` the engine works while the next frame is rendered, so it takes the longer of the two: the gain can
be no more than (render + encode) / max(render, engine), which is 1 / (the largest share). `render` and `encode` are
measured alone in the same run, `engine` is the simulated engine's own time. `encode` takes longer than that, because
the loop has to wake up after each frame; a pipeline hides that too.

The engine is simulated and takes as long for a frame as one of an RTX 4090's does for 1080p and for 720p, as the
simulated driver knows it. Nothing here ran on a hardware encoder.

    --driver full     anywhere. The whole driver is simulated, and the loop's own processor renders, by being busy.
    --driver encode   on a machine with a CUDA GPU and CuPy. Only the encoder library is simulated: a kernel renders RGB
                      on the GPU, our kernel converts it, and the engine waits for both in the order of the stream.
                      Pictures are small there, since the simulated engine reads each of their bytes on the host; the
                      engine's time and the kernel's are those of the large picture.

Loads are the render's time as a part of the engine's. All ways of a size take turns in each round.
"""

from __future__ import annotations

import argparse
import json
import os
import subprocess
import sys
import time
from collections.abc import Callable
from itertools import pairwise
from pathlib import Path
from typing import Any

from measuring import Figure, library_folder, machine, quartiles, save

FPS_1080P = 647.0  # of an RTX 4090's engine, as the simulated driver knows it
SIZES = {"1080p": (1920, 1080), "720p": (1280, 720)}
SMALL = (640, 360)
DEPTHS = (1, 2, 3, 4)
TIMEOUT = 1800  # seconds a process
BLOCK, CALIBRATION_STEPS = 256, 2000

KERNEL = r"""
extern "C" __global__ void render(unsigned char* rgb, int width, int height, float time, int steps) {
    const int i = blockIdx.x * blockDim.x + threadIdx.x;
    if (i >= width * height) return;
    const float cx = 0.36f + 0.03f * __sinf(time), cy = 0.1f + 0.03f * __cosf(time);
    float x = 3.0f * (i % width) / width - 1.5f, y = 2.0f * (i / width) / height - 1.0f;
    for (int step = 0; step < steps; ++step) {
        const float next = fminf(fmaxf(x * x - y * y + cx, -2.0f), 2.0f);
        y = fminf(fmaxf(2.0f * x * y + cy, -2.0f), 2.0f);
        x = next;
    }
    rgb[3 * i] = (unsigned char)(128 + 60 * x);
    rgb[3 * i + 1] = (unsigned char)(128 + 60 * y);
    rgb[3 * i + 2] = (unsigned char)(128 + 30 * (x + y));
}
"""

Render = Callable[[int], Any]
"""Makes the frame of a number, and returns it; on a GPU before it is ready."""


# --- inside the process of one size ---


class BusyProcessor:
    """The loop's processor works for a time, as a renderer does; the frame lies on the simulated GPU already."""

    form = "nv12"

    def __init__(self, width: int, height: int) -> None:
        from device import Device

        from clients import ArrayInterface

        self.device = Device()
        pointer, pitch = self.device.allocate(width, height * 3 // 2)
        self._frame = ArrayInterface(pointer, pitch, self.device.stream, height * 3 // 2, width)

    def renderer(self, seconds: float) -> Render:
        def render(_: int) -> Any:
            end = time.perf_counter() + seconds
            while time.perf_counter() < end:
                pass
            return self._frame

        return render

    def wait(self) -> None:
        """Everything is done when the loop gets here."""


class GpuKernel:
    """A kernel draws a fractal into one reused array, with as many steps as take the time."""

    form = "rgb"

    def __init__(self, width: int, height: int) -> None:
        import cupy

        self._cupy = cupy
        self._kernel = cupy.RawKernel(KERNEL, "render")
        self._size = (width, height)
        self._rgb = cupy.zeros((height, width, 3), cupy.uint8)
        self._launch(0, CALIBRATION_STEPS)
        self.wait()
        self._step = self._seconds_of(CALIBRATION_STEPS) / CALIBRATION_STEPS

    def _launch(self, number: int, steps: int) -> None:
        width, height = self._size
        blocks = -(-width * height // BLOCK)
        numbers = (self._cupy.int32(width), self._cupy.int32(height), self._cupy.float32(number / 30))
        self._kernel((blocks,), (BLOCK,), (self._rgb, *numbers, self._cupy.int32(steps)))

    def _seconds_of(self, steps: int) -> float:
        """The shortest of several: the GPU's clock rises at first."""
        events = [self._cupy.cuda.Event() for _ in range(21)]
        for number, event in enumerate(events):
            self._launch(number, steps)
            event.record()
        self.wait()
        gaps = [self._cupy.cuda.get_elapsed_time(*pair) for pair in pairwise(events)]
        return float(min(gaps)) / 1000

    def renderer(self, seconds: float) -> Render:
        steps = round(seconds / self._step)

        def render(number: int) -> Any:
            if steps:
                self._launch(number, steps)
            return self._rgb

        return render

    def wait(self) -> None:
        self._cupy.cuda.Device().synchronize()


def with_encode(encoder: Any, render: Render, frames: int) -> int:
    size = sum(len(encoder.encode(render(number))) for number in range(frames))
    return size + len(encoder.flush())


def with_submit(encoder: Any, render: Render, frames: int) -> int:
    size = sum(len(packet.data) for number in range(frames) for packet in encoder.submit(render(number), number))
    return size + sum(len(packet.data) for packet in encoder.flush_pipeline())


def seconds_a_frame(source: Any, size: tuple[int, int], render: Render, frames: int, depth: int) -> float:
    from pdum.nvenc import NvencEncoder

    run = with_submit if depth else with_encode
    with NvencEncoder(*size, format=source.form, extra_output_delay=depth) as encoder:
        run(encoder, render, 5)
        begin = time.perf_counter()
        run(encoder, render, frames)
        return (time.perf_counter() - begin) / frames


def seconds_of_render(source: Any, render: Render, frames: int) -> float:
    source.wait()
    begin = time.perf_counter()
    for number in range(frames):
        render(number)
    source.wait()
    return (time.perf_counter() - begin) / frames


def work(options: argparse.Namespace) -> dict[str, list[float]]:
    """Seconds a frame of each round, by what was measured: ``"load/depth"``, with ``alone`` for encode and render."""
    engine = engine_seconds(options.size)
    size = SMALL if options.driver == "encode" else SIZES[options.size]
    source: Any = GpuKernel(*size) if options.driver == "encode" else BusyProcessor(*size)
    loads = [float(load) for load in options.loads.split(",")]
    renders = {load: source.renderer(load * engine) for load in loads}
    idle, samples = source.renderer(0), dict[str, list[float]]()
    for _ in range(options.rounds):
        samples.setdefault("alone/encode", []).append(seconds_a_frame(source, size, idle, options.frames, 0))
        for load, render in renders.items():
            samples.setdefault(f"{load}/render", []).append(seconds_of_render(source, render, options.frames))
            for depth in (0, *DEPTHS):
                took = seconds_a_frame(source, size, render, options.frames, depth)
                samples.setdefault(f"{load}/{depth}", []).append(took)
    return samples


# --- the process that starts them ---


def engine_seconds(size: str) -> float:
    width, height = SIZES[size]
    return width * height / (1920 * 1080) / FPS_1080P


def simulated(options: argparse.Namespace, size: str) -> dict[str, Any]:
    """The simulated driver's configuration: its engine takes the time of this size for what it really gets."""
    width, height = SMALL if options.driver == "encode" else SIZES[size]
    gpu = {"like": "RTX 4090", "name": "RTX 4090", "engines": 1}
    gpu["fps_1080p"] = width * height / (1920 * 1080) / engine_seconds(size)
    if options.driver == "encode":
        return {"gpus": [gpu], "backend": "echo", "strict": False}
    return {"gpus": [gpu], "backend": "null", "copy": False, "strict": False}


def measure(options: argparse.Namespace, size: str) -> dict[str, list[float]]:
    path = ":".join(filter(None, [str(library_folder(options.driver)), os.environ.get("LD_LIBRARY_PATH", "")]))
    environment = {**os.environ, "LD_LIBRARY_PATH": path, "NVSIM_CONFIG": json.dumps(simulated(options, size))}
    command = [sys.executable, __file__, "--worker", "--size", size, "--driver", options.driver]
    command += ["--frames", str(options.frames), "--rounds", str(options.rounds), "--loads", options.loads]
    done = subprocess.run(command, env=environment, capture_output=True, text=True, timeout=TIMEOUT)
    if done.returncode != 0:
        raise SystemExit(done.stderr)
    answer: dict[str, list[float]] = json.loads(done.stdout)
    return answer


def gains(samples: dict[str, list[float]], load: str, engine: float) -> dict[str, list[float]]:
    """Of each round, by depth; ``"possible"``: what the times of rendering and encoding alone allow."""
    pairs = zip(samples["alone/encode"], samples[f"{load}/render"], strict=True)
    found = {"possible": [(encode + render) / max(render, engine) for encode, render in pairs]}
    for depth in DEPTHS:
        both = zip(samples[f"{load}/0"], samples[f"{load}/{depth}"], strict=True)
        found[str(depth)] = [encode / submit for encode, submit in both]
    return found


def cell(values: list[float]) -> str:
    low, middle, high = quartiles(values)
    return f"{middle:.2f} ({low:.2f} to {high:.2f})"


def print_table(size: str, samples: dict[str, list[float]], loads: list[str]) -> None:
    encode = quartiles(samples["alone/encode"])[1] * 1000
    print(f"\n{size}, encode alone {encode:.2f} ms a frame; the gain over encode")
    print(
        "| render, ms | encode, fps | possible | " + " | ".join(f"submit, {depth} in flight" for depth in DEPTHS) + " |"
    )
    print("|---" * (3 + len(DEPTHS)) + "|")
    for load in loads:
        gain = gains(samples, load, engine_seconds(size))
        render = quartiles(samples[f"{load}/render"])[1] * 1000
        fps = 1 / quartiles(samples[f"{load}/0"])[1]
        cells = [cell(gain[key]) for key in ("possible", *map(str, DEPTHS))]
        print(f"| {render:.2f} | {fps:.0f} | {' | '.join(cells)} |", flush=True)


def figures(results: dict[str, dict[str, list[float]]], loads: str) -> list[Figure]:
    """In a row's name, the load is exact; the time that rendering took is a column."""
    found = []
    for size, samples in results.items():
        for load in map(float, loads.split(",")):
            row, gain = f"{size}, render {load:g} × engine", gains(samples, str(load), engine_seconds(size))
            render = [one * 1000 for one in samples[f"{load}/render"]]
            fps = [1 / one for one in samples[f"{load}/0"]]
            found += [Figure(row, "render", "ms", render, ""), Figure(row, "encode", "fps", fps, "more")]
            found.append(Figure(row, "possible", "×", gain["possible"], ""))
            found += [Figure(row, f"{depth} in flight", "×", gain[str(depth)], "more") for depth in DEPTHS]
    return found


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--driver", choices=("full", "encode"), default="full", help="what is simulated: all, or NVENC")
    parser.add_argument("--sizes", default="1080p,720p", help="with commas between (%(default)s)")
    parser.add_argument("--loads", default="0.25,0.5,1,2", help="render's time as parts of the engine's (%(default)s)")
    parser.add_argument("--frames", type=int, default=300, help="of each measurement (%(default)s)")
    parser.add_argument("--rounds", type=int, default=7, help="how often each way has its turn (%(default)s)")
    parser.add_argument("--json", type=Path, metavar="FILE", help="write all samples there")
    parser.add_argument("--worker", action="store_true", help=argparse.SUPPRESS)
    parser.add_argument("--size", choices=SIZES, help=argparse.SUPPRESS)
    options = parser.parse_args()
    if options.worker:
        print(json.dumps(work(options)))
        return
    print(machine("numpy", "cupy"))
    if options.driver == "encode":
        print("a kernel renders, and the encoder library is simulated")
    else:
        print("the processor renders, and the whole driver is simulated")
    print(f"{options.frames} frames x {options.rounds} rounds, medians (quartiles)")
    results = {}
    for size in options.sizes.split(","):
        results[size] = measure(options, size)
        print_table(size, results[size], [str(float(load)) for load in options.loads.split(",")])
    part = "pipeline" if options.driver == "full" else "gpu_pipeline"
    save(options.json, part, figures(results, options.loads), "numpy")


if __name__ == "__main__":
    main()
