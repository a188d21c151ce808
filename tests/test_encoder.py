"""An encoder from creation to end: frames in, access units out, and closing, in every order."""

from __future__ import annotations

import gc
import inspect
import textwrap
import threading
import weakref
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

import pdum.nvenc
from frames import nv12
from pdum.nvenc import EncoderClosed, NvencEncoder, NvencError

from simulator import Simulator, parse
from simulator.echo import checksum
from simulator.trace import read_calls

pytestmark = pytest.mark.one_abi

WIDTH, HEIGHT = 256, 144
FAST = {"name": "L4", "fps_1080p": 0}
CODECS = ["h264", "hevc", "av1"]


def picture(number: int = 0) -> Any:
    return nv12(WIDTH, HEIGHT, number)


@pytest.mark.parametrize("codec", CODECS)
def test_one_in_one_out(abi: str, simulator: Simulator, codec: str) -> None:
    with simulator.machine(gpus=FAST), NvencEncoder(WIDTH, HEIGHT, codec=codec, gop=10) as encoder:
        assert encoder.abi == abi
        for number in range(25):
            data = encoder.encode(picture(number))
            assert type(data) is bytes
            (unit,) = parse(data)
            assert unit.checksum == checksum(picture(number))
            assert unit.timestamp == number
            assert unit.pic_type == ("P" if number % 10 else "IDR")
            assert encoder.in_flight == 0
        assert encoder.flush() == b""


def test_encode_waits_for_its_own_frame(abi: str, simulator: Simulator) -> None:
    """Also on a slow engine."""
    with simulator.machine(gpus={**FAST, "fps_1080p": 5}), NvencEncoder(WIDTH, HEIGHT) as encoder:
        for number in range(5):
            assert [unit.timestamp for unit in parse(encoder.encode(picture(number)))] == [number]


@pytest.mark.parametrize("delay", [1, 3, 8])
def test_encode_with_a_delay_gives_older_frames(abi: str, simulator: Simulator, delay: int) -> None:
    with simulator.machine(gpus=FAST), NvencEncoder(WIDTH, HEIGHT, extra_output_delay=delay) as encoder:
        got = [[unit.timestamp for unit in parse_any(encoder.encode(picture(n)))] for n in range(20)]
        assert got == [[]] * delay + [[number] for number in range(20 - delay)]
        assert encoder.in_flight == delay
        assert [unit.timestamp for unit in parse_any(encoder.flush())] == list(range(20 - delay, 20))
        assert encoder.flush() == b""


def parse_any(data: bytes) -> list[Any]:
    return parse(data) if data else []


@pytest.mark.parametrize("codec", CODECS)
def test_force_idr(abi: str, simulator: Simulator, codec: str) -> None:
    forced = {3, 4, 9}
    with simulator.machine(gpus=FAST), NvencEncoder(WIDTH, HEIGHT, codec=codec, gop=0) as encoder:
        units = [parse(encoder.encode(picture(n), force_idr=n in forced))[0] for n in range(12)]
    assert [unit.is_idr for unit in units] == [n in forced | {0} for n in range(12)]
    assert all(unit.has_headers == unit.is_idr for unit in units)


def test_force_idr_by_position(abi: str, simulator: Simulator) -> None:
    with simulator.machine(gpus=FAST), NvencEncoder(WIDTH, HEIGHT) as encoder:
        encoder.encode(picture())
        assert parse(encoder.encode(picture(), True))[0].is_idr
        (packet,) = encoder.submit(picture(), 7, True)
        assert packet.keyframe


def test_gop_counts_from_a_forced_idr(abi: str, simulator: Simulator) -> None:
    with simulator.machine(gpus=FAST), NvencEncoder(WIDTH, HEIGHT, gop=5) as encoder:
        units = [parse(encoder.encode(picture(n), n == 3))[0] for n in range(14)]
    assert [n for n, unit in enumerate(units) if unit.is_idr] == [0, 3, 8, 13]


