"""capabilities() and devices(): they ask once, have readable names, match CUDA's GPUs with NVML's, and never raise."""

from __future__ import annotations

import os
import sys
from collections.abc import Iterator, Mapping
from dataclasses import FrozenInstanceError
from pathlib import Path
from types import ModuleType, SimpleNamespace
from typing import Any

import pytest

from pdum.nvenc import Capabilities, InvalidConfig, NvencEncoder, UnsupportedFeature, _nvenc, capabilities, devices
from pdum.nvenc._machine import capabilities as _capabilities

from simulator import Simulator

pytestmark = pytest.mark.one_abi  # the tests force both versions themselves

GOOD = "RTX 4090"


@pytest.fixture(autouse=True)
def nothing_remembered() -> Iterator[None]:
    _capabilities._found.clear()
    yield
    _capabilities._found.clear()


# ---- capabilities --------------------------------------------------------------------------------------------------


def test_every_capability_of_the_native_module_has_its_type(abi: str, simulator: Simulator) -> None:
    with simulator.machine(gpus=[GOOD]):
        for codec, raw in _nvenc.capabilities(0, abi).items():
            found = capabilities(0, codec)
            assert set(found) == set(raw)
            assert (found.codec, found.gpu_id, found.abi) == (codec, 0, abi)
            for name, value in raw.items():
                kind = _capabilities._TYPES[name]
                if kind == "bool":
                    assert found[name] is (value > 0), name
                elif kind == "int":
                    assert (type(found[name]), found[name]) == (int, value), name
                else:
                    assert isinstance(found[name], str | frozenset), name


def test_it_is_a_mapping_with_attributes(abi: str, simulator: Simulator) -> None:
    with simulator.machine(gpus=[GOOD]):
        found = capabilities(0, "hevc")
        assert isinstance(found, Mapping)
        assert isinstance(found, Capabilities)
        assert dict(found)["ten_bit"] is found.ten_bit is True
        assert found["rate_control_modes"] == frozenset({"constqp", "vbr", "cbr"})
        assert found.b_ref_modes == {"off", "each", "middle"}
        assert (found.max_level, found.min_level) == ("6.2", "1")
        assert len(found) == len(list(found)) > 50
        with pytest.raises(KeyError):
            found["codec"]
        with pytest.raises(FrozenInstanceError):
            found.ten_bit = False  # type: ignore[misc]


def test_bits_become_names(abi: str, simulator: Simulator) -> None:
    caps = {"SUPPORTED_RATECONTROL_MODES": 1, "SUPPORT_BFRAME_REF_MODE": 2, "LEVEL_MAX": 9}
    with simulator.machine(gpus=[{"name": GOOD, "caps": caps}]):
        found = capabilities(0, "h264")
        assert found.rate_control_modes == {"constqp", "vbr"}
        assert found.b_ref_modes == {"off", "middle"}
        assert found.max_level == "1b"


def test_one_session_for_all_codecs_and_calls(abi: str, simulator: Simulator) -> None:
    with simulator.machine(gpus=[GOOD, "T4"], count=True) as machine:
        everything = capabilities()
        assert list(everything) == ["h264", "hevc", "av1"]
        assert everything["h264"] is capabilities(codec="h264") is capabilities(0, "avc")
        assert machine.calls()["nvEncOpenEncodeSessionEx"] == 1
        assert list(capabilities(1)) == ["h264", "hevc"]
        assert machine.calls()["nvEncOpenEncodeSessionEx"] == 2
        with pytest.raises(TypeError):
            everything["h264"] = None  # type: ignore[index]


def test_each_version_is_asked_for_itself(simulator: Simulator, monkeypatch: pytest.MonkeyPatch) -> None:
    with simulator.machine(gpus=["RTX 5090"], count=True) as machine:
        monkeypatch.setenv("PDUM_NVENC_ABI", "13.0")
        assert capabilities(0, "hevc").yuv422 is True
        monkeypatch.setenv("PDUM_NVENC_ABI", "12.1")
        assert capabilities(0, "hevc").yuv422 is False
        monkeypatch.delenv("PDUM_NVENC_ABI")
        assert capabilities(0, "hevc").abi == "13.1"
        assert machine.calls()["nvEncOpenEncodeSessionEx"] == 3


