"""Maps of QP offsets and emphasis levels, and the regions that make them: what reaches the driver, what is refused."""

from __future__ import annotations

import asyncio
import math
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from numpy.typing import NDArray

from control.driver_calls import GPU, HEIGHT, WIDTH, Driver, flat
from frames import CudaFrame, DlpackFrame, OnlyDlpack, nv12
from frames import gpu as lent_gpu
from pdum.nvenc import InvalidConfig, NvencEncoder, PictureOptions, Region, UnsupportedFeature
from pdum.nvenc._config.regions import map_of

from simulator import Simulator, parse

pytestmark = pytest.mark.one_abi

FRAME = nv12(WIDTH, HEIGHT)
BLOCKS = {"h264": 16, "hevc": 32, "av1": 64}
CODECS = list(BLOCKS)
OFFSETS = {"h264": 51, "hevc": 51, "av1": 127}
Map = NDArray[np.int8]


def grid(codec: str, width: int = WIDTH, height: int = HEIGHT) -> tuple[int, int]:
    """Rows and columns of a map."""
    return math.ceil(height / BLOCKS[codec]), math.ceil(width / BLOCKS[codec])


def some_map(codec: str, number: int = 0, width: int = WIDTH, height: int = HEIGHT) -> Map:
    """Every value that the codec takes comes up in some of these."""
    most = OFFSETS[codec]
    values = np.random.default_rng(number).integers(-most, most + 1, grid(codec, width, height))
    return values.astype(np.int8)


def maps_told(driver: Driver, *pictures: PictureOptions | None, **options: Any) -> list[tuple[str, int]]:
    """qpDeltaMap in hex and qpDeltaMapSize, of each picture."""

    def use(encoder: NvencEncoder) -> None:
        for seq, one in enumerate(pictures):
            encoder.submit(FRAME, seq, picture=one)
        encoder.flush_pipeline()

    calls = [flat(call.args) for call in driver.calls(use, name="nvEncEncodePicture", **options)]
    return [(call.get("qpDeltaMap", ""), call.get("qpDeltaMapSize", 0)) for call in calls if call.get("inputBuffer")]


def as_told(values: Map) -> tuple[str, int]:
    return values.tobytes().hex(), values.size


def refused(encoder: NvencEncoder, picture: PictureOptions, *words: str) -> None:
    with pytest.raises(InvalidConfig) as caught:
        encoder.encode(FRAME, picture=picture)
    for word in words:
        assert word in str(caught.value), str(caught.value)
    assert encoder.in_flight == 0


# What reaches the driver.


@pytest.mark.parametrize("codec", CODECS)
def test_a_map_reaches_the_driver(abi: str, driver: Driver, codec: str) -> None:
    """On each picture, in rows from the top. A picture without one has zeros: the driver would take the last one."""
    first, second = some_map(codec, 1), some_map(codec, 2)
    told = maps_told(
        driver,
        PictureOptions(qp_map=first),
        None,
        PictureOptions(qp_map=second, force_idr=True),
        PictureOptions(force_intra=True),
        codec=codec,
        qp_map="delta",
    )
    zeros = np.zeros(grid(codec), np.int8)
    assert told == [as_told(values) for values in (first, zeros, second, zeros)]


def test_emphasis_reaches_the_driver(abi: str, driver: Driver) -> None:
    levels = np.random.default_rng(5).integers(0, 6, grid("h264")).astype(np.uint8)
    told = maps_told(driver, PictureOptions(emphasis_map=levels), None, qp_map="emphasis")
    assert told == [as_told(levels.astype(np.int8)), as_told(np.zeros(grid("h264"), np.int8))]


@pytest.mark.parametrize("codec", CODECS)
def test_without_the_setting_no_picture_has_a_map(abi: str, driver: Driver, codec: str) -> None:
    assert maps_told(driver, None, PictureOptions(force_idr=True), codec=codec) == [("", 0)] * 2


