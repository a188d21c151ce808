"""What `python -m benchmarks` measures: the parts, how each is run, and what its page says about it."""

from __future__ import annotations

import importlib.util
import os
import shutil
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Literal

from .measuring import DRIVER

ROOT = Path(__file__).resolve().parents[1]
PERFORMANCE = "performance.md"
Kind = Literal["bars", "dots", "scale"]


@dataclass(frozen=True)
class Chart:
    """A picture of one column: bars from zero, or dots on a logarithmic scale. ``scale`` is that of ``-q``."""

    column: str
    """Empty: all of them, for each row."""
    title: str
    kind: Kind = "bars"
    rows: str = ""
    """Only rows whose names contain this."""


@dataclass(frozen=True)
class Part:
    """One script with its arguments. ``methods.md`` has its title and says what it measures."""

    name: str
    script: str
    full: str = ""
    """The arguments of a whole run."""
    quick: str = ""
    needs: tuple[str, ...] = ()
    """Names in ``NEEDS``."""
    chart: Chart | None = None
    page: str = PERFORMANCE
    """Where its figures are, in docs. Any other page than the usual one has a place for them: see ``places.py``."""

    @property
    def on_gpu(self) -> bool:
        return "a CUDA GPU" in self.needs


def has_driver(kind: str) -> bool:
    return (DRIVER / kind / "libnvidia-encode.so.1").exists()


def has_module(name: str) -> bool:
    return importlib.util.find_spec(name) is not None


NEEDS: dict[str, Callable[[], bool]] = {
    "the simulated driver": lambda: has_driver("full"),
    "the simulated encoder library": lambda: has_driver("encode"),
    "a CUDA GPU": lambda: shutil.which("nvidia-smi") is not None,
    "CuPy": lambda: has_module("cupy"),
    "PyAV": lambda: has_module("av"),
    "PyNvVideoCodec": lambda: has_module("PyNvVideoCodec"),
    "the tests' packages": lambda: has_module("numpy") and has_module("hypothesis"),
    "Dask": lambda: has_module("distributed"),
    "ffmpeg": lambda: shutil.which(os.environ.get("FFMPEG") or "ffmpeg") is not None,
    "a C++ compiler": lambda: shutil.which(os.environ.get("CXX", "g++")) is not None,
    "wheels in wheelhouse/": lambda: any((ROOT / "wheelhouse").glob("*.whl")),
}

SLOW_DECODERS = "--size 320x180 --fps 600 --decode-fps 200 --codecs libx264"
"""Of simulated GPUs, for small pictures."""

