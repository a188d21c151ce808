"""A machine with two real GPUs: frames, contexts, decoders and engines of both in one process."""

from __future__ import annotations

import threading
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from gpu.frames import HEIGHT, SHAPE, WIDTH, SlowProducer, pattern
from gpu.library import EncodeLibrary
from pdum.nvenc import EncoderPool, FileJob, FileSettings, InvalidFrame, NvencEncoder, devices, events
from pdum.nvenc._machine import capabilities as _capabilities

from loud import missing
from simulator.echo import checksum, parse

FRAMES = 200
MACHINE = {"gpus": [{"name": "L4", "engines": 3}, "RTX 4090"], "strict": True}
ENGINES = {(0, 0), (0, 1), (0, 2), (1, 0), (1, 1)}


@pytest.fixture
def both(encode_library: EncodeLibrary, cupy: Any) -> Any:
    """Two GPUs with echoing encoders, one with three engines and one with two."""
    if cupy.cuda.runtime.getDeviceCount() < 2:
        missing("a second GPU")
    encode_library.control(configure={**MACHINE, "backend": "echo"})
    encode_library.control(reset=True)
    _capabilities._found.clear()
    yield encode_library
    _capabilities._found.clear()
    report = encode_library.control(report=True)
    assert report["violations"] == []
    assert not any(report["live"].values()), report["live"]


def test_each_gpu_has_its_encoders(both: EncodeLibrary) -> None:
    assert [(gpu.gpu_id, gpu.encoder_engines) for gpu in devices()] == [(0, 3), (1, 2)]
    with EncoderPool() as pool:
        assert {(engine.gpu_id, engine.number) for engine in pool.engines} == ENGINES


@pytest.mark.parametrize("gpu", [0, 1])
def test_a_frame_of_the_other_gpu_is_refused(both: EncodeLibrary, cupy: Any, gpu: int) -> None:
    with cupy.cuda.Device(1 - gpu):
        frame = cupy.zeros(SHAPE, cupy.uint8)
    with NvencEncoder(WIDTH, HEIGHT, gpu_id=gpu) as encoder:
        with pytest.raises(InvalidFrame, match=f"lies on GPU {1 - gpu}; this encoder works on GPU {gpu}"):
            encoder.encode(frame)
        with cupy.cuda.Device(gpu):
            frame = cupy.zeros(SHAPE, cupy.uint8)
        assert parse(encoder.encode(frame))[0].gpu_index == gpu


@pytest.mark.parametrize("surfaces", [False, True])
def test_frames_of_both_gpus_are_the_ones_that_were_made(both: EncodeLibrary, cupy: Any, surfaces: bool) -> None:
    """Each is made on its engine's GPU and is still being written when it is passed on."""
    of_thread = threading.local()
    producers = {}
    for gpu in (0, 1):
        with cupy.cuda.Device(gpu):
            producers[gpu] = SlowProducer(cupy)

    def render(index: int, surface: Any, engine: Any) -> Any:
        with cupy.cuda.Device(engine.gpu_id):
            streams = of_thread.__dict__.setdefault("streams", {})
            if engine.gpu_id not in streams:
                streams[engine.gpu_id] = cupy.cuda.Stream(non_blocking=True)
            stream = streams[engine.gpu_id]
            with stream:
                frame = cupy.empty(SHAPE, cupy.uint8) if surface is None else cupy.asarray(surface)
                producers[engine.gpu_id](frame, index, stream, cycles=200_000)
            stream.synchronize()
        return frame if surface is None else None

    with EncoderPool() as pool:
        stream = pool.render_video(render, FRAMES, width=WIDTH, height=HEIGHT, surfaces=surfaces)
    units = parse(stream)
    assert [unit.checksum for unit in units] == [checksum(pattern(number)) for number in range(FRAMES)]
    assert {(unit.gpu_index, unit.engine) for unit in units if unit.is_idr} == ENGINES


def test_files_are_decoded_on_the_gpu_that_encodes_them(
    both: EncodeLibrary, runner: Any, sources: dict[str, Path], tmp_path: Path
) -> None:
    """Both decoders at once, each in its own GPU's context; without loss, so that the pictures are the source's."""
    both.control(configure={**MACHINE, "backend": "codec"})
    settings = FileSettings(codec="hevc", encoder={"tuning": "lossless", "preset": "p1"})
    segmentations: tuple[int | str, ...] = (1, 5, "auto")
    jobs = [
        FileJob(source=source, destination=tmp_path / f"{turn}-{name}.mkv", settings=settings, segments=segments)
        for turn, segments in enumerate(segmentations)
        for name, source in sources.items()
    ]
    with EncoderPool() as pool:
        run = pool.start(pool.files(jobs))
        told = list(run)
        report = run.wait()
        gpus = {engine.index: engine.gpu_id for engine in pool.engines}
    if any("the simulator was built without" in str(error) for error in report.errors):
        missing("real codecs in the simulated encoder", "apt-get install libx264-dev libx265-dev, and build it again")
    report.raise_for_errors()
    assert {gpus[event.engine] for event in told if isinstance(event, events.PieceStarted)} == {0, 1}
    for job in jobs:
        for one, other in zip(runner.pictures(Path(job.source)), runner.pictures(Path(job.destination)), strict=True):
            assert one is not None
            assert other is not None
            assert all(np.array_equal(a, b) for a, b in zip(one, other, strict=True))
