"""Files on a GPU: its decoder's frames go directly to the encoder, and equal those that the processor decodes.

The encoder library is the simulated one over the machine's real libcuda; the decoder is the GPU's own.
"""

from __future__ import annotations

import json
import os
import subprocess
import sys
from importlib import import_module
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from gpu.library import EncodeLibrary
from gpu.video_files import COUNT
from pdum.nvenc import DecodedFrame, EncoderPool, FileJob, FileSettings, FileTask
from pdum.nvenc._media.decode import frames_from
from pdum.nvenc._media.decoder import Decoding
from pdum.nvenc._media.hardware_decode import SWITCH, decoder_on
from pdum.nvenc._media.source import index_source

from loud import missing
from simulator import nvsim_dir
from simulator.echo import checksum, parse


@pytest.fixture
def decoder(cupy: Any, runner: Any, sources: dict[str, Path]) -> None:
    """The GPU's decoder, which must exist."""
    if decoder_on(runner.HARDWARE, sources["h264"]) is None:
        missing("the GPU's decoder: libnvcuvid.so.1, and a PyAV that keeps its frames on the GPU")


def as_read(planes: list[Any], ten_bit: bool) -> Any:
    """The picture in the encoder's layout: NV12, or P010 with the samples in the high bits."""
    luma, blue, red = planes
    frame = np.concatenate([luma, np.stack([blue, red], axis=-1).reshape(-1, luma.shape[1])])
    return frame << 6 if ten_bit else frame


def is_on_gpu(frame: Any) -> bool:
    """Whether the frame is one of our own decoder's, or of FFmpeg's on the GPU."""
    return isinstance(frame, DecodedFrame) or frame.format.name == "cuda"


