"""Every driver call of an encoder fails once, at each of its uses, with every possible status.

Asserted of each such life, which `fault_runner.py` lives in a process of its own: only errors of the tree come out, the
driver's failure among them; no crash, no hang; every frame that was accepted comes out once, with its seq and its own
pixels; nothing is left alive; no rule of the driver's is broken on the way; and the next encoder of the process works.
"""

from __future__ import annotations

import functools
import json
import random
import subprocess
import sys
from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import Any

import pytest

from frames import nv12
from pdum.nvenc import NvencEncoder, NvencError

from simulator import Simulator

pytestmark = [pytest.mark.one_abi, pytest.mark.usefixtures("nvsim_dir")]

RUNNER = Path(__file__).with_name("fault_runner.py")
ABIS = ("13.1", "12.1")
WITH_VIEWS = ("13.1", "13.0")
# Every status that the interface knows, and two that it may know one day.
ENCODE_STATUSES = (*range(1, 27), 27, 4711)
# The answers of CUDA's calls in practice, and two that it may have one day.
CUDA_STATUSES = (1, 2, 3, 4, 46, 100, 101, 200, 201, 214, 304, 400, 700, 702, 709, 716, 719, 801, 803, 999, 1500, 98765)
LASTING = (1, 2, 5, 8, 10, 13, 20, 21, 999)

Case = dict[str, Any]
Outcome = dict[str, Any]


