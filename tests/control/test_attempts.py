"""Several attempts at a picture: what is kept is as if nothing else had been tried."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from typing import Any

import numpy as np
import pytest

from control.coded import HEIGHT, WIDTH, decoded, frame_of, planes_of
from control.driver_calls import GPU, Driver
from frames import nv12
from pdum.nvenc import (
    Attempts,
    EncoderFailed,
    InvalidConfig,
    InvalidFrame,
    NvencEncoder,
    NvencError,
    Packet,
    PictureOptions,
    Region,
)

from simulator import Simulator

CODECS = ("h264", "hevc", "av1")
COUNT = 6
QPS = ((24, 40, 30), (36, 20, 28), (22, 33, 45), (30, 41, 18), (31, 27, 35), (20, 44, 26))
"""Of each picture's attempts."""


def frames(count: int = COUNT) -> list[Any]:
    return [frame_of(planes, "nv12") for planes in planes_of("nv12", count)]


def quantiser(codec: str, qp: int) -> int:
    return 4 * qp if codec == "av1" else qp


@contextmanager
def encoder(simulator: Simulator, backend: str = "codec", faults: Any = (), **settings: Any) -> Iterator[NvencEncoder]:
    with (
        simulator.machine(gpus=GPU, backend=backend, faults=list(faults)),
        NvencEncoder(WIDTH, HEIGHT, **{"qp": 30, "attempts": 3, **settings}) as made,
    ):
        yield made


def chosen(simulator: Simulator, codec: str, kept: int, **settings: Any) -> list[Packet]:
    """Each picture with all three quantisers, of which another one is kept each time."""
    with encoder(simulator, codec=codec, **settings) as made:
        packets = []
        for number, picture in enumerate(made.attempts_at(frames())):
            tried = [picture.encode(qp=quantiser(codec, qp)) for qp in QPS[number]]
            packets.append(picture.keep(tried[(kept + number) % 3]))
        assert not made.flush()
    return packets


def straight(simulator: Simulator, codec: str, kept: int, **settings: Any) -> list[Packet]:
    with encoder(simulator, codec=codec, **{**settings, "attempts": 0, "lookahead": 0}) as made:
        packets = []
        for number, frame in enumerate(frames()):
            made.reconfigure(qp=quantiser(codec, QPS[number][(kept + number) % 3]))
            packets += made.submit(frame, number)
    return packets


def numbers(packets: Sequence[Packet]) -> list[Any]:
    return [(one.seq, one.pts, one.dts, one.pic_type, one.keyframe, one.frame_avg_qp) for one in packets]


@pytest.mark.one_abi
@pytest.mark.parametrize("codec", CODECS)
@pytest.mark.parametrize("kept", range(3))
def test_what_is_kept_is_as_if_nothing_else_had_been_tried(simulator: Simulator, codec: str, kept: int) -> None:
    packets, wanted = chosen(simulator, codec, kept), straight(simulator, codec, kept)
    assert [packet.data for packet in packets] == [packet.data for packet in wanted]
    assert numbers(packets) == numbers(wanted)
    assert len(decoded(packets, codec)) == COUNT


@pytest.mark.one_abi
@pytest.mark.parametrize("codec", CODECS)
def test_a_lookahead_changes_nothing_but_the_order_of_calls(simulator: Simulator, codec: str) -> None:
    """The software codecs behind the simulated driver look at no later picture."""
    packets = chosen(simulator, codec, 1, tuning="hq", lookahead=4)
    wanted = straight(simulator, codec, 1, tuning="hq")
    assert [packet.data for packet in packets] == [packet.data for packet in wanted]
    assert numbers(packets) == numbers(wanted)


def names(driver: Driver, **settings: Any) -> list[str]:
    def use(made: NvencEncoder) -> None:
        for picture in made.attempts_at(frames(5)):
            picture.encode()
            picture.encode()

    short = {"nvEncLookaheadPicture": "ahead", "nvEncEncodePicture": "encode", "nvEncRestoreEncoderState": "restore"}
    calls = driver.calls(use, width=WIDTH, height=HEIGHT, attempts=2, **settings)
    return [short[call.name] for call in calls if call.name in short]


