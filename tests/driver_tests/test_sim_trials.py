"""Pictures that are coded several times, and pictures that are shown ahead: what the simulated driver answers."""

from __future__ import annotations

import ctypes
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pytest

from driver_tests.encode_client import FAST, HEIGHT, WIDTH, Rig, picture, rig

from simulator import Simulator
from simulator.abi import VERSIONS
from simulator.raw import Refused

WITH_TRIALS = VERSIONS[1:]
"""The interfaces that have them."""
STATES, DEPTH = 3, 2
TRIAL = 0x10
FULL, RATES, ALL_BUT_RATES = 1, 2, 3
INVALID_PARAM = 8


@pytest.fixture(scope="module")
def simulator(nvsim_dir: Path) -> Simulator:
    return Simulator()


def begin(client: Rig, *, states: int = STATES, lookahead: int = 0, interval: int = 1, codec: str = "H264") -> Rig:
    params = client.session.params(WIDTH, HEIGHT, codec=codec)
    params.numStateBuffers = states
    params.config.frameIntervalP = interval
    rates = params.config.rcParams
    rates.rateControlMode, rates.enableExtLookahead, rates.lookaheadDepth = 0, int(lookahead > 0), lookahead
    set_qp(params, 30)
    client.session.initialize_with(params)
    client.params, client.started = params, True
    for number in range(4):
        client.add_surface(picture(number))
    return client


def set_qp(params: Any, qp: int) -> None:
    quantisers = params.config.rcParams.constQP
    quantisers.qpIntra = quantisers.qpInterP = quantisers.qpInterB = qp


def change_qp(client: Rig, qp: int) -> None:
    set_qp(client.params, qp)
    change = client.abi.struct("NV_ENC_RECONFIGURE_PARAMS", reInitEncodeParams=client.params)
    client.session.call("nvEncReconfigureEncoder", ctypes.byref(change))


def attempt(client: Rig, index: int, state: int, surface: int = 0, **fields: Any) -> bytes:
    attempt_unread(client, index, state, surface, **fields)
    return client.session.take(client.outputs[0])


def attempt_unread(client: Rig, index: int, state: int, surface: int = 0, output: int = 0, **fields: Any) -> None:
    flags = TRIAL | fields.pop("flags", 0)
    status = client.session.encode(
        client.inputs[surface],
        client.outputs[output],
        index,
        frameIdx=index,
        encodePicFlags=flags,
        stateBufferIdx=state,
        **fields,
    )
    assert status == 0


def restore(client: Rig, state: int, parts: int = FULL, **fields: Any) -> None:
    params = client.abi.struct("NV_ENC_RESTORE_ENCODER_STATE_PARAMS", bufferIdx=state, state=parts, **fields)
    client.session.call("nvEncRestoreEncoderState", ctypes.byref(params))


def show(client: Rig, surface: int | None) -> None:
    handle = None if surface is None else client.inputs[surface]
    params = client.abi.struct("NV_ENC_LOOKAHEAD_PIC_PARAMS", inputBuffer=handle)
    client.session.call("nvEncLookaheadPicture", ctypes.byref(params))


def plainly(client: Rig, index: int, surface: int = 0, **fields: Any) -> bytes:
    client.session.encode(client.inputs[surface], client.outputs[0], index, frameIdx=index, **fields)
    return client.session.take(client.outputs[0])


@contextmanager
def able(simulator: Simulator, version: str = "13.0", **config: Any) -> Iterator[Rig]:
    with rig(simulator, version, **{"gpus": [FAST], **config}) as client:
        yield client


QPS = ((24, 40, 30), (36, 20, 28), (22, 33, 45), (30, 41, 18))
"""Of each picture's trials."""


def stream_of(simulator: Simulator, codec: str, version: str, kept: int) -> tuple[list[bytes], list[bytes]]:
    """The kept access units, and those of a session that codes nothing else."""
    with able(simulator, version, backend="codec") as client:
        begin(client, codec=codec)
        chosen = []
        for index, qps in enumerate(QPS):
            made = []
            for state, qp in enumerate(qps):
                change_qp(client, qp)
                made.append(attempt(client, index, state, surface=index))
            restore(client, (kept + index) % STATES)
            chosen.append(made[(kept + index) % STATES])
    with able(simulator, version, backend="codec") as client:
        begin(client, codec=codec, states=0)
        straight = []
        for index, qps in enumerate(QPS):
            change_qp(client, qps[(kept + index) % STATES])
            straight.append(plainly(client, index, surface=index))
    return chosen, straight


