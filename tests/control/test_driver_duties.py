"""What the interface requires from every client, whatever the settings, checked in the calls that reach the driver."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import pytest

from control.driver_calls import GPU, HEIGHT, WIDTH, Driver
from control.rows import AV1, HEVC, HQ
from frames import nv12
from pdum.nvenc import NvencEncoder, NvencError

from simulator import Simulator
from simulator.trace import Call, read_calls

CODECS = pytest.mark.parametrize("codec", [{}, HEVC, AV1], ids=["h264", "hevc", "av1"])


def encode_five(encoder: NvencEncoder) -> None:
    for number in range(5):
        encoder.submit(nv12(WIDTH, HEIGHT, number), number)
    encoder.flush_pipeline()
    encoder.submit(nv12(WIDTH, HEIGHT, 5), 5)


@CODECS
@pytest.mark.parametrize("bframes", [0, 2])
def test_pictures_are_numbered_as_they_come(abi: str, driver: Driver, codec: dict[str, str], bframes: int) -> None:
    calls = driver.calls(encode_five, name="nvEncEncodePicture", **HQ, **codec, bframes=bframes)
    pictures = [call.args for call in calls if call.args.get("inputBuffer")]
    assert [picture.get("frameIdx", 0) for picture in pictures] == list(range(6))


def test_av1_leaves_the_level_to_the_driver(abi: str, driver: Driver) -> None:
    """In AV1, 0 is level 2.0. In the other codecs it means the level is chosen automatically."""
    assert driver.initialized(**AV1)["codec.level"] == 24
    assert driver.initialized(**AV1, level="5.1")["codec.level"] != 24


@CODECS
@pytest.mark.parametrize("bframes", range(5))
def test_too_few_b_frames_refer_to_none(abi: str, driver: Driver, codec: dict[str, str], bframes: int) -> None:
    """Presets choose the reference mode for their own number of B-frames."""
    told = driver.initialized(**HQ, **codec, preset="p7", bframes=bframes)
    assert bool(told.get("codec.useBFramesAsRef", 0)) == (bframes >= 3)
    asked = driver.initialized(**HQ, **codec, bframes=max(bframes, 1), b_ref_mode="middle")
    assert asked["codec.useBFramesAsRef"] == "NV_ENC_BFRAME_REF_MODE_MIDDLE"


@pytest.mark.parametrize("codec", [{}, HEVC], ids=["h264", "hevc"])
def test_lossless_asks_for_all_that_it_takes(abi: str, driver: Driver, codec: dict[str, str]) -> None:
    """Without any of these the stream would be lossy, or there would be none."""
    told = driver.initialized(tuning="lossless", **codec)
    assert not [path for path in told if path.startswith(("rc.rateControlMode", "rc.constQP"))], "both are zero"
    assert told.get("codec.qpPrimeYZeroTransformBypassFlag", 0) == (0 if codec else 1)


ENDINGS = ["close", "collection", "flush and close", "a failed call and close"]
LATENCIES: list[dict[str, Any]] = [{}, {"extra_output_delay": 3}, {**HQ, "bframes": 2}, {**HQ, "lookahead": 4}]


def marks(calls: list[Call]) -> Iterator[str]:
    """The pictures, ends of streams and the end of the session, in their order."""
    for call in calls:
        if call.name == "nvEncDestroyEncoder":
            yield "destroyed"
        elif call.name == "nvEncEncodePicture":
            yield "picture" if "inputBuffer" in call.args else "end"


def encode_and_end(ending: str, **settings: Any) -> None:
    encoder = NvencEncoder(WIDTH, HEIGHT, **settings)
    for number in range(5):
        encoder.submit(nv12(WIDTH, HEIGHT, number), number)
    if ending == "flush and close":
        encoder.flush()
    if ending == "a failed call and close":
        with pytest.raises(NvencError, match="shape"):
            encoder.submit(nv12(WIDTH + 16, HEIGHT, 0), 0)
    if ending != "collection":
        encoder.close()


@pytest.mark.parametrize("latency", LATENCIES, ids=str)
@pytest.mark.parametrize("ending", ENDINGS)
def test_the_stream_is_ended_before_its_session(
    abi: str, simulator: Simulator, driver: Driver, ending: str, latency: dict[str, Any]
) -> None:
    with simulator.machine(gpus=GPU, trace=str(driver.path)):
        encode_and_end(ending, **latency)
    assert list(marks(read_calls(driver.path)))[-3:] == ["picture", "end", "destroyed"], "once, after the last picture"


def test_a_stream_without_pictures_has_no_end(abi: str, driver: Driver) -> None:
    assert list(marks(driver.calls())) == ["destroyed"]


def test_an_end_that_the_driver_refuses_is_sent_again(abi: str, simulator: Simulator, driver: Driver) -> None:
    fault = {"call": "nvEncEncodePicture", "nth": 6, "status": 20}
    with simulator.machine(gpus=GPU, trace=str(driver.path), faults=[fault]):
        with pytest.raises(NvencError, match="nvEncEncodePicture"):
            encode_and_end("close")
        assert list(marks(read_calls(driver.path)))[-3:] == ["end", "end", "destroyed"]


@pytest.mark.parametrize("latency", LATENCIES, ids=str)
def test_one_access_unit_is_locked_at_a_time(abi: str, driver: Driver, latency: dict[str, Any]) -> None:
    """No chip is known to keep several of them locked. What is in flight at the end is taken so, too."""
    calls = driver.calls(encode_five, **latency)
    turns = [call for call in calls if call.name in ("nvEncLockBitstream", "nvEncUnlockBitstream")]
    assert [call.name for call in turns] == ["nvEncLockBitstream", "nvEncUnlockBitstream"] * 6
    assert all(
        lock.args["outputBitstream"] == unlock.args["bitstreamBuffer"]
        for lock, unlock in zip(turns[::2], turns[1::2], strict=True)
    )
