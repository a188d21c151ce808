"""Several decoders of a GPU, and the processor beside them, decode one file for one engine."""

from __future__ import annotations

import gc
import os
import threading
from collections.abc import Iterator
from contextlib import closing
from dataclasses import replace
from itertools import pairwise, product
from pathlib import Path
from typing import Any

import av
import numpy as np
import pytest

from damaged import damaged
from decoder.conftest import L4
from decoder.test_failures import without_sense
from decoder.test_files import forget
from decoder.videos import Kind, by_processor, make
from files import runner
from files.runner import LOSSLESS, assert_same_pictures
from pdum.nvenc import DecodedFrame, EncoderPool, FileJob, FileSettings, FileTask, Filters, InvalidConfig, events
from pdum.nvenc._files.engine_frames import EngineFrames
from pdum.nvenc._media import decode, decoder_places, hardware_decode
from pdum.nvenc._media.decode import stretch_frames
from pdum.nvenc._media.decoder import Decoding, Stumbled, open_source
from pdum.nvenc._media.decoder_places import PLACES, PROCESSOR, DecoderPlaces, chip_limit
from pdum.nvenc._media.further_decoders import KEPT_FOR_EACH, SURFACES, FurtherDecoders, bounds_for
from pdum.nvenc._media.idle_decoders import IDLE_DECODERS
from pdum.nvenc._media.source import index_source
from pdum.nvenc._media.stretches import Stretches

from clips import make_clip
from simulator import Machine, Simulator

pytestmark = pytest.mark.one_abi

CLOSED = Kind("further-closed", options={"g": "25"}, count=120)
OPEN = Kind(
    "further-open", count=120,
    options={"g": "30", "x264-params": "open-gop=1:scenecut=0:b-pyramid=none:bframes=3:b-adapt=0"},
)  # fmt: skip
PYRAMID = Kind(
    "further-pyramid", count=150,
    options={"g": "25", "x264-params": "open-gop=1:scenecut=0:bframes=3:b-adapt=0"},
)  # fmt: skip
HEVC_PARAMETERS = "log-level=error:keyint=30:min-keyint=30:open-gop=1:bframes=3:b-adapt=0:scenecut=0"
HEVC = Kind("further-hevc", "libx265", size=(192, 160), count=120, options={"g": "30", "x265-params": HEVC_PARAMETERS})
TRANSPORT = Kind("further-ts", container="ts", options={"g": "25"}, count=120)


