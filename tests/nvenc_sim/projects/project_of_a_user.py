"""A user's tests with the fixture `nvenc_sim`. tests/nvenc_sim/test_plugin.py runs them and knows how each ends."""

from __future__ import annotations

import ctypes
import sys
from collections.abc import Iterator

import numpy as np
import pytest

from nvsim import NvencSim, checksum, parse

from simulator.raw import Api, Cuda, Refused, Session

WIDTH, HEIGHT = 320, 240
PICTURE = np.arange(WIDTH * HEIGHT * 3 // 2, dtype=np.uint8)


class Client:
    """The code under test: an encoder with one input and one output."""

    def __init__(self) -> None:
        self.cuda = Cuda()
        try:
            self.session: Session = Api().open(self.cuda.context)
        except Refused:
            self.cuda.close()
            raise
        self.session.initialize(WIDTH, HEIGHT)
        self.registered = self.session.register(self.cuda.upload(PICTURE))
        self.output = self.session.bitstream()

    def encode(self) -> bytes:
        self.mapped = self.session.map(self.registered)
        self.session.encode(self.mapped, self.output)
        data = self.session.take(self.output)
        self.session.call("nvEncUnmapInputResource", pointer(self.mapped))
        return data

    def close(self) -> None:
        self.session.end()
        self.session.call("nvEncUnregisterResource", pointer(self.registered))
        self.session.call("nvEncDestroyBitstreamBuffer", pointer(self.output))
        self.session.destroy()
        self.cuda.close()


def pointer(handle: int) -> object:
    return ctypes.c_void_p(handle)


@pytest.fixture
def client(nvenc_sim: NvencSim) -> Iterator[Client]:
    made = Client()
    yield made
    made.close()


def test_pixels_arrive(client: Client, nvenc_sim: NvencSim) -> None:
    (unit,) = parse(client.encode())
    assert unit.checksum == checksum(PICTURE) == checksum(PICTURE.tobytes())
    (call,) = nvenc_sim.calls("nvEncEncodePicture")
    assert call.args["inputWidth"] == WIDTH
    assert nvenc_sim.live()["sessions"] == 1


def test_the_next_test_has_a_trace_of_its_own(client: Client, nvenc_sim: NvencSim) -> None:
    assert nvenc_sim.calls("nvEncEncodePicture") == []


@pytest.mark.nvenc_machine("RTX 3060", "L4", session_limit_status=10)
def test_a_machine_by_name(nvenc_sim: NvencSim, client: Client) -> None:
    assert not client.session.supports("AV1")
    client.close()
    nvenc_sim.machine({"name": "L4", "engines": 3})
    client.__init__()  # type: ignore[misc]
    assert client.session.supports("AV1")
    assert client.session.cap("NUM_ENCODER_ENGINES") == 3


def test_sessions_are_exhausted_on_demand(nvenc_sim: NvencSim, client: Client) -> None:
    nvenc_sim.exhaust_sessions()
    with pytest.raises(Refused) as refused:
        Client()
    assert refused.value.status == 10
    client.encode()
    nvenc_sim.clear_faults()
    Client().close()


def test_the_second_lock_fails(nvenc_sim: NvencSim, client: Client) -> None:
    nvenc_sim.fail("nvEncLockBitstream", "NV_ENC_ERR_GENERIC", nth=2)
    client.encode()
    with pytest.raises(Refused) as refused:
        client.encode()
    assert refused.value.status == 20
    client.session.take(client.output)
    client.session.call("nvEncUnmapInputResource", pointer(client.mapped))


@pytest.mark.parametrize("after_frames", [None, 0])
def test_the_gpu_is_lost(nvenc_sim: NvencSim, after_frames: int | None) -> None:
    if after_frames is not None:
        nvenc_sim.lose_device(after_frames=after_frames)
    client = Client()
    if after_frames is None:
        nvenc_sim.lose_device()
    with pytest.raises(Refused):
        client.encode()
    with pytest.raises(Refused) as refused:
        client.session.destroy()
    assert refused.value.status == 5
    client.cuda.close()


def test_the_gpu_is_back(client: Client) -> None:
    client.encode()


def test_an_expected_violation_is_none(nvenc_sim: NvencSim, client: Client) -> None:
    with nvenc_sim.expect_violation("nvEncUnlockBitstream.*not locked"), pytest.raises(Refused):
        client.session.unlock(client.output)


def test_another_process_is_watched_too(nvenc_sim: NvencSim) -> None:
    done = nvenc_sim.run([sys.executable, "-c", "from simulator.raw import Cuda; Cuda().close(); print('ran')"])
    assert done.stdout == "ran\n"
    assert len({call.pid for call in nvenc_sim.calls("cuInit")}) == 1


def test_that_does_without() -> None:
    pass


def test_faults_name_calls_and_statuses_that_there_are(nvenc_sim: NvencSim) -> None:
    with pytest.raises(ValueError, match="such as nvEncLockBitstream, got 'nvEncLockBitstrem'"):
        nvenc_sim.fail("nvEncLockBitstrem")
    with pytest.raises(ValueError, match=r"a status of NVENC.*got 'GENERICC'"):
        nvenc_sim.fail("nvEncLockBitstream", "GENERICC")
    nvenc_sim.fail("cuMemAlloc_v2", 2)


# These have to fail.


def test_fails_for_a_violation(client: Client) -> None:
    with pytest.raises(Refused):
        client.session.unlock(client.output)


def test_fails_for_a_violation_of_another_process(nvenc_sim: NvencSim) -> None:
    program = "import ctypes; from simulator.raw import Cuda; Cuda().lib.cuMemFree_v2(ctypes.c_uint64(1))"
    nvenc_sim.run([sys.executable, "-c", program])


def test_fails_because_nothing_was_broken(nvenc_sim: NvencSim) -> None:
    with nvenc_sim.expect_violation("anything"):
        pass


@pytest.mark.nvenc_machine("RTX 409")
def test_fails_for_an_unknown_gpu(nvenc_sim: NvencSim) -> None:
    raise AssertionError("never reached")


def test_errs_for_what_it_leaves_alive(nvenc_sim: NvencSim) -> None:
    Cuda().allocate(5)


def test_is_not_disturbed_by_the_leak_before(nvenc_sim: NvencSim) -> None:
    pass
