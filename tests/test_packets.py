"""Packet: an encoder's output for each access unit."""

from __future__ import annotations

import copy
import io
import pickle
import sys
from typing import Any

import pytest

from pdum.nvenc import Packet

pytestmark = pytest.mark.one_abi

DATA = bytes(range(256)) * 4


def packet(**changes: Any) -> Packet:
    values: dict[str, Any] = {"seq": 7, "data": DATA, "keyframe": True, "pts": 3, "dts": -2, "pic_type": "IDR"}
    return Packet(**{**values, "frame_avg_qp": 28, **changes})


def test_unpacks_as_seq_data_keyframe() -> None:
    seq, data, keyframe = packet()
    assert (seq, data, keyframe) == (7, DATA, True)
    assert [type(value) for value in packet()] == [int, bytes, bool]
    assert len(packet()) == 3
    assert tuple(packet()) == (7, DATA, True)


def test_items() -> None:
    one = packet()
    assert (one[0], one[1], one[2]) == (7, DATA, True)
    assert (one[-3], one[-1]) == (7, True)
    for beyond in (3, -4):
        with pytest.raises(IndexError, match="3 items"):
            one[beyond]


def test_attributes() -> None:
    one = packet()
    assert (one.seq, one.data, one.keyframe) == (7, DATA, True)
    assert (one.pts, one.dts, one.pic_type, one.frame_avg_qp) == (3, -2, "IDR", 28)
    assert [type(value) for value in (one.pts, one.dts, one.pic_type, one.frame_avg_qp)] == [int, int, str, int]


def test_omitted_fields_have_a_value() -> None:
    one = Packet(1, b"", False)
    assert (one.pts, one.dts, one.pic_type, one.frame_avg_qp) == (0, 0, "unknown", 0)


@pytest.mark.parametrize("seq", [0, -1, 2**63 - 1, -(2**63)])
def test_any_64_bit_seq(seq: int) -> None:
    assert packet(seq=seq).seq == seq


def test_keyframe_is_always_a_bool() -> None:
    assert Packet(0, b"", 1).keyframe is True  # type: ignore[arg-type]
    assert Packet(0, b"", []).keyframe is False  # type: ignore[arg-type]


@pytest.mark.parametrize(
    "name", ["seq", "data", "keyframe", "pts", "dts", "pic_type", "frame_avg_qp", "temporal_layer", "new"]
)
def test_nothing_can_be_changed(name: str) -> None:
    one = packet()
    with pytest.raises((AttributeError, TypeError)):
        setattr(one, name, 1)
    with pytest.raises((AttributeError, TypeError)):
        delattr(one, name)
    with pytest.raises(TypeError):
        one[0] = 1  # type: ignore[index]
    with pytest.raises(TypeError):
        setattr(Packet, name, 1)
    assert one == packet()


@pytest.mark.parametrize(
    "arguments",
    [
        (),
        (1,),
        (1, b""),
        ("1", b"", True),
        (1.0, b"", True),
        (1, "text", True),
        (1, bytearray(), True),
        (1, b"", 0, "x"),
    ],
)
def test_wrong_arguments_are_a_type_error(arguments: tuple[Any, ...]) -> None:
    with pytest.raises(TypeError):
        Packet(*arguments)


def test_pts_beyond_64_bits_is_an_error() -> None:
    with pytest.raises(OverflowError):
        packet(pts=2**64)


def test_repr_shows_everything_except_the_bytes() -> None:
    assert repr(packet()) == "Packet(seq=7, 1024 bytes, pic_type='IDR', keyframe=True, pts=3, dts=-2)"
    assert repr(packet(seq=-5, keyframe=False)).startswith("Packet(seq=-5, 1024 bytes")


def test_equality_and_hash_are_by_value() -> None:
    assert packet() == packet()
    assert hash(packet()) == hash(packet())
    changes: list[dict[str, Any]] = [
        {"seq": 8},
        {"data": b"x"},
        {"keyframe": False},
        {"pts": 4},
        {"dts": 0},
        {"pic_type": "P"},
        {"frame_avg_qp": 1},
        {"temporal_layer": 1},
    ]
    for change in changes:
        assert packet(**change) != packet(), change
    as_tuple: object = (7, DATA, True)
    assert packet() != as_tuple
    assert len({packet(), packet(), packet(pts=9)}) == 2
    with pytest.raises(TypeError):
        packet() < packet()  # type: ignore[operator] # noqa: B015


@pytest.mark.parametrize("protocol", range(pickle.HIGHEST_PROTOCOL + 1))
def test_pickle(protocol: int) -> None:
    back = pickle.loads(pickle.dumps(packet(), protocol))
    assert back == packet()
    assert type(back) is Packet


def test_copies() -> None:
    assert copy.copy(packet()) == packet()
    assert copy.deepcopy(packet()) == packet()


def test_buffer_protocol() -> None:
    one = packet()
    view = memoryview(one)
    assert (view.nbytes, view.format, view.itemsize, view.ndim, view.readonly) == (1024, "B", 1, 1, True)
    assert bytes(one) == DATA
    del one
    assert view.tobytes() == DATA, "the view keeps the packet alive"
    with pytest.raises(TypeError):
        view[0] = 1
    out = io.BytesIO()
    assert out.write(packet()) == 1024
    assert out.getvalue() == DATA
    assert b"".join([packet(), packet()]) == DATA * 2


def test_buffer_shares_the_bytes() -> None:
    import numpy as np

    one = packet()
    address = np.frombuffer(memoryview(one), np.uint8).ctypes.data
    assert address == np.frombuffer(one.data, np.uint8).ctypes.data


def test_reference_counts_are_right() -> None:
    data, kind = bytes(1000), "".join(["some ", "type"])
    seq = 10**12
    before = [sys.getrefcount(value) for value in (data, kind, seq, Packet)]
    packets = [Packet(seq, data, False, pic_type=kind) for _ in range(10)]
    for one in packets:
        pickle.loads(pickle.dumps(one))
        tuple(one)
        repr(one)
        hash(one)
        memoryview(one).release()
        assert one == copy.copy(one)
    del one, packets
    assert [sys.getrefcount(value) for value in (data, kind, seq, Packet)] == before


def test_pattern_matching() -> None:
    match packet():
        case Packet(seq=7, keyframe=True, pic_type="IDR"):
            pass
        case _:
            pytest.fail("attributes can be matched")
