"""Which version of the encode interface runs on which driver, and the error if none can."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

import pdum.nvenc
from frames import nv12
from pdum.nvenc import DriverTooOld, InvalidConfig, NvencEncoder, NvencError

from simulator import Simulator, environment, parse
from simulator.trace import read_calls

pytestmark = pytest.mark.one_abi

FAST = {"name": "RTX 4090", "fps_1080p": 0}
CHOICES = [("12.1", "12.1"), ("12.2", "12.1"), ("13.0", "13.0"), ("13.1", "13.1"), ("14.0", "13.1")]


@pytest.fixture(autouse=True)
def unforced(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("PDUM_NVENC_ABI", raising=False)


def use_of(simulator: Simulator, path: Path, max_api: str) -> set[str]:
    """The interface versions in which the driver was really called, from an encoder's creation to its end."""
    with (
        simulator.machine(gpus=FAST, max_api=max_api, trace=str(path)),
        NvencEncoder(256, 144, tuning="hq", bframes=1) as encoder,
    ):
        assert encoder.abi == pdum.nvenc.abi
        for number in range(4):
            encoder.submit(nv12(256, 144, number), number)
        encoder.reconfigure(fps=60)
        encoder.sequence_header()
        (*_, last) = encoder.flush_pipeline()
        assert parse(last.data)
    calls = [call for call in read_calls(path) if call.session]
    assert len(calls) > 20
    structs = {call.args["version"] & 0xFF0000FF for call in calls if call.args.get("version", 0) > 0xFFFF}
    words = {"12.1": 0x0100000C, "13.0": 0x0000000D, "13.1": 0x0100000D}
    apis = {call.api for call in calls}
    assert structs <= {words[api] | high for api in apis for high in (0x70000000, 0xF0000000)}
    return apis


@pytest.mark.parametrize(("max_api", "chosen"), CHOICES)
def test_the_newest_that_the_driver_speaks(simulator: Simulator, tmp_path: Path, max_api: str, chosen: str) -> None:
    assert use_of(simulator, tmp_path / "trace", max_api) == {chosen}


@pytest.mark.parametrize("max_api", ["12.1", "12.2", "13.0", "14.0"])
def test_12_1_can_be_forced(
    simulator: Simulator, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, max_api: str
) -> None:
    monkeypatch.setenv("PDUM_NVENC_ABI", "12.1")
    assert use_of(simulator, tmp_path / "trace", max_api) == {"12.1"}


@pytest.mark.parametrize("max_api", ["13.0", "13.1", "14.0"])
def test_13_0_can_be_forced(
    simulator: Simulator, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, max_api: str
) -> None:
    monkeypatch.setenv("PDUM_NVENC_ABI", "13.0")
    assert use_of(simulator, tmp_path / "trace", max_api) == {"13.0"}


