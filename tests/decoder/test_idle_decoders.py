"""Decoders that are used again, file after file: the pictures are right, and none stays when nobody decodes."""

from __future__ import annotations

import os
from collections.abc import Iterator
from contextlib import ExitStack, closing, nullcontext, suppress
from dataclasses import replace
from pathlib import Path
from threading import Event, Timer
from typing import Any

import pytest

from damaged import damaged
from decoder.conftest import L4
from decoder.test_failures import without_sense
from decoder.test_files import forget
from decoder.videos import Kind, assert_same, by_processor, laid_out, make, on_host
from files import runner
from files.runner import assert_same_pictures
from pdum.nvenc import DecodedFrame, EncoderPool, NvencError
from pdum.nvenc._files.task import FileTask
from pdum.nvenc._media import decoder_places, hardware_decode
from pdum.nvenc._media.decode import frames_from
from pdum.nvenc._media.decoder import Decoding, OnGpu
from pdum.nvenc._media.idle_decoders import IDLE_DECODERS
from pdum.nvenc._media.join import join
from pdum.nvenc._media.source import index_source
from pdum.nvenc._pool.feeder import close_source
from pdum.nvenc.events import EngineInfo

from simulator import Machine, Simulator

pytestmark = pytest.mark.one_abi

ONE = Kind("idle-one", options={"g": "25"}, count=30)
REORDERED = Kind("idle-reordered", options={"g": "25", "bf": "3", "refs": "5"}, count=30)
WIDER = Kind("idle-wider", size=(192, 96), options={"g": "25"}, count=30)
HEVC = Kind("idle-hevc", "libx265", size=(192, 160), options={"x265-params": "log-level=error"}, count=30)


