"""RGB to YUV on the GPU: bytes a second of our kernels, of a plain copy and of other implementations, in one run.

Each row's copy moves as many bytes as the conversion (what is read plus what is written, each once), device to device,
and is the faster of the driver's cuMemcpy and a kernel with one 16-byte load and store a thread. Images and planes take
turns over more memory than the L2 cache holds many times. Ours and the copies are replayed from CUDA graphs of many
launches; the others, each of which takes longer than a launch, are queued one after another. All take turns in each
round. The copy of a gigabyte at the head says what the memory does without the launches' beginnings and ends.

Needs a CUDA GPU and CuPy; with PyTorch, its row is there too.
"""

from __future__ import annotations

import argparse
import sys
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any, NamedTuple

import cupy
import numpy as np
from measuring import Figure, machine, quartiles, save

from pdum.nvenc import _nvenc

LAUNCHES = 60
WORKING_SET = 3 << 30  # bytes, read and written
CHANNELS = {"rgb": 3, "rgba": 4, "planes": 3}
TYPES = {"u8": cupy.uint8, "f16": cupy.float16, "f32": cupy.float32}

COPY = cupy.RawKernel(
    r"""extern "C" __global__ void copy(const uint4* from, uint4* to, long long count) {
        const long long i = (long long)blockIdx.x * blockDim.x + threadIdx.x;
        if (i < count) to[i] = from[i];
    }""",
    "copy",
)

# The conversion as one would write it with CuPy: each thread makes one value of Y, and every fourth one chroma.
ELEMENTWISE = {
    form: cupy.ElementwiseKernel(
        "raw T rgb, int32 width, int32 height, float32 scale",
        f"raw {kind} yuv",
        f"""
        const int x = i % width, y = i / width;
        const T* p = &rgb[(long long)i * 3];
        const float r = (float)p[0] * scale, g = (float)p[1] * scale, b = (float)p[2] * scale;
        yuv[i] = ({word})floorf((.2126f * r + .7152f * g + .0722f * b) * 219 * {step} + 16 * {step} + .5f) << {shift};
        if (x % 2 == 0 && y % 2 == 0) {{
            float s[3];
            for (int c = 0; c < 3; ++c) {{
                const T* q = p + c;
                s[c] = ((float)q[0] + (float)q[3] + (float)q[width * 3] + (float)q[width * 3 + 3]) * scale / 4;
            }}
            const float l = .2126f * s[0] + .7152f * s[1] + .0722f * s[2];
            const long long at = (long long)width * height + y / 2 * width + x;
            const float u = (s[2] - l) / 1.8556f * 224 * {step} + 128 * {step} + .5f;
            const float v = (s[0] - l) / 1.5748f * 224 * {step} + 128 * {step} + .5f;
            yuv[at] = ({word})fminf(floorf(u), {top}) << {shift};
            yuv[at + 1] = ({word})fminf(floorf(v), {top}) << {shift};
        }}
        """,
        f"rgb_to_{form}",
    )
    for form, kind, word, step, top, shift in (
        ("nv12", "uint8", "unsigned char", 1, 255, 0),
        ("p010", "uint16", "unsigned short", 4, 1023, 6),
    )
}  # fmt: skip


