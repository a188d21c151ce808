"""Control of a simulated library's calls: faults, counts, traces, and the configuration."""

from __future__ import annotations

import ctypes
import json
import os
from pathlib import Path
from typing import Any

import pytest

from driver_tests import child
from driver_tests.cuda_client import (
    DEVICE,
    SUCCESS,
    Copy2D,
    Cuda,
)


def faults() -> None:
    cuda = Cuda()
    with cuda.context():
        out = ctypes.byref(ctypes.c_ulonglong())
        assert [cuda.cuMemAlloc_v2(out, 10) for _ in range(4)] == [0, 2, 0, 0]
        assert [cuda.cuStreamCreate(out, 0) for _ in range(2)] == [999, 999]
        assert cuda.live() == {"contexts": 1, "device_allocations": 3}
        assert cuda.report()["calls"] == {"cuInit": 1, "cuCtxCreate_v2": 1, "cuMemAlloc_v2": 4, "cuStreamCreate": 2}
        cuda.request({"reset": True})
        assert cuda.report()["calls"] == {}
        assert [cuda.cuMemAlloc_v2(out, 10) for _ in range(2)] == [0, 2]
        cuda.configure(count=False)
        cuda.do("cuMemAlloc_v2", out, 10)
        assert cuda.report()["calls"] == {"cuMemAlloc_v2": 2}, "nothing is counted"


@pytest.mark.sanitize
def test_faults_come_at_the_use_that_was_asked_for(nvsim_dir: Path) -> None:
    wanted = [{"call": "cuMemAlloc_v2", "nth": 2, "status": 2}, {"call": "cuStreamCreate", "nth": 0, "status": 999}]
    child.check(nvsim_dir, faults, {"faults": wanted})


def traced() -> None:
    cuda = Cuda()
    with cuda.context():
        memory = cuda.allocate(100)
        copy = Copy2D(srcMemoryType=DEVICE, srcDevice=memory, srcPitch=50, dstMemoryType=DEVICE, dstDevice=memory + 50)
        copy.WidthInBytes, copy.Height = 50, 1
        cuda.do("cuMemcpy2D_v2", ctypes.byref(copy))
        cuda.cuMemFree_v2(1)
        print(json.dumps({"memory": hex(memory), "pid": os.getpid()}))


@pytest.mark.sanitize
def test_the_trace_has_every_call(nvsim_dir: Path, tmp_path: Path) -> None:
    trace = tmp_path / "trace.jsonl"
    known = json.loads(child.check(nvsim_dir, traced, {"trace": str(trace)}))
    lines = [json.loads(line) for line in trace.read_text().splitlines()]
    assert [line["call"] for line in lines] == [
        *("cuInit", "cuCtxCreate_v2", "cuMemAlloc_v2", "cuMemcpy2D_v2"),
        *("cuMemFree_v2", "cuMemFree_v2", "cuCtxDestroy_v2"),
    ]
    assert [line.get("status") for line in lines] == [0, 0, 0, 0, None, 1, 0]
    assert lines[4]["violation"] == "freed, but no allocation begins here"
    assert lines[4]["object"] == "address 0x1"
    assert lines[5]["args"] == {"address": "0x1"}
    expected = {"srcMemoryType": 2, "srcDevice": known["memory"], "srcPitch": 50, "dstMemoryType": 2}
    copy = lines[3]["args"]["p"]
    assert {key: copy[key] for key in expected} == expected
    assert "dstPitch" not in copy, "zeros leave no mark"
    assert {(line["lib"], line["pid"]) for line in lines} == {("cuda", known["pid"])}
    assert [line["t"] for line in lines] == sorted(line["t"] for line in lines)


def configured() -> None:
    cuda = Cuda()

    def error(config: Any) -> str:
        answer = cuda.request({"configure": config})
        assert list(answer) == ["error"], answer
        return str(answer["error"])

    assert error({"gpu": []}) == 'unknown key "config.gpu"; nearest: "gpus"'
    assert error({"gpus": [{"name": "L4", "engine": 3}]}) == 'unknown key "config.gpus[0].engine"; nearest: "engines"'
    assert error({"gpus": ["RTX 409"]}) == 'no GPU "RTX 409" in the catalogue; nearest: "RTX 4090"'
    assert error({"gpus": ["4090"]}) == 'no GPU "4090" in the catalogue; nearest: "RTX 4090"'
    assert error({"gpus": ["rtx3090"]}) == 'no GPU "rtx3090" in the catalogue; nearest: "RTX 3090"'
    assert error({"gpus": [{"name": "L4", "caps": {"WIDTH": 1}}]}).startswith("unknown capability")
    assert error({"gpus": ["L4"] * 17}) == '"config.gpus" has more than 16 GPUs'
    assert error({"copy": 1}) == '"config.copy" has to be true or false'
    assert error({"backend": "x"}) == '"config.backend" has to be "echo", "null", "codec" or "auto"'
    assert error({"max_api": "13"}) == '"config.max_api" has to look like "13.0"'
    assert error({"faults": {"call": "malloc"}}) == '"config.faults": no library has a call "malloc"'
    assert error({"trace": "/no/such/folder/trace"}).startswith("trace ")
    assert error({"report": "/no/such/folder/report"}).startswith("report ")
    assert cuda.request([1]) == {"error": '"request" has to be an object'}
    assert cuda.request({"what": 1}) == {"error": 'unknown request "what"'}
    assert "error" in json.loads(cuda.library.nvsim_control(b'{"configure": {'))
    with cuda.context():
        assert "living contexts" in error({"gpus": ["L4", "L4"]})
        assert "living contexts" in error({"async_streams": True})
        cuda.configure(copy=False)
    cuda.configure(gpus=["L4", {"name": "Mine", "like": "L4", "engines": 7, "compute": [9, 9]}])
    assert cuda.get("cuDeviceGetCount", kind=ctypes.c_int) == 2
    cuda.get("cuDevicePrimaryCtxRetain", 1)
    assert "in use" in error({"gpus": ["L4"]})
    cuda.do("cuDevicePrimaryCtxRelease_v2", 1)
    cuda.configure(gpus=["L4"])


@pytest.mark.sanitize
def test_a_configuration_is_checked(nvsim_dir: Path) -> None:
    child.check(nvsim_dir, configured)


def test_a_broken_configuration_ends_the_process_with_a_message(nvsim_dir: Path) -> None:
    done = child.run(nvsim_dir, configured, {"gpsu": []})
    assert done.returncode == 78
    assert 'unknown key "config.gpsu"; nearest: "gpus"' in done.stderr


def catalogue() -> None:
    cuda = Cuda(initialise=False)
    names = [
        *("GTX 1080", "T4", "RTX 3090", "A40", "A100", "RTX 4070", "RTX 4080", "RTX 4090", "L4", "L40S"),
        *("RTX 6000 Ada", "H100", "H200", "RTX 5070", "RTX 5080", "RTX 5090"),
    ]
    cuda.configure(gpus=names)
    assert cuda.cuInit(0) == SUCCESS
    for ordinal in range(len(names)):
        with cuda.context(ordinal):
            memory = cuda.allocate(5, b"hello")
            assert cuda.get("cuPointerGetAttribute", 9, memory, kind=ctypes.c_int) == ordinal
            assert cuda.download(memory, 5) == b"hello"


def test_sixteen_gpus_of_the_catalogue(nvsim_dir: Path) -> None:
    child.check(nvsim_dir, catalogue)