@pytest.mark.parametrize("codec", ["H264", "HEVC", "AV1"])
@pytest.mark.parametrize("kept", range(STATES))
def test_what_is_kept_is_as_if_nothing_else_had_been_tried(simulator: Simulator, codec: str, kept: int) -> None:
    chosen, straight = stream_of(simulator, codec, "13.0", kept)
    assert chosen == straight


@pytest.mark.parametrize("version", WITH_TRIALS)
def test_every_interface_has_them(simulator: Simulator, version: str) -> None:
    chosen, straight = stream_of(simulator, "H264", version, 1)
    assert chosen == straight


def test_trials_and_plain_pictures_may_alternate(simulator: Simulator) -> None:
    with able(simulator, backend="codec") as client:
        begin(client)
        plainly(client, 0)
        first = attempt(client, 1, 0, 1)
        change_qp(client, 20)
        attempt(client, 1, 1, 1)
        restore(client, 0)
        change_qp(client, 30)
        after = plainly(client, 2, 2)
    with able(simulator, backend="codec") as client:
        begin(client, states=0)
        assert [plainly(client, index, index) for index in range(3)][1:] == [first, after]


def test_the_display_index_is_that_of_the_picture(simulator: Simulator) -> None:
    with able(simulator) as client:
        begin(client)
        for index in range(3):
            for state in range(2):
                attempt_unread(client, index, state)
                assert client.session.lock(client.outputs[0]).frameIdxDisplay == index
                client.session.unlock(client.outputs[0])
            restore(client, 1)


def test_all_trials_have_the_type_of_the_first(simulator: Simulator) -> None:
    with able(simulator) as client:
        begin(client)
        types = []
        for index in range(2):
            for state in range(STATES):
                attempt_unread(client, index, state)
                types.append(client.session.lock(client.outputs[0]).pictureType)
                client.session.unlock(client.outputs[0])
            restore(client, 0)
    assert types == [client.abi.NV_ENC_PIC_TYPE_IDR] * STATES + [client.abi.NV_ENC_PIC_TYPE_P] * STATES


@pytest.mark.parametrize("order", [(RATES, ALL_BUT_RATES), (ALL_BUT_RATES, RATES)])
def test_a_state_can_be_restored_in_two_parts(simulator: Simulator, order: tuple[int, int]) -> None:
    with able(simulator) as client:
        begin(client)
        attempt(client, 0, 0)
        attempt(client, 0, 1)
        for parts in order:
            restore(client, 1, parts)
        attempt(client, 1, 0)
        restore(client, 0)


@pytest.mark.parametrize("backend", ["null", "echo"])
def test_other_backends_have_them_too(simulator: Simulator, backend: str) -> None:
    with able(simulator, backend=backend) as client:
        begin(client, lookahead=DEPTH)
        for surface in range(3):
            show(client, surface)
        attempt(client, 0, 2)
        attempt(client, 0, 0)
        restore(client, 2)
        for index in (1, 2):  # the end of the stream
            attempt(client, index, 0, index)
            restore(client, 0)


def test_pictures_can_be_shown_ahead_without_trials(simulator: Simulator) -> None:
    with able(simulator) as client:
        begin(client, states=0, lookahead=DEPTH)
        for surface in range(3):
            show(client, surface)
        for index in range(4):
            if index == 1:
                show(client, 3)
            plainly(client, index, index)
        client.session.end()
        for surface in range(3):  # another stream
            show(client, surface)
        plainly(client, 4)
        for surface in (1, 2):
            plainly(client, 4 + surface, surface)


def unknown_state(client: Rig) -> None:
    attempt(begin(client), 0, STATES)


def trial_without_states(client: Rig) -> None:
    attempt(begin(client, states=0), 0, 0)


def state_used_twice(client: Rig) -> None:
    attempt(begin(client), 0, 0)
    attempt(client, 0, 0)


def next_picture_before_restoring(client: Rig) -> None:
    attempt(begin(client), 0, 0)
    attempt(client, 1, 1)


def plain_picture_before_restoring(client: Rig) -> None:
    attempt(begin(client), 0, 0)
    plainly(client, 1)


def end_before_restoring(client: Rig) -> None:
    attempt(begin(client), 0, 0)
    client.session.end()


def reset_before_restoring(client: Rig) -> None:
    attempt(begin(client), 0, 0)
    change = client.abi.struct("NV_ENC_RECONFIGURE_PARAMS", reInitEncodeParams=client.params, resetEncoder=1)
    client.session.call("nvEncReconfigureEncoder", ctypes.byref(change))


def invalidate_before_restoring(client: Rig) -> None:
    attempt(begin(client), 0, 0)
    restore(client, 0)
    attempt(client, 1, 0)
    client.session.call("nvEncInvalidateRefFrames", 0)