@pytest.fixture(autouse=True)
def _machine_of_its_own(simulator: Simulator, monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    for name in (hardware_decode.SWITCH, decoder_places.VARIABLE):
        monkeypatch.delenv(name, raising=False)
    forget()
    yield
    forget()
    assert PLACES.used(0) == PLACES.used(PROCESSOR) == 0


def array_of(frame: Any) -> Any:
    if isinstance(frame, np.ndarray):
        return frame
    return np.asarray(frame) if isinstance(frame, DecodedFrame) else frame.to_ndarray()


def frames_of(
    source: Path, folder: Path, decoders: int, first: int = 0, filters: Filters | None = None
) -> tuple[list[Any], list[bool], EngineFrames]:
    """The pictures, for each whether the GPU decoded it, and the source after its end."""
    settings = FileSettings(codec="hevc", encoder={"preset": "p1", "bframes": 0}, filters=filters or Filters())
    task = FileTask(FileJob(source=source, destination=folder / "result.mp4", settings=settings), "nvenc")
    task.prepare(1)
    frames = task.frames(first, runner.HARDWARE)
    assert isinstance(frames, EngineFrames)
    frames.use_decoders(decoders)
    pictures, by_chip = [], []
    for frame in frames:
        pictures.append(array_of(frame))
        by_chip.append(isinstance(frame, DecodedFrame))
    frames.close()
    task.abandon(keep=False)
    return pictures, by_chip, frames


@pytest.mark.parametrize("kind", [OPEN, HEVC], ids=lambda kind: kind.name)
def test_frames_come_after_the_key_frame_that_they_are_shown_before(folder: Path, kind: Kind) -> None:
    """So that what follows tells something."""
    with av.open(str(make(folder, kind))) as container:
        packets = [packet for packet in container.demux(video=0) if packet.size]
    after_keys = [(one.pts or 0, next_one.pts or 0) for one, next_one in pairwise(packets) if one.is_keyframe]
    assert sum(after < key for key, after in after_keys) == 3


@pytest.mark.parametrize("kind", [CLOSED, OPEN, HEVC, TRANSPORT], ids=lambda kind: kind.name)
@pytest.mark.parametrize("decoders", [1, 2, 4])
def test_any_number_of_decoders_gives_the_same_pictures(
    machine: Machine, folder: Path, tmp_path: Path, kind: Kind, decoders: int
) -> None:
    source = make(folder, kind)
    found, by_chip, _ = frames_of(source, tmp_path, decoders)
    wanted = by_processor(source)
    assert len(found) == len(wanted) == kind.count
    for number, (picture, (_, expected)) in enumerate(zip(found, wanted, strict=True)):
        np.testing.assert_array_equal(picture, expected, err_msg=f"frame {number}")
    assert all(by_chip)
    assert machine.calls("decode")["cuvidCreateDecoder"] <= 2 + (decoders if decoders > 1 else 0), (
        "one tried, one alone, and each of the others only once"
    )


@pytest.mark.parametrize(
    "filters",
    [Filters(trim="1-4"), Filters(fps=50), Filters(scale="96x80"), Filters(trim="1-3", fps=12.5, scale="96x80")],
    ids=["trim", "rate", "scale", "all"],
)
def test_filters_get_the_same_frames(machine: Machine, folder: Path, tmp_path: Path, filters: Filters) -> None:
    source = make(folder, CLOSED)
    alone, _, _ = frames_of(source, tmp_path, 1, filters=filters)
    together, _, _ = frames_of(source, tmp_path, 4, filters=filters)
    assert len(alone) == len(together) > 20
    for one, other in zip(alone, together, strict=True):
        np.testing.assert_array_equal(one, other)


def test_a_range_may_begin_anywhere(machine: Machine, folder: Path, tmp_path: Path) -> None:
    source = make(folder, OPEN)
    found, _, _ = frames_of(source, tmp_path, 3, first=37)
    for picture, (_, expected) in zip(found, by_processor(source)[37:], strict=True):
        np.testing.assert_array_equal(picture, expected)


@pytest.mark.parametrize("kind", [CLOSED, OPEN, HEVC], ids=lambda kind: kind.name)
def test_seeking_ends_at_the_key_frame_that_is_wanted(folder: Path, kind: Kind) -> None:
    """Or else each stretch would read the one before it, too."""
    source = make(folder, kind)
    index = index_source(source)
    assert len(index.keys) >= 4
    with open_source(source) as container:
        stream = container.streams[index.stream]
        for key in index.keys[1:]:
            decode._seek(container, stream, next(decode._targets(container, stream, key)))
            assert next(container.demux(stream)).pts == key.pts


def test_hardly_more_is_decoded_than_is_wanted(machine: Machine, folder: Path, tmp_path: Path) -> None:
    """A decoder stops where the next one has begun."""
    source = make(folder, CLOSED)
    frames_of(source, tmp_path, 1)
    alone = machine.calls("decode")["cuvidDecodePicture"]
    machine.reset()
    frames_of(source, tmp_path, 4)
    assert machine.calls("decode")["cuvidDecodePicture"] <= alone + 15, "the first decoder is ahead when it is relieved"


@pytest.mark.parametrize(
    ("kind", "order"),
    [*product((CLOSED, OPEN, HEVC), ((0, 2, 1, 3), (3, 0, 2))), (PYRAMID, (4, 1)), (PYRAMID, (5, 2))],
    ids=lambda given: given.name if isinstance(given, Kind) else str(given),
)
@pytest.mark.parametrize("on_processor", [False, True])
def test_one_decoder_takes_stretches_in_any_order(
    machine: Machine, folder: Path, kind: Kind, order: tuple[int, ...], on_processor: bool
) -> None:
    """The last one drains the decoder. A chip's decoder that is used again knows nothing of what it decoded before."""
    source = make(folder, kind)
    index, wanted = index_source(source), by_processor(source)
    stretches = Stretches(index)
    on_gpu = None if on_processor else hardware_decode.decoder_on(runner.HARDWARE, source)
    decoder = FurtherDecoders(source, index, on_gpu, 0).open_decoder()
    assert decoder is not None
    assert decoder.is_on_processor is on_processor
    with IDLE_DECODERS.in_use(), closing(decoder):
        for number in order:
            stretch = stretches[number]
            found = list(decoder.frames(stretch))
            for frame, (pts, picture) in zip(found, wanted[stretch.first : stretch.last], strict=True):
                assert frame.pts == pts
                found_picture = frame.to_ndarray(format="nv12") if on_processor else np.asarray(frame)
                np.testing.assert_array_equal(found_picture, picture)


def test_a_missing_frame_is_no_frame_that_follows(folder: Path) -> None:
    """The processor's path knows what to show instead."""
    source = make(folder, CLOSED)
    index = index_source(source)
    first, second, *rest = index.pts
    with_one_more = replace(index, pts=[first, (first + second) // 2, second, *rest])
    decoding = Decoding(2)
    with decoding.opened(source) as container:
        frames = stretch_frames(container, with_one_more, Stretches(with_one_more)[0], decoding)
        assert next(frames).pts == first
        with pytest.raises(Stumbled, match="Frame 1 is missing"):
            next(frames)


def test_the_processor_helps_if_the_chip_is_busy(simulator: Simulator, folder: Path, tmp_path: Path) -> None:
    """A GPU with one decoder."""
    source = make(folder, CLOSED)
    with simulator.machine(gpus={**L4["gpus"], "decoders": 1}), pytest.MonkeyPatch.context() as patch:
        patch.setattr(decoder_places, "processor_limit", lambda: 2)
        patch.setattr("pdum.nvenc._media.further_decoders.processor_limit", lambda: 2)
        found, by_chip, _ = frames_of(source, tmp_path, 3)
    for picture, (_, expected) in zip(found, by_processor(source), strict=True):
        np.testing.assert_array_equal(picture, expected)
    assert set(by_chip) == {True, False}


@pytest.mark.parametrize(("given", "chips"), [("1", {0: 1, 1: 1}), ("2,3", {0: 2, 1: 3, 2: None}), ("", {0: None})])
def test_the_user_limits_decoders(monkeypatch: pytest.MonkeyPatch, given: str, chips: dict[int, int | None]) -> None:
    monkeypatch.setenv(decoder_places.VARIABLE, given)
    assert {gpu: chip_limit(gpu) for gpu in chips} == chips


@pytest.mark.parametrize(("limit", "shares"), [("", [4, 2, 1, 1]), ("2", [2, 1, 1, 1]), ("0", [1, 1, 1, 1])])
def test_engines_share_the_chips_decoders(
    simulator: Simulator, folder: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, limit: str, shares: list[int]
) -> None:
    monkeypatch.setenv(decoder_places.VARIABLE, limit)
    with simulator.machine(gpus={**L4["gpus"], "decoders": 4}):
        _, _, frames = frames_of(make(folder, CLOSED), tmp_path, 1)
        assert [frames.fair_share(engines) for engines in (1, 2, 4, 9)] == shares


@pytest.mark.parametrize("given", ["many", "-1", "1,", "1;2"])
def test_a_limit_is_a_number(monkeypatch: pytest.MonkeyPatch, given: str) -> None:
    monkeypatch.setenv(decoder_places.VARIABLE, given)
    with pytest.raises(InvalidConfig, match=r"PDUM_NVENC_DECODERS=.*Without the variable"):
        chip_limit(0)


def test_a_forked_child_gives_back_what_it_has_not_taken() -> None:
    places = DecoderPlaces()
    assert places.take(0, 1)
    places.forget()
    places.give_back(0)
    assert places.take(0, 1)
    assert not places.take(0, 1)


def test_a_pool_says_at_once_that_a_limit_is_none(simulator: Simulator, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv(decoder_places.VARIABLE, "many")
    with simulator.machine(gpus=["L4"]), pytest.raises(InvalidConfig, match="got PDUM_NVENC_DECODERS='many'"):
        EncoderPool()


def test_without_a_decoder_of_the_gpu_the_processor_decodes(
    machine: Machine, folder: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv(decoder_places.VARIABLE, "0")
    _, by_chip, _ = frames_of(make(folder, CLOSED), tmp_path, 2)
    assert not any(by_chip)
    assert machine.calls("decode").get("cuvidCreateDecoder", 0) == 0


@pytest.mark.parametrize("damage", [damaged, without_sense])
def test_a_damaged_file_is_the_same_with_several_decoders(
    machine: Machine, folder: Path, tmp_path: Path, damage: Any
) -> None:
    source = damage(make(folder, CLOSED), {60, 61}, tmp_path)
    alone, by_chip, _ = frames_of(source, tmp_path, 1)
    together, by_chip_too, _ = frames_of(source, tmp_path, 4)
    assert len(alone) == len(together)
    told = damage is without_sense
    assert not told or (False in by_chip and False in by_chip_too)
    for number, (one, other) in enumerate(zip(alone, together, strict=True)):
        if told or not 50 <= number < 75:  # what the chip makes of damage that it does not tell is its own affair
            np.testing.assert_array_equal(one, other, err_msg=f"frame {number}")


@pytest.mark.parametrize(
    ("damage", "by_chip"),
    [(damaged, True), (without_sense, True), (without_sense, False)],
    ids=["untold", "told", "cpu"],
)
def test_others_help_again_behind_damage(
    machine: Machine, folder: Path, tmp_path: Path, damage: Any, by_chip: bool, monkeypatch: pytest.MonkeyPatch
) -> None:
    """But only if the GPU goes on. One careful thread of the processor mends damage in its own way, up to the end."""
    monkeypatch.setenv(hardware_decode.SWITCH, "" if by_chip else "cpu")
    whole = make(folder, Kind("further-long", options={"g": "25", "x264-params": "scenecut=0"}, count=300))
    source = damage(whole, {60, 61}, tmp_path)
    alone, _, _ = frames_of(source, tmp_path, 1)
    settings = FileSettings(codec="hevc", encoder={"preset": "p1", "bframes": 0})
    task = FileTask(FileJob(source=source, destination=tmp_path / "result.mp4", settings=settings), "nvenc")
    task.prepare(1)
    frames = task.frames(0, runner.HARDWARE)
    assert isinstance(frames, EngineFrames)
    at_work, together = [], []
    for frame in frames:
        together.append(array_of(frame))
        frames.use_decoders(3)
        at_work.append(frames.decoders)
    frames.close()
    told = [text for text in task._all_warnings([]) if "gave up" in text]
    task.abandon(keep=False)
    assert len(alone) == len(together) == 300
    assert len(told) == by_chip
    assert set(at_work[62:74]) == {1}
    assert (max(at_work[75:]) > 1) == by_chip
    for number, (one, other) in enumerate(zip(alone, together, strict=True)):
        if damage is without_sense or not 50 <= number < 75:  # see above
            np.testing.assert_array_equal(one, other, err_msg=f"frame {number}")


@pytest.mark.parametrize(
    "fault",
    [{"call": "cuvidCreateDecoder", "nth": 3, "status": 2}, {"call": "cuvidDecodePicture", "nth": 90, "status": 1}],
)
def test_a_decoder_that_fails_is_done_without(
    simulator: Simulator, folder: Path, tmp_path: Path, fault: dict[str, Any]
) -> None:
    source = make(folder, CLOSED)
    with simulator.machine(**{**L4, "faults": [fault]}):
        found, _, _ = frames_of(source, tmp_path, 3)
    for picture, (_, expected) in zip(found, by_processor(source), strict=True):
        np.testing.assert_array_equal(picture, expected)


def test_what_is_decoded_ahead_has_a_bound(folder: Path) -> None:
    index = index_source(make(folder, CLOSED))
    stretches = Stretches(index)
    frame = 160 * 96 * 1.5
    for memory in (1 << 20, 1 << 24, 1 << 28, 1 << 34):
        bounds = bounds_for(index.look, stretches, memory)
        held = (bounds.decoders - 1) * SURFACES + KEPT_FOR_EACH * bounds.room
        assert held * frame <= memory / 16
        assert 1 <= bounds.decoders <= len(stretches)
    assert bounds_for(index.look, stretches, 1 << 20).decoders == 1
    assert bounds_for(index.look, stretches, 1 << 34).decoders == len(stretches)


FRAMES = 200


@pytest.fixture(scope="module")
def clip(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return make_clip(tmp_path_factory.mktemp("clip") / "clip.mkv", FRAMES)


def gpu_of(engines: int, fps: float, decoders: int, decode_fps: float) -> dict[str, Any]:
    """Rates are those at the clip's size."""
    size = 192 * 160 / (1920 * 1080)
    return {
        "like": "L4", "name": "engines", "engines": engines, "fps_1080p": fps * size,
        "decoders": decoders, "decode_fps_1080p": decode_fps * size,
    }  # fmt: skip


def encoded(source: Path, result: Path) -> list[events.Event]:
    told: list[events.Event] = []
    with EncoderPool() as pool:
        pool.encode_file(source, result, codec="h264", on_event=told.append, **LOSSLESS)  # type: ignore[arg-type]
    return told


def decoders_of(told: list[events.Event]) -> list[int]:
    """How many there were, as time went by."""
    return [one.decoders for one in told if isinstance(one, events.Progress)]


def test_an_engine_that_waits_gets_further_decoders(simulator: Simulator, clip: Path, tmp_path: Path) -> None:
    """Four decoders are as fast as the engine. The GPU has no more."""
    result = tmp_path / "result.mkv"
    with simulator.machine(gpus=[gpu_of(1, 240.0, 4, 60.0)], backend="codec"):
        told = encoded(clip, result)
    assert_same_pictures(clip, result)
    assert 2 <= max(decoders_of(told)) <= 4
    assert [one.decoders > 1 for one in told if isinstance(one, events.DecodersChanged)][:1] == [True]
    assert len([one for one in told if isinstance(one, events.PieceFinished)]) == 1, "one engine encodes all of it"


def test_a_cancelled_file_leaves_no_decoder(simulator: Simulator, clip: Path, tmp_path: Path) -> None:
    """Its decoders are ahead of the engine, and wait."""
    with simulator.machine(gpus=[gpu_of(1, 100.0, 4, 40.0)], backend="codec"), EncoderPool() as pool:
        run = pool.start(pool.files([runner.job(clip, tmp_path / "result.mkv")]))
        for event in run:
            if isinstance(event, events.DecodersChanged):
                run.cancel()
        assert run.wait().errors
    assert PLACES.used(0) == PLACES.used(PROCESSOR) == 0
    assert not list(tmp_path.iterdir())


@pytest.mark.slow
def test_more_decoders_encode_faster(
    simulator: Simulator, clip: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Four decoders are as fast as the engine, and one is a quarter as fast."""
    monkeypatch.setattr("pdum.nvenc._media.further_decoders.processor_limit", lambda: 0)
    source = make_clip(tmp_path / "long.mkv", 600)
    seconds = {}
    for decoders in ("1", "4"):
        monkeypatch.setenv(decoder_places.VARIABLE, decoders)
        with simulator.machine(gpus=[gpu_of(1, 240.0, 4, 60.0)], backend="codec"):
            told = encoded(source, tmp_path / f"{decoders}.mkv")
        (piece,) = [one for one in told if isinstance(one, events.PieceFinished)]
        seconds[decoders] = piece.seconds
        assert max(decoders_of(told)) <= int(decoders)
        assert_same_pictures(source, tmp_path / f"{decoders}.mkv")
    assert seconds["1"] > 1.8 * seconds["4"]


def resident() -> int:
    """Bytes of this process."""
    pages = int(Path("/proc/self/statm").read_text().split()[1])
    return pages * os.sysconf("SC_PAGE_SIZE")


@pytest.mark.slow
def test_a_thousand_files_take_no_more_memory_than_half_of_them(simulator: Simulator, tmp_path: Path) -> None:
    source = make_clip(tmp_path / "source.mkv", 30)
    sizes, threads, objects = [], [], []
    with simulator.machine(gpus=[gpu_of(2, 0.0, 4, 0.0)]) as machine, EncoderPool() as pool:
        for round_ in range(10):
            jobs = [runner.job(source, tmp_path / f"{round_}-{n}.mkv", verify="structure") for n in range(100)]
            pool.encode_files(jobs).raise_for_errors()
            gc.collect()
            sizes.append(resident())
            threads.append(threading.active_count())
            objects.append(len(gc.get_objects()))
            assert machine.live("decode").get("decoders", 0) == 0
    assert threads[-1] <= threads[1]
    megabytes = [size >> 20 for size in sizes]
    assert megabytes[-1] - megabytes[4] < 16, megabytes  # one frame of each file would be 23
    assert objects[-1] - objects[4] < 100, objects