@pytest.mark.usefixtures("abi")
def test_the_order_of_the_drivers_calls(driver: Driver) -> None:
    one = ["encode", "encode", "restore"]
    assert names(driver) == one * 5 + ["encode"]  # the end of the stream
    ahead = ["ahead"] * 3
    assert names(driver, tuning="hq", lookahead=2) == ahead + one + ["ahead", *one] * 2 + one * 2 + ["encode"]


@pytest.mark.usefixtures("abi")
def test_each_attempt_has_a_state_of_its_own(driver: Driver) -> None:
    def use(made: NvencEncoder) -> None:
        made.encode(frames(1)[0])
        for picture in made.attempts_at(frames(2)):
            tried = [picture.encode() for _ in range(3)]
            picture.keep(tried[1])

    calls = driver.calls(use, width=WIDTH, height=HEIGHT, attempts=3)
    pictures = [call.args for call in calls if call.name == "nvEncEncodePicture"]
    told = [(one.get("frameIdx", 0), one.get("stateBufferIdx", 0), one.get("encodePicFlags", 0)) for one in pictures]
    assert told[:-1] == [(0, 0, 0)] + [(index, state, 0x10) for index in (1, 2) for state in range(3)]
    restored = [call.args for call in calls if call.name == "nvEncRestoreEncoderState"]
    assert [(one["bufferIdx"], one["state"]) for one in restored] == [(1, "NV_ENC_STATE_RESTORE_FULL")] * 2


@pytest.mark.one_abi
@pytest.mark.parametrize("backend", ["echo", "null"])
def test_submitted_frames_wait_as_for_the_drivers_own_lookahead(simulator: Simulator, backend: str) -> None:
    seen = []
    for attempts in (0, 2):
        with encoder(simulator, backend, tuning="hq", lookahead=3, attempts=attempts, gop=4) as made:
            given: list[Any] = []
            for round_ in range(2):
                for number, frame in enumerate(frames()):
                    packets = made.submit(frame, 10 * round_ + number)
                    given.append((made.in_flight, numbers(packets)))
                given.append(numbers(made.flush_pipeline()))
            seen.append(given)
    assert seen[0] == seen[1]


@pytest.mark.one_abi
def test_frames_and_surfaces_may_be_written_again_while_they_wait(simulator: Simulator) -> None:
    """The rules of the simulated driver watch over what is mapped."""
    with encoder(simulator, "echo", tuning="hq", lookahead=3) as made:
        frame = frames(1)[0].copy()
        packets = []
        for number in range(8):
            frame[...] = number
            packets += made.submit(frame, number)
            with made.surface() as surface:
                packets += made.submit(surface, 100 + number)
        packets += made.flush_pipeline()
    assert [packet.seq for packet in packets] == [one for n in range(8) for one in (n, 100 + n)]


@pytest.mark.one_abi
def test_attempts_and_plain_frames_may_alternate(simulator: Simulator) -> None:
    pictures = frames()
    with encoder(simulator, gop=4) as made:
        packets = []
        for number, frame in enumerate(pictures):
            if number % 2:
                packets += made.submit(frame, number)
                continue
            picture = made.begin_attempts(frame, number)
            assert picture is not None
            picture.encode(qp=40)
            packets.append(picture.keep(picture.encode(qp=30)))
    with encoder(simulator, attempts=0, gop=4) as made:
        wanted = [packet for number, frame in enumerate(pictures) for packet in made.submit(frame, number)]
    assert [packet.data for packet in packets] == [packet.data for packet in wanted]
    assert numbers(packets) == numbers(wanted)


@pytest.mark.one_abi
@pytest.mark.parametrize("codec", CODECS)
def test_fit_keeps_the_largest_that_fits(simulator: Simulator, codec: str) -> None:
    with encoder(simulator, codec=codec, attempts=8, qp=quantiser(codec, 20)) as made:
        for number, picture in enumerate(made.attempts_at(frames())):
            budget = 6000 if number == 0 else 900
            packet = picture.fit(budget)
            sizes = [len(one.data) for one in picture.packets]
            assert len(packet.data) == max(size for size in sizes if size <= budget)
            assert len(packet.data) >= min(sizes[0], budget / 4)
            assert made.config is not None
            assert made.config.qp == quantiser(codec, 20)


