"""What the simulated libnvcuvid refuses, and what it records as a violation."""

from __future__ import annotations

import ctypes
import threading
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from driver_tests.decode_client import bench, stream

from simulator import Simulator
from simulator.cuvid import END_OF_PICTURE, H264, HEVC, Decoder, Error, Library, Parser, struct

SUCCESS, INVALID_VALUE, INVALID_CONTEXT, MAP_FAILED, INVALID_HANDLE, NOT_SUPPORTED = 0, 1, 201, 205, 400, 801


@pytest.fixture(scope="module")
def simulator(nvsim_dir: Path) -> Simulator:
    return Simulator()


def refused(call: Callable[..., Any], *arguments: Any, **fields: Any) -> int:
    with pytest.raises(Error) as error:
        call(*arguments, **fields)
    return error.value.status


@pytest.mark.parametrize(
    ("fields", "words"),
    [
        ({"ulNumDecodeSurfaces": 0}, "ulNumDecodeSurfaces is 0"),
        ({"ulNumDecodeSurfaces": 33}, "from 1 to 32"),
        ({"ulNumOutputSurfaces": 0}, "ulNumOutputSurfaces is 0"),
        ({"ulNumOutputSurfaces": 65}, "from 1 to 64"),
        ({"ulTargetWidth": 319}, "has to be even"),
        ({"ulTargetHeight": 0}, "has to be even"),
        ({"OutputFormat": 1}, "nOutputFormatMask"),
        ({"DeinterlaceMode": 3}, "does not exist"),
        ({"Reserved1": 1}, "reserved words"),
    ],
)
def test_settings_of_a_decoder_that_break_a_rule(simulator: Simulator, fields: dict[str, int], words: str) -> None:
    with bench(simulator, check=False) as (machine, lib):
        assert refused(Decoder, lib, 320, 192, **fields) == INVALID_VALUE
        (violation,) = machine.violations()
        assert words in violation["message"]
        assert machine.live("decode") == {}


@pytest.mark.parametrize(
    ("size", "fields", "status"),
    [
        ((32, 192), {}, INVALID_VALUE),
        ((4112, 192), {}, INVALID_VALUE),
        ((320, 192), {"ulMaxWidth": 8192}, INVALID_VALUE),
        ((320, 192), {"bitDepthMinus8": 2}, NOT_SUPPORTED),
        ((320, 192), {"CodecType": 3, "bitDepthMinus8": 2}, NOT_SUPPORTED),
        ((128, 144), {"CodecType": HEVC}, INVALID_VALUE),
    ],
)
def test_what_the_gpu_cannot_do_is_no_breach(
    simulator: Simulator, size: tuple[int, int], fields: dict[str, int], status: int
) -> None:
    with bench(simulator) as (_, lib):
        assert refused(Decoder, lib, *size, **fields) == status


def test_nothing_works_without_a_context(simulator: Simulator) -> None:
    with simulator.machine(check=False) as machine:
        lib = Library()
        assert refused(Decoder, lib, 320, 192) == INVALID_CONTEXT
        caps = struct("CUVIDDECODECAPS", eCodecType=H264, eChromaFormat=1)
        assert lib.handle.cuvidGetDecoderCaps(ctypes.byref(caps)) == INVALID_CONTEXT
        assert {violation["message"] for violation in machine.violations()} == {"no CUDA context is current"}


class Bench:
    """A decoder with one decoded picture."""

    def __init__(self, lib: Library, **fields: Any) -> None:
        self.decoder = Decoder(lib, 320, 192, **fields)
        self.parser = Parser(lib)
        self.parser.sequence = lambda form: 8  # type: ignore[method-assign]
        self.parser.decode = self.decode  # type: ignore[method-assign]
        self.picture: Any = None
        self.parser.parse(stream()[0], END_OF_PICTURE)

    def decode(self, picture: Any) -> int:
        self.index = picture.CurrPicIdx
        self.decoder.decode(picture)
        return 1

    def close(self) -> None:
        self.parser.close()
        self.decoder.close()


def messages(machine: Any) -> list[str]:
    return [violation["message"] for violation in machine.violations()]