def test_flush_of_an_encoder_that_has_seen_nothing(abi: str, simulator: Simulator) -> None:
    with simulator.machine(gpus=FAST), NvencEncoder(WIDTH, HEIGHT, tuning="hq", bframes=2) as encoder:
        assert encoder.flush() == b""
        assert encoder.flush_pipeline() == []
        assert encoder.submit(picture(), 1) == []
        assert [packet.seq for packet in encoder.flush_pipeline()] == [1]


def test_properties_of_an_encoder(abi: str, simulator: Simulator) -> None:
    with simulator.machine(gpus=[FAST, FAST]):
        with NvencEncoder(320, 192, codec="h265", gpu_id=1) as encoder:
            told = (encoder.width, encoder.height, encoder.codec, encoder.abi, encoder.gpu_id, encoder.in_flight)
            assert told == (320, 192, "hevc", abi, 1, 0)
            assert encoder.nvtx_enabled is pdum.nvenc.nvtx_enabled
        assert (encoder.width, encoder.height, encoder.codec, encoder.abi) == (320, 192, "hevc", abi), "closed, too"


@pytest.mark.parametrize("name", ["width", "height", "codec", "abi", "gpu_id", "in_flight", "nvtx_enabled"])
def test_properties_cannot_be_set(simulator: Simulator, name: str) -> None:
    with simulator.machine(gpus=FAST), NvencEncoder(WIDTH, HEIGHT) as encoder, pytest.raises(AttributeError):
        setattr(encoder, name, 1)


@pytest.mark.parametrize("seq", ["1", 1.0, None, b"1"])
def test_a_seq_that_is_not_an_integer(abi: str, simulator: Simulator, seq: Any) -> None:
    with simulator.machine(gpus=FAST), NvencEncoder(WIDTH, HEIGHT) as encoder:
        with pytest.raises(TypeError):
            encoder.submit(picture(), seq)
        assert [packet.seq for packet in encoder.submit(picture(), 5)] == [5]


@pytest.mark.parametrize("seq", [2**63, -(2**63) - 1, 2**200])
def test_a_seq_beyond_64_bits(abi: str, simulator: Simulator, seq: int) -> None:
    with simulator.machine(gpus=FAST), NvencEncoder(WIDTH, HEIGHT) as encoder:
        with pytest.raises(OverflowError):
            encoder.submit(picture(), seq)
        assert [packet.seq for packet in encoder.submit(picture(), 2**63 - 1)] == [2**63 - 1]


# The end


def test_close_twice(abi: str, simulator: Simulator) -> None:
    with simulator.machine(gpus=FAST, count=True) as machine:
        encoder = NvencEncoder(WIDTH, HEIGHT)
        encoder.encode(picture())
        for _ in range(3):
            encoder.close()
        assert machine.calls()["nvEncDestroyEncoder"] == 1


def test_context_manager(abi: str, simulator: Simulator) -> None:
    with simulator.machine(gpus=FAST) as machine:
        encoder = NvencEncoder(WIDTH, HEIGHT)
        with encoder as entered:
            assert entered is encoder
            assert machine.live()["sessions"] == 1
        assert "sessions" not in machine.live()
        with pytest.raises(KeyError), NvencEncoder(WIDTH, HEIGHT):
            raise KeyError("goes through")
        assert "sessions" not in machine.live()


USES: list[tuple[str, Callable[[NvencEncoder], object]]] = [
    ("encode", lambda e: e.encode(picture())),
    ("submit", lambda e: e.submit(picture(), 1)),
    ("encode_slices", lambda e: e.encode_slices(picture())),
    ("begin_attempts", lambda e: e.begin_attempts(picture())),
    ("attempts_at", lambda e: list(e.attempts_at([picture()]))),
    ("flush", lambda e: e.flush()),
    ("flush_pipeline", lambda e: e.flush_pipeline()),
    ("flush_lazily", lambda e: e.flush_lazily()),
    ("reconfigure", lambda e: e.reconfigure(bitrate=5)),
    ("sequence_header", lambda e: e.sequence_header()),
    ("lost", lambda e: e.lost(0)),
    ("surface", lambda e: e.surface()),
]