def same_index_again(client: Rig) -> None:
    attempt(begin(client), 0, 0)
    restore(client, 0)
    attempt(client, 0, 0)


def another_input(client: Rig) -> None:
    attempt(begin(client), 0, 0)
    attempt(client, 0, 1, surface=1)


def restore_what_was_not_tried(client: Rig) -> None:
    restore(begin(client), 0)


def restore_a_state_of_nothing(client: Rig) -> None:
    attempt(begin(client), 0, 0)
    restore(client, 1)


def restore_before_reading(client: Rig) -> None:
    attempt(begin(client), 0, 0)
    attempt_unread(client, 0, 1)
    restore(client, 0)


def restore_a_part_twice(client: Rig) -> None:
    attempt(begin(client), 0, 0)
    for _ in range(2):
        restore(client, 0, RATES)


def restore_all_after_a_part(client: Rig) -> None:
    attempt(begin(client), 0, 0)
    restore(client, 0, RATES)
    restore(client, 0)


def restore_with_an_output(client: Rig) -> None:
    attempt(begin(client), 0, 0)
    restore(client, 0, outputBitstream=client.outputs[0])


def restore_with_an_event(client: Rig) -> None:
    attempt(begin(client), 0, 0)
    restore(client, 0, completionEvent=1)


def restore_with_something_reserved(client: Rig) -> None:
    attempt(begin(client), 0, 0)
    params = client.abi.struct("NV_ENC_RESTORE_ENCODER_STATE_PARAMS", bufferIdx=0, state=FULL)
    params.reserved1[3] = 1
    client.session.call("nvEncRestoreEncoderState", ctypes.byref(params))


def too_many_states(client: Rig) -> None:
    begin(client, states=17)


def too_many_states_in_av1(client: Rig) -> None:
    begin(client, states=33, codec="AV1")


def both_lookaheads(client: Rig) -> None:
    params = client.session.params(WIDTH, HEIGHT)
    rates = params.config.rcParams
    rates.enableLookahead = rates.enableExtLookahead = 1
    rates.lookaheadDepth = DEPTH
    client.session.initialize_with(params)


def lookahead_of_the_driver(client: Rig) -> None:
    params = client.session.params(WIDTH, HEIGHT)
    params.numStateBuffers = STATES
    params.config.rcParams.enableLookahead, params.config.rcParams.lookaheadDepth = 1, DEPTH
    client.session.initialize_with(params)


def no_depth(client: Rig) -> None:
    params = client.session.params(WIDTH, HEIGHT)
    params.config.rcParams.enableExtLookahead = 1
    client.session.initialize_with(params)


def too_deep(client: Rig) -> None:
    begin(client, lookahead=32)


def encode_what_was_not_shown(client: Rig) -> None:
    plainly(begin(client, states=0, lookahead=DEPTH), 0)


def encode_in_another_order(client: Rig) -> None:
    begin(client, states=0, lookahead=DEPTH)
    for surface in range(3):
        show(client, surface)
    plainly(client, 0, 1)


def show_after_too_few(client: Rig) -> None:
    begin(client, states=0, lookahead=DEPTH)
    show(client, 0)
    show(client, 1)
    plainly(client, 0)
    show(client, 2)


def show_what_is_not_mapped(client: Rig) -> None:
    begin(client, lookahead=DEPTH)
    params = client.abi.struct("NV_ENC_LOOKAHEAD_PIC_PARAMS", inputBuffer=client.registered[0])
    client.session.call("nvEncLookaheadPicture", ctypes.byref(params))


def show_what_is_no_input(client: Rig) -> None:
    begin(client, lookahead=DEPTH)
    params = client.abi.struct("NV_ENC_LOOKAHEAD_PIC_PARAMS", inputBuffer=client.outputs[0])
    client.session.call("nvEncLookaheadPicture", ctypes.byref(params))


def unmap_what_was_shown(client: Rig) -> None:
    begin(client, lookahead=DEPTH)
    show(client, 0)
    client.session.call("nvEncUnmapInputResource", ctypes.c_void_p(client.inputs[0]))


def show_what_is_locked(client: Rig) -> None:
    begin(client, lookahead=DEPTH)
    made = client.abi.struct("NV_ENC_CREATE_INPUT_BUFFER", width=WIDTH, height=HEIGHT, bufferFmt=1)
    client.session.call("nvEncCreateInputBuffer", ctypes.byref(made))
    locked = client.abi.struct("NV_ENC_LOCK_INPUT_BUFFER", inputBuffer=made.inputBuffer)
    client.session.call("nvEncLockInputBuffer", ctypes.byref(locked))
    params = client.abi.struct("NV_ENC_LOOKAHEAD_PIC_PARAMS", inputBuffer=made.inputBuffer)
    client.session.call("nvEncLookaheadPicture", ctypes.byref(params))