class Case(NamedTuple):
    type: str
    order: str
    form: str
    siting: str
    width: int
    height: int

    @property
    def shape(self) -> tuple[int, int, int]:
        channels = CHANNELS[self.order]
        return (channels, self.height, self.width) if self.order == "planes" else (self.height, self.width, channels)

    @property
    def output_shape(self) -> tuple[int, int]:
        return (self.height * 3 // 2 if self.form in ("nv12", "p010") else self.height * 3, self.width)

    @property
    def output_type(self) -> type:
        return cupy.uint16 if self.form in ("p010", "yuv444_10") else cupy.uint8

    @property
    def bytes(self) -> int:
        read = int(np.prod(self.shape)) * np.dtype(TYPES[self.type]).itemsize
        return read + int(np.prod(self.output_shape)) * np.dtype(self.output_type).itemsize


def noise(shape: tuple[int, ...], kind: str) -> Any:
    if kind == "u8":
        return cupy.random.randint(0, 256, shape, dtype=cupy.uint8)
    return cupy.random.random(shape, dtype=cupy.float32).astype(TYPES[kind])


class Sets:
    """Images and planes in turns, enough that no cache helps."""

    def __init__(self, case: Case, count: int = 0) -> None:
        count = count or max(4, WORKING_SET // case.bytes)
        self.images = [noise(case.shape, case.type) for _ in range(count)]
        self.planes = [cupy.zeros(case.output_shape, case.output_type) for _ in range(count)]


def ours(converter: Any, case: Case, sets: Sets) -> Callable[[int, int], None]:
    def convert(i: int, stream: int) -> None:
        image, planes = sets.images[i % len(sets.images)], sets.planes[i % len(sets.planes)]
        converter.convert(
            source=image.data.ptr, shape=image.shape, layout="chw" if case.order == "planes" else "hwc", type=case.type,
            destination=planes.data.ptr, pitch=planes.strides[0], format=case.form, matrix="bt709", full_range=False,
            siting=case.siting, stream=stream,
        )  # fmt: skip

    return convert


def copies(size: int) -> dict[str, Callable[[int, int], None]]:
    half = size // 32 * 16
    count = max(4, WORKING_SET // (2 * half))
    sources = [noise((half,), "u8") for _ in range(count)]
    targets = [cupy.empty_like(source) for source in sources]
    blocks = ((half // 16 + 255) // 256,)

    def by_kernel(i: int, _: int) -> None:
        COPY(blocks, (256,), (sources[i % count], targets[i % count], np.int64(half // 16)))

    def by_driver(i: int, stream: int) -> None:
        cupy.cuda.runtime.memcpyAsync(
            targets[i % count].data.ptr,
            sources[i % count].data.ptr,
            half,
            cupy.cuda.runtime.memcpyDeviceToDevice,
            stream,
        )

    return {"copy by a kernel": by_kernel, "cuMemcpy": by_driver}


def elementwise(case: Case, sets: Sets) -> Callable[[int, int], None]:
    scale = np.float32(1 / 255 if case.type == "u8" else 1)

    def convert(i: int, _: int) -> None:
        image, planes = sets.images[i % len(sets.images)], sets.planes[i % len(sets.planes)]
        ELEMENTWISE[case.form](
            image, np.int32(case.width), np.int32(case.height), scale, planes, size=case.width * case.height
        )

    return convert


def by_torch(torch: Any, case: Case, sets: Sets) -> Callable[[int, int], None]:
    """A matrix product and a mean, as in tutorials."""
    rows = np.array([[0.2126, 0.7152, 0.0722], [-0.2126, -0.7152, 0.9278], [0.7874, -0.7152, -0.0722]])
    rows[1] /= 1.8556
    rows[2] /= 1.5748
    ten = case.form == "p010"
    step, kind, shift = (4, torch.int32, 6) if ten else (1, torch.int32, 0)
    scale = (1 / 255 if case.type == "u8" else 1) * step
    weights = torch.tensor(rows * np.array([[219], [224], [224]]) * scale, dtype=torch.float32, device="cuda")
    base = torch.tensor([16.0 * step, 128.0 * step, 128.0 * step], device="cuda")
    images = [torch.as_tensor(image, device="cuda") for image in sets.images]
    planes = [torch.as_tensor(plane.view(cupy.int16) if ten else plane, device="cuda") for plane in sets.planes]
    stream_of_torch = torch.cuda.ExternalStream(cupy.cuda.get_current_stream().ptr)

    def convert(i: int, _: int) -> None:
        target = planes[i % len(planes)]
        with torch.cuda.stream(stream_of_torch):
            yuv = images[i % len(images)].float() @ weights.T + base
            chroma = yuv[..., 1:].unflatten(0, (-1, 2)).unflatten(2, (-1, 2)).mean((1, 3))
            target[: case.height] = (yuv[..., 0].round().to(kind) << shift).to(target.dtype)
            target[case.height :] = (chroma.round().to(kind) << shift).to(target.dtype).flatten(1)

    return convert


def large_copy(stream: Any) -> list[float]:
    """GB/s of single copies of 1 GiB."""
    size = 1 << 30
    source, target = noise((size,), "u8"), cupy.empty(size, cupy.uint8)
    found = []
    for _ in range(20):
        begin, end = cupy.cuda.Event(), cupy.cuda.Event()
        begin.record(stream)
        COPY((size // 16 // 256,), (256,), (source, target, np.int64(size // 16)))
        end.record(stream)
        end.synchronize()
        found.append(2 * size / cupy.cuda.get_elapsed_time(begin, end) / 1e6)
    return found[2:]


def first_use(converter: Any, case: Case, stream: Any) -> float:
    """Milliseconds of a call whose kernel is compiled first. With CUDA_CACHE_DISABLE=1 the driver has no cache."""
    work = ours(converter, case, Sets(case._replace(width=64, height=64), count=1))
    begin = time.perf_counter()
    work(0, stream.ptr)
    return (time.perf_counter() - begin) * 1000


def replayed(work: Callable[[int, int], None], stream: Any) -> Callable[[], None]:
    work(0, stream.ptr)
    stream.synchronize()
    stream.begin_capture()
    for i in range(LAUNCHES):
        work(i, stream.ptr)
    graph = stream.end_capture()
    graph.upload(stream)
    return lambda: graph.launch(stream)


def queued(work: Callable[[int, int], None], stream: Any) -> Callable[[], None]:
    def run() -> None:
        for i in range(LAUNCHES):
            work(i, stream.ptr)

    return run


def samples(runs: dict[str, Callable[[], None]], stream: Any, rounds: int) -> dict[str, list[float]]:
    """Microseconds of a launch, for each round."""
    found: dict[str, list[float]] = {name: [] for name in runs}
    for number in range(rounds + 2):  # the first two warm up
        for name, run in runs.items():
            begin, end = cupy.cuda.Event(), cupy.cuda.Event()
            begin.record(stream)
            run()
            end.record(stream)
            end.synchronize()
            if number >= 2:
                found[name].append(cupy.cuda.get_elapsed_time(begin, end) * 1000 / LAUNCHES)
    return found


def furthest(case: Case, converter: Any, sets: Sets, other: Callable[[int, int], None], stream: Any) -> int:
    """The largest difference between another implementation's codes and ours."""
    ours(converter, case, sets)(0, stream.ptr)
    mine = sets.planes[0].copy()
    other(0, stream.ptr)
    shift = 6 if case.output_type is cupy.uint16 else 0
    difference = cupy.abs((mine >> shift).astype(cupy.int32) - (sets.planes[0] >> shift).astype(cupy.int32))
    return int(difference.max())


def measure(case: Case, converter: Any, torch: Any, rounds: int) -> dict[str, Any]:
    stream = cupy.cuda.Stream(non_blocking=True)
    with stream:
        sets = Sets(case)
        others: dict[str, Callable[[int, int], None]] = {}
        if case.order == "rgb" and case.siting == "centre":
            others["CuPy ElementwiseKernel"] = elementwise(case, sets)
            if torch is not None:
                others["PyTorch"] = by_torch(torch, case, sets)
        checked = {name: furthest(case, converter, sets, other, stream) for name, other in others.items()}
        runs = {"ours": replayed(ours(converter, case, sets), stream)}
        runs |= {name: replayed(work, stream) for name, work in copies(case.bytes).items()}
        runs |= {name: queued(work, stream) for name, work in others.items()}
        return {"case": case._asdict(), "bytes": case.bytes, "us": samples(runs, stream, rounds), "differs": checked}


def cases(width: int, height: int) -> list[Case]:
    found = [
        Case(kind, order, form, siting, width, height)
        for kind in TYPES
        for order in CHANNELS
        for form in ("nv12", "p010")
        for siting in ("left", "centre")
    ]
    found += [Case(kind, "rgb", form, "left", width, height) for kind in TYPES for form in ("yuv444", "yuv444_10")]
    return found


def name_of(case: Case) -> str:
    siting = "" if case.form.startswith("yuv") else f", {case.siting}"
    return f"{case.type} {case.order} to {case.form}{siting}"


def figures(results: list[dict[str, Any]]) -> list[Figure]:
    """The share is that of the faster copy, sample by sample, since all take turns."""
    found = []
    for result in results:
        row, times = name_of(Case(**result["case"])), result["us"]
        copy = min(("copy by a kernel", "cuMemcpy"), key=lambda name: quartiles(times[name])[1])
        share = [100 * other / own for own, other in zip(times["ours"], times[copy], strict=True)]
        found += [
            Figure(row, "ours", "GB/s", [result["bytes"] / us / 1e3 for us in times["ours"]], "more"),
            Figure(row, "of a copy", "%", share, "more"),
            Figure(row, "an image", "µs", times["ours"]),
        ]
        found += [
            Figure(row, other, "GB/s", [result["bytes"] / us / 1e3 for us in times[other]], "")
            for other in ("CuPy ElementwiseKernel", "PyTorch")
            if other in times
        ]
    return found


def report(result: dict[str, Any]) -> float:
    """Prints the case and returns our share of the copy's bandwidth."""
    case, size = Case(**result["case"]), result["bytes"]
    rates = {name: tuple(size / us / 1e3 for us in reversed(quartiles(times))) for name, times in result["us"].items()}
    copy = max(("copy by a kernel", "cuMemcpy"), key=lambda name: rates[name][1])
    low, middle, high = rates["ours"]
    name = name_of(case)
    share = middle / rates[copy][1]
    print(f"{name:<28}{middle:6.0f} GB/s ({low:.0f} to {high:.0f})  copy {rates[copy][1]:5.0f} ({copy})  {share:5.1%}")
    for other in rates.keys() - {"ours", "copy by a kernel", "cuMemcpy"}:
        differs = result["differs"][other]
        times = middle / rates[other][1]
        print(f"    {other:<24}{rates[other][1]:6.0f} GB/s, ours {times:.1f} times as fast; at most {differs} code off")
    return share


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--size", default="3840x2160", help="width x height (%(default)s)")
    parser.add_argument("--rounds", type=int, default=20, help=f"samples of {LAUNCHES} launches (%(default)s)")
    parser.add_argument("--json", type=Path, metavar="FILE", help="write every sample there")
    options = parser.parse_args()
    try:
        import torch
    except ImportError:
        torch = None  # type: ignore[assignment]
    width, height = map(int, options.size.split("x"))
    device = cupy.cuda.runtime.getDeviceProperties(0)["name"].decode()
    driver = cupy.cuda.runtime.driverGetVersion()
    print(f"{device}, CUDA driver {driver}, {machine('cupy-cuda13x', 'torch')}, {width}x{height}, medians (quartiles)")
    converter = _nvenc._RgbConverter(0)
    stream = cupy.cuda.Stream(non_blocking=True)
    with stream:
        large = large_copy(stream)
        first = [first_use(_nvenc._RgbConverter(0), case, stream) for case in cases(width, height)[:12]]
    print(f"a copy of 1 GiB: {quartiles(large)[1]:.0f} GB/s; a kernel's first use: {quartiles(first)[1]:.1f} ms")
    results: list[dict[str, Any]] = []
    for case in cases(width, height):
        results.append(measure(case, converter, torch, options.rounds))
        results[-1]["share"] = report(results[-1])
        sys.stdout.flush()
        cupy.get_default_memory_pool().free_all_blocks()
    worst = min(results, key=lambda result: float(result["share"]))
    print(f"least share of the copy's bandwidth: {worst['share']:.1%}, {Case(**worst['case'])}")
    head = [Figure("a copy of 1 GiB", "ours", "GB/s", large, ""), Figure("a kernel's first use", "once", "ms", first)]
    save(options.json, "gpu_colour", [*head, *figures(results)], "cupy-cuda13x", "torch")


if __name__ == "__main__":
    main()
