"""The simulated libnvcuvid with a client that keeps the rules."""

from __future__ import annotations

import ctypes
import time
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

import field_coded
from driver_tests.decode_client import COUNT, HEIGHT, WIDTH, Player, bench, by_processor, stream

from simulator import Simulator
from simulator.cuvid import END_OF_PICTURE, H264, HEVC, LAYOUTS, Callback, Decoder, Error, Parser, struct

INVALID_VALUE, UNKNOWN, NOT_SUPPORTED = 1, 999, 801
SUCCEEDED, BROKEN, MENDED = 2, 8, 9
AV1, MPEG2, VC1 = 11, 1, 3


@pytest.fixture(scope="module")
def simulator(nvsim_dir: Path) -> Simulator:
    return Simulator()


# What comes out.


@pytest.mark.parametrize("delay", [0, 3])
@pytest.mark.parametrize("b_frames", [0, 2])
@pytest.mark.parametrize("flags", [0, END_OF_PICTURE], ids=["open", "whole"])
def test_pictures_in_order_with_their_times(simulator: Simulator, delay: int, b_frames: int, flags: int) -> None:
    units = stream(b_frames=b_frames)
    with bench(simulator) as (_, lib):
        player = Player(lib, delay)
        for number, unit in enumerate(units):
            player.parser.parse(unit, flags, timestamp=1000 * number)
        player.parser.end(notify=True)
        player.close()
    assert tuple(player.pictures) == by_processor(units)
    assert set(player.statuses) == {SUCCEEDED}
    times = [timestamp for _, timestamp in player.parser.shown]
    assert times == [1000 * number for number in range(COUNT)], "an H200 gives increasing times, around B-frames too"
    assert player.parser.ended == 1


def test_rows_begin_at_the_pitch_and_chroma_after_an_even_number_of_them(simulator: Simulator) -> None:
    with bench(simulator) as (_, lib):
        decoder = Decoder(lib, 320, 192, ulTargetWidth=318, ulTargetHeight=178)
        parser = Parser(lib)

        def decode(picture: Any) -> int:
            decoder.decode(picture)
            return 1

        parser.decode = decode  # type: ignore[method-assign]
        parser.parse(stream()[0], END_OF_PICTURE)
        address, pitch = decoder.map(parser.decoded[0])
        assert pitch == 512
        base, size = ctypes.c_uint64(), ctypes.c_size_t()
        ctypes.CDLL("libcuda.so.1").cuMemGetAddressRange_v2(
            ctypes.byref(base), ctypes.byref(size), ctypes.c_uint64(address)
        )
        assert size.value == pitch * 178 * 3 // 2
        decoder.unmap(address)
        decoder.close()
        parser.close()


@given(st.lists(st.integers(1, 4000), max_size=12))
@settings(max_examples=10)
def test_a_stream_in_any_pieces_is_the_same_stream(nvsim_dir: Path, pieces: list[int]) -> None:
    units = stream()
    data = b"".join(units)
    cuts = [sum(pieces[:count]) for count in range(len(pieces) + 1)]
    with bench(Simulator()) as (_, lib):
        player = Player(lib)
        for start, end in zip(cuts, [*cuts[1:], len(data)], strict=True):
            player.parser.parse(data[start:end])
        player.parser.end()
        player.close()
    assert tuple(player.pictures) == by_processor(units)


def test_fields_make_a_picture(simulator: Simulator) -> None:
    """Two fields go into one surface, and one call shows them."""
    planes = [[plane_of(number, *size) for size in ((64, 128), (32, 64), (32, 64))] for number in range(6)]
    units = tuple(field_coded.access_units(planes, 25, 3))
    with bench(simulator) as (_, lib):
        player = Player(lib)
        for unit in units:
            player.parser.parse(unit)
        player.parser.end()
        player.close()
    first, second = player.parser.decoded[::2], player.parser.decoded[1::2]
    assert first == second
    assert len(player.parser.shown) == 6
    whole = [b"".join((luma.tobytes(), np.dstack(chroma).tobytes())) for luma, *chroma in planes]
    assert player.pictures == whole


def plane_of(seed: int, height: int, width: int) -> np.ndarray[Any, Any]:
    return np.random.default_rng(seed).integers(1, 255, (height, width), dtype=np.uint8)