@pytest.mark.parametrize("use", [use for _, use in USES], ids=[name for name, _ in USES])
def test_use_after_close(abi: str, simulator: Simulator, use: Callable[[NvencEncoder], object]) -> None:
    with simulator.machine(gpus=FAST, count=True) as machine:
        encoder = NvencEncoder(WIDTH, HEIGHT)
        encoder.close()
        machine.reset()
        with pytest.raises(EncoderClosed, match="closed") as caught:
            use(encoder)
        assert machine.calls() == {}, "no driver is asked"
        assert isinstance(caught.value, NvencError)
        assert caught.value.advice
        encoder.close()


def test_every_public_method_is_tried_after_close() -> None:
    methods = {name for name in dir(NvencEncoder) if not name.startswith("_") and callable(getattr(NvencEncoder, name))}
    blocking = {name for name in methods if not name.endswith("_async")}
    assert blocking - {"close"} == {name for name, _ in USES}


@pytest.mark.parametrize("delay", [0, 4])
@pytest.mark.parametrize("bframes", [0, 2])
def test_close_with_frames_in_flight(abi: str, simulator: Simulator, delay: int, bframes: int) -> None:
    settings: dict[str, Any] = {"tuning": "hq", "bframes": bframes, "extra_output_delay": delay}
    with simulator.machine(gpus=FAST):
        for frames in range(8):
            encoder = NvencEncoder(WIDTH, HEIGHT, **settings)
            for number in range(frames):
                encoder.submit(picture(number), number)
            encoder.close()
            assert encoder.in_flight == 0


@pytest.mark.parametrize("frames", [0, 1, 7])
def test_an_encoder_that_is_dropped_leaks_nothing(abi: str, simulator: Simulator, frames: int) -> None:
    with simulator.machine(gpus=FAST) as machine:
        encoder = NvencEncoder(WIDTH, HEIGHT, tuning="hq", bframes=3, extra_output_delay=2)
        for number in range(frames):
            encoder.submit(picture(number), number)
        assert machine.live()["sessions"] == 1
        gone = weakref.ref(encoder)
        del encoder
        assert gone() is None
        assert machine.live() == {}


def test_an_encoder_in_a_cycle_is_collected(abi: str, simulator: Simulator) -> None:
    class Holder(NvencEncoder):
        itself: Any = None

    with simulator.machine(gpus=FAST) as machine:
        encoder = Holder(WIDTH, HEIGHT)
        encoder.itself = encoder
        encoder.encode(picture())
        del encoder
        gc.collect()
        assert machine.live() == {}


def test_a_hundred_encoders_in_a_row_leak_nothing(abi: str, simulator: Simulator) -> None:
    with simulator.machine(gpus={**FAST, "session_limit": 2}) as machine:
        for number in range(100):
            encoder = NvencEncoder(WIDTH, HEIGHT, codec=CODECS[number % 3])
            encoder.encode(picture(number))
            if number % 2:
                encoder.close()
            del encoder
        assert machine.live() == {}


def test_packets_outlive_their_encoder(abi: str, simulator: Simulator) -> None:
    with simulator.machine(gpus=FAST):
        with NvencEncoder(WIDTH, HEIGHT) as encoder:
            packets = [packet for n in range(5) for packet in encoder.submit(picture(n), n)]
        assert [parse(packet.data)[0].checksum for packet in packets] == [checksum(picture(n)) for n in range(5)]