def test_no_more_frames_are_mapped_than_outputs(simulator: Simulator) -> None:
    with bench(simulator, check=False) as (machine, lib):
        rig = Bench(lib, ulNumOutputSurfaces=2)
        addresses = [rig.decoder.map(rig.index)[0] for _ in range(2)]
        assert len(set(addresses)) == 2
        assert refused(rig.decoder.map, rig.index) == MAP_FAILED
        assert machine.live("decode")["mapped_frames"] == 2
        rig.decoder.unmap(addresses[0])
        assert rig.decoder.map(rig.index)[0] == addresses[0]
        for address in addresses:
            rig.decoder.unmap(address)
        rig.close()
        assert messages(machine) == [f"picture {rig.index} is mapped while all 2 output surfaces are mapped"]


def test_frames_are_unmapped_once(simulator: Simulator) -> None:
    with bench(simulator, check=False) as (machine, lib):
        rig = Bench(lib)
        address, _ = rig.decoder.map(rig.index)
        rig.decoder.unmap(address)
        assert refused(rig.decoder.unmap, address) == INVALID_VALUE
        assert refused(rig.decoder.unmap, address + 4) == INVALID_VALUE
        rig.close()
        assert messages(machine) == ["the frame was unmapped already", "the address is not that of a mapped frame"]


def test_only_decoded_surfaces_are_mapped(simulator: Simulator) -> None:
    with bench(simulator, check=False) as (machine, lib):
        rig = Bench(lib)
        assert refused(rig.decoder.map, 7) == INVALID_VALUE
        assert refused(rig.decoder.map, 8) == INVALID_VALUE
        assert refused(rig.decoder.map, rig.index, reserved_zero=1) == INVALID_VALUE
        rig.close()
        assert [message.split()[0] for message in messages(machine)] == ["no", "picture", "reserved"]


def test_a_decoder_is_destroyed_with_a_mapped_frame(simulator: Simulator) -> None:
    with bench(simulator, check=False) as (machine, lib):
        rig = Bench(lib)
        rig.decoder.map(rig.index)
        rig.close()
        assert messages(machine) == ["destroyed with 1 frame(s) mapped"]
        assert machine.live("decode") == {}


def test_a_mapped_surface_is_not_decoded_into(simulator: Simulator) -> None:
    with bench(simulator, check=False) as (machine, lib):
        rig = Bench(lib)
        address, _ = rig.decoder.map(rig.index)
        mapped = rig.index

        def decode(picture: Any) -> int:
            picture.CurrPicIdx = mapped
            rig.decoder.decode(picture)
            return 1

        rig.parser.decode = decode  # type: ignore[method-assign]
        rig.parser.parse(stream()[1], END_OF_PICTURE)
        rig.decoder.unmap(address)
        rig.close()
        assert messages(machine) == [f"a picture is decoded into surface {mapped} while it is mapped"]


@pytest.mark.parametrize(
    ("field", "value", "words"),
    [
        ("CurrPicIdx", 8, "picture index 8 of 8"),
        ("CurrPicIdx", -1, "picture index -1"),
        ("nBitstreamDataLen", 0, "no bitstream"),
        ("PicWidthInMbs", 40, "40x12 macroblocks"),
        ("pSliceDataOffsets", None, "no offsets"),
    ],
)
def test_pictures_that_break_a_rule(simulator: Simulator, field: str, value: Any, words: str) -> None:
    with bench(simulator, check=False) as (machine, lib):
        rig = Bench(lib)
        statuses = []

        def decode(picture: Any) -> int:
            setattr(picture, field, value)
            statuses.append(refused(rig.decoder.decode, picture))
            return 1

        rig.parser.decode = decode  # type: ignore[method-assign]
        rig.parser.parse(stream()[1], END_OF_PICTURE)
        rig.close()
        assert statuses == [INVALID_VALUE]
        assert words in messages(machine)[0]


def test_handles_of_what_is_gone(simulator: Simulator) -> None:
    with bench(simulator, check=False) as (machine, lib):
        rig = Bench(lib)
        rig.close()
        assert refused(rig.decoder.map, rig.index) == INVALID_HANDLE
        assert refused(rig.decoder.close) == INVALID_HANDLE
        assert refused(rig.parser.end) == INVALID_HANDLE
        assert lib.handle.cuvidDestroyVideoParser(ctypes.c_void_p(1)) == INVALID_HANDLE
        assert messages(machine) == [*["this handle was destroyed"] * 3, "this handle never was one"]


