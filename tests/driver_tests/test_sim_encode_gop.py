"""The structure of groups of pictures: properties of all of them."""

from __future__ import annotations

from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from driver_tests.encode_client import HEIGHT, WIDTH, rig

from simulator import Simulator
from simulator.raw import NEED_MORE_INPUT, SUCCESS

FORCE_INTRA, FORCE_IDR = 1, 2


@pytest.fixture(scope="module")
def simulator(nvsim_dir: Path) -> Simulator:
    return Simulator()


PICTURES = st.lists(st.sampled_from([0, 0, 0, 0, FORCE_INTRA, FORCE_IDR]), min_size=1, max_size=24)


@settings(deadline=None, max_examples=60)
@given(
    flags=PICTURES,
    interval=st.integers(0, 5),
    lookahead=st.integers(0, 6),
    length=st.one_of(st.just(0xFFFFFFFF), st.integers(1, 12)),
    idr_every=st.integers(1, 3),
)
def test_every_structure(
    simulator: Simulator, flags: list[int], interval: int, lookahead: int, length: int, idr_every: int
) -> None:
    length = max(length, interval)  # a shorter GOP is refused
    with rig(simulator, backend="null") as client:
        params = client.session.params(WIDTH, HEIGHT)
        params.config.frameIntervalP = interval
        params.config.gopLength = length
        idr_period = length if length == 0xFFFFFFFF else length * idr_every
        params.config.encodeCodecConfig.h264Config.idrPeriod = idr_period
        params.config.rcParams.enableLookahead = int(lookahead > 0)
        params.config.rcParams.lookaheadDepth = lookahead
        client.session.initialize_with(params)
        client.started = True
        client.registered.append(client.session.register(client.cuda.allocate(WIDTH * HEIGHT * 3 // 2)))
        client.inputs.append(client.session.map(client.registered[0]))
        client.outputs = [client.session.bitstream() for _ in flags]
        statuses = [
            client.session.encode(client.inputs[0], output, number, encodePicFlags=flag)
            for number, (output, flag) in enumerate(zip(client.outputs, flags, strict=True))
        ]
        assert set(statuses) <= {SUCCESS, NEED_MORE_INPUT}
        if interval <= 1:
            assert statuses == [NEED_MORE_INPUT if n < lookahead else SUCCESS for n in range(len(flags))]
        client.session.end()
        order, types = [], {}
        for output in client.outputs:
            locked = client.session.lock(output)
            order.append(locked.outputTimeStamp)
            types[locked.outputTimeStamp] = locked.pictureType
            client.session.unlock(output)
    check_order(order, types, client.abi.NV_ENC_PIC_TYPE_B, client.abi.NV_ENC_PIC_TYPE_IDR)
    kinds = {types[number] for number in range(len(flags))}
    assert sorted(order) == list(range(len(flags)))
    assert types[0] == client.abi.NV_ENC_PIC_TYPE_IDR
    assert all(types[n] == client.abi.NV_ENC_PIC_TYPE_IDR for n, flag in enumerate(flags) if flag == FORCE_IDR)
    intra = (client.abi.NV_ENC_PIC_TYPE_I, client.abi.NV_ENC_PIC_TYPE_IDR)
    assert all(types[n] in intra for n, flag in enumerate(flags) if flag == FORCE_INTRA)
    if interval == 0:
        assert kinds <= set(intra)
    check_periods(types, flags, length, idr_period, intra)


def check_order(order: list[int], types: dict[int, int], b_type: int, idr_type: int) -> None:
    """Anchors are coded in display order, each B picture after both of its neighbours, and nothing crosses an IDR."""
    anchors = [number for number in order if types[number] != b_type]
    assert anchors == sorted(anchors)
    coded: set[int] = set()
    for number in order:
        if types[number] == b_type:
            assert any(anchor in coded for anchor in anchors if anchor > number)
        if types[number] == idr_type:
            assert coded == set(range(number))
        coded.add(number)


def check_periods(
    types: dict[int, int], flags: list[int], length: int, idr_period: int, intra: tuple[int, int]
) -> None:
    since_intra = since_idr = 0
    for number in range(len(flags)):
        assert since_intra < length or types[number] in intra
        assert since_idr < idr_period or types[number] == intra[1]
        since_intra = 1 if types[number] in intra else since_intra + 1
        since_idr = 1 if types[number] == intra[1] else since_idr + 1
