"""Every rule of the simulated encoder, shown by a client that breaks it.

A broken rule is reported with the call and the session, and answered with an error, except at the destruction of a
session. With `strict` off it is not reported.
"""

from __future__ import annotations

import ctypes
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from driver_tests.encode_client import FAST, HEIGHT, WIDTH, Rig, picture, rig

from simulator import Simulator
from simulator.abi import VERSIONS
from simulator.raw import Cuda, Refused

STALLED: dict[str, Any] = {"gpus": [{**FAST, "engines": 1}], "stall": {"after_frames": 0}}
SLOW: dict[str, Any] = {"gpus": [{"name": "RTX 4090", "engines": 1, "fps_1080p": 1}]}  # 320x240: 27 frames a second


@pytest.fixture(scope="module")
def simulator(nvsim_dir: Path) -> Simulator:
    return Simulator()


def void(handle: int) -> ctypes.c_void_p:
    return ctypes.c_void_p(handle)


def encode_while_in_flight(client: Rig) -> None:
    client.encode(0)
    client.encode(0)


def encode_into_a_locked_output(client: Rig) -> None:
    client.encode(0)
    client.session.lock(client.outputs[0])
    client.encode(0)


def lock_twice(client: Rig) -> None:
    client.encode(0)
    client.session.lock(client.outputs[0])
    client.session.lock(client.outputs[0])


def lock_two_at_once(client: Rig) -> None:
    client.add_surface(picture(1))
    client.encode(0)
    client.encode(1)
    client.session.lock(client.outputs[0])
    client.session.lock(client.outputs[1])


def destroy_a_locked_output(client: Rig) -> None:
    client.encode(0)
    client.session.lock(client.outputs[0])
    client.session.call("nvEncDestroyBitstreamBuffer", void(client.outputs[0]))


def unlock_twice(client: Rig) -> None:
    client.encode(0)
    client.take(0)
    client.session.unlock(client.outputs[0])


def unmap_twice(client: Rig) -> None:
    for _ in range(2):
        client.session.call("nvEncUnmapInputResource", void(client.inputs[0]))


def unregister_twice(client: Rig) -> None:
    client.session.call("nvEncUnmapInputResource", void(client.inputs[0]))
    for _ in range(2):
        client.session.call("nvEncUnregisterResource", void(client.registered[0]))


def encode_after_unmapping(client: Rig) -> None:
    client.session.call("nvEncUnmapInputResource", void(client.inputs[0]))
    client.encode(0)


def destroy_an_output_twice(client: Rig) -> None:
    for _ in range(2):
        client.session.call("nvEncDestroyBitstreamBuffer", void(client.outputs[0]))