@pytest.mark.parametrize("start", [0, 1])
def test_a_stream_that_begins_at_an_open_gop(simulator: Simulator, start: int) -> None:
    """What refers to pictures before the beginning is left out, as the processor's decoder leaves it out."""
    units = stream(192, 160, 20, codec="hevc")
    keys = [number for number, unit in enumerate(units) if b"\0\0\1\x40" in unit]  # with a video parameter set
    units = units[keys[start] :]
    with bench(simulator) as (_, lib):
        player = Player(lib, codec=HEVC)
        for unit in units:
            player.parser.parse(unit)
        player.parser.end()
        player.close()
    assert tuple(player.pictures) == by_processor(units, "hevc")
    assert (len(player.pictures) < len(units)) == (start > 0)


def test_decoders_side_by_side(simulator: Simulator) -> None:
    units = stream(count=24)
    with bench(simulator) as (_, lib):
        context = ctypes.c_void_p()
        cuda = ctypes.CDLL("libcuda.so.1")
        cuda.cuCtxGetCurrent(ctypes.byref(context))

        def play() -> tuple[bytes, ...]:
            cuda.cuCtxSetCurrent(context)
            player = decode_all(lib, units)
            player.close()
            return tuple(player.pictures)

        with ThreadPoolExecutor(6) as threads:
            played = [future.result() for future in [threads.submit(play) for _ in range(6)]]
    assert set(played) == {by_processor(units)}


# The parser.


def test_messages_are_told_with_their_picture(simulator: Simulator) -> None:
    told: list[tuple[int, int, bytes]] = []

    def message(_: Any, pointer: int) -> int:
        info = LAYOUTS.class_of("CUVIDSEIMESSAGEINFO").from_address(pointer)
        first = LAYOUTS.class_of("CUSEIMESSAGE").from_address(info.pSEIMessage)
        told.append((info.picIdx, first.sei_message_type, ctypes.string_at(info.pSEIData, first.sei_message_size)))
        return 1

    with bench(simulator) as (_, lib):
        callback = Callback(message)
        parser = Parser(lib, pfnGetSEIMsg=ctypes.cast(callback, ctypes.c_void_p), surfaces=20)
        parser.parse(stream()[0], END_OF_PICTURE)
        parser.close()
    ((index, kind, payload),) = told
    assert index == parser.decoded[0]
    assert kind == 5  # user data of x264
    assert b"x264" in payload


def test_what_it_tells_of_a_sequence(simulator: Simulator) -> None:
    with bench(simulator) as (_, lib):
        parser = Parser(lib)
        parser.sequence = lambda form: 20  # type: ignore[method-assign]
        parser.parse(stream()[0], END_OF_PICTURE)
        parser.close()
    (form,) = parser.formats
    area = form.display_area
    assert (form.coded_width, form.coded_height) == (320, 192)
    assert (area.left, area.top, area.right, area.bottom) == (0, 0, WIDTH, HEIGHT)
    assert (form.frame_rate.numerator, form.frame_rate.denominator) == (25, 1)
    assert (form.codec, form.chroma_format, form.progressive_sequence) == (H264, 1, 1)
    assert 2 <= form.min_num_decode_surfaces <= 17


def test_display_lags_by_the_delay(simulator: Simulator) -> None:
    units = stream(b_frames=0)
    with bench(simulator) as (_, lib):
        lags = []
        for delay in (0, 1, 4):
            parser = Parser(lib, delay=delay, surfaces=20)
            parser.sequence = lambda form: 20  # type: ignore[method-assign]
            for unit in units:
                parser.parse(unit, END_OF_PICTURE)
            lags.append(len(parser.decoded) - len(parser.shown))
            parser.end()
            assert len(parser.shown) == len(units)
            parser.close()
    assert lags == [0, 1, 4]


def test_a_surface_waits_until_it_was_shown(simulator: Simulator) -> None:
    """No index is decoded into between its decoding and its display."""
    with bench(simulator) as (_, lib):
        parser = Parser(lib, delay=2)
        waiting: set[int] = set()

        def decode(picture: Any) -> int:
            assert picture.CurrPicIdx not in waiting
            waiting.add(picture.CurrPicIdx)
            return 1

        def display(index: int, timestamp: int) -> int:
            waiting.remove(index)
            return 1

        parser.decode, parser.display = decode, display  # type: ignore[method-assign]
        for unit in stream(count=30):
            parser.parse(unit)
        parser.end()
        parser.close()
    assert not waiting
    assert len(parser.decoded) == 30