def test_nothing_forced_is_said_by_an_empty_variable(
    simulator: Simulator, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("PDUM_NVENC_ABI", "")
    assert use_of(simulator, tmp_path / "trace", "12.2") == {"12.1"}


def refusal(simulator: Simulator, max_api: str) -> NvencError:
    with simulator.machine(gpus=FAST, max_api=max_api, count=True) as machine:
        with pytest.raises(NvencError) as caught:
            NvencEncoder(256, 144)
        assert "nvEncOpenEncodeSessionEx" not in machine.calls()
        assert pdum.nvenc.abi is None
    return caught.value


@pytest.mark.parametrize("max_api", ["12.1", "12.2"])
def test_13_0_cannot_be_forced_on_an_older_driver(
    simulator: Simulator, monkeypatch: pytest.MonkeyPatch, max_api: str
) -> None:
    monkeypatch.setenv("PDUM_NVENC_ABI", "13.0")
    error = refusal(simulator, max_api)
    assert isinstance(error, DriverTooOld)
    assert f"version {max_api}" in str(error)
    assert "13.0" in str(error)
    assert "570" in error.advice


def test_13_1_cannot_be_forced_on_an_older_driver(simulator: Simulator, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("PDUM_NVENC_ABI", "13.1")
    error = refusal(simulator, "13.0")
    assert isinstance(error, DriverTooOld)
    assert "version 13.0" in str(error)
    assert "13.1" in str(error)


@pytest.mark.parametrize("max_api", ["12.0", "11.1", "10.0", "9.1"])
@pytest.mark.parametrize("forced", ["", "12.1"])
def test_a_driver_older_than_both(
    simulator: Simulator, monkeypatch: pytest.MonkeyPatch, max_api: str, forced: str
) -> None:
    monkeypatch.setenv("PDUM_NVENC_ABI", forced)
    error = refusal(simulator, max_api)
    assert isinstance(error, DriverTooOld)
    assert f"version {max_api}" in str(error)
    assert "12.1" in str(error)
    assert "530" in error.advice


@pytest.mark.parametrize("value", ["banana", "13", "12.2", "13.0 ", "0x0d", "12,1", "13.00"])
def test_a_forced_version_that_does_not_exist(
    simulator: Simulator, monkeypatch: pytest.MonkeyPatch, value: str
) -> None:
    monkeypatch.setenv("PDUM_NVENC_ABI", value)
    error = refusal(simulator, "13.0")
    assert isinstance(error, InvalidConfig)
    assert f"PDUM_NVENC_ABI is '{value}'" in str(error)
    assert "12.1" in error.advice
    assert "13.0" in error.advice


def test_encoders_of_all_versions_side_by_side(
    simulator: Simulator, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    path = tmp_path / "trace"
    with simulator.machine(gpus=FAST, trace=str(path)):
        encoders = []
        for version in ("12.1", "13.0", "13.1", "12.1"):
            monkeypatch.setenv("PDUM_NVENC_ABI", version)
            encoders.append(NvencEncoder(256, 144))
        for number in range(5):
            units = [parse(encoder.encode(nv12(256, 144, number)))[0] for encoder in encoders]
            assert len({unit.checksum for unit in units}) == 1
        assert [encoder.abi for encoder in encoders] == ["12.1", "13.0", "13.1", "12.1"]
        for encoder in encoders:
            encoder.close()
    apis = [call.api for call in read_calls(path, "nvEncEncodePicture")]
    assert apis == ["12.1", "13.0", "13.1", "12.1"] * 6, "five pictures and the end of each stream"


def test_the_module_has_an_answer_for_a_name_that_it_lacks() -> None:
    with pytest.raises(AttributeError, match="no attribute 'nonsense'"):
        pdum.nvenc.nonsense  # noqa: B018


# In separate processes, since libraries are opened once per process

ASK = """
import json, sys
import pdum.nvenc as nvenc
answer = {"abi": nvenc.abi, "available": nvenc.available(), "reason": nvenc.unavailable_reason()}
try:
    with nvenc.NvencEncoder(256, 144) as encoder:
        answer["encoder"] = encoder.abi
        answer["bytes"] = len(encoder.encode(bytes(256 * 216)))
except nvenc.NvencError as error:
    answer["error"] = [type(error).__name__, str(error), error.advice]
answer["modules"] = sorted(sys.modules)
print(json.dumps(answer))
"""


def ask(env: dict[str, str], program: str = ASK) -> dict[str, Any]:
    run = subprocess.run(
        [sys.executable, "-c", program], env=env, capture_output=True, text=True, timeout=60, check=False
    )
    assert run.returncode == 0, run.stderr
    assert run.stderr == ""
    answer: dict[str, Any] = json.loads(run.stdout)
    return answer


def with_libraries(folder: Path, **libraries: Path | None) -> dict[str, str]:
    """An environment that finds these libraries first; None is a file that is not a library."""
    names = {"cuda": "libcuda.so.1", "encode": "libnvidia-encode.so.1"}
    for name, target in libraries.items():
        if target is None:
            (folder / names[name]).write_text("no library at all, but long enough to be read as one" * 10)
        else:
            (folder / names[name]).symlink_to(target)
    return {**os.environ, "LD_LIBRARY_PATH": str(folder), "NVSIM_CONFIG": "{}"}


def test_without_a_driver(tmp_path: Path) -> None:
    answer = ask(with_libraries(tmp_path, cuda=None, encode=None))
    assert (answer["abi"], answer["available"]) == (None, False)
    kind, message, advice = answer["error"]
    assert kind == "DriverNotFound"
    assert "libcuda.so.1" in message
    assert "Install NVIDIA's driver" in advice
    assert "NVIDIA_DRIVER_CAPABILITIES" in advice
    assert "libcuda.so.1" in answer["reason"] or "libnvidia-encode.so.1" in answer["reason"]
    assert "Install" in answer["reason"]


def test_without_its_video_library(tmp_path: Path, nvsim_dir: Path) -> None:
    """This happens in a container that was started without the video capability."""
    answer = ask(with_libraries(tmp_path, cuda=(nvsim_dir / "full" / "libcuda.so.1").resolve(), encode=None))
    assert (answer["abi"], answer["available"]) == (None, False)
    kind, message, advice = answer["error"]
    assert kind == "DriverNotFound"
    assert "libnvidia-encode.so.1" in message
    assert "video" in advice


def test_a_library_that_is_not_nvidias(tmp_path: Path) -> None:
    """A library of that name without the functions, such as an old stub."""
    source = tmp_path / "empty.c"
    source.write_text("int nothing;\n")
    subprocess.run(["cc", "-shared", "-o", str(tmp_path / "empty.so"), str(source)], check=True, timeout=60)
    answer = ask(with_libraries(tmp_path, cuda=tmp_path / "empty.so", encode=tmp_path / "empty.so"))
    assert answer["available"] is False
    kind, message, advice = answer["error"]
    assert kind == "DriverTooOld"
    assert "has no function" in message
    assert "Update" in advice


RETRY = """
import ctypes, json, sys
import pdum.nvenc as nvenc
answer = {"before": nvenc.abi}
try:
    nvenc.NvencEncoder(256, 144)
except nvenc.DriverNotFound as error:
    answer["error"] = str(error)
import os
folder = os.environ["LD_LIBRARY_PATH"]
for name in ("libcuda.so.1", "libnvidia-encode.so.1"):
    os.unlink(folder + "/" + name)
    os.symlink(os.environ["FULL"] + "/" + name, folder + "/" + name)
with nvenc.NvencEncoder(256, 144) as encoder:
    answer["after"] = encoder.abi
print(json.dumps(answer))
"""


def test_a_driver_that_comes_later_is_found(tmp_path: Path, nvsim_dir: Path) -> None:
    env = with_libraries(tmp_path, cuda=None, encode=None) | {"FULL": str((nvsim_dir / "full").resolve())}
    answer = ask(env, RETRY)
    assert answer["before"] is None
    assert "libcuda.so.1" in answer["error"]
    assert answer["after"] == "13.1"


@pytest.mark.parametrize(("max_api", "chosen"), CHOICES)
def test_the_choice_in_a_separate_process(max_api: str, chosen: str) -> None:
    answer = ask(environment(max_api=max_api))
    assert (answer["abi"], answer["available"], answer["reason"]) == (chosen, True, None)
    assert answer["encoder"] == chosen
    assert answer["bytes"] > 0
    assert "numpy" not in answer["modules"], "nor does encoding need it"


def test_a_driver_that_is_too_old_in_a_separate_process() -> None:
    answer = ask(environment(max_api="11.1"))
    assert (answer["abi"], answer["available"]) == (None, False)
    assert answer["error"][0] == "DriverTooOld"
    assert answer["reason"] == answer["error"][1]
