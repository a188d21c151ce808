"""Rules of the simulated driver that no other test breaks: each is shown by a client that breaks it."""

from __future__ import annotations

import ctypes
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from driver_tests.decode_client import bench, stream
from driver_tests.encode_client import FAST, HEIGHT, WIDTH, Rig, picture, rig
from driver_tests.test_sim_decode_rules import INVALID_VALUE, Bench, messages, refused
from driver_tests.test_sim_tool_rules import CARD, put

from simulator import Simulator
from simulator.cuvid import END_OF_PICTURE, Decoder, Parser, struct
from simulator.raw import Refused

NV12 = 1
NO_HANDLE = ctypes.c_void_p(0x12345678)


@pytest.fixture(scope="module")
def simulator(nvsim_dir: Path) -> Simulator:
    return Simulator()


def input_of(client: Rig, **fields: int) -> int:
    whole = {"width": WIDTH, "height": HEIGHT, "bufferFmt": NV12, **fields}
    made = client.abi.struct("NV_ENC_CREATE_INPUT_BUFFER", **whole)
    client.session.call("nvEncCreateInputBuffer", ctypes.byref(made))
    return int(made.inputBuffer)


def lock_input(client: Rig, handle: int, **fields: int) -> None:
    params = client.abi.struct("NV_ENC_LOCK_INPUT_BUFFER", inputBuffer=handle, **fields)
    client.session.call("nvEncLockInputBuffer", ctypes.byref(params))


def lock_no_input(client: Rig) -> None:
    lock_input(client, client.inputs[0])


def unlock_no_input(client: Rig) -> None:
    client.session.call("nvEncUnlockInputBuffer", NO_HANDLE)


def destroy_no_input(client: Rig) -> None:
    client.session.call("nvEncDestroyInputBuffer", NO_HANDLE)


def lock_an_input_twice(client: Rig) -> None:
    handle = input_of(client)
    lock_input(client, handle)
    lock_input(client, handle)


def unlock_what_is_not_locked(client: Rig) -> None:
    client.session.call("nvEncUnlockInputBuffer", ctypes.c_void_p(input_of(client)))


def destroy_a_locked_input(client: Rig) -> None:
    handle = input_of(client)
    lock_input(client, handle)
    client.session.call("nvEncDestroyInputBuffer", ctypes.c_void_p(handle))


def encode_a_locked_input(client: Rig) -> None:
    handle = input_of(client)
    lock_input(client, handle)
    client.session.encode(handle, client.outputs[0])


def map_what_is_not_registered(client: Rig) -> None:
    client.session.map(client.outputs[0])


def map_nothing(client: Rig) -> None:
    client.session.map(0)


def register_no_format(client: Rig) -> None:
    client.session.register(client.pointers[0], bufferFormat=0)


def register_nothing_wide(client: Rig) -> None:
    client.session.register(client.pointers[0], width=0)


def register_no_memory(client: Rig) -> None:
    client.session.register(0)


BROKEN: list[tuple[Callable[[Rig], None], str]] = [
    (lock_no_input, "a handle of an input buffer"),
    (unlock_no_input, "never was a handle of an input buffer"),
    (destroy_no_input, "never was a handle of an input buffer"),
    (lock_an_input_twice, "is locked already"),
    (unlock_what_is_not_locked, "which is not locked"),
    (destroy_a_locked_input, "is destroyed while it is locked"),
    (encode_a_locked_input, "is encoded while it is locked"),
    (map_what_is_not_registered, "a handle of a registered resource"),
    (map_nothing, "a null pointer was given for a registered resource"),
    (register_no_format, "unknown buffer format 0"),
    (register_nothing_wide, "a resource of no size"),
    (register_no_memory, "resourceToRegister is null"),
]


@pytest.mark.parametrize(("breach", "message"), BROKEN, ids=lambda value: getattr(value, "__name__", ""))
def test_a_broken_rule_is_reported(simulator: Simulator, breach: Callable[[Rig], None], message: str) -> None:
    with rig(simulator, check=False) as client:
        client.start()
        with pytest.raises(Refused, match=message):
            breach(client)
        (violation,) = client.machine.violations()
        assert message in violation["message"]
        client.abandon()


def change_the_codec(client: Rig) -> None:
    other = client.session.params(WIDTH, HEIGHT, "HEVC")
    change = client.abi.struct("NV_ENC_RECONFIGURE_PARAMS", reInitEncodeParams=other)
    client.session.call("nvEncReconfigureEncoder", ctypes.byref(change))