def test_a_size_that_changes_is_a_new_sequence(simulator: Simulator) -> None:
    small, large = stream(), stream(352, 288)
    with bench(simulator) as (_, lib):
        player = Player(lib)
        for unit in (*small, *large):
            player.parser.parse(unit)
        player.parser.end()
        player.close()
    assert [form.coded_width for form in player.parser.formats] == [320, 352]
    assert tuple(player.pictures) == by_processor(small) + by_processor(large)


def test_after_the_end_a_stream_begins_with_its_headers(simulator: Simulator) -> None:
    units = stream()
    with bench(simulator) as (_, lib):
        player = Player(lib)
        player.parser.parse(units[0])
        player.parser.end()
        player.parser.parse(units[1])  # without headers there is nothing to decode
        player.parser.end()
        assert len(player.parser.decoded) == 1
        for unit in units:
            player.parser.parse(unit)
        player.parser.end()
        player.close()
    assert len(player.parser.formats) == 2
    assert tuple(player.pictures[1:]) == by_processor(units)


@pytest.mark.parametrize("callback", ["sequence", "decode", "display"])
def test_a_callback_that_fails_fails_the_call(simulator: Simulator, callback: str) -> None:
    with bench(simulator) as (_, lib):
        parser = Parser(lib)
        setattr(parser, callback, lambda *_: 0)
        with pytest.raises(Error) as failed:
            parser.parse(b"".join(stream(b_frames=0)), END_OF_PICTURE)
        assert failed.value.status == UNKNOWN
        parser.close()


def test_times_that_packets_lack_are_estimated(simulator: Simulator) -> None:
    with bench(simulator) as (_, lib):
        parser = Parser(lib, ulClockRate=1000)
        for unit in stream():
            parser.parse(unit)
        parser.end()
        parser.close()
    assert [timestamp for _, timestamp in parser.shown] == [40 * number for number in range(COUNT)]


# The machine.


def caps(lib: Any, codec: int, chroma: int = 1, depth: int = 8) -> Any:
    answer = struct("CUVIDDECODECAPS", eCodecType=codec, eChromaFormat=chroma, nBitDepthMinus8=depth - 8)
    lib.cuvidGetDecoderCaps(ctypes.byref(answer))
    return answer


@pytest.mark.parametrize(
    ("gpu", "codec", "chroma", "depth", "supported"),
    [
        ("L4", H264, 1, 8, True),
        ("L4", H264, 1, 10, False),
        ("L4", HEVC, 3, 10, True),
        ("L4", AV1, 1, 10, True),
        ("A100", AV1, 1, 8, False),
        ("GTX 1080", HEVC, 3, 8, False),
        ("RTX 5090", H264, 1, 10, True),
        ("RTX 5090", HEVC, 2, 8, True),
        ("L4", VC1, 1, 8, True),
        ("L4", VC1, 1, 10, False),
        ({"name": "L4", "decoders": 0}, H264, 1, 8, False),
        ({"name": "L4", "decode_codecs": ["hevc"]}, H264, 1, 8, False),
    ],
)
def test_capabilities(simulator: Simulator, gpu: Any, codec: int, chroma: int, depth: int, supported: bool) -> None:
    with bench(simulator, gpus=[gpu]) as (_, lib):
        answer = caps(lib, codec, chroma, depth)
    assert bool(answer.bIsSupported) == supported
    assert bool(answer.nOutputFormatMask) == supported


def test_boards_have_their_number_of_decoders(simulator: Simulator) -> None:
    found = {}
    for gpu in ("RTX 4090", "L4", "H100"):
        with bench(simulator, gpus=[gpu]) as (_, lib):
            found[gpu] = caps(lib, HEVC).nNumNVDECs
    assert found == {"RTX 4090": 1, "L4": 4, "H100": 7}


def decode_all(lib: Any, units: tuple[bytes, ...]) -> Player:
    player = Player(lib)
    for unit in units:
        player.parser.parse(unit)
    player.parser.end()
    return player


def test_a_decoder_keeps_its_rate(simulator: Simulator) -> None:
    """It never works faster than it is said to. A picture of this size is 1/33.75 of one of 1920x1080."""
    rate = 1.0
    with bench(simulator, gpus=[{"name": "L4", "decode_fps_1080p": rate}]) as (_, lib):
        before = time.monotonic()
        decode_all(lib, stream()).close()
        assert time.monotonic() - before >= COUNT * (320 * 192) / (1920 * 1080) / rate * 0.99