@pytest.mark.one_abi
def test_fit_keeps_the_smallest_if_none_fits(simulator: Simulator) -> None:
    with encoder(simulator, attempts=2) as made:
        for picture in made.attempts_at(frames(2)):
            packet = picture.fit(1)
            assert len(picture.packets) == 2
            assert len(packet.data) == min(len(one.data) for one in picture.packets)


@pytest.mark.one_abi
def test_maps_are_of_one_attempt(simulator: Simulator) -> None:
    everywhere = [Region(0, 0, WIDTH, HEIGHT, qp=12)]
    with encoder(simulator, qp_map="delta") as made:
        given = PictureOptions(regions=[Region(0, 0, WIDTH, HEIGHT, qp=-6)])
        picture = made.begin_attempts(frames(1)[0], 0, picture=given)
        assert picture is not None
        none: list[Region] = []
        sizes = [len(picture.encode(regions=regions).data) for regions in (none, everywhere, none)]
    assert sizes[0] == sizes[2] > 2 * sizes[1]


@pytest.mark.one_abi
def test_each_attempt_has_its_own_statistics_and_reconstruction(simulator: Simulator) -> None:
    frame = frames(1)[0]
    with encoder(simulator, statistics="rows", reconstruction=True) as made:
        picture = made.begin_attempts(frame, 0)
        assert picture is not None
        worse, better = picture.encode(qp=48), picture.encode(qp=12)
        errors = []
        for one in (worse, better):
            assert one.reconstruction is not None
            with one.reconstruction as shown:
                errors.append(np.abs(np.asarray(shown).astype(int) - frame).mean())
        assert errors[0] > 2 * errors[1]
        assert worse.statistics is not None
        assert better.statistics is not None
        assert worse.statistics.rows["bits"].sum() < better.statistics.rows["bits"].sum()


@pytest.mark.one_abi
def test_leaving_keeps_the_last_attempt(simulator: Simulator) -> None:
    with encoder(simulator) as made:
        picture = made.begin_attempts(frames(1)[0], 0)
        assert picture is not None
        with picture:
            assert picture.left == 3
            picture.encode()
            last = picture.encode(qp=20)
            assert picture.left == 1
        assert picture.kept is last
        assert picture.left == 0
        rest = made.submit(frames(2)[1], 1)
    assert len(decoded([last, *rest], "h264")) == 2


@pytest.mark.one_abi
@pytest.mark.parametrize(("lookahead", "wanted"), [(0, [1, 2]), (2, [0, 1, 2])])
def test_a_picture_without_attempts_is_left_out_if_that_is_possible(
    simulator: Simulator, lookahead: int, wanted: list[int]
) -> None:
    with encoder(simulator, tuning="hq", lookahead=lookahead) as made:
        packets = []
        for number, picture in enumerate(made.attempts_at(frames(3))):
            if number > 0:
                packets.append(picture.encode())
        packets = made.flush_pipeline() + packets
    assert [packet.seq for packet in packets] == wanted
    assert len(decoded(packets, "h264")) == len(wanted)


OTHERS: list[Any] = [
    lambda made: made.encode(frames(1)[0]),
    lambda made: made.submit(frames(1)[0], 1),
    lambda made: made.begin_attempts(frames(1)[0]),
    lambda made: made.flush(),
    lambda made: made.lost(0),
    lambda made: made.reconfigure(width=192),
]


@pytest.mark.one_abi
@pytest.mark.parametrize("call", OTHERS)
def test_other_calls_wait_until_one_is_kept(simulator: Simulator, call: Any) -> None:
    with encoder(simulator) as made:
        picture = made.begin_attempts(frames(1)[0])
        assert picture is not None
        picture.encode()
        with pytest.raises(EncoderFailed, match="not finished"):
            call(made)
        picture.keep()
        call(made)