def change_the_lookahead(client: Rig) -> None:
    client.params.config.rcParams.enableLookahead, client.params.config.rcParams.lookaheadDepth = 1, 4
    change = client.abi.struct("NV_ENC_RECONFIGURE_PARAMS", reInitEncodeParams=client.params)
    client.session.call("nvEncReconfigureEncoder", ctypes.byref(change))


NOT_DONE: list[tuple[Callable[[Rig], None], str]] = [
    (change_the_codec, "the codec cannot be changed"),
    (change_the_lookahead, "frameIntervalP, lookahead and enablePTD cannot be changed"),
    (lambda client: void(input_of(client, bufferFmt=5)), "unknown buffer format 5"),
    (lambda client: void(input_of(client, width=0)), "an input buffer of no size"),
    (lambda client: void(client.session.preset(tuning=9)), "Invalid Tuning Info|unknown tuning 9"),
]


def void(_: object) -> None:
    """Makes an expression into a call without a result."""


@pytest.mark.parametrize(("use", "message"), NOT_DONE)
def test_what_is_refused_and_no_breach(simulator: Simulator, use: Callable[[Rig], None], message: str) -> None:
    with rig(simulator) as client:
        client.start()
        with pytest.raises(Refused, match=message):
            use(client)


def test_a_session_with_a_locked_input_and_a_locked_output(simulator: Simulator) -> None:
    with rig(simulator, check=False) as client:
        client.start()
        client.encode(0)
        client.session.lock(client.outputs[0])
        lock_input(client, input_of(client))
        client.session.end()
        client.abandon()
        assert any("with 2 buffer(s) locked" in one["message"] for one in client.machine.violations())


# Two views.


def start_views(client: Rig, params_too: dict[str, int] | None = None, **fields: int) -> None:
    params = client.session.params(WIDTH, HEIGHT, codec="HEVC")
    put(params, "HEVC", {"enableMVHEVC": 1, **fields})
    for name, value in (params_too or {}).items():
        setattr(params, name, value)
    client.session.initialize_with(params)
    client.started = True
    for number in range(3):
        client.add_surface(picture(number))


def view(client: Rig, surface: int, number: int, **fields: Any) -> None:
    params = client.session.picture(client.inputs[surface], client.outputs[surface], surface, **fields)
    params.codecPicParams.hevcPicParams.viewId = number
    client.session.call("nvEncEncodePicture", ctypes.byref(params), allow=(0, 17))


def layers_with_views(client: Rig) -> None:
    start_views(client, enableTemporalSVC=1, numTemporalLayers=2, maxTemporalLayersMinus1=1)


def types_with_views(client: Rig) -> None:
    start_views(client, {"enablePTD": 0})


def slices_with_views(client: Rig) -> None:
    start_views(client, {"enableSubFrameWrite": 1})


def the_right_view_first(client: Rig) -> None:
    start_views(client)
    view(client, 0, 1)


def the_left_view_twice(client: Rig) -> None:
    start_views(client)
    view(client, 0, 0)
    view(client, 1, 0)


def a_key_frame_for_one_eye(client: Rig) -> None:
    start_views(client)
    view(client, 0, 0)
    view(client, 1, 1, encodePicFlags=client.abi.NV_ENC_PIC_FLAG_FORCEIDR)


def a_view_without_views(client: Rig) -> None:
    client.start(codec="HEVC")
    view(client, 0, 1)


def too_many_displays(client: Rig) -> None:
    start_views(client, outputHevc3DReferenceDisplayInfo=1)
    info = client.abi.struct("HEVC_3D_REFERENCE_DISPLAY_INFO", numRefDisplaysMinus1=32)
    params = client.session.picture(client.inputs[0], client.outputs[0])
    params.codecPicParams.hevcPicParams.p3DReferenceDisplayInfo = ctypes.addressof(info)
    client.session.call("nvEncEncodePicture", ctypes.byref(params), allow=(0, 17))


def displays_that_were_not_announced(client: Rig) -> None:
    start_views(client)
    info = client.abi.struct("HEVC_3D_REFERENCE_DISPLAY_INFO")
    params = client.session.picture(client.inputs[0], client.outputs[0])
    params.codecPicParams.hevcPicParams.p3DReferenceDisplayInfo = ctypes.addressof(info)
    client.session.call("nvEncEncodePicture", ctypes.byref(params), allow=(0, 17))


