"""Reconstructed frames: what a decoder will show, as an array on the GPU."""

from __future__ import annotations

import gc
import pickle
from typing import Any

import av
import numpy as np
import pytest

from control.coded import CHROMA, DEEP, HEIGHT, WIDTH, decoded, frame_of, planes_of
from control.driver_calls import GPU, Driver
from frames import OnlyDlpack, nv12
from pdum.nvenc import EncoderFailed, InvalidFrame, NvencEncoder, Packet

from simulator import Simulator, checksum, parse
from streams import Pixels

pytestmark = [pytest.mark.one_abi, pytest.mark.sanitize]


def written_as(form: str) -> str:
    return "nv12" if form == "yuv420" else form


PATTERNS = [
    ({"codec": "h264"}, "nv12"),
    ({"codec": "hevc"}, "nv12"),
    ({"codec": "av1"}, "nv12"),
    ({"codec": "h264", "slices": 3, "qp": 40, "tuning": "hq"}, "nv12"),
    ({"codec": "hevc"}, "p010"),
    ({"codec": "av1"}, "p010"),
    ({"codec": "h264"}, "yuv444"),
    ({"codec": "hevc"}, "yuv444_10"),
    ({"codec": "hevc"}, "yuv420"),
]


def planar(array: Any, form: str) -> list[Pixels]:
    """The planes of a reconstruction, with 10 bits in the low bits, as decoders have them."""
    pixels = array >> 6 if form in DEEP else array
    luma, rest = pixels[:HEIGHT], pixels[HEIGHT:]
    if CHROMA[form] == 3:
        return [luma, rest[:HEIGHT], rest[HEIGHT:]]
    return [luma, rest[:, 0::2], rest[:, 1::2]]