def test_devices_that_do_not_exist(abi: str, simulator: Simulator) -> None:
    with simulator.machine(gpus=["T4"]):
        with pytest.raises(UnsupportedFeature, match=r"GPU 0 cannot encode av1; it encodes h264, hevc"):
            capabilities(0, "av1")
        with pytest.raises(InvalidConfig, match="vp9"):
            capabilities(0, "vp9")
        for wrong in (1, -1, 2**40, "0", None):
            with pytest.raises(InvalidConfig, match="gpu_id"):
                capabilities(wrong)  # type: ignore[arg-type]


# ---- devices -------------------------------------------------------------------------------------------------------


def test_each_gpu_with_what_it_has(abi: str, simulator: Simulator) -> None:
    gpus = ["RTX 5090", "H200", {"name": GOOD, "engines": 5, "memory_bytes": 5 << 30}]
    with simulator.machine(gpus=gpus, driver_version="570.1"):
        first, second, third = devices()
    assert [device.gpu_id for device in (first, second, third)] == [0, 1, 2]
    assert (first.encoder_engines, third.encoder_engines) == (3, 5), "as the GPU answers, whatever its name"
    assert first.codecs == ("h264", "hevc", "av1")
    assert first.can_encode
    assert (second.can_encode, second.codecs, second.encoder_engines) == (False, (), None)
    assert "no hardware encoder" in (second.reason or "")
    assert (third.memory_total, third.memory_free) == (5 << 30, 5 << 30)
    assert {device.driver_version for device in (first, second, third)} == {"570.1"}
    assert len({device.uuid for device in (first, second, third)}) == 3
    assert first.uuid.startswith("GPU-")


def test_live_sessions_and_who_holds_them(abi: str, simulator: Simulator, tmp_path: Path) -> None:
    with simulator.machine(gpus=["T4", GOOD], state=str(tmp_path / "state")):
        with NvencEncoder(320, 192, codec="hevc", gpu_id=1):
            first, second = devices()
        assert [device.sessions for device in devices()] == [(), ()]
    assert first.sessions == ()
    assert second.sessions is not None
    (session,) = second.sessions
    name = Path(f"/proc/{os.getpid()}/comm").read_text().strip()
    assert (session.pid, session.process, session.codec) == (os.getpid(), name, "hevc")
    assert (session.width, session.height) == (320, 192)
    assert second.encoder_utilisation is not None


def test_without_nvml(simulator: Simulator, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "pynvml", None)
    with simulator.machine(gpus=[GOOD]):
        (device,) = devices()
    assert device.can_encode
    assert device.memory_total > 0
    assert (device.memory_free, device.sessions, device.encoder_utilisation) == (None, None, None)


class OtherOrder(ModuleType):
    """An NVML that counts the GPUs in reverse, which is allowed: its order is the bus's, and CUDA's is by speed."""

    NVMLError = RuntimeError

    def __init__(self, free: dict[str, int]) -> None:
        super().__init__("pynvml")
        self.free = free

    def nvmlInit(self) -> None: ...  # noqa: N802
    def nvmlShutdown(self) -> None: ...  # noqa: N802

    def nvmlSystemGetDriverVersion(self) -> bytes:  # noqa: N802
        return b"1.2"

    def nvmlDeviceGetHandleByPciBusId(self, bus: bytes) -> str:  # noqa: N802
        return bus.decode()

    def nvmlDeviceGetMemoryInfo(self, handle: str) -> Any:  # noqa: N802
        return SimpleNamespace(free=self.free[handle])

    def nvmlDeviceGetEncoderUtilization(self, handle: str) -> Any:  # noqa: N802
        raise RuntimeError("not supported")

    nvmlDeviceGetEncoderSessions = nvmlDeviceGetEncoderUtilization  # noqa: N815


def test_gpus_are_matched_by_their_bus(simulator: Simulator, monkeypatch: pytest.MonkeyPatch) -> None:
    with simulator.machine(gpus=[GOOD, "T4"]):
        buses = [gpu["pci_bus_id"] for gpu in _nvenc.gpus()]
        monkeypatch.setitem(sys.modules, "pynvml", OtherOrder({buses[1]: 11, buses[0]: 10}))
        found = devices()
    assert [device.memory_free for device in found] == [10, 11]
    assert [device.encoder_utilisation for device in found] == [None, None]
    assert [device.sessions for device in found] == [None, None]
    assert found[0].driver_version == "1.2"


def test_no_gpu_and_no_working_driver(simulator: Simulator) -> None:
    with simulator.machine(gpus=[]):
        assert devices() == []
    for status in (3, 100, 803, 999):
        with simulator.machine(gpus=[GOOD], faults=[{"call": "cuInit", "nth": 0, "status": status}]):
            assert devices() == []