@pytest.mark.parametrize("driven_by", ["us", "ffmpeg"])
@pytest.mark.parametrize("name", ["h264", "hevc", "hevc-ten-bit"])
@pytest.mark.parametrize("ranges", [[(0, 48)], [(0, 17), (17, 30), (30, 48)]])
def test_decoded_frames_reach_the_encoder_bit_for_bit(
    engine: EncodeLibrary,
    decoder: None,
    runner: Any,
    sources: dict[str, Path],
    tmp_path: Path,
    name: str,
    ranges: Any,
    driven_by: str,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """Each access unit has the checksum of the pixels that the engine read: those that the processor decodes."""
    settings = FileSettings(codec="hevc", encoder={"preset": "p1", "bframes": 0, "cq": 20})
    monkeypatch.setenv(SWITCH, "" if driven_by == "us" else driven_by)
    task = FileTask(FileJob(source=sources[name], destination=tmp_path / "result.mp4", settings=settings), "nvenc")
    plan = task.prepare(1)
    frame = next(task.frames(0, runner.HARDWARE))
    assert isinstance(frame, DecodedFrame) == (driven_by == "us")
    assert is_on_gpu(frame), "it stayed there"
    del frame
    packets = runner.encode_ranges(task, runner.HARDWARE, ranges)
    task.abandon(keep=False)
    ten_bit = name.endswith("ten-bit")
    wanted = [checksum(as_read(planes, ten_bit)) for planes in runner.pictures(sources[name]) if planes is not None]
    assert plan.frames == len(wanted) == COUNT
    found = {packet.seq: parse(packet.data)[-1].checksum for packet in packets}
    assert [found[number] for number in range(COUNT)] == wanted


def test_a_machine_of_many_cores_decodes_as_any_other(
    engine: EncodeLibrary, decoder: None, runner: Any, sources: dict[str, Path], tmp_path: Path, monkeypatch: Any
) -> None:
    """FFmpeg takes a surface for each thread, and has 32. With more threads, the last frames were lost."""
    monkeypatch.setattr(os, "sched_getaffinity", lambda process: set(range(96)))
    wanted = [checksum(as_read(planes, False)) for planes in runner.pictures(sources["hevc"]) if planes is not None]
    settings = FileSettings(codec="hevc", encoder={"preset": "p1", "bframes": 0, "cq": 20})
    task = FileTask(FileJob(source=sources["hevc"], destination=tmp_path / "result.mp4", settings=settings), "nvenc")
    packets = runner.encode_ranges(task, runner.HARDWARE, [(0, task.prepare(1).frames)])
    task.abandon(keep=False)
    found = {packet.seq: parse(packet.data)[-1].checksum for packet in packets}
    assert [found[number] for number in range(COUNT)] == wanted


def test_the_processor_takes_over_if_the_gpus_decoder_fails(
    engine: EncodeLibrary, decoder: None, runner: Any, sources: dict[str, Path], tmp_path: Path
) -> None:
    """Damage: the frames next to it equal those from the processor, and the result has a warning."""
    path = import_module("damaged").damaged(sources["h264"], {30}, tmp_path)
    index = index_source(path)
    repeated: dict[bool, list[int]] = {True: [], False: []}
    stumbled: list[Exception] = []
    on_gpu = decoder_on(runner.HARDWARE, path)
    assert on_gpu is not None
    found = {}
    for gpu in (True, False):
        decoding = Decoding(1, on_gpu=on_gpu if gpu else None, on_stumble=stumbled.append)
        found[gpu] = [is_on_gpu(frame) for frame in frames_from(path, index, 0, decoding, repeated[gpu].append)]
    assert len(found[True]) == len(found[False]) == COUNT
    if stumbled:
        assert repeated[True] == repeated[False]
        assert set(found[True]) == {True, False}


def test_the_processor_decodes_if_it_is_asked_to(
    engine: EncodeLibrary, decoder: None, runner: Any, sources: Any, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv(SWITCH, "cpu")
    assert decoder_on(runner.HARDWARE, sources["h264"]) is None
    task = FileTask(FileJob(source=sources["h264"], destination=tmp_path / "result.mp4"), "nvenc")
    task.prepare(1)
    assert not hasattr(next(task.frames(0, runner.HARDWARE)), "sw_format")
    task.abandon(keep=False)


ALONE = """
import json, sys
from pdum.nvenc import EncoderPool, FileJob, FileSettings
settings = FileSettings(codec="hevc", encoder={"tuning": "lossless", "preset": "p1"})
jobs = [FileJob(source=source, destination=made, settings=settings) for source, made in json.loads(sys.argv[1])]
for _ in range(2):
    with EncoderPool() as pool:
        pool.encode_files(jobs).raise_for_errors()
"""


def test_nothing_else_in_the_process_uses_the_gpu(decoder: None, sources: dict[str, Path], tmp_path: Path) -> None:
    """Only the decoder keeps its context. Frames that outlived it crashed two processes of three."""
    variables = {
        **os.environ,
        "LD_LIBRARY_PATH": f"{nvsim_dir() / 'encode'}:{os.environ.get('LD_LIBRARY_PATH', '')}",
        "NVSIM_CONFIG": '{"gpus": ["RTX 4090"], "backend": "codec"}',
        "PYTHONFAULTHANDLER": "1",
    }
    for number in range(6):
        jobs = [(str(source), str(tmp_path / f"{number}-{name}.mkv")) for name, source in sources.items()]
        command = [sys.executable, "-c", ALONE, json.dumps(jobs)]
        done = subprocess.run(command, env=variables, capture_output=True, text=True, timeout=120, check=False)
        if "the simulator was built without" in done.stderr:
            missing("real codecs in the simulated encoder", "apt-get install libx264-dev libx265-dev, and build again")
        assert done.returncode == 0, done.stderr[-4000:]


@pytest.mark.parametrize("segments", ["auto", 1, 5])
def test_a_pool_of_files(
    encode_library: EncodeLibrary,
    decoder: None,
    runner: Any,
    sources: dict[str, Path],
    tmp_path: Path,
    segments: int | str,
) -> None:
    """Real decoding, and simulated encoders with real lossless codecs behind them: the result has the same pictures."""
    encode_library.control(configure={"gpus": ["RTX 4090"], "backend": "codec", "strict": True})
    encode_library.control(reset=True)
    settings = FileSettings(codec="hevc", encoder={"tuning": "lossless", "preset": "p1"})
    jobs = [
        FileJob(source=source, destination=tmp_path / f"{name}.mkv", settings=settings, segments=segments)
        for name, source in sources.items()
    ]
    with EncoderPool() as pool:
        report = pool.encode_files(jobs)
    if any("the simulator was built without" in str(error) for error in report.errors):
        missing("real codecs in the simulated encoder", "apt-get install libx264-dev libx265-dev, and build it again")
    report.raise_for_errors()
    for name, source in sources.items():
        for one, other in zip(runner.pictures(source), runner.pictures(tmp_path / f"{name}.mkv"), strict=True):
            assert one is not None
            assert other is not None
            assert all(np.array_equal(a, b) for a, b in zip(one, other, strict=True))
    left = encode_library.control(report=True)
    assert left["violations"] == []
    assert not any(left["live"].values()), left["live"]


@pytest.mark.parametrize("codec", ["libx264", "libx265"])
@pytest.mark.parametrize("decoders", [2, 4, 8])
def test_several_decoders_give_the_pictures_of_one(
    engine: EncodeLibrary, decoder: None, runner: Any, tmp_path: Path, codec: str, decoders: int
) -> None:
    """They take stretches in turn. Each goes on at other places of the file, in open groups of pictures too."""
    videos = import_module("decoder.videos")
    hevc = "log-level=error:keyint=30:min-keyint=30:open-gop=1:bframes=3:b-adapt=0:scenecut=0"
    options = {"g": "30", "x265-params": hevc} if codec == "libx265" else {"g": "30"}
    source = videos.make(tmp_path, videos.Kind("long", codec, size=(320, 192), count=300, options=options))
    settings = FileSettings(codec="hevc", encoder={"preset": "p1", "bframes": 0})
    task = FileTask(FileJob(source=source, destination=tmp_path / "result.mp4", settings=settings), "nvenc")
    task.prepare(1)
    frames: Any = task.frames(0, runner.HARDWARE)
    frames.use_decoders(decoders)
    by_chip = 0
    for frame, (pts, picture) in zip(frames, videos.by_processor(source), strict=True):
        by_chip += isinstance(frame, DecodedFrame)
        if isinstance(frame, DecodedFrame):
            assert frame.pts == pts
            np.testing.assert_array_equal(np.asarray(frame), picture)
    frames.close()
    task.abandon(keep=False)
    assert by_chip >= 300 - 2 * 30, "the processor may help with a stretch or two"
