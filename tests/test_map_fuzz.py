"""Absurd maps: they give a clear error or a packet, never a crash.

It is meant to run under AddressSanitizer too, and holds to the same limits as `test_fuzz.py`.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from frames import CudaFrame, DlpackFrame, Gpu, nv12
from pdum.nvenc import InvalidConfig, NvencEncoder, PictureOptions
from test_fuzz import ALLOWED, BOUNDED, EXTENT, FAST, JUNK, Offering

from simulator import Simulator

pytestmark = [pytest.mark.one_abi, pytest.mark.sanitize]

WIDTH, HEIGHT = 192, 128
SHAPE = (8, 12)
FRAME = nv12(WIDTH, HEIGHT)
SHAPES = st.one_of(st.just(SHAPE), st.lists(EXTENT, max_size=10).map(tuple))
STRIDES = st.one_of(
    st.none(),
    st.tuples(st.sampled_from([12, 13, 16, 11, 0, -12]), st.sampled_from([1, 1, 1, 0, -1, 2])),
    st.lists(EXTENT, max_size=10).map(tuple),
)
TYPES = st.sampled_from(["|i1", "|u1", "<i1", "|b1", "<i2", "<f4", "", "|O8", "|i1" * 50, "\ud800"])


@dataclass
class Bench:
    encoder: NvencEncoder
    device: int  # memory for maps with rows of up to 16 values
    host: int
    keep: Any


@pytest.fixture
def bench(simulator: Simulator) -> Iterator[Bench]:
    with simulator.machine(gpus=FAST):
        gpu = Gpu()
        memory = np.zeros(4096, np.int8)
        with NvencEncoder(WIDTH, HEIGHT, qp_map="delta") as encoder:
            # A map's strides may go backwards: it begins in the middle.
            yield Bench(encoder, gpu.allocate(4096) + 2048, memory.ctypes.data + 2048, memory)
            assert encoder.encode(FRAME), "it stays usable"
        gpu.close()


def take(bench: Bench, array: object) -> None:
    """Either a packet, or an error that may come out."""
    try:
        data = bench.encoder.encode(FRAME, picture=PictureOptions(qp_map=array))
    except ALLOWED:
        return
    assert isinstance(data, bytes)
    assert data


def interface(bench: Bench, **entries: Any) -> dict[str, Any]:
    return {"shape": SHAPE, "typestr": "|i1", "data": (bench.device, False), "version": 3, "stream": 1, **entries}


@BOUNDED
@given(shape=SHAPES, strides=STRIDES, typestr=TYPES, stream=st.sampled_from([None, 1, 2]), data=st.data())
def test_array_interfaces_of_right_types(
    bench: Bench, shape: Any, strides: Any, typestr: str, stream: Any, data: st.DataObject
) -> None:
    pointer = data.draw(st.sampled_from([0, bench.device, bench.device + 1, 1, 2**47, 2**64 - 1]))
    take(bench, CudaFrame(pointer, shape, typestr=typestr, strides=strides, stream=stream))


@BOUNDED
@given(
    entries=st.dictionaries(st.sampled_from(["shape", "typestr", "data", "strides", "mask", "version"]), JUNK),
    missing=st.sets(st.sampled_from(["shape", "typestr", "data", "version", "stream"])),
)
def test_array_interfaces_of_wrong_types(bench: Bench, entries: dict[str, Any], missing: set[str]) -> None:
    whole = interface(bench, **entries)
    take(bench, Offering(__cuda_array_interface__={key: whole[key] for key in whole.keys() - missing}))


@BOUNDED
@given(junk=JUNK)
def test_objects_that_are_no_maps(bench: Bench, junk: Any) -> None:
    take(bench, junk)
    take(bench, Offering(__cuda_array_interface__=junk))
    take(bench, Offering(__dlpack__=lambda **_: junk, __dlpack_device__=lambda: (1, 0)))
    take(bench, Offering(__dlpack__=junk, __dlpack_device__=junk))
    take(bench, Offering(__dlpack__=lambda **_: junk, __dlpack_device__=lambda: junk))


@BOUNDED
@given(
    shape=SHAPES,
    strides=STRIDES,
    kind=st.sampled_from([1, 2, 3, 13, 0, -1, 4]),
    dtype=st.one_of(st.sampled_from([(0, 8, 1), (1, 8, 1)]), st.tuples(*[st.integers(0, 255)] * 3)),
    versioned=st.booleans(),
    null=st.booleans(),
)
def test_dlpack_tensors(
    bench: Bench, shape: Any, strides: Any, kind: int, dtype: Any, versioned: bool, null: bool
) -> None:
    on_host = kind in (1, 3)
    if on_host and shape != SHAPE:
        strides = None  # what lies beyond an array, its producer alone can know
    if on_host and shape != SHAPE and np.prod(shape, dtype=object) > 1024:
        return
    if on_host and strides is not None and any(abs(step) > 16 for step in strides[:2]):
        return
    pointer = 0 if null else bench.host if on_host else bench.device
    tensor = DlpackFrame(pointer, shape, device=(kind, 0), strides=strides, dtype=dtype, versioned=versioned)
    take(bench, tensor)
    assert tensor.alive == 0


@BOUNDED
@given(
    shape=st.lists(st.integers(0, 40), max_size=4), dtype=st.sampled_from("bBhHiIlLfdg?"), order=st.sampled_from("CF")
)
def test_numpy_arrays(bench: Bench, shape: list[int], dtype: str, order: Any) -> None:
    array = np.zeros(shape, dtype, order)
    take(bench, array)
    if tuple(shape) != SHAPE or dtype not in "bB":
        with pytest.raises(InvalidConfig, match="qp_map"):
            bench.encoder.encode(FRAME, picture=PictureOptions(qp_map=array))


@BOUNDED
@given(
    start=st.tuples(st.integers(0, 3), st.integers(0, 3)),
    step=st.tuples(st.sampled_from([1, 2, -1, -2]), st.sampled_from([1, 2, -1])),
)
def test_views(bench: Bench, start: Any, step: Any) -> None:
    """Parts of a larger array, forwards and backwards."""
    memory = np.arange(24 * 32, dtype=np.uint8).reshape(24, 32) % 50
    take(bench, memory[start[0] :: step[0], start[1] :: step[1]][: SHAPE[0], : SHAPE[1]])