@pytest.mark.parametrize(
    "kind",
    ["contiguous", "columns first", "every second", "backwards", "unsigned", "memoryview", "dlpack", "read only"],
)
def test_any_array_on_the_host(driver: Driver, kind: str) -> None:
    values = np.abs(some_map("h264", 7)) if kind == "unsigned" else some_map("h264", 7)
    given: Any = {
        "contiguous": values,
        "columns first": np.asfortranarray(values),
        "every second": np.repeat(np.repeat(values, 2, 0), 2, 1)[::2, ::2],
        "backwards": np.ascontiguousarray(values[::-1, ::-1])[::-1, ::-1],
        "unsigned": values.astype(np.uint8),
        "memoryview": memoryview(values),
        "dlpack": OnlyDlpack(values),
        "read only": np.frombuffer(values.tobytes(), np.int8).reshape(values.shape),
    }[kind]
    assert maps_told(driver, PictureOptions(qp_map=given), qp_map="delta") == [as_told(values)]


# Regions.


def painted(codec: str, regions: list[Region], width: int, height: int) -> Map:
    """Pixel by pixel: a block has the value of the last region that touches one of its pixels."""
    rows, columns = grid(codec, width, height)
    values = np.zeros((rows, columns), np.int8)
    block = BLOCKS[codec]
    for region in regions:
        xs = {x // block for x in range(max(region.x, 0), min(region.x + region.width, width))}
        ys = {y // block for y in range(max(region.y, 0), min(region.y + region.height, height))}
        for y in ys:
            for x in xs:
                values[y, x] = region.qp or region.emphasis or 0
    return values


REGIONS = st.lists(
    st.builds(
        Region,
        st.integers(-300, 600),
        st.integers(-300, 600),
        st.integers(1, 400),
        st.integers(1, 400),
        qp=st.integers(-51, 51),
    ),
    min_size=1,
    max_size=5,
)


@pytest.mark.parametrize("codec", CODECS)
def test_regions_become_a_map(simulator: Simulator, codec: str) -> None:
    """In an encoder whose size is no multiple of the blocks; regions lie within it, across its edges and outside."""
    width, height = 202, 150
    frame = nv12(width, height)
    with simulator.machine(gpus=GPU), NvencEncoder(width, height, codec=codec, qp_map="delta") as encoder:

        @settings(max_examples=60, deadline=None)
        @given(regions=REGIONS)
        def holds(regions: list[Region]) -> None:
            (unit,) = parse(encoder.encode(frame, picture=PictureOptions(regions=regions)))
            assert unit.map == painted(codec, regions, width, height).tobytes()

        holds()


def test_a_region_covers_each_block_that_it_touches(driver: Driver) -> None:
    (told, _), (edge, _) = maps_told(
        driver,
        PictureOptions(regions=[Region(15, 16, 2, 16, qp=-6)]),
        PictureOptions(regions=[Region(16, 0, 16, 16, qp=-6)]),
        qp_map="delta",
    )
    assert np.argwhere(np.frombuffer(bytes.fromhex(told), np.int8).reshape(grid("h264"))).tolist() == [[1, 0], [1, 1]]
    assert np.argwhere(np.frombuffer(bytes.fromhex(edge), np.int8).reshape(grid("h264"))).tolist() == [[0, 1]]


def test_the_later_region_wins(driver: Driver) -> None:
    whole, part = Region(0, 0, WIDTH, HEIGHT, emphasis=5), Region(0, 0, 16, 16, emphasis=0)
    told = maps_told(
        driver, PictureOptions(regions=[whole, part]), PictureOptions(regions=(part, whole)), qp_map="emphasis"
    )
    five = np.full(grid("h264"), 5, np.int8)
    hole = five.copy()
    hole[0, 0] = 0
    assert told == [as_told(hole), as_told(five)]


def test_the_largest_numbers_are_clipped(driver: Driver) -> None:
    most = 0x7FFFFFFF
    regions = [
        Region(-most, -most, most, most, qp=1),
        Region(most, most, most, most, qp=2),
        Region(0, 0, most, 1, qp=3),
    ]
    wanted = np.zeros(grid("h264"), np.int8)
    wanted[0] = 3
    assert maps_told(driver, PictureOptions(regions=regions), qp_map="delta") == [as_told(wanted)]


def test_maps_follow_a_new_size(simulator: Simulator) -> None:
    """Regions and zeros fit the new size. A map of the old size is an error that says so."""
    options: dict[str, Any] = {"qp_map": "delta", "max_width": WIDTH, "max_height": HEIGHT}
    region = PictureOptions(regions=[Region(0, 0, 1, 1, qp=-9)])
    with simulator.machine(gpus=GPU), NvencEncoder(WIDTH, HEIGHT, **options) as encoder:
        encoder.encode(FRAME, picture=PictureOptions(qp_map=some_map("h264")))
        encoder.reconfigure(width=192, height=128)
        small = nv12(192, 128)
        with pytest.raises(InvalidConfig, match=r"\(8, 12\)"):
            encoder.encode(small, picture=PictureOptions(qp_map=some_map("h264")))
        maps = [parse(encoder.encode(small, picture=one))[0].map for one in (None, region)]
    assert maps == [bytes(96), b"\xf7" + bytes(95)]


# In flight.


@pytest.mark.parametrize(
    "options",
    [{"extra_output_delay": 5}, {"tuning": "hq", "bframes": 3}, {"tuning": "hq", "lookahead": 8, "bframes": 2}],
    ids=str,
)
@pytest.mark.sanitize
def test_an_array_may_change_as_soon_as_the_call_is_back(simulator: Simulator, options: dict[str, Any]) -> None:
    """The driver may read a map until its access unit is out, and the simulated one does so at the very end."""
    array = np.empty(grid("h264"), np.int8)
    packets = []
    machine: dict[str, Any] = {"gpus": {"name": "RTX 4090", "fps_1080p": 2000}}
    with simulator.machine(**machine), NvencEncoder(WIDTH, HEIGHT, qp_map="delta", **options) as encoder:
        for number in range(24):
            array[...] = some_map("h264", number)
            picture = PictureOptions(qp_map=array) if number % 3 else PictureOptions(regions=[Region(0, 0, 9, 9, qp=5)])
            packets += encoder.submit(FRAME, number, picture=picture)
            array[...] = 77
        packets += encoder.flush_pipeline()
    assert sorted(packet.seq for packet in packets) == list(range(24))
    for packet in packets:
        if packet.seq % 3:
            assert parse(packet.data)[0].map == some_map("h264", packet.seq).tobytes()


def test_maps_of_a_dropped_encoder(simulator: Simulator) -> None:
    """The session goes before the memory that it may read."""
    machine: dict[str, Any] = {"gpus": {"name": "RTX 4090", "fps_1080p": 300}}
    with simulator.machine(**machine):
        encoder = NvencEncoder(WIDTH, HEIGHT, qp_map="delta", extra_output_delay=8)
        for number in range(8):
            encoder.submit(FRAME, number, picture=PictureOptions(qp_map=some_map("h264", number)))
        del encoder


def test_the_awaited_call_takes_maps(simulator: Simulator) -> None:
    with simulator.machine(gpus=GPU), NvencEncoder(WIDTH, HEIGHT, qp_map="delta") as encoder:
        data = asyncio.run(encoder.encode_async(FRAME, picture=PictureOptions(qp_map=some_map("h264", 3))))
    assert parse(data)[0].map == some_map("h264", 3).tobytes()


# On the GPU.


@pytest.mark.parametrize("pitch", [16, 64])
@pytest.mark.parametrize("kind", ["array interface", "dlpack"])
def test_a_map_on_the_gpu(abi: str, driver: Driver, kind: str, pitch: int) -> None:
    values = some_map("h264", 11)
    padded = np.full((values.shape[0], pitch), 99, np.int8)
    padded[:, : values.shape[1]] = values

    def use(encoder: NvencEncoder) -> None:
        with lent_gpu() as device:
            pointer = device.allocate(padded.nbytes)
            device.upload(pointer, padded.view(np.uint8))
            strides = (pitch, 1)
            array: Any = (
                CudaFrame(pointer, values.shape, strides=strides, typestr="|i1")
                if kind == "array interface"
                else DlpackFrame(pointer, values.shape, strides=strides, dtype=(0, 8, 1))
            )
            encoder.encode(FRAME, picture=PictureOptions(qp_map=array))

    calls = [flat(call.args) for call in driver.calls(use, name="nvEncEncodePicture", qp_map="delta")]
    assert calls[0]["qpDeltaMap"] == values.tobytes().hex()


# What is refused.


@pytest.mark.parametrize("codec", CODECS)
def test_a_map_of_another_shape_is_told_the_right_one(simulator: Simulator, codec: str) -> None:
    rows, columns = grid(codec)
    block = BLOCKS[codec]
    with simulator.machine(gpus=GPU), NvencEncoder(WIDTH, HEIGHT, codec=codec, qp_map="delta") as encoder:
        for shape in ((rows + 1, columns), (rows, columns - 1), (columns + 1, rows), (0, 0), (0, columns)):
            words = (f"qp_map of shape ({rows}, {columns})", f"got ({shape[0]}, {shape[1]})", f"{block}x{block}", codec)
            refused(encoder, PictureOptions(qp_map=np.zeros(shape, np.int8)), *words)
        assert encoder.encode(FRAME), "it stays usable"


@pytest.mark.parametrize(
    ("array", "words"),
    [
        (np.zeros(160, np.int8), ("shape (160,)", "two dimensions")),
        (np.zeros((10, 16, 1), np.int8), ("shape (10, 16, 1)",)),
        (np.zeros((10, 16)), ("type", "int8")),
        (np.zeros((10, 16), np.int32), ("int8",)),
        (np.zeros((10, 16), bool), ("int8",)),
        ([[0] * 16] * 10, ("'list'", "int8")),
        ("map", ("'str'", "int8")),
        (object(), ("'object'",)),
        (b"\0" * 160, ("shape (160,)",)),
    ],
    ids=["1 dimension", "3 dimensions", "float64", "int32", "bool", "list", "text", "object", "bytes"],
)
def test_what_is_no_map(simulator: Simulator, array: Any, words: tuple[str, ...]) -> None:
    with simulator.machine(gpus=GPU), NvencEncoder(WIDTH, HEIGHT, qp_map="delta") as encoder:
        refused(encoder, PictureOptions(qp_map=array), "qp_map", *words)
        assert encoder.encode(FRAME), "it stays usable"


@pytest.mark.parametrize(
    ("codec", "mode", "value", "kind", "words"),
    [
        ("h264", "delta", 52, np.int8, ("52", "row 3, column 2", "-51 to 51")),
        ("hevc", "delta", -52, np.int8, ("-52", "row 3, column 2", "-51 to 51")),
        ("av1", "delta", 200, np.uint8, ("200", "row 1, column 2", "-128 to 127")),
        ("h264", "delta", 200, np.uint8, ("200", "-51 to 51")),
        ("h264", "emphasis", 6, np.int8, ("6", "row 3, column 2", "0 to 5")),
        ("h264", "emphasis", -1, np.int8, ("-1", "0 to 5")),
    ],
)
def test_values_beyond_the_range(
    simulator: Simulator, codec: str, mode: str, value: int, kind: Any, words: tuple[str, ...]
) -> None:
    values = np.zeros(grid(codec), kind)
    values[min(3, values.shape[0] - 2), 2] = value
    name = "qp_map" if mode == "delta" else "emphasis_map"
    picture = PictureOptions(qp_map=values) if mode == "delta" else PictureOptions(emphasis_map=values)
    with simulator.machine(gpus=GPU), NvencEncoder(WIDTH, HEIGHT, codec=codec, qp_map=mode) as encoder:
        refused(encoder, picture, name, codec, *words)
        assert encoder.encode(FRAME), "it stays usable"


DELTA = PictureOptions(qp_map=np.zeros((1, 1), np.int8))
EMPHASIS = PictureOptions(emphasis_map=np.zeros((1, 1), np.int8))
QP_REGION = PictureOptions(regions=[Region(0, 0, 1, 1, qp=1)])
EMPHASIS_REGION = PictureOptions(regions=[Region(0, 0, 1, 1, emphasis=1)])


@pytest.mark.parametrize(
    ("mode", "picture", "words"),
    [
        (None, DELTA, ("qp_map needs", "qp_map='delta'")),
        (None, EMPHASIS, ("emphasis_map needs", "qp_map='emphasis'")),
        (None, QP_REGION, ("Region(…, qp=…)", "qp_map='delta'")),
        (None, EMPHASIS_REGION, ("Region(…, emphasis=…)", "qp_map='emphasis'")),
        ("emphasis", DELTA, ("qp_map needs", "qp_map='emphasis'", "emphasis_map", "qp_map='delta'")),
        ("delta", EMPHASIS, ("emphasis_map needs", "qp_map='delta'", "qp_map='emphasis'")),
        ("emphasis", QP_REGION, ("Region(…, qp=…)", "qp_map='emphasis'", "Region(…, emphasis=…)")),
        ("delta", EMPHASIS_REGION, ("Region(…, emphasis=…)", "qp_map='delta'", "Region(…, qp=…)")),
    ],
)
def test_the_error_says_which_setting_is_wanted(
    simulator: Simulator, mode: str | None, picture: PictureOptions, words: tuple[str, ...]
) -> None:
    with simulator.machine(gpus=GPU), NvencEncoder(WIDTH, HEIGHT, qp_map=mode) as encoder:
        refused(encoder, picture, *words)
        assert encoder.encode(FRAME), "it stays usable"


@pytest.mark.parametrize(("codec", "qp"), [("h264", 52), ("h264", -128), ("hevc", -52)])
def test_offsets_of_regions_beyond_the_codecs_range(simulator: Simulator, codec: str, qp: int) -> None:
    with simulator.machine(gpus=GPU), NvencEncoder(WIDTH, HEIGHT, codec=codec, qp_map="delta") as encoder:
        refused(encoder, PictureOptions(regions=[Region(0, 0, 9, 9, qp=qp)]), f"qp for {codec}={qp}", "-51 to 51")


@pytest.mark.parametrize(
    ("make", "words"),
    [
        (lambda: Region(0, 0, 9, 9), ["qp=None", "emphasis=None", "qp or emphasis"]),
        (lambda: Region(0, 0, 9, 9, qp=1, emphasis=1), ["qp=1", "emphasis=1"]),
        (lambda: Region(0, 0, 0, 9, qp=1), ["Region width=0"]),
        (lambda: Region(0, 0, 9, -1, qp=1), ["Region height=-1"]),
        (lambda: Region(0.5, 0, 9, 9, qp=1), ["Region x=0.5"]),  # type: ignore[arg-type]
        (lambda: Region(0, "0", 9, 9, qp=1), ["Region y='0'"]),  # type: ignore[arg-type]
        (lambda: Region(2**31, 0, 9, 9, qp=1), [f"Region x={2**31}"]),
        (lambda: Region(0, 0, 9, 9, qp=128), ["Region qp=128"]),
        (lambda: Region(0, 0, 9, 9, qp=True), ["Region qp=True"]),
        (lambda: Region(0, 0, 9, 9, emphasis=6), ["Region emphasis=6", "0 to 5"]),
        (lambda: PictureOptions(regions=Region(0, 0, 9, 9, qp=1)), ["regions=", "list of Region"]),  # type: ignore[arg-type]
        (lambda: PictureOptions(regions=[(0, 0, 9, 9)]), ["regions=", "list of Region"]),  # type: ignore[list-item]
        (lambda: PictureOptions(regions=None), ["regions=None"]),  # type: ignore[arg-type]
        (lambda: PictureOptions(regions=QP_REGION.regions, qp_map=b""), ["regions and qp_map", "Choose one"]),
        (lambda: PictureOptions(qp_map=b"", emphasis_map=b""), ["qp_map and emphasis_map"]),
    ],
)
def test_what_can_be_no_region(make: Any, words: list[str]) -> None:
    with pytest.raises(InvalidConfig) as caught:
        make()
    for word in words:
        assert word in str(caught.value), str(caught.value)


def test_numbers_of_numpy_are_numbers(driver: Driver) -> None:
    region = Region(np.int64(0), np.int32(0), np.uint8(9), np.int16(9), qp=np.int8(-5))  # type: ignore[arg-type]
    assert map_of(PictureOptions(regions=[region]), "h264", "delta") == ("regions", [(0, 0, 9, 9, -5)])


def test_emphasis_takes_its_capability(abi: str, driver: Driver) -> None:
    error = driver.refusal(gpu={**GPU, "caps": {"SUPPORT_EMPHASIS_LEVEL_MAP": 0}}, qp_map="emphasis")
    assert isinstance(error, UnsupportedFeature)
    assert "SUPPORT_EMPHASIS_LEVEL_MAP" in str(error)