@pytest.mark.one_abi
def test_what_is_wrong_is_said(simulator: Simulator) -> None:
    with encoder(simulator) as made:
        picture = made.begin_attempts(frames(1)[0])
        assert picture is not None
        with pytest.raises(InvalidConfig, match="no attempt"):
            picture.keep()
        with pytest.raises(InvalidConfig, match="number of bytes from 1"):
            picture.fit(0)
        other = Packet(0, b"", False)
        picture.encode()
        with pytest.raises(InvalidConfig, match="packet of this picture"):
            picture.keep(other)
        picture.encode()
        picture.encode()
        with pytest.raises(InvalidConfig, match="All 3 attempts"):
            picture.encode()
        picture.keep()
        with pytest.raises(InvalidConfig, match="kept already"):
            picture.keep()
        with pytest.raises(EncoderFailed, match="kept already"):
            picture.encode()
        with pytest.raises(InvalidFrame):
            made.begin_attempts(frames(1)[0][:-2])
        with made.surface() as surface, pytest.raises(InvalidFrame, match="no surface"):
            made.begin_attempts(surface)
    with encoder(simulator, attempts=0) as made, pytest.raises(InvalidConfig, match="attempts=4"):
        made.begin_attempts(frames(1)[0])
    with encoder(simulator, qp=None, bitrate=10**6) as made:
        picture = made.begin_attempts(frames(1)[0])
        assert picture is not None
        with pytest.raises(InvalidConfig, match="needs an encoder with qp"):
            picture.fit(1000)


@pytest.mark.one_abi
@pytest.mark.parametrize("change", [{"width": 192, "height": 128}, {"qp": None, "rate_control": "vbr"}], ids=str)
def test_packets_of_frames_that_a_change_finishes_come_before_the_next_picture(
    simulator: Simulator, change: dict[str, Any]
) -> None:
    """Otherwise they would come at the end, behind those of later frames."""
    with encoder(simulator, tuning="hq", lookahead=2) as made:
        packets: list[Packet] = []

        def encode(picture: Attempts | None) -> None:
            if picture is None:
                return
            with picture:
                packets.extend(picture.earlier)
                assert picture.earlier == () or picture.earlier[-1] is packets[-1]
                packets.append(picture.encode())

        for number, frame in enumerate(frames(4)):
            encode(made.begin_attempts(frame, number))
        made.reconfigure(**change)
        config = made.config
        assert config is not None
        for number in range(4, 8):
            encode(made.begin_attempts(nv12(config.width, config.height, number), number))
        for _ in range(2):
            encode(made.begin_attempts())
        assert made.flush_pipeline() == []
    assert [packet.seq for packet in packets] == list(range(8))
    assert [packet.dts for packet in packets] == list(range(8))
    assert len(decoded(packets, "h264")) == 8


@pytest.mark.one_abi
def test_a_frame_without_attempts_comes_before_the_next_picture(simulator: Simulator) -> None:
    with encoder(simulator, tuning="hq", lookahead=2) as made:
        packets: list[Packet] = []
        for number, picture in enumerate(made.attempts_at(frames(5))):
            packets += picture.earlier
            if number not in (1, 2):
                packets.append(picture.encode())
        assert picture.earlier == ()
    assert [packet.seq for packet in packets] == list(range(5))
    assert len(decoded(packets, "h264")) == 5


@pytest.mark.one_abi
def test_frames_come_in_order_at_the_end_of_a_lookahead(simulator: Simulator) -> None:
    with encoder(simulator, tuning="hq", lookahead=2) as made:
        first, second, third, late = frames(4)
        assert made.begin_attempts(first, 0) is None
        assert made.begin_attempts(second, 1) is None
        assert made.in_flight == 2
        picture = made.begin_attempts()
        assert picture is not None
        assert picture.encode().seq == 0
        picture.keep()
        with pytest.raises(EncoderFailed, match="until it gives None"):
            made.begin_attempts(third, 2)
        assert [packet.seq for packet in made.flush_pipeline()] == [1]
        assert made.begin_attempts() is None
        assert made.submit(late, 3) == []
        assert [(packet.seq, packet.keyframe) for packet in made.flush_pipeline()] == [(3, True)]


