"""The first packets of each part are decoded while the rest is encoded. If one is damaged, no file is made."""

from __future__ import annotations

import threading
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

import pytest

from files.runner import HARDWARE, SOFTWARE, encode_ranges, job, run
from media_samples import sample
from pdum.nvenc import FileTask, Packet, VerificationFailed
from pdum.nvenc._encoders.bitstreams import DECODERS
from pdum.nvenc._media import decode as _decode
from pdum.nvenc._media import sample as _sample
from pdum.nvenc._media import verify as _verify
from pdum.nvenc._media.sample import SAMPLED, SampledSink
from pdum.nvenc.events import EngineInfo

from simulator import Simulator

pytestmark = pytest.mark.one_abi

SOURCE = "open-gop"
CODECS = ("h264", "hevc", "av1")


class Nowhere:
    """A sink that discards everything."""

    def write(self, packets: Sequence[Packet]) -> None: ...

    def complete(self, last: int, header: bytes) -> int:
        return last + len(header)

    def discard(self) -> None: ...


@pytest.fixture(autouse=True)
def no_thread_is_left() -> Iterator[None]:
    yield
    assert not [thread.name for thread in threading.enumerate() if thread.name == "pdum.nvenc background call"]


@pytest.fixture
def decoded_from_file(monkeypatch: pytest.MonkeyPatch) -> dict[int, int]:
    """How many frames of the result were decoded, by the first frame of each place."""
    found: dict[int, int] = {}
    frames_from = _decode.frames_from

    def counted(path: Path, index: Any, first: int, *more: Any) -> Iterator[Any]:
        for frame in frames_from(path, index, first, *more):
            found[first] = found.get(first, 0) + 1
            yield frame

    monkeypatch.setattr(_verify, "frames_from", counted)
    return found


def packets_of(folder: Path, codec: str) -> list[Packet]:
    task = FileTask(job(sample(SOURCE), folder / "result.mkv", codec=codec, encoder={"preset": "p3", "cq": 28}))
    task.prepare(1)
    packets = encode_ranges(task, SOFTWARE, [(0, 12)])
    task.abandon(keep=False)
    return packets