PARTS = (
    Part(
        "client_cost",
        "client_cost.py",
        full="--frames 1000 --rounds 5",
        quick="--frames 300 --rounds 2",
        needs=("the simulated driver", "a C++ compiler", "PyAV"),
        chart=Chart("no copies", "Microseconds a frame, without copies (logarithmic scale)", "dots"),
    ),
    Part(
        "gpu_client_cost",
        "client_cost.py",
        full="--driver encode --frames 2000 --rounds 5",
        quick="--driver encode --frames 300 --rounds 2",
        needs=("a CUDA GPU", "the simulated encoder library", "a C++ compiler"),
        chart=Chart("real libcuda", "Microseconds a frame, with a real libcuda (logarithmic scale)", "dots"),
    ),
    Part(
        "zero_copy",
        "zero_copy.py",
        full="--frames 1000 --rounds 5",
        quick="--frames 500 --rounds 2",
        needs=("the simulated driver", "a C++ compiler", "PyAV", "PyNvVideoCodec"),
    ),
    Part(
        "gpu_zero_copy",
        "zero_copy.py",
        full="--driver encode --frames 2000 --rounds 5",
        quick="--driver encode --frames 500 --rounds 2",
        needs=("a CUDA GPU", "the simulated encoder library", "a C++ compiler"),
    ),
    Part(
        "pipeline",
        "pipeline.py",
        full="--frames 100 --rounds 5",
        quick="--sizes 720p --frames 30 --rounds 2",
        needs=("the simulated driver",),
        chart=Chart("3 in flight", "Gain of submit over encode, 3 frames in flight"),
    ),
    Part(
        "gpu_pipeline",
        "pipeline.py",
        full="--driver encode --frames 100 --rounds 5",
        quick="--driver encode --sizes 720p --frames 30 --rounds 2",
        needs=("a CUDA GPU", "the simulated encoder library", "CuPy"),
    ),
    Part(
        "pool",
        "pool.py",
        full="--repeats 3 --seconds 3",
        quick="--repeats 1 --seconds 1 --only scaling,batch --speed 16",
        needs=("the simulated driver",),
        chart=Chart("over it", "Time over what the engines alone would take, %"),
    ),
    Part(
        "batch",
        "batch.py",
        full="--rounds 3",
        quick="--clips 8 --rounds 1",
        needs=("the simulated driver", "PyAV", "ffmpeg"),
    ),
    Part(
        "first_byte",
        "first_byte.py",
        quick="--frames 10 --rounds 1",
        needs=("the simulated driver",),
        chart=Chart("first bytes", "Milliseconds until the first bytes of a picture that takes 40 ms"),
    ),
    Part(
        "writer",
        "writer.py",
        quick="--frames 500 --rounds 2",
        needs=("the simulated driver",),
    ),
    Part(
        "writer_peers",
        "writer.py",
        full="--part processor --size 640x360 --frames 200 --rounds 5",
        quick="--part processor --size 320x180 --frames 50 --rounds 2",
        needs=("PyAV",),
    ),
    Part(
        "writer_engines",
        "writer_engines.py",
        full="--repeats 3 --seconds 3",
        quick="--only L4 --repeats 1 --seconds 1",
        needs=("the simulated driver",),
        chart=Chart("of N times one", "Throughput of all engines, in % of N times one engine"),
    ),
    Part(
        "decode",
        "decode.py",
        full="--on processor --size 1280x720 --frames 300 --lanes 1,2 --rounds 5",
        quick="--on processor --size 320x180 --frames 60 --lanes 1,2 --rounds 2",
        needs=("PyAV",),
    ),
    Part(
        "gpu_decode",
        "decode.py",
        full="--frames 400 --rounds 2 --lanes 1 --bitrates 27M,148M/50M",
        quick="--frames 120 --rounds 1 --lanes 1 --streams 1,2 --processes 2",
        needs=("a CUDA GPU", "PyAV", "PyNvVideoCodec"),
    ),
    Part(
        "gpu_decoder_starts",
        "decoder_starts.py",
        quick="--files 10 --rounds 2",
        needs=("a CUDA GPU", "PyAV"),
    ),
    Part(
        "transcode",
        "transcode.py",
        full=f"{SLOW_DECODERS} --frames 3600 --engines 1,2 --threads 4 --rounds 3",
        quick=f"{SLOW_DECODERS} --frames 300 --files 1 --engines 1 --rounds 1",
        needs=("the simulated driver", "PyAV"),
        chart=Chart("of the engines", "Throughput in % of what the engines alone would do"),
    ),
    Part(
        "gpu_transcode",
        "transcode.py",
        full="--driver encode --frames 32400 --rounds 1 --codecs libx264 --bitrate 27M --fps 344",
        quick="--driver encode --frames 300 --files 1 --engines 1 --rounds 1",
        needs=("a CUDA GPU", "the simulated encoder library", "PyAV"),
        chart=Chart("of the engines", "Throughput in % of what the engines alone would do"),
    ),
    Part(
        "software",
        "software.py",
        full="--size 640x360 --seconds 1,5 --rounds 5",
        quick="--size 320x180 --seconds 1 --rounds 1 --codecs h264",
        needs=("PyAV", "ffmpeg"),
        chart=Chart("", "Seconds for a file"),
    ),
    Part(
        "gpu_colour",
        "colour.py",
        quick="--rounds 3",
        needs=("a CUDA GPU", "CuPy"),
        chart=Chart("of a copy", "Bandwidth in % of a plain copy's, float32", rows="f32"),
    ),
    Part(
        "sessions",
        "sessions.py",
        quick="--sessions 50 --rounds 2",
        needs=("the simulated driver", "PyAV", "PyNvVideoCodec"),
    ),
    Part(
        "nvtx",
        "nvtx_cost.py",
        quick="--rounds 3",
        needs=("a C++ compiler",),
    ),
    Part(
        "import_time",
        "import_time.py",
        quick="--rounds 5",
    ),
    Part(
        "wheel_sizes",
        "wheel_sizes.py",
        needs=("wheels in wheelhouse/",),
    ),
    Part(
        "many_jobs",
        "many_jobs.py",
        quick="--quick --rounds 1",
    ),
    Part(
        "farm",
        "farm.py",
        full="--rate 60",
        quick="--quick --nodes 1,2",
        needs=("the simulated driver", "Dask"),
    ),
    Part(
        "farm_costs",
        "farm_costs.py",
        quick="--frames 900 --rounds 1",
        needs=("PyAV",),
        page="farm.md",
    ),
    Part(
        "farm_simulation",
        "farm_simulation.py",
        quick="--quick --nodes 1,10",
        page="farm.md",
    ),
    Part(
        "quality_scale",
        "quality_scale.py",
        quick="--only game,screen,animation --frames 5",
        needs=("PyAV",),
        chart=Chart("", "The cq of each encoder along the scale of quality", "scale"),
        page="quality.md",
    ),
    Part(
        "quality_presets",
        "quality_scale.py",
        full="--presets",
        quick="--presets --only game,screen --frames 5",
        needs=("PyAV",),
        page="quality.md",
    ),
    Part(
        "colour_accuracy",
        "colour_accuracy.py",
        quick="--rows 16",
        needs=("a C++ compiler", "the tests' packages"),
        page="colour-conversion.md",
    ),
    Part(
        "batch_plan",
        "batch_plan.py",
        full="--rounds 3",
        quick="--quick --rounds 1",
    ),
    Part(
        "turns",
        "turns.py",
        quick="--questions 30 --rounds 2",
        needs=("a C++ compiler",),
    ),
    Part(
        "memory",
        "memory.py",
        quick="--frames 50000 --sessions 1000",
        needs=("the simulated driver", "a C++ compiler"),
    ),
    Part(
        "create_destroy",
        "create_destroy.py",
        quick="--sessions 5000",
        needs=("the simulated driver", "a C++ compiler"),
    ),
)


def missing(part: Part) -> list[str]:
    return [need for need in part.needs if not NEEDS[need]()]