def lives(cases: Iterable[Case]) -> list[Outcome]:
    """The result of each case."""
    text = "".join(f"{json.dumps(case)}\n" for case in cases)
    command = [sys.executable, "-X", "faulthandler", str(RUNNER)]
    done = subprocess.run(command, input=text, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    return [json.loads(line) for line in done.stdout.splitlines()]


def problems(outcomes: Iterable[Outcome]) -> str:
    """A line for each of the first failed cases."""
    wrong = [f"{outcome['case']}: {'; '.join(outcome['problems'])}" for outcome in outcomes if outcome["problems"]]
    return "\n".join([*wrong[:30], f"{len(wrong)} cases went wrong"] if wrong else [])


@pytest.fixture(scope="module")
def uses() -> dict[str, int]:
    """How often an encoder without faults uses each call. All interface versions use the same."""
    outcomes = lives({"abi": abi, "faults": []} for abi in ABIS)
    assert not problems(outcomes)
    assert not any(outcome["errors"] for outcome in outcomes)
    counts: dict[str, int] = outcomes[0]["calls"]
    assert counts == outcomes[1]["calls"]
    return counts


def statuses_of(call: str) -> tuple[int, ...]:
    return CUDA_STATUSES if call.startswith("cu") else ENCODE_STATUSES


def spread(call: str, uses: int, version: int) -> Iterator[tuple[int, int]]:
    """Uses and statuses for the bounded sweep: each use fails once, of many uses every third does; all statuses come up
    over a call's uses in both interface versions, or 12 of them where it has fewer."""
    statuses = statuses_of(call)
    nths = [nth for nth in range(1, uses + 1) if nth <= 4 or nth == uses or (nth + version) % 3 == 0]
    rounds = -(-6 // len(nths))
    for step in range(len(nths) * rounds):
        yield nths[step % len(nths)], statuses[(step * 5 + version * 13) % len(statuses)]


def single(abi: str, call: str, nth: int, status: int) -> Case:
    return {"abi": abi, "faults": [{"call": call, "nth": nth, "status": status}]}


def test_the_undisturbed_life_uses_what_the_encoder_can_use(uses: dict[str, int]) -> None:
    """A call that the scenario never makes could not fail either."""
    assert uses.keys() >= {
        "NvEncodeAPIGetMaxSupportedVersion",
        "nvEncOpenEncodeSessionEx",
        "nvEncReconfigureEncoder",
        "nvEncGetSequenceParams",
        "nvEncInvalidateRefFrames",
        "nvEncLookaheadPicture",
        "nvEncRestoreEncoderState",
        "nvEncUnmapInputResource",
        "nvEncDestroyEncoder",
        "cuMemcpy2DAsync_v2",
        "cuStreamWaitEvent",
        "cuPointerGetAttribute",
    }
    assert uses["nvEncEncodePicture"] > uses["nvEncLockBitstream"], "the end of a stream is among them"


@pytest.mark.parametrize("abi", ABIS)
def test_each_use_of_each_call_fails_once(abi: str, uses: dict[str, int]) -> None:
    cases = [
        single(abi, call, nth, status)
        for call, count in uses.items()
        for nth, status in spread(call, count, ABIS.index(abi))
    ]
    outcomes = lives(cases)
    assert len(outcomes) == len(cases)
    assert not problems(outcomes), problems(outcomes)


@functools.cache
def uses_of_pairs(kind: str, abis: tuple[str, ...]) -> dict[str, int]:
    """The same for encoders of pairs."""
    outcomes = lives({"abi": abi, "faults": [], kind: True} for abi in abis)
    assert not problems(outcomes)
    assert not any(outcome["errors"] for outcome in outcomes)
    counts: dict[str, int] = outcomes[0]["calls"]
    assert counts == outcomes[1]["calls"]
    return counts


@pytest.mark.parametrize(
    ("kind", "abis", "version"),
    [(kind, abis, version) for kind, abis in (("views", WITH_VIEWS), ("alpha", ABIS)) for version in range(2)],
)
def test_each_use_of_each_call_fails_once_with_pairs(kind: str, abis: tuple[str, ...], version: int) -> None:
    cases = [
        {**single(abis[version], call, nth, status), kind: True}
        for call, count in uses_of_pairs(kind, abis).items()
        for nth, status in spread(call, count, version)
    ]
    outcomes = lives(cases)
    assert len(outcomes) == len(cases)
    assert not problems(outcomes), problems(outcomes)


def test_a_call_that_fails_for_good(uses: dict[str, int]) -> None:
    cases = [
        single(ABIS[index % 2], call, 0, status)
        for index, call in enumerate(uses)
        for status in LASTING
        if status in statuses_of(call)
    ]
    outcomes = lives(cases)
    assert not problems(outcomes), problems(outcomes)


@pytest.mark.slow
@pytest.mark.timeout(3600)
@pytest.mark.parametrize("abi", ABIS)
def test_each_use_of_each_call_fails_with_each_status(abi: str, uses: dict[str, int]) -> None:
    outcomes = lives(
        single(abi, call, nth, status)
        for call, count in uses.items()
        for nth in range(1, count + 1)
        for status in statuses_of(call)
    )
    assert not problems(outcomes), problems(outcomes)


@pytest.mark.slow
@pytest.mark.timeout(1800)
def test_two_calls_of_one_life_fail(uses: dict[str, int]) -> None:
    """For example, a failing construction whose cleanup fails, too."""
    chance = random.Random(20)
    calls = sorted(uses)

    def fault() -> dict[str, Any]:
        call = chance.choice(calls)
        return {"call": call, "nth": chance.randint(1, uses[call]), "status": chance.choice(statuses_of(call))}

    outcomes = lives({"abi": chance.choice(ABIS), "faults": [fault(), fault()]} for _ in range(3000))
    assert not problems(outcomes), problems(outcomes)


OPTIONS: list[dict[str, Any]] = [
    {},
    {"extra_output_delay": 3},
    {"tuning": "hq", "bframes": 2},
    {"reconstruction": True, "extra_output_delay": 2},
]


@pytest.mark.parametrize("after", range(1, 7))
@pytest.mark.parametrize("options", OPTIONS, ids=str)
@pytest.mark.parametrize("way", ["frames", "surfaces", "slices"])
def test_a_lost_device_is_asked_nothing_twice(
    abi: str, simulator: Simulator, way: str, options: dict[str, Any], after: int
) -> None:
    """Objects of a lost device, released or not, are never named again."""
    stall = {"gpu": 0, "engine": 0, "after_frames": after, "device_lost": True}
    own: dict[str, Any] = {"slices": 2, "sub_frames": True} if way == "slices" else options
    with simulator.machine(check=False, gpus=["RTX 4090"], stall=[stall], slices_per_lock=1) as machine:
        encoder = NvencEncoder(192, 128, **own)

        def encode() -> None:
            for number in range(12):
                frame: Any = encoder.surface() if way == "surfaces" else nv12(192, 128, number)
                if way == "slices":
                    list(encoder.encode_slices(frame))
                else:
                    encoder.submit(frame, number)

        errors = 0
        for step in (encode, encoder.flush, encoder.flush, encoder.close):
            try:
                step()
            except NvencError:
                errors += 1
        assert errors > 0
        assert not machine.violations()