def spoilt(packet: Packet) -> Packet:
    """A small part of the packet: FFmpeg accepts half of an HEVC picture as a whole one."""
    begin = packet.data[: len(packet.data) // 50]
    return Packet(packet.seq, begin, packet.keyframe, packet.pts, packet.dts, packet.pic_type)


@pytest.mark.parametrize("codec", CODECS)
@pytest.mark.parametrize("length", [1, 2, SAMPLED, SAMPLED + 1, 12])
@pytest.mark.parametrize("at_once", [1, 3, 12])
def test_whole_packets_pass(folder: Path, codec: str, length: int, at_once: int) -> None:
    packets = packets_of(folder, codec)[:length]
    sink = SampledSink(Nowhere(), 0, codec)
    for begin in range(0, length, at_once):
        sink.write(packets[begin : begin + at_once])
    assert not sink.is_whole
    assert sink.complete(length, b"..") == length + 2
    assert sink.is_whole
    sink.require()


@pytest.mark.parametrize("codec", CODECS)
@pytest.mark.parametrize("number", range(SAMPLED))
def test_a_spoilt_one_is_noticed(folder: Path, codec: str, number: int) -> None:
    packets = packets_of(folder, codec)
    packets[number] = spoilt(packets[number])
    sink = SampledSink(Nowhere(), 7, codec)
    sink.write(packets)
    sink.complete(12, b"")
    with pytest.raises(VerificationFailed, match=r"of 4 packets from frame 7 on, only [0-3] can be"):
        sink.require()


def test_a_picture_that_is_not_there_is_noticed() -> None:
    """FFmpeg does not complain about a missing picture."""
    delimiter = b"\x12\x00"
    sink = SampledSink(Nowhere(), 0, "av1")
    sink.write([Packet(0, delimiter, True, 0, 0, "I")])
    sink.complete(1, b"")
    with pytest.raises(VerificationFailed, match="of 1 packets from frame 0 on, only 0 can be decoded"):
        sink.require()


def test_a_running_decode_is_waited_for(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Even if the part is discarded meanwhile. The fixture checks that no thread is left."""
    go_on = threading.Event()
    monkeypatch.setattr(SampledSink, "_decode", lambda _: go_on.wait())
    task = FileTask(job(sample(SOURCE), folder / "result.mp4"))
    task.prepare(1)
    task.config(SOFTWARE)
    sink = task.sink(0)
    sink.write([Packet(seq, b"..", False, seq, seq, "P") for seq in range(SAMPLED)])
    sink.discard()
    threading.Timer(0.1, go_on.set).start()
    task.abandon(keep=False)


def test_cancelling_waits_for_one_packet_at_most(monkeypatch: pytest.MonkeyPatch) -> None:
    """Four packets of AV1 in 8K take more than a second."""
    go_on, taken = threading.Event(), []

    def slow(_: str, packets: Iterator[bytes], **more: Any) -> Iterator[None]:
        for packet in packets:
            taken.append(packet)
            go_on.wait()
            yield from ()

    monkeypatch.setattr(_sample, "decoded", slow)
    sink = SampledSink(Nowhere(), 0, "av1")
    sink.write([Packet(seq, b"..", False, seq, seq, "P") for seq in range(SAMPLED)])
    threading.Timer(0.1, go_on.set).start()
    sink.stop()
    assert len(taken) <= 1


def spoil_frame_20(monkeypatch: pytest.MonkeyPatch) -> None:
    write = SampledSink.write

    def spoil(self: SampledSink, packets: Sequence[Packet]) -> None:
        write(self, [spoilt(one) if one.seq == 20 else one for one in packets])

    monkeypatch.setattr(SampledSink, "write", spoil)


def require_no_file(folder: Path, engine: EngineInfo) -> None:
    task = FileTask(job(sample(SOURCE), folder / "result.mp4", segments=2), engine.kind)
    task.prepare(2)
    encode_ranges(task, engine, [(0, 20), (20, 40)])
    with pytest.raises(VerificationFailed, match="from frame 20 on"):
        task.finish()
    task.abandon(keep=False)
    assert list(folder.iterdir()) == []


def test_software_that_spoils_one_makes_no_file(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    spoil_frame_20(monkeypatch)
    require_no_file(folder, SOFTWARE)


def test_hardware_that_spoils_one_makes_no_file(
    simulator: Simulator, folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    spoil_frame_20(monkeypatch)
    with simulator.machine(gpus={"name": "RTX 5090", "fps_1080p": 0}, backend="codec"):
        require_no_file(folder, HARDWARE)


def test_of_the_file_itself_the_key_frames_are_decoded(folder: Path, decoded_from_file: dict[int, int]) -> None:
    """The last group of pictures has not been decoded before."""
    run(FileTask(job(sample(SOURCE), folder / "result.mp4")), cut=lambda frames: [(0, 25), (25, frames)])
    assert decoded_from_file == {0: 1, 25: 1, 35: SAMPLED}


@pytest.mark.parametrize("verify", ["structure", "full"])
def test_nothing_is_sampled_unless_requested(folder: Path, monkeypatch: pytest.MonkeyPatch, verify: str) -> None:
    monkeypatch.setattr(SampledSink, "_decode", lambda _: pytest.fail("it was decoded"))
    run(FileTask(job(sample(SOURCE), folder / "result.mp4", verify=verify)))


def test_pieces_of_an_earlier_run_are_decoded_from_the_file(folder: Path, decoded_from_file: dict[int, int]) -> None:
    first = FileTask(job(sample(SOURCE), folder / "result.mp4", keep_work=True), "software")
    first.prepare(1)
    encode_ranges(first, SOFTWARE, [(0, 20)])
    first.abandon(keep=True)
    run(FileTask(job(sample(SOURCE), folder / "result.mp4", keep_work=True), "software"))
    assert decoded_from_file == {0: SAMPLED, 20: 1, 30: SAMPLED}


def test_without_the_decoder_all_is_decoded_from_the_file(
    folder: Path, monkeypatch: pytest.MonkeyPatch, decoded_from_file: dict[int, int]
) -> None:
    monkeypatch.setitem(DECODERS, "h264", "not built in")
    run(FileTask(job(sample(SOURCE), folder / "result.mp4")), cut=lambda frames: [(0, 25), (25, frames)])
    assert decoded_from_file == {0: SAMPLED, 25: SAMPLED, 35: SAMPLED}


def test_a_part_that_is_done_again_is_judged_by_its_second_life(folder: Path) -> None:
    task = FileTask(job(sample(SOURCE), folder / "result.mp4"))
    task.prepare(1)
    packets = encode_ranges(task, SOFTWARE, [(0, 20)])
    failing = task.sink(20)
    failing.write([spoilt(packet) for packet in packets[:SAMPLED]])
    failing.discard()
    encode_ranges(task, SOFTWARE, [(20, 40)])
    assert task.finished().frames == 40