def test_nvml_tells_how_busy_the_decoders_are(simulator: Simulator, tmp_path: Path) -> None:
    gpu = {"name": "L4", "decoders": 1, "decode_fps_1080p": 2}
    nvml = simulator.libraries["nvml"].handle
    with bench(simulator, gpus=[gpu], state=str(tmp_path / "state")) as (_, lib):
        handle, percent, period = ctypes.c_void_p(), ctypes.c_uint(), ctypes.c_uint()
        assert nvml.nvmlInit_v2() == 0
        assert nvml.nvmlDeviceGetHandleByIndex_v2(0, ctypes.byref(handle)) == 0
        player = decode_all(lib, stream())
        assert nvml.nvmlDeviceGetDecoderUtilization(handle, ctypes.byref(percent), ctypes.byref(period)) == 0
        busy = percent.value
        player.close()
        assert nvml.nvmlDeviceGetDecoderUtilization(handle, ctypes.byref(percent), ctypes.byref(period)) == 0
        nvml.nvmlShutdown()
    assert 0 < busy <= 100
    assert percent.value == 0


def test_surfaces_take_device_memory(simulator: Simulator) -> None:
    cuda = ctypes.CDLL("libcuda.so.1")

    def free() -> int:
        left, total = ctypes.c_size_t(), ctypes.c_size_t()
        assert cuda.cuMemGetInfo_v2(ctypes.byref(left), ctypes.byref(total)) == 0
        return left.value

    with bench(simulator) as (_, lib):
        before = free()
        decoder = Decoder(lib, 1920, 1088, ulNumDecodeSurfaces=10, ulNumOutputSurfaces=2)
        assert before - free() >= 12 * 1920 * 1088 * 3 // 2
        decoder.close()
        assert free() == before


# Failing on purpose.


def test_damaged_pictures(simulator: Simulator) -> None:
    damage = [{"picture": 1, "status": MENDED}, {"picture": 4, "status": BROKEN}]
    units = stream(b_frames=0)
    with bench(simulator, damage=damage) as (_, lib):
        player = decode_all(lib, units)
        player.close()
    assert player.statuses == [MENDED, 2, 2, BROKEN, *[2] * (COUNT - 4)]
    right = by_processor(units)
    assert [number for number in range(COUNT) if player.pictures[number] != right[number]] == [3]


def test_a_call_that_fails(simulator: Simulator) -> None:
    faults = [{"call": "cuvidCreateDecoder", "nth": 1, "status": 2}]
    with bench(simulator, faults=faults) as (_, lib):
        with pytest.raises(Error) as failed:
            Decoder(lib, 320, 192)
        assert failed.value.status == 2
        Decoder(lib, 320, 192).close()


def test_a_lost_device_ends_all_waiting(simulator: Simulator) -> None:
    stall = [{"decoder": 0, "after_frames": 3, "device_lost": True}]
    with bench(simulator, check=False, gpus=[{"name": "L4", "decoders": 1}], stall=stall) as (_, lib):
        player = Player(lib)
        seen: list[int] = []

        def decode(picture: Any) -> int:
            try:
                player.decoder.decode(picture)
                player.decoder.map(picture.CurrPicIdx)
            except Error as error:
                seen.append(error.status)
                return 0
            return 1

        player.parser.decode = decode  # type: ignore[method-assign]
        player.settings["ulNumOutputSurfaces"] = 8
        with pytest.raises(Error):
            player.parser.parse(b"".join(stream()), END_OF_PICTURE)
        assert seen == [UNKNOWN]
        assert len(player.parser.decoded) == 4
        player.close()


def test_broken_data_never_end_the_process(simulator: Simulator) -> None:
    units = [bytearray(unit) for unit in stream()]
    for number, unit in enumerate(units[1:]):
        unit[len(unit) // 2 : len(unit) // 2 + 40] = bytes((number * 37 + i * 11) % 256 for i in range(40))
    with bench(simulator) as (_, lib):
        player = Player(lib)
        for unit in units:
            player.parser.parse(bytes(unit))
        player.parser.end()
        player.close()
    assert len(player.pictures) == COUNT