BROKEN: list[tuple[Callable[[Rig], None], str]] = [
    (unknown_state, "stateBufferIdx 3 of 3"),
    (trial_without_states, "numStateBuffers is 0"),
    (state_used_twice, "holds the state of another trial"),
    (next_picture_before_restoring, "frameIdx 1 while no state of picture 0"),
    (plain_picture_before_restoring, "encoded for good while no state"),
    (end_before_restoring, "the stream ends while no state"),
    (reset_before_restoring, "the encoder is reset while no state"),
    (invalidate_before_restoring, "a reference is invalidated while no state"),
    (same_index_again, "frameIdx 0 comes after picture 0"),
    (another_input, "another input for a further trial"),
    (restore_what_was_not_tried, "no picture was encoded with"),
    (restore_a_state_of_nothing, "state buffer 1 holds no state"),
    (restore_before_reading, "before the outputs of all its trials were locked"),
    (restore_a_part_twice, "is restored twice"),
    (restore_all_after_a_part, "is restored twice"),
    (restore_with_an_output, "outputBitstream is given"),
    (restore_with_an_event, "a completion event was given"),
    (restore_with_something_reserved, "is not zero"),
    (too_many_states, "numStateBuffers 17; 16"),
    (too_many_states_in_av1, "numStateBuffers 33; 32"),
    (both_lookaheads, "enableExtLookahead with enableLookahead"),
    (lookahead_of_the_driver, "numStateBuffers with enableLookahead"),
    (no_depth, "enableExtLookahead with lookaheadDepth 0"),
    (too_deep, "lookaheadDepth 32 and 0 B pictures"),
    (encode_what_was_not_shown, "no picture waits"),
    (encode_in_another_order, "another picture is the next"),
    (show_after_too_few, "with fewer than 2 shown after it"),
    (show_what_is_not_mapped, "shown ahead without being mapped"),
    (show_what_is_no_input, "is no input of"),
    (unmap_what_was_shown, "is unmapped while its picture is in flight"),
    (show_what_is_locked, "shown ahead while it is locked"),
]


@pytest.mark.parametrize(("breach", "message"), BROKEN, ids=lambda value: getattr(value, "__name__", ""))
def test_a_broken_rule_is_reported(simulator: Simulator, breach: Callable[[Rig], None], message: str) -> None:
    with able(simulator, check=False) as client:
        with pytest.raises(Refused, match=message):
            breach(client)
        assert message in client.machine.violations()[0]["message"]
        client.abandon()


REFUSED: list[tuple[Callable[[Rig], None], str]] = [
    (lambda client: restore(begin(client, states=0), 0), "numStateBuffers is 0"),
    (lambda client: restore(begin(client), 0, 0), "0 is no NV_ENC_STATE_RESTORE_TYPE"),
    (lambda client: restore(begin(client), 0, 4), "4 is no NV_ENC_STATE_RESTORE_TYPE"),
    (lambda client: show(begin(client), 0), "enableExtLookahead is 0"),
    (lambda client: show(begin(client, lookahead=DEPTH), None), "inputBuffer is null"),
    (lambda client: void(begin(client, interval=2)), "B pictures is not simulated"),
    (lambda client: void(begin(client, states=0, lookahead=DEPTH, interval=2)), "B pictures is not simulated"),
]


def void(_: object) -> None:
    """Makes an expression into a call without a result."""


@pytest.mark.parametrize(("use", "message"), REFUSED)
def test_what_is_refused(simulator: Simulator, use: Callable[[Rig], None], message: str) -> None:
    """Empty structs are answered as the recorded card answers them."""
    with able(simulator, check=False) as client:
        with pytest.raises(Refused, match=message) as refused:
            use(client)
        assert refused.value.status == (12 if "not simulated" in message else INVALID_PARAM)
        client.abandon()


@pytest.mark.parametrize(
    ("capability", "fields"), [("DISABLE_ENC_STATE_ADVANCE", {}), ("SUPPORT_LOOKAHEAD", {"states": 0, "lookahead": 2})]
)
def test_the_capabilities(simulator: Simulator, capability: str, fields: dict[str, Any]) -> None:
    with able(simulator, check=False, gpus=[{**FAST, "caps": {capability: 0}}]) as client:
        with pytest.raises(Refused, match=f"NV_ENC_CAPS_{capability} is 0"):
            begin(client, **fields)
        client.abandon()