@pytest.fixture(autouse=True)
def _nothing_stays(machine: Machine, monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    monkeypatch.delenv(hardware_decode.SWITCH, raising=False)
    forget()
    yield
    forget()
    assert machine.live("decode").get("decoders", 0) == 0


def decoder_for(source: Path) -> OnGpu:
    found = hardware_decode.decoder_on(runner.HARDWARE, source)
    assert found is not None
    return found


def decoded(source: Path, count: int | None = None) -> list[Any]:
    """Its first frames, or all of them."""
    with closing(frames_from(source, index_source(source), 0, Decoding(on_gpu=decoder_for(source)))) as frames:
        return on_host(frame for frame, _ in zip(frames, range(count or 10**6), strict=False))


def created(machine: Machine) -> int:
    return int(machine.calls("decode")["cuvidCreateDecoder"])


@pytest.mark.parametrize("left", [1, 7, None], ids=["after one frame", "after some", "at the end"])
@pytest.mark.parametrize("following", [ONE, REORDERED, WIDER, HEVC], ids=lambda kind: kind.name)
def test_the_next_file_gets_its_own_pictures(machine: Machine, folder: Path, following: Kind, left: int | None) -> None:
    """However far the decoder was, and whatever it had ready."""
    first, second = make(folder, ONE), make(folder, following)
    with IDLE_DECODERS.in_use():
        assert_same(decoded(first, left), by_processor(first)[:left])
        assert_same(decoded(second), by_processor(second))
        assert_same(decoded(first), by_processor(first))


def test_files_of_one_shape_have_one_decoder(machine: Machine, folder: Path) -> None:
    sources = [make(folder, ONE), make(folder, Kind("idle-two", options={"g": "10"}, count=30))]
    with IDLE_DECODERS.in_use():
        for source in sources * 5:
            decoded(source)
        assert created(machine) == 1


def test_one_of_another_shape_makes_room(machine: Machine, folder: Path) -> None:
    first, second = make(folder, ONE), make(folder, WIDER)
    with IDLE_DECODERS.in_use():
        for source in (first, second) * 3:
            decoded(source)
            assert machine.live("decode").get("decoders", 0) == 1


@pytest.mark.parametrize("damage", [damaged, without_sense])
def test_one_that_met_damage_is_not_used_again(machine: Machine, folder: Path, tmp_path: Path, damage: Any) -> None:
    broken, whole = damage(make(folder, ONE), {10}, tmp_path), make(folder, ONE)
    with IDLE_DECODERS.in_use():
        decoded(broken)
        if damage is without_sense:
            assert machine.calls("decode")["cuvidDestroyDecoder"] == 1, "another one took over at the next key frame"
        assert_same(decoded(whole), by_processor(whole))


@pytest.mark.parametrize("is_idle", [True, False], ids=["again", "new"])
def test_one_that_cannot_begin_leaves_its_frames_to_the_processor(
    simulator: Simulator, folder: Path, is_idle: bool
) -> None:
    """As when others have just taken the GPU's memory. It stays at the processor up to the next key frame alone."""
    source = make(folder, Kind("idle-groups", options={"g": "25"}, count=75))
    told: list[str] = []
    by_chip = 0
    with simulator.machine(**L4 | {"faults": [{"call": "cuvidCreateVideoParser", "nth": 2, "status": 2}]}):
        with IDLE_DECODERS.in_use() if is_idle else nullcontext():
            decoding = Decoding(on_gpu=decoder_for(source), on_stumble=lambda error: told.append(str(error)))
            found = []
            for frame in frames_from(source, index_source(source), 0, decoding):
                is_chips = isinstance(frame, DecodedFrame)
                by_chip += is_chips
                found += on_host([frame]) if is_chips else [(frame.pts, laid_out(frame))]
                del frame
        assert IDLE_DECODERS.open_on(0) == 0
    assert_same(found, by_processor(source))
    assert len(told) == 1
    assert by_chip == 50


def test_decoders_are_made_while_a_source_is_examined(
    machine: Machine, folder: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Two engines share the four decoders of an L4, and need no others later. A second file makes no more."""
    monkeypatch.setattr(hardware_decode, "SECONDS_FOR_EACH", 0.01)
    engines = [runner.HARDWARE, replace(runner.HARDWARE, index=1)]
    tasks = [FileTask(runner.job(make(folder, ONE), tmp_path / name)) for name in ("one.mkv", "two.mkv")]
    with ExitStack() as stack:
        for task in tasks:
            task.expect_engines(engines)
            task.prepare(2)
            stack.callback(task.abandon, False)
            assert decoder_for(make(folder, ONE))
            task._files.wait_for_decoders()
            assert 3 <= created(machine) <= 4, "the trial may take one that was made for others"
        frames: Any = tasks[0].frames(0, runner.HARDWARE)
        with closing(frames):
            assert len(list(frames)) == ONE.count
        assert created(machine) <= 4


@pytest.mark.parametrize("allowed", [0, 1, 2])
def test_no_more_are_made_than_the_user_allows(
    machine: Machine, folder: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, allowed: int
) -> None:
    monkeypatch.setenv(decoder_places.VARIABLE, str(allowed))
    monkeypatch.setattr(hardware_decode, "SECONDS_FOR_EACH", 0.01)
    task = FileTask(runner.job(make(folder, ONE), tmp_path / "one.mkv"))
    task.expect_engines([replace(runner.HARDWARE, index=number) for number in range(3)])
    task.prepare(3)
    task._files.wait_for_decoders()
    assert min(allowed, 1) <= IDLE_DECODERS.open_on(0) <= allowed, "the trial may take one that was just made"
    task.abandon(keep=False)


def test_an_encoder_is_opened_while_decoders_are_made(
    machine: Machine, folder: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Both take long on a GPU. Frames wait for the decoders, so that none is made twice."""
    may_be_made = Event()
    made: list[bool] = []

    def make_when_told(*given: Any) -> None:
        assert may_be_made.wait(30)
        make_decoders(*given)
        made.append(True)

    make_decoders = hardware_decode._make_decoders
    monkeypatch.setattr(hardware_decode, "_make_decoders", make_when_told)
    task = FileTask(runner.job(make(folder, ONE), tmp_path / "result.mkv"))
    task.expect_engines([runner.HARDWARE])
    task.prepare(1)
    assert task.config(runner.HARDWARE).format == "nv12"
    assert not made
    Timer(0.2, may_be_made.set).start()
    frames = task.frames(0, runner.HARDWARE)
    assert made
    close_source(frames)
    task.abandon(keep=False)


@pytest.mark.parametrize(
    "engine",
    [replace(runner.HARDWARE, kind="software", gpu_id=None), replace(runner.HARDWARE, node="elsewhere")],
    ids=["software", "another machine"],
)
def test_none_is_made_for_engines_that_do_not_need_it(
    machine: Machine, folder: Path, tmp_path: Path, engine: EngineInfo
) -> None:
    task = FileTask(runner.job(make(folder, ONE), tmp_path / "out.mkv"))
    task.expect_engines([engine])
    with closing(task._files):
        task.look(1)
    assert machine.calls("decode").get("cuvidCreateDecoder", 0) == 0


def test_a_short_file_gets_no_more_decoders_than_it_has_work_for(
    machine: Machine, folder: Path, tmp_path: Path
) -> None:
    task = FileTask(runner.job(make(folder, ONE), tmp_path / "out.mkv"))
    task.expect_engines([runner.HARDWARE])
    task.prepare(1)
    assert decoder_for(make(folder, ONE))
    assert created(machine) == 1
    task.abandon(False)


def test_the_last_user_closes_them(machine: Machine, folder: Path) -> None:
    source = make(folder, ONE)
    with IDLE_DECODERS.in_use():
        with IDLE_DECODERS.in_use():
            decoded(source)
        assert machine.live("decode")["decoders"] == 1
    assert machine.live("decode").get("decoders", 0) == 0


def test_they_end_early_if_no_other_job_is_open(machine: Machine, folder: Path) -> None:
    source = make(folder, ONE)
    with IDLE_DECODERS.job():
        with IDLE_DECODERS.job():
            decoded(source)
            IDLE_DECODERS.end_idle()
            assert machine.live("decode")["decoders"] == 1
        IDLE_DECODERS.end_idle()
        assert machine.live("decode").get("decoders", 0) == 0


def test_they_end_while_the_result_is_written(
    machine: Machine, folder: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Or else the last file of a run would be reported later by as long as a GPU needs to end all of them."""
    ended, end = Event(), IDLE_DECODERS.end

    def end_and_tell(*given: Any) -> None:
        end(*given)
        ended.set()

    def join_after_them(*given: Any) -> None:
        assert ended.wait(10)
        join(*given)

    task = FileTask(runner.job(make(folder, ONE), tmp_path / "result.mkv"))
    plan = task.prepare(1)
    runner.encode_ranges(task, runner.HARDWARE, plan.ranges)
    assert IDLE_DECODERS.open_on(0) == 1
    monkeypatch.setattr(IDLE_DECODERS, "end", end_and_tell)
    monkeypatch.setattr("pdum.nvenc._files.task.join", join_after_them)
    with suppress(NvencError):  # a simulated GPU writes no real video
        task.finished()
    task.abandon(keep=False)
    assert ended.is_set()


def test_a_forked_child_has_none(machine: Machine, folder: Path) -> None:
    source = make(folder, ONE)
    with IDLE_DECODERS.in_use():
        decoded(source)
        child = os.fork()
        if child == 0:
            os._exit(len(IDLE_DECODERS._idle) + IDLE_DECODERS._users)
        assert os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]) == 0
        decoded(source)
        assert created(machine) == 1


def test_a_pool_makes_few_decoders_for_many_files(simulator: Simulator, folder: Path, tmp_path: Path) -> None:
    source = make(folder, Kind("idle-short", options={"g": "12"}, count=12))
    with simulator.machine(**{**L4, "backend": "codec"}) as machine:
        with EncoderPool() as pool:
            jobs = [runner.job(source, tmp_path / f"{number}.mkv") for number in range(20)]
            pool.encode_files(jobs).raise_for_errors()
            assert machine.live("decode").get("decoders", 0) == 0, "although the pool is still there"
        assert created(machine) <= 8
    for number in range(20):
        assert_same_pictures(source, tmp_path / f"{number}.mkv")