def test_reconfiguring(simulator: Simulator) -> None:
    with bench(simulator, check=False) as (machine, lib):
        rig = Bench(lib, ulMaxWidth=640, ulMaxHeight=384)
        address, _ = rig.decoder.map(rig.index)
        assert refused(rig.decoder.reconfigure, 640, 384) == INVALID_VALUE
        rig.decoder.unmap(address)
        assert refused(rig.decoder.reconfigure, 656, 384) == INVALID_VALUE
        rig.decoder.reconfigure(640, 384, surfaces=12)
        assert refused(rig.decoder.map, rig.index) == INVALID_VALUE  # what was decoded before is gone
        rig.close()
        assert messages(machine)[0] == "reconfigured with 1 frame(s) mapped"


def test_a_parser_with_too_few_surfaces(simulator: Simulator) -> None:
    with bench(simulator, check=False) as (machine, lib):
        parser = Parser(lib, surfaces=1)
        parser.sequence = lambda form: 1  # type: ignore[method-assign]
        parser.parse(stream()[0], END_OF_PICTURE)
        parser.close()
        assert "and the parser was given 1" in messages(machine)[0]


@pytest.mark.parametrize(
    ("fields", "words"),
    [
        ({"uReserved": 1}, "reserved words"),
        ({"surfaces": 0}, "ulMaxNumDecodeSurfaces is 0"),
        ({"pfnDecodePicture": None}, "is null"),
    ],
)
def test_settings_of_a_parser_that_break_a_rule(simulator: Simulator, fields: dict[str, Any], words: str) -> None:
    with bench(simulator, check=False) as (machine, lib):
        assert refused(Parser, lib, **fields) == INVALID_VALUE
        assert words in messages(machine)[0]


def test_packets_that_break_a_rule(simulator: Simulator) -> None:
    with bench(simulator, check=False) as (machine, lib):
        parser = Parser(lib)
        assert refused(parser.parse, b"", 64) == INVALID_VALUE
        packet = struct("CUVIDSOURCEDATAPACKET", payload_size=10)
        assert lib.handle.cuvidParseVideoData(parser.handle, ctypes.byref(packet)) == INVALID_VALUE
        parser.close()
        assert len(messages(machine)) == 2


def test_the_lock_of_a_context(simulator: Simulator) -> None:
    with bench(simulator, check=False) as (machine, lib):
        context, lock = ctypes.c_void_p(), ctypes.c_void_p()
        ctypes.CDLL("libcuda.so.1").cuCtxGetCurrent(ctypes.byref(context))
        lib.cuvidCtxLockCreate(ctypes.byref(lock), context)
        lib.cuvidCtxLock(lock, 0)
        lib.cuvidCtxLock(lock, 0)
        order: list[str] = []

        def other() -> None:
            lib.cuvidCtxLock(lock, 0)
            order.append("other")
            lib.cuvidCtxUnlock(lock, 0)

        thread = threading.Thread(target=other)
        thread.start()
        lib.cuvidCtxUnlock(lock, 0)
        order.append("first")
        lib.cuvidCtxUnlock(lock, 0)
        thread.join()
        assert order == ["first", "other"]
        assert lib.handle.cuvidCtxUnlock(lock, 0) == INVALID_VALUE
        lib.cuvidCtxLockDestroy(lock)
        assert messages(machine) == ["this thread does not hold it"]


def test_a_real_card_lets_it_pass(simulator: Simulator) -> None:
    with bench(simulator, strict=False) as (_, lib):
        rig = Bench(lib)
        address, _ = rig.decoder.map(rig.index)
        rig.decoder.unmap(address)
        assert refused(rig.decoder.unmap, address) == INVALID_VALUE
        rig.close()


def test_file_sources_are_not_there(simulator: Simulator) -> None:
    with bench(simulator) as (_, lib):
        source, params = ctypes.c_void_p(), struct("CUVIDSOURCEPARAMS")
        assert lib.handle.cuvidCreateVideoSource(ctypes.byref(source), b"a.mp4", ctypes.byref(params)) == NOT_SUPPORTED