OF_VIEWS: list[tuple[Callable[[Rig], None], str]] = [
    (layers_with_views, "temporal layers"),
    (types_with_views, "types that the client gives"),
    (slices_with_views, "sub-frame output"),
    (the_right_view_first, "viewId 1 comes where 0 is expected"),
    (the_left_view_twice, "viewId 0 comes where 1 is expected"),
    (a_key_frame_for_one_eye, "for viewId 1 alone"),
    (a_view_without_views, "viewId 1 without enableMVHEVC"),
    (too_many_displays, "numRefDisplaysMinus1 32"),
    (displays_that_were_not_announced, "outputHevc3DReferenceDisplayInfo"),
]


@pytest.mark.parametrize(("breach", "message"), OF_VIEWS, ids=lambda value: getattr(value, "__name__", ""))
def test_rules_of_two_views(simulator: Simulator, breach: Callable[[Rig], None], message: str) -> None:
    with rig(simulator, check=False, gpus=[CARD]) as client:
        with pytest.raises(Refused, match=message):
            breach(client)
        assert message in client.machine.violations()[0]["message"]
        client.abandon()


# The decoder.


def area(left: int, top: int, right: int, bottom: int, name: str) -> Any:
    return struct(f"CUVIDDECODECREATEINFO_{name}", left=left, top=top, right=right, bottom=bottom)


@pytest.mark.parametrize(
    ("name", "words"),
    [("display_area", "display_area lies outside the picture"), ("target_rect", "target_rect lies outside the target")],
)
@pytest.mark.parametrize("corners", [(0, 0, 322, 192), (0, 0, 320, 194), (-2, 0, 320, 192), (0, -2, 320, 192)])
def test_areas_lie_inside(simulator: Simulator, name: str, words: str, corners: tuple[int, int, int, int]) -> None:
    with bench(simulator, check=False) as (machine, lib):
        assert refused(Decoder, lib, 320, 192, **{name: area(*corners, name)}) == INVALID_VALUE
        assert messages(machine) == [words]


def broken_picture(simulator: Simulator, change: Callable[[Any], None]) -> list[str]:
    with bench(simulator, check=False) as (machine, lib):
        decoding = Bench(lib)

        def decode(picture: Any) -> int:
            change(picture)
            assert refused(decoding.decoder.decode, picture) == INVALID_VALUE
            return 1

        decoding.parser.decode = decode  # type: ignore[method-assign]
        decoding.parser.parse(stream()[1], END_OF_PICTURE)
        decoding.close()
        return messages(machine)


def test_slices_begin_inside_the_bitstream(simulator: Simulator) -> None:
    offsets = (ctypes.c_uint32 * 1)()

    def change(picture: Any) -> None:
        offsets[0] = picture.nBitstreamDataLen
        picture.nNumSlices, picture.pSliceDataOffsets = 1, ctypes.addressof(offsets)

    assert broken_picture(simulator, change) == ["slice 0 begins behind the bitstream's end"]


def test_reserved_words_of_a_picture(simulator: Simulator) -> None:
    def change(picture: Any) -> None:
        picture.Reserved[0] = 1

    assert broken_picture(simulator, change) == ["CUVIDPICPARAMS.Reserved is not zero"]


def test_flags_of_the_lock_are_reserved(simulator: Simulator) -> None:
    with bench(simulator, check=False) as (machine, lib):
        context, lock = ctypes.c_void_p(), ctypes.c_void_p()
        ctypes.CDLL("libcuda.so.1").cuCtxGetCurrent(ctypes.byref(context))
        lib.cuvidCtxLockCreate(ctypes.byref(lock), context)
        assert lib.handle.cuvidCtxLock(lock, 1) == INVALID_VALUE
        lib.cuvidCtxLock(lock, 0)
        assert lib.handle.cuvidCtxUnlock(lock, 1) == INVALID_VALUE
        lib.cuvidCtxUnlock(lock, 0)
        lib.cuvidCtxLockDestroy(lock)
        assert messages(machine) == ["the reserved flags are not zero"] * 2


def test_unknown_flags_of_packets_are_named(simulator: Simulator) -> None:
    with bench(simulator, check=False) as (machine, lib):
        parser = Parser(lib)
        assert refused(parser.parse, b"", 64) == INVALID_VALUE
        parser.close()
        assert messages(machine) == ["unknown packet flags 64"]


def test_primary_contexts_are_not_released_too_often(simulator: Simulator) -> None:
    with simulator.machine(check=False, gpus=[FAST]) as machine:
        cuda = ctypes.CDLL("libcuda.so.1")
        assert cuda.cuInit(0) == 0
        assert cuda.cuDevicePrimaryCtxRelease_v2(0) != 0
        assert "released more often than retained" in machine.violations()[0]["message"]