def planes_of_frame(frame: av.VideoFrame, form: str) -> list[Pixels]:
    kind = np.dtype(np.uint16 if form in DEEP else np.uint8)
    planes = []
    for plane in frame.planes:
        rows = np.frombuffer(plane, kind).reshape(plane.height, plane.line_size // kind.itemsize)
        planes.append(rows[:, : plane.width])
    return planes


def copies(packets: list[Packet]) -> list[Any]:
    """The pixels of their reconstructions."""
    return [np.asarray(packet.reconstruction) for packet in packets]


def without_memory(packets: list[Packet]) -> list[Packet]:
    """Pickled packets have no reconstruction."""
    found: list[Packet] = pickle.loads(pickle.dumps(packets))
    assert not any(packet.reconstruction for packet in found)
    return found


@pytest.mark.parametrize(("settings", "form"), PATTERNS, ids=str)
def test_it_is_what_a_decoder_shows(simulator: Simulator, settings: dict[str, Any], form: str) -> None:
    sources = [frame_of(planes, form) for planes in planes_of(form, 5)]
    with (
        simulator.machine(gpus=GPU, backend="codec"),
        NvencEncoder(WIDTH, HEIGHT, format=form, reconstruction=True, **settings) as encoder,
    ):
        packets = [packet for number, frame in enumerate(sources) for packet in encoder.submit(frame, number)]
        assert {packet.reconstruction.format for packet in packets if packet.reconstruction} == {written_as(form)}
        arrays, packets = copies(packets), without_memory(packets)
    shown = decoded(packets, settings["codec"])
    assert len(shown) == len(arrays) == 5
    for array, frame in zip(arrays, shown, strict=True):
        for ours, theirs in zip(planar(array, written_as(form)), planes_of_frame(frame, form), strict=True):
            assert np.array_equal(ours, theirs)
    assert form == "yuv420" or not np.array_equal(arrays[-1], sources[-1]), "coding loses something"


def on_gpu(simulator: Simulator, **settings: Any) -> Any:
    return simulator.machine(gpus=GPU, backend="echo", **settings)


def taken(encoder: NvencEncoder, number: int) -> Any:
    (packet,) = encoder.submit(nv12(WIDTH, HEIGHT, number), number)
    return packet.reconstruction


@pytest.mark.parametrize("wrap", [lambda frame: frame, OnlyDlpack], ids=["array interface", "dlpack"])
def test_it_is_an_array_on_the_gpu(abi: str, simulator: Simulator, wrap: Any) -> None:
    """Another encoder reads it where it lies."""
    with (
        on_gpu(simulator),
        NvencEncoder(WIDTH, HEIGHT, reconstruction=True) as encoder,
        NvencEncoder(WIDTH, HEIGHT) as other,
    ):
        frame = taken(encoder, 7)
        assert (frame.shape, frame.width, frame.height) == ((HEIGHT * 3 // 2, WIDTH), WIDTH, HEIGHT)
        assert frame.__dlpack_device__() == (2, 0)
        (unit,) = parse(other.encode(wrap(frame)))
        assert unit.checksum == checksum(nv12(WIDTH, HEIGHT, 7))
        assert "nv12" in repr(frame)
        del frame


def test_memory_is_used_again_and_only_when_nobody_reads_it(abi: str, simulator: Simulator) -> None:
    with on_gpu(simulator) as machine, NvencEncoder(WIDTH, HEIGHT, reconstruction=True) as encoder:
        for number in range(6):
            taken(encoder, number)
        registered = machine.live()["registered"]
        kept = [taken(encoder, number) for number in range(10, 14)]
        more = machine.live()["registered"]
        assert more == registered + 3, "one was there already"
        for number, frame in enumerate(kept, 10):
            assert np.array_equal(np.asarray(frame), nv12(WIDTH, HEIGHT, number))
        frame = None
        kept.clear()
        for number in range(6):
            taken(encoder, number)
        assert machine.live()["registered"] == more


def test_a_picture_that_is_refused_gives_its_memory_back(abi: str, simulator: Simulator) -> None:
    fault = {"call": "nvEncEncodePicture", "nth": 2, "status": 20}
    with (
        on_gpu(simulator, faults=[fault]) as machine,
        NvencEncoder(WIDTH, HEIGHT, reconstruction=True) as encoder,
    ):
        taken(encoder, 0)
        registered = machine.live()["registered"]
        with pytest.raises(EncoderFailed):
            taken(encoder, 1)
        assert not machine.live().get("mapped")
        for number in range(2, 5):
            taken(encoder, number)
        assert machine.live()["registered"] == registered


def test_it_stays_mapped_if_the_engine_may_still_write(abi: str, simulator: Simulator) -> None:
    """Nobody knows when the engine is done with a picture whose stream could not be ended, in two attempts."""
    faults = [{"call": "nvEncEncodePicture", "nth": nth, "status": 20} for nth in (3, 4)]
    encoder: Any = None
    with simulator.machine(check=False, gpus=GPU, backend="echo", faults=faults) as machine:
        encoder = NvencEncoder(WIDTH, HEIGHT, reconstruction=True, extra_output_delay=2, tuning="hq", lookahead=3)
        for number in range(2):
            encoder.submit(nv12(WIDTH, HEIGHT, number), number)
        with pytest.raises(EncoderFailed):
            encoder.close()
        assert not [one for one in machine.violations() if one["call"] == "nvEncUnmapInputResource"]
        del encoder
        gc.collect()


def test_it_outlives_its_packet_and_its_encoder(abi: str, simulator: Simulator) -> None:
    with on_gpu(simulator) as machine:
        encoder = NvencEncoder(WIDTH, HEIGHT, reconstruction=True, extra_output_delay=2)
        for number in range(3):
            found = encoder.submit(nv12(WIDTH, HEIGHT, number), number)
        frame = found[0].reconstruction
        encoder.close()  # with two frames in flight
        assert np.array_equal(np.asarray(frame), nv12(WIDTH, HEIGHT, 0))
        assert not any(machine.live().values())
        assert simulator.live("cuda").get("device_allocations", 0) == 1
        del found, frame, encoder
        gc.collect()
        assert not simulator.live("cuda").get("device_allocations")


def test_it_can_be_given_back_early(simulator: Simulator) -> None:
    with on_gpu(simulator), NvencEncoder(WIDTH, HEIGHT, reconstruction=True) as encoder:
        with taken(encoder, 1) as frame:
            assert np.asarray(frame, dtype=np.uint16).dtype == np.uint16
            assert frame.__array__(np.dtype(np.uint16)).dtype == np.uint16
        frame.release()
        for use in (np.asarray, lambda one: one.__dlpack__(), lambda one: one.__cuda_array_interface__):
            with pytest.raises(InvalidFrame, match="given back"):
                use(frame)


def test_it_follows_a_change_of_size_and_another_session(abi: str, simulator: Simulator) -> None:
    lacking = {**GPU, "caps": {"SUPPORT_DYN_RCMODE_CHANGE": 0}}
    with (
        simulator.machine(gpus=lacking, backend="echo"),
        NvencEncoder(WIDTH, HEIGHT, reconstruction=True, extra_output_delay=2, max_width=320, bitrate=10**6) as encoder,
    ):
        found = encoder.submit(nv12(WIDTH, HEIGHT, 0), 0)
        encoder.reconfigure(width=320)
        found += encoder.submit(nv12(320, HEIGHT, 1), 1)
        encoder.reconfigure(rate_control="vbr")  # takes another session
        found += encoder.submit(nv12(320, HEIGHT, 2), 2)
        found += encoder.flush_pipeline()
        arrays = copies(found)
        found.clear()
    for number, (array, width) in enumerate(zip(arrays, [WIDTH, 320, 320], strict=True)):
        assert np.array_equal(array, nv12(width, HEIGHT, number))


def test_a_lookahead_keeps_each_with_its_picture(abi: str, simulator: Simulator) -> None:
    with on_gpu(simulator), NvencEncoder(WIDTH, HEIGHT, reconstruction=True, tuning="hq", lookahead=3) as encoder:
        found = [packet for n in range(8) for packet in encoder.submit(nv12(WIDTH, HEIGHT, n), n)]
        found += encoder.flush_pipeline()
        arrays, found = copies(found), without_memory(found)
    assert [packet.seq for packet in found] == list(range(8))
    for number, array in enumerate(arrays):
        assert np.array_equal(array, nv12(WIDTH, HEIGHT, number))


def test_each_picture_asks_for_it(abi: str, driver: Driver) -> None:
    def use(encoder: NvencEncoder) -> None:
        for number in range(3):
            encoder.submit(nv12(256, 160, number), number)

    calls = driver.calls(use, name="nvEncEncodePicture", reconstruction=True)
    pictures = [call.args for call in calls if call.args.get("inputBuffer")]
    assert all(picture["encodePicFlags"] & 32 and picture["outputReconBuffer"] for picture in pictures)
    calls = driver.calls(use, name="nvEncEncodePicture")
    assert not any(call.args.get("outputReconBuffer") for call in calls)


def test_without_the_setting_packets_have_none(simulator: Simulator) -> None:
    with on_gpu(simulator), NvencEncoder(WIDTH, HEIGHT) as encoder:
        assert taken(encoder, 0) is None