@pytest.mark.one_abi
def test_a_further_stream_begins_with_a_key_frame(simulator: Simulator) -> None:
    with encoder(simulator, tuning="hq", lookahead=2, gop=0) as made:
        packets = []
        for _ in range(2):
            for picture in made.attempts_at(frames(4)):
                packets.append(picture.encode())
    assert [packet.keyframe for packet in packets] == [True, False, False, False] * 2
    assert len(decoded(packets, "h264")) == 8


@pytest.mark.one_abi
@pytest.mark.parametrize("nth", [3, 4])
def test_a_flush_that_fails_is_made_up_for_by_the_next_frame(simulator: Simulator, nth: int) -> None:
    """Two of the four frames wait when the stream is flushed: the first or the second of them fails."""
    fault = {"call": "nvEncEncodePicture", "nth": nth, "status": 20}
    with encoder(simulator, faults=[fault], tuning="hq", lookahead=2) as made:
        packets = [packet for number, frame in enumerate(frames(4)) for packet in made.submit(frame, number)]
        with pytest.raises(NvencError):
            made.flush_pipeline()
        packets += made.submit(frames(5)[4], 4)
        packets += made.flush_pipeline()
    assert [packet.seq for packet in packets] == list(range(5))
    assert packets[-1].keyframe == (nth == 4), "the driver takes no more frames ahead once it had one with too few"
    assert len(decoded(packets, "h264")) == 5


@pytest.mark.one_abi
@pytest.mark.parametrize("call", ["nvEncRestoreEncoderState", "nvEncLockBitstream", "nvEncLookaheadPicture"])
@pytest.mark.parametrize("nth", [1, 2, 3])
@pytest.mark.parametrize("lookahead", [0, 2])
def test_a_failed_call_can_be_made_again(simulator: Simulator, call: str, nth: int, lookahead: int) -> None:
    """What the failed call would have given is not there; everything else is."""
    fault = {"call": call, "nth": nth, "status": 20}

    def again(step: Any) -> Any:
        try:
            return step()
        except NvencError:
            return step()

    with encoder(simulator, faults=[fault], tuning="hq", lookahead=lookahead, attempts=4) as made:
        packets = []

        def work(picture: Any) -> None:
            again(lambda: picture.encode(qp=40))
            again(lambda: picture.encode(qp=25))
            packets.append(again(picture.keep))

        for number, frame in enumerate(frames()):
            picture = again(lambda frame=frame, number=number: made.begin_attempts(frame, number))
            if picture is not None:
                work(picture)
        while (picture := again(made.begin_attempts)) is not None:
            work(picture)
    assert [packet.seq for packet in packets] == list(range(COUNT))
    assert len(decoded(packets, "h264")) == COUNT


@pytest.mark.one_abi
@pytest.mark.parametrize("made_attempts", [0, 1, 3])
@pytest.mark.parametrize("lookahead", [0, 2])
def test_an_encoder_can_be_closed_at_any_time(simulator: Simulator, made_attempts: int, lookahead: int) -> None:
    """The machine checks that no rule is broken and nothing is left."""
    with encoder(simulator, tuning="hq", lookahead=lookahead) as made:
        picture = None
        for number, frame in enumerate(frames(4)):
            picture = picture or made.begin_attempts(frame, number)
        assert picture is not None
        for _ in range(made_attempts):
            picture.encode()


@pytest.mark.one_abi
def test_a_smaller_size_comes_after_the_frames_that_wait(simulator: Simulator) -> None:
    with encoder(simulator, "echo", tuning="hq", lookahead=3) as made:
        packets = [packet for number, frame in enumerate(frames(5)) for packet in made.submit(frame, number)]
        made.reconfigure(width=192, height=96)
        small = np.zeros((144, 192), np.uint8)
        packets += made.submit(small, 5) + made.flush_pipeline()
    assert [packet.seq for packet in packets] == list(range(6))
    assert packets[-1].keyframe