def test_several_encoders_take_turns(abi: str, simulator: Simulator) -> None:
    with simulator.machine(gpus=[FAST, FAST]):
        encoders = [NvencEncoder(WIDTH, HEIGHT, codec=codec, gpu_id=gpu) for codec in CODECS for gpu in (0, 1)]
        for number in range(10):
            for index, encoder in enumerate(encoders):
                (unit,) = parse(encoder.encode(picture(100 * index + number)))
                assert unit.checksum == checksum(picture(100 * index + number))
                assert unit.timestamp == number
        for encoder in encoders:
            encoder.close()


def test_another_thread_may_close(abi: str, simulator: Simulator) -> None:
    with simulator.machine(gpus=FAST):
        encoder = NvencEncoder(WIDTH, HEIGHT, extra_output_delay=3)
        for number in range(5):
            encoder.submit(picture(number), number)
        thread = threading.Thread(target=encoder.close)
        thread.start()
        thread.join()
        with pytest.raises(EncoderClosed):
            encoder.flush()


def test_a_subclass_may_add_what_it_likes(abi: str, simulator: Simulator) -> None:
    class Counting(NvencEncoder):
        def __init__(self, *arguments: Any, **settings: Any) -> None:
            super().__init__(*arguments, **settings)
            self.count = 0

        def encode(self, *arguments: Any, **keywords: Any) -> bytes:
            self.count += 1
            return super().encode(*arguments, **keywords)

    with simulator.machine(gpus=FAST), Counting(WIDTH, HEIGHT) as encoder:
        encoder.encode(picture())
        encoder.encode(picture())
        assert encoder.count == 2


def test_an_encoder_whose_constructor_was_not_run(simulator: Simulator) -> None:
    with simulator.machine(gpus=FAST):
        encoder = NvencEncoder.__new__(NvencEncoder)
        for _, use in USES:
            with pytest.raises((TypeError, EncoderClosed)):
                use(encoder)
        del encoder


def test_releases_in_an_order_that_the_driver_asks_for(abi: str, simulator: Simulator, tmp_path: Path) -> None:
    """Unlock before unmap, unmap before unregister, all before destroy, streams last."""
    path = tmp_path / "trace"
    with (
        simulator.machine(gpus=FAST, trace=str(path)),
        NvencEncoder(WIDTH, HEIGHT, tuning="hq", bframes=2, extra_output_delay=4) as encoder,
    ):
        for number in range(9):
            encoder.submit(picture(number), number)
    del encoder
    names = [call.name for call in read_calls(path)]
    last = {name: len(names) - 1 - names[::-1].index(name) for name in set(names)}
    order = ["nvEncLockBitstream", "nvEncUnlockBitstream", "nvEncUnmapInputResource", "nvEncUnregisterResource"]
    order += ["nvEncDestroyEncoder", "cuStreamDestroy_v2", "cuDevicePrimaryCtxRelease_v2"]
    assert sorted(order, key=lambda name: last[name]) == order


def test_the_example_of_its_docstring(abi: str, simulator: Simulator) -> None:
    text = inspect.getdoc(NvencEncoder) or ""
    example = textwrap.dedent(text.split("::\n\n", 1)[1].split("\n\n", 1)[0])
    assert "NvencEncoder(" in example
    written: list[bytes] = []

    class Output:
        write = staticmethod(written.append)

    names: dict[str, Any] = {"NvencEncoder": NvencEncoder, "output": Output, "frames": [nv12(1920, 1080, 1)] * 2}
    with simulator.machine(gpus=FAST):
        exec(example, names)
    assert len(parse(b"".join(written))) == 2


def test_close_gives_the_primary_context_back(abi: str, simulator: Simulator) -> None:
    """Not only at the object's end: a closed encoder that is still referenced keeps nothing of the GPU."""
    with simulator.machine(gpus=FAST):
        before = simulator.live("cuda").get("primary_retains", 0)
        encoder = NvencEncoder(WIDTH, HEIGHT)
        assert simulator.live("cuda")["primary_retains"] == before + 1
        encoder.close()
        assert simulator.live("cuda").get("primary_retains", 0) == before
        assert encoder.gpu_id == 0
