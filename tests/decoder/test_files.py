"""Files are decoded on the GPU and go to its encoder as they are; the processor takes over where that does not work."""

from __future__ import annotations

import shutil
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import av
import pytest

from damaged import damaged, without
from decoder.conftest import L4
from decoder.test_failures import without_sense
from decoder.test_gpu_decoder import KINDS
from decoder.videos import Kind, assert_same, by_processor, laid_out, make, on_host
from files import runner
from pdum.nvenc import DecodedFrame, FileJob, FileSettings, FileTask
from pdum.nvenc._machine import availability, capabilities
from pdum.nvenc._media import hardware_decode
from pdum.nvenc._media.decode import frames_from
from pdum.nvenc._media.decoder import Decoding
from pdum.nvenc._media.source import index_source

from simulator import Machine, Simulator, checksum, parse

pytestmark = pytest.mark.one_abi


def forget() -> None:
    """What was learned about another test's machine."""
    for cached in (hardware_decode._takes, hardware_decode._has_library):
        cached.cache_clear()
    hardware_decode._taken.clear()
    availability._reasons.clear()
    capabilities._found.clear()


@pytest.fixture(autouse=True)
def _machine_of_its_own(simulator: Simulator, monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    monkeypatch.delenv(hardware_decode.SWITCH, raising=False)
    forget()
    yield
    forget()


def task_of(source: Path, folder: Path) -> FileTask:
    settings = FileSettings(codec="hevc", encoder={"preset": "p1", "bframes": 0, "cq": 20})
    return FileTask(FileJob(source=source, destination=folder / "result.mp4", settings=settings), "nvenc")


@pytest.mark.parametrize("kind", [KINDS[0], KINDS[1], *KINDS[4:]], ids=lambda kind: kind.name)
@pytest.mark.parametrize("ranges", [[(0, 30)], [(0, 7), (7, 20), (20, 30)]], ids=["whole", "ranges"])
def test_the_encoder_reads_the_decoders_surfaces(
    machine: Machine, folder: Path, tmp_path: Path, kind: Kind, ranges: Any
) -> None:
    source = make(folder, kind)
    task = task_of(source, tmp_path)
    task.prepare(1)
    assert isinstance(next(task.frames(0, runner.HARDWARE)), DecodedFrame)
    packets = runner.encode_ranges(task, runner.HARDWARE, ranges)
    task.abandon(keep=False)
    wanted = [checksum(picture) for _, picture in by_processor(source)]
    found = {packet.seq: parse(packet.data)[-1].checksum for packet in packets}
    assert [found[number] for number in range(kind.count)] == wanted


def test_odd_sizes_are_completed_as_on_the_processor(machine: Machine, folder: Path, tmp_path: Path) -> None:
    """The column and the row that make a size even repeat their neighbours."""
    source = make(folder, Kind("odd-444", size=(151, 87), pixels="yuv444p"))
    checksums = []
    for switch in ("", "cpu"):
        with pytest.MonkeyPatch.context() as patch:
            patch.setenv(hardware_decode.SWITCH, switch)
            task = task_of(source, tmp_path)
            task.prepare(1)
            packets = runner.encode_ranges(task, runner.HARDWARE, [(0, 30)])
            task.abandon(keep=False)
        checksums.append([parse(packet.data)[-1].checksum for packet in packets])
    assert checksums[0] == checksums[1]


def test_the_switch_chooses_who_decodes(machine: Machine, h264: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    found = hardware_decode.decoder_on(runner.HARDWARE, h264)
    assert found is not None
    assert found.own is not None
    monkeypatch.setenv(hardware_decode.SWITCH, "ffmpeg")
    found = hardware_decode.decoder_on(runner.HARDWARE, h264)
    assert found is None or found.own is None
    monkeypatch.setenv(hardware_decode.SWITCH, "cpu")
    assert hardware_decode.decoder_on(runner.HARDWARE, h264) is None


def test_ffmpeg_copies_each_plane_on_the_default_stream(
    machine: Machine, h264: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The page on decoding says so: it is why decoders that FFmpeg drives hinder one another."""
    monkeypatch.setenv(hardware_decode.SWITCH, "ffmpeg")
    on_gpu = hardware_decode.decoder_on(runner.HARDWARE, h264)
    if on_gpu is None:
        assert not hasattr(av.VideoFrame, "sw_format"), "this PyAV could drive the decoder"
        return
    machine.reset()
    frames = [frame.pts for frame in frames_from(h264, index_source(h264), 0, Decoding(on_gpu=on_gpu))]
    assert machine.calls("cuda")["cuMemcpy2DAsync_v2"] == 2 * len(frames)
    assert machine.calls("decode")["cuvidUnmapVideoFrame64"] == len(frames)
    assert not [call for call in machine.calls("cuda") if call.startswith("cuStream")]


def test_a_format_is_tried_once(machine: Machine, folder: Path, tmp_path: Path) -> None:
    """A decoder of the chip is made for each of many short files, and not two."""
    clip, large = make(folder, Kind("h264")), make(folder, Kind("h264-large", size=(192, 128)))
    sources = [Path(shutil.copy(clip, tmp_path / f"{number}.mp4")) for number in range(5)]
    for source in [*sources, large]:
        decoding = Decoding(on_gpu=hardware_decode.decoder_on(runner.HARDWARE, source))
        assert all(isinstance(frame, DecodedFrame) for frame in frames_from(source, index_source(source), 0, decoding))
    assert machine.calls("decode")["cuvidCreateDecoder"] == len(sources) + 1 + 2


@pytest.mark.parametrize(
    "kind",
    [
        Kind("begins-later", container="ts"),
        Kind("begins-later", container="mkv"),
        Kind("begins-later", "libx265", size=(192, 160), container="ts"),
        Kind("begins-later", "libvpx-vp9", size=(160, 144), options={"preset": "", "bf": "0"}, container="webm"),
    ],
    ids=lambda kind: f"{kind.codec}-{kind.container}",
)
def test_a_recording_may_begin_within_a_group_of_pictures(
    machine: Machine, folder: Path, tmp_path: Path, kind: Kind
) -> None:
    """The trial begins with its first key frame, as those who decode it."""
    source = without(make(folder, kind), set(range(7)), tmp_path)
    index = index_source(source)
    on_gpu = hardware_decode.decoder_on(runner.HARDWARE, source)
    assert on_gpu is not None
    assert on_gpu.own is not None
    frames = list(frames_from(source, index, 0, Decoding(1, on_gpu=on_gpu)))
    assert all(isinstance(frame, DecodedFrame) for frame in frames)
    wanted = [(frame.pts, laid_out(frame)) for frame in frames_from(source, index, 0, Decoding(1))]
    assert len(wanted) >= 20
    assert_same(on_host(frames), wanted)


def test_a_gpu_that_cannot_decode_it_leaves_it_to_the_processor(simulator: Simulator, h264: Path) -> None:
    with simulator.machine(gpus={**L4["gpus"], "decoders": 0}):
        assert hardware_decode.decoder_on(runner.HARDWARE, h264) is None


def test_bits_that_an_encoder_would_drop_are_left_to_ffmpeg(machine: Machine, folder: Path) -> None:
    source = make(folder, Kind("twelve-bit", "libx265", "yuv420p12le", size=(192, 160), count=2, container="mkv"))
    found = hardware_decode.decoder_on(runner.HARDWARE, source)
    assert found is None or found.own is None


@pytest.mark.parametrize("damage", [damaged, without_sense])
def test_the_processor_goes_on_at_the_first_damage(
    simulator: Simulator, h264: Path, tmp_path: Path, damage: Any
) -> None:
    """Every frame that can be decoded is there, and the caller is told what was repeated, as without the GPU."""
    source = damage(h264, {12, 13}, tmp_path)
    index = index_source(source)
    told: dict[bool, list[int]] = {True: [], False: []}
    stumbled: list[str] = []
    shown: dict[bool, list[Any]] = {}
    with simulator.machine(**{**L4, "damage": [{"picture": 13, "status": 8}]}):
        for by_chip in (True, False):
            on_gpu = hardware_decode.decoder_on(runner.HARDWARE, source) if by_chip else None
            decoding = Decoding(1, on_gpu=on_gpu, on_stumble=lambda error: stumbled.append(str(error)))
            frames = frames_from(source, index, 0, decoding, told[by_chip].append)
            shown[by_chip] = [(frame.pts, isinstance(frame, DecodedFrame)) for frame in frames]
    assert all("damaged" in told or "missing" in told for told in stumbled)
    assert len(set(stumbled)) in (1, 2), "the GPU goes on behind the first damage, and finds the second"
    assert len(stumbled) <= 3, "it may find the first again: it was some frames ahead of what was shown"
    assert told[True] == told[False]
    assert [pts for pts, _ in shown[True]] == [pts for pts, _ in shown[False]]
    assert {is_chips for _, is_chips in shown[True]} == {True, False}