def register_beyond_the_allocation(client: Rig) -> None:
    pointer = client.cuda.allocate(WIDTH * HEIGHT * 3 // 2 - 1)
    client.session.register(pointer)


def wrong_pitch(client: Rig) -> None:
    client.encode(0, inputPitch=WIDTH + 64)


def wrong_format(client: Rig) -> None:
    client.encode(0, bufferFmt=client.abi.NV_ENC_BUFFER_FORMAT_IYUV)


def too_small_an_input(client: Rig) -> None:
    image = picture(9, WIDTH * (HEIGHT - 2) * 3 // 2)
    client.registered.append(client.session.register(client.cuda.upload(image), height=HEIGHT - 2))
    client.inputs.append(client.session.map(client.registered[-1]))
    client.session.encode(client.inputs[-1], client.outputs[0])


def completion_event(client: Rig) -> None:
    client.encode(0, completionEvent=1234)


def initialise_twice(client: Rig) -> None:
    client.session.initialize()


def invented_handles(client: Rig) -> None:
    client.session.lock(0x12345678)


def kinds_mixed_up(client: Rig) -> None:
    client.session.lock(client.inputs[0])


def null_struct(client: Rig) -> None:
    client.session.call("nvEncEncodePicture", None)


def wait_for_what_never_comes(client: Rig) -> None:
    client.session.destroy()
    client.session = client.api.open(client.cuda.context)
    client.inputs, client.outputs, client.registered = [], [], []
    client.machine.reset()  # the first session is left as it was
    client.start(surfaces=3, interval=3)
    client.encode(0)
    client.encode(1)
    client.session.lock(client.outputs[1])


def resize_in_passing(client: Rig) -> None:
    change = client.abi.struct("NV_ENC_RECONFIGURE_PARAMS", reInitEncodeParams=client.params)
    change.reInitEncodeParams.encodeWidth = WIDTH - 16
    client.session.call("nvEncReconfigureEncoder", ctypes.byref(change))


BROKEN: list[tuple[Callable[[Rig], None], str, str]] = [
    (encode_while_in_flight, "nvEncEncodePicture", "used again"),
    (encode_into_a_locked_output, "nvEncEncodePicture", "while it is locked"),
    (lock_twice, "nvEncLockBitstream", "locked already"),
    (lock_two_at_once, "nvEncLockBitstream", "while another one is locked"),
    (destroy_a_locked_output, "nvEncDestroyBitstreamBuffer", "while it is locked"),
    (
        lambda client: void_call(client.session.lock(client.outputs[0])),
        "nvEncLockBitstream",
        "no picture was submitted",
    ),
    (lambda client: client.session.unlock(client.outputs[0]), "nvEncUnlockBitstream", "not locked"),
    (unlock_twice, "nvEncUnlockBitstream", "not locked"),
    (lambda client: void_call(client.session.map(client.registered[0])), "nvEncMapInputResource", "mapped already"),
    (unmap_twice, "nvEncUnmapInputResource", "no longer"),
    (
        lambda client: void_call(client.session.call("nvEncUnregisterResource", void(client.registered[0]))),
        "nvEncUnregisterResource",
        "while it is mapped",
    ),
    (unregister_twice, "nvEncUnregisterResource", "no longer"),
    (encode_after_unmapping, "nvEncEncodePicture", "is no input"),
    (
        lambda client: void_call(client.session.encode(client.registered[0], client.outputs[0])),
        "nvEncEncodePicture",
        "without being mapped",
    ),
    (destroy_an_output_twice, "nvEncDestroyBitstreamBuffer", "no longer"),
    (register_beyond_the_allocation, "nvEncRegisterResource", "1 bytes before"),
    (wrong_pitch, "nvEncEncodePicture", "inputPitch"),
    (wrong_format, "nvEncEncodePicture", "bufferFmt"),
    (too_small_an_input, "nvEncEncodePicture", "an input of"),
    (completion_event, "nvEncEncodePicture", "completion event"),
    (initialise_twice, "nvEncInitializeEncoder", "already"),
    (invented_handles, "nvEncLockBitstream", "never was"),
    (kinds_mixed_up, "nvEncLockBitstream", "a bitstream buffer"),
    (null_struct, "nvEncEncodePicture", "is null"),
    (wait_for_what_never_comes, "nvEncLockBitstream", "would wait forever"),
    (resize_in_passing, "nvEncReconfigureEncoder", "needs resetEncoder and forceIDR"),
]


def void_call(_: object) -> None:
    """Turns an expression into a statement for a lambda."""


@pytest.mark.parametrize(("broken", "call", "message"), BROKEN, ids=[f"{i}-{b[1]}" for i, b in enumerate(BROKEN)])
def test_a_broken_rule_is_reported_and_refused(
    simulator: Simulator, broken: Callable[[Rig], None], call: str, message: str
) -> None:
    with rig(simulator, check=False, **STALLED if broken is encode_while_in_flight else {}) as client:
        client.start()
        with pytest.raises(Refused, match=message) as refused:
            broken(client)
        assert refused.value.status != 0
        (violation,) = client.machine.violations()
        assert violation["call"] == call
        assert violation["object"].startswith("session ")
        assert message in violation["message"]
        client.abandon()


def test_nothing_is_reported_without_strictness(simulator: Simulator) -> None:
    with rig(simulator, strict=False) as client:
        client.start()
        with pytest.raises(Refused):
            lock_twice(client)
        client.abandon()


def test_the_order_of_calls(simulator: Simulator) -> None:
    with rig(simulator, check=False) as client:
        for call in (
            client.session.bitstream,
            client.session.headers,
            client.session.end,
        ):
            with pytest.raises(Refused) as refused:
                call()
            assert refused.value.status == client.abi.NV_ENC_ERR_DEVICE_NOT_EXIST  # as recorded
        assert len(client.machine.violations()) == 3
        client.abandon()


def test_a_session_that_is_gone(simulator: Simulator) -> None:
    with rig(simulator, check=False) as client:
        client.start()
        client.close()
        for call in (client.session.headers, client.session.destroy):
            with pytest.raises(Refused) as refused:
                call()
            assert refused.value.status == client.abi.NV_ENC_ERR_INVALID_ENCODERDEVICE
        assert all("has been destroyed" in v["message"] for v in client.machine.violations())
        assert len(client.machine.violations()) == 2
        # The next session has the same place but another handle.
        again = client.api.open(client.cuda.context)
        with pytest.raises(Refused):
            client.session.headers()
        again.destroy()


def test_objects_of_another_session(simulator: Simulator) -> None:
    with simulator.machine(check=False, gpus=[FAST]) as machine, Cuda() as cuda:
        one, other = Rig(machine, cuda).start(), Rig(machine, cuda).start()
        for call in (
            lambda: one.session.encode(other.inputs[0], one.outputs[0]),
            lambda: one.session.encode(one.inputs[0], other.outputs[0]),
            lambda: one.session.lock(other.outputs[0]),
            lambda: one.session.map(other.registered[0]),
        ):
            with pytest.raises(Refused):
                call()
        assert len(machine.violations()) == 4
        for client in (one, other):
            client.abandon()


# Structs.

STRUCTS = {
    "NV_ENC_CREATE_BITSTREAM_BUFFER": "nvEncCreateBitstreamBuffer",
    "NV_ENC_CREATE_INPUT_BUFFER": "nvEncCreateInputBuffer",
    "NV_ENC_REGISTER_RESOURCE": "nvEncRegisterResource",
    "NV_ENC_MAP_INPUT_RESOURCE": "nvEncMapInputResource",
    "NV_ENC_PIC_PARAMS": "nvEncEncodePicture",
    "NV_ENC_LOCK_BITSTREAM": "nvEncLockBitstream",
    "NV_ENC_LOCK_INPUT_BUFFER": "nvEncLockInputBuffer",
    "NV_ENC_SEQUENCE_PARAM_PAYLOAD": "nvEncGetSequenceParams",
    "NV_ENC_INITIALIZE_PARAMS": "nvEncInitializeEncoder",
    "NV_ENC_RECONFIGURE_PARAMS": "nvEncReconfigureEncoder",
}


@pytest.mark.parametrize("version", VERSIONS)
@pytest.mark.parametrize("struct", STRUCTS)
def test_struct_versions_are_looked_at(simulator: Simulator, version: str, struct: str) -> None:
    with rig(simulator, version, check=False) as client:
        client.start()
        for change in (1 << 16, 1 << 24, 1):
            value = client.abi.struct(struct)
            value.version = value.version ^ change
            with pytest.raises(Refused, match=struct) as refused:
                client.session.call(STRUCTS[struct], ctypes.byref(value))
            assert refused.value.status == client.abi.NV_ENC_ERR_INVALID_VERSION
        assert len(client.machine.violations()) == 3
        client.abandon()


def reserved_fields(client: Rig, struct: str) -> list[str]:
    fields = client.abi.table["structs"][struct]["fields"]
    return [
        field["name"]
        for field in fields
        if field["name"].startswith("reserved") and field["name"] != "reservedInternal"
    ]


@pytest.mark.parametrize("version", VERSIONS)
@pytest.mark.parametrize("struct", [name for name in STRUCTS if name not in ("NV_ENC_INITIALIZE_PARAMS",)])
def test_reserved_fields_have_to_be_zero(simulator: Simulator, version: str, struct: str) -> None:
    with rig(simulator, version, check=False) as client:
        client.start()
        for name in reserved_fields(client, struct):
            value = client.abi.struct(struct)
            old = getattr(value, name)
            if isinstance(old, ctypes.Array):
                old[len(old) - 1] = 1
            else:
                setattr(value, name, 1)
            client.machine.reset()
            with pytest.raises(Refused, match=f"{struct}.{name} is not zero"):
                client.session.call(STRUCTS[struct], ctypes.byref(value))
            assert len(client.machine.violations()) == 1
        client.abandon()


def test_reserved_fields_of_the_codecs_part_have_to_be_zero(simulator: Simulator) -> None:
    with rig(simulator, check=False) as client:
        client.start(codec="HEVC")
        params = client.session.picture(client.inputs[0], client.outputs[0])
        params.codecPicParams.hevcPicParams.reserved2[5] = 7
        with pytest.raises(Refused, match=r"NV_ENC_PIC_PARAMS_HEVC\.reserved2"):
            client.session.call("nvEncEncodePicture", ctypes.byref(params))
        client.abandon()


# The picture in flight.


def test_an_input_that_changes_while_it_is_coded(simulator: Simulator) -> None:
    with rig(simulator, check=False, **SLOW) as client:
        client.start()
        client.encode(0)
        client.cuda.upload(picture(77), client.pointers[0])
        client.take(0)
        (violation,) = client.machine.violations()
        assert "was changed while picture 0 was in flight" in violation["message"]
        client.close()


def test_an_input_that_changes_after_its_access_unit_is_there(simulator: Simulator) -> None:
    with rig(simulator) as client:
        client.start()
        client.encode(0)
        client.take(0)
        client.cuda.upload(picture(77), client.pointers[0])


def test_a_held_picture_that_changes_on_the_clients_stream(simulator: Simulator) -> None:
    with rig(simulator, check=False, async_streams=True) as client:
        client.start(surfaces=4, interval=3)
        stream = client.cuda.stream()
        client.session.call("nvEncSetIOCudaStreams", ctypes.byref(stream), ctypes.byref(stream))
        for number in range(3):
            client.encode(number)
        other = picture(88)
        size = ctypes.c_size_t(other.nbytes)
        target, source = ctypes.c_uint64(client.pointers[1]), ctypes.c_void_p(other.ctypes.data)
        client.cuda.check(client.cuda.lib.cuMemcpyHtoDAsync_v2(target, source, size, stream))
        client.encode(3)
        for number in range(4):
            client.take(number)
        (violation,) = client.machine.violations()
        assert "picture 1 was in flight" in violation["message"]
        client.close()
        client.cuda.check(client.cuda.lib.cuStreamDestroy_v2(stream))


@pytest.mark.parametrize("call", ["nvEncUnmapInputResource", "nvEncDestroyBitstreamBuffer"])
def test_objects_of_a_picture_in_flight_stay(simulator: Simulator, call: str) -> None:
    with rig(simulator, check=False, **STALLED) as client:
        client.start()
        client.encode(0)
        handle = client.inputs[0] if "Unmap" in call else client.outputs[0]
        with pytest.raises(Refused, match="in flight"):
            client.session.call(call, void(handle))
        assert len(client.machine.violations()) == 1
        client.abandon()


def test_after_the_end_everything_may_be_given_back_at_once(simulator: Simulator) -> None:
    with rig(simulator, **SLOW) as client:
        client.start(surfaces=4, interval=3)
        for number in range(4):
            client.encode(number)
        client.close()


# Destruction.


def leave_mapped(client: Rig) -> str:
    return "1 resource(s) mapped"


def leave_registered(client: Rig) -> str:
    client.session.call("nvEncUnmapInputResource", void(client.inputs[0]))
    return "1 resource(s) registered"


def leave_outputs(client: Rig) -> str:
    return "1 bitstream buffer(s) alive"


def leave_locked(client: Rig) -> str:
    client.encode(0)
    client.session.lock(client.outputs[0])
    return "1 buffer(s) locked"


@pytest.mark.parametrize("leave", [leave_mapped, leave_registered, leave_outputs, leave_locked])
def test_objects_that_are_left_when_a_session_is_destroyed(simulator: Simulator, leave: Callable[[Rig], str]) -> None:
    with rig(simulator, check=False) as client:
        client.start()
        message = leave(client)
        client.abandon()  # answers success
        assert any(message in violation["message"] for violation in client.machine.violations())
        assert client.machine.live() == {}


WITHOUT_END = "no end of stream sent after them"


def test_pictures_in_flight_when_a_session_is_destroyed(simulator: Simulator) -> None:
    with rig(simulator, check=False, **SLOW) as client:
        client.start()
        client.encode(0)
        client.abandon()
        assert any(WITHOUT_END in violation["message"] for violation in client.machine.violations())


@pytest.mark.parametrize("backend", ["echo", "null"])
def test_the_end_of_the_stream_comes_before_the_end_of_the_session(simulator: Simulator, backend: str) -> None:
    """NVIDIA's programming guide demands it, also if every access unit has been taken."""
    with rig(simulator, check=False, backend=backend) as client:
        client.start()
        for number in range(3):
            client.encode(0, number)
            client.session.take(client.outputs[0])
            if number == 1:
                client.session.end()  # pictures go on after it
        client.release()
        client.abandon()
        (violation,) = client.machine.violations()
        assert WITHOUT_END in violation["message"]
        assert violation["call"] == "nvEncDestroyEncoder"


def test_a_session_without_pictures_needs_no_end(simulator: Simulator) -> None:
    with rig(simulator) as client:
        client.start()
        client.release()
        client.abandon()


def test_without_strictness_no_end_is_needed(simulator: Simulator) -> None:
    with rig(simulator, strict=False) as client:
        client.start()
        client.encode(0)
        client.session.take(client.outputs[0])
        client.release()
        client.abandon()


def test_an_end_that_was_made_to_fail_is_not_the_clients_fault(simulator: Simulator) -> None:
    with rig(simulator, faults=[{"call": "nvEncEncodePicture", "nth": 2, "status": 20}]) as client:
        client.start()
        client.encode(0)
        client.session.take(client.outputs[0])
        with pytest.raises(Refused):
            client.session.end()
        client.release()
        client.abandon()


def test_live_objects_are_counted(simulator: Simulator) -> None:
    with rig(simulator) as client:
        client.start(surfaces=2)
        client.encode(0)
        client.session.lock(client.outputs[0])
        assert client.machine.live() == {
            "sessions": 1, "bitstream_buffers": 2, "registered": 2, "mapped": 2, "locked": 1,
        }  # fmt: skip
        client.session.unlock(client.outputs[0])


def test_the_context_has_to_outlive_the_session(simulator: Simulator) -> None:
    with rig(simulator, check=False) as client:
        lib = client.cuda.lib
        context = ctypes.c_void_p()
        client.cuda.check(lib.cuCtxCreate_v2(ctypes.byref(context), 0, 0))
        session = client.api.open(context)
        session.initialize()
        session.bitstream()
        client.cuda.check(lib.cuCtxDestroy_v2(context))
        session.destroy()
        assert any("context was destroyed" in violation["message"] for violation in client.machine.violations())
        client.start()


def test_a_configuration_is_refused_while_a_session_would_not_fit(simulator: Simulator) -> None:
    with rig(simulator) as client:
        client.start()
        with pytest.raises(RuntimeError, match="open"):
            simulator.libraries["encode"].control(configure={"backend": "null"})
        client.encode(0)
        assert np.any(np.frombuffer(client.session.take(client.outputs[0]), dtype=np.uint8))
