"""The same configurations on both interfaces: the driver gets equal values, or the older one says what it lacks."""

from __future__ import annotations

import functools
import struct
from typing import Any

import numpy as np
import pytest
from hypothesis import HealthCheck, assume, given, settings
from hypothesis import strategies as st

from control.configs import DEEP, fields_of_configs, takes_13_0
from control.driver_calls import GPU, Driver
from pdum.nvenc import EncoderConfig, InvalidConfig, NvencEncoder, PictureOptions, Region, UnsupportedFeature

from simulator.abi import abi as table_of
from simulator.trace import read_calls

pytestmark = pytest.mark.one_abi

Told = list[tuple[str, int, Any]]


VERSIONS = ("12.1", "13.0", "13.1")


def fields_of_some_versions() -> set[str]:
    """Names of live fields that one of the versions lacks in some struct."""
    tables = [table_of(version).table["structs"] for version in VERSIONS]
    named = [{(name, field["name"]) for name in table for field in table[name]["fields"]} for table in tables]
    return {field for _, field in named[0].union(*named) - named[0].intersection(*named)}


SINGULAR = fields_of_some_versions() | {"version", "apiVersion"}


def comparable(value: Any) -> Any:
    """The structs without version words, addresses, fields that some version lacks, and structs that are empty then."""
    if isinstance(value, dict):
        kept = {key: comparable(item) for key, item in value.items() if key not in SINGULAR}
        return {key: item for key, item in kept.items() if item != {}}
    if isinstance(value, list):
        return [comparable(item) for item in value]
    return "address" if isinstance(value, str) and value.startswith("0x") else value


def with_hdr_apart(args: dict[str, Any], codec: str) -> dict[str, Any]:
    """A picture's arguments with HDR's static metadata under one name, whether it came as messages or in fields."""
    picture = args.get("codecPicParams")
    if picture is None:
        return args
    array = "obuPayloadArray" if codec == "av1" else "seiPayloadArray"
    kinds = (2, 1) if codec == "av1" else (137, 144)
    messages = picture.get(array, [])
    hdr = {one["payloadType"]: one["payload"] for one in messages if one["payloadType"] in kinds}
    if "pMasteringDisplay" in picture:
        hdr[kinds[0]] = display_payload(picture["pMasteringDisplay"], codec)
    if "pMaxCll" in picture:
        light = picture["pMaxCll"]
        names = ("maxContentLightLevel", "maxPicAverageLightLevel")
        hdr[kinds[1]] = struct.pack(">2H", *(light.get(name, 0) for name in names)).hex()
    rest = [one for one in messages if one["payloadType"] not in kinds]
    fields = {name: value for name, value in picture.items() if not name.startswith(array)}
    told = sorted((kind, payload) for kind, payload in hdr.items() if int(payload, 16))  # zeros are not traced
    apart = {name: value for name, value in (("messages", rest), ("hdr", told)) if value}
    return {**args, "codecPicParams": {**fields, **apart}}


def display_payload(display: dict[str, Any], codec: str) -> str:
    """The fields in the order and form of the codec's own message."""
    order = ("r", "g", "b", "whitePoint") if codec == "av1" else ("g", "b", "r", "whitePoint")
    points = [display.get(point, {}).get(axis, 0) for point in order for axis in "xy"]
    return struct.pack(">8H2I", *points, display.get("maxLuma", 0), display.get("minLuma", 0)).hex()


@functools.lru_cache(maxsize=4)
def black(shape: tuple[int, ...], kind: str) -> Any:
    return np.zeros(shape, kind)


def frame_of(encoder: NvencEncoder) -> Any:
    """A frame of the encoder's format and size, or a pair of them."""
    if encoder.config is not None and encoder.config.stereo:
        return (frame_of_one(encoder),) * 2
    return frame_of_one(encoder)


def frame_of_one(encoder: NvencEncoder) -> Any:
    form, width, height = encoder.format, encoder.width, encoder.height
    if form in ("argb", "abgr", "ayuv"):
        return black((height, width, 4), "u1")
    if form in ("argb10", "abgr10"):
        return black((height, width), "<u4")
    if encoder.config is not None and encoder.config.alpha and form == "nv12":
        return black((height * 3 // 2, width), "u1"), black((height, width), "u1")
    rows = height * 2 if form in ("nv16", "p210") else height * 3 if form.startswith("yuv444") else height * 3 // 2
    return black((rows, width), "<u2" if form in DEEP else "u1")


def options_of(config: EncoderConfig) -> PictureOptions:
    """A region, other grain and another order of fields, if the encoder takes any."""
    kind = {"delta": {"qp": -7}, "emphasis": {"emphasis": 3}}.get(str(config.qp_map))
    return PictureOptions(
        regions=[Region(20, 40, 70, 30, **kind)] if kind else (),
        film_grain=None if config.film_grain is None else 33,
        structure=None if config.interlaced is None else "bottom",
    )


def told_by(driver: Driver, config: EncoderConfig, forced: set[int], changes: list[dict[str, Any]]) -> Told:
    """All calls of an encoder, from its creation to its end."""
    driver.path.unlink(missing_ok=True)
    with (
        driver.simulator.machine(gpus=GPU, backend="null", trace=str(driver.path)),
        NvencEncoder(config) as encoder,
    ):
        for number in range(8):
            options = options_of(config) if number == 3 else None
            encoder.submit(frame_of(encoder), number, number in forced, picture=options)
        encoder.sequence_header()
        for change in changes:
            encoder.reconfigure(**change)
            encoder.submit(frame_of(encoder), 8)
        encoder.flush_pipeline()
    # Only the newest version has all capabilities, and the functions are asked for once in a process.
    own = ("nvEncGetEncodeCaps", "NvEncodeAPICreateInstance")
    calls = [call for call in read_calls(driver.path) if call.library == "encode" and call.name not in own]
    codec = str(config.settings()["codec"])
    return [(call.name, call.status, comparable(with_hdr_apart(call.args, codec))) for call in calls]


LIVE_CHANGES = st.one_of(
    st.fixed_dictionaries({"bitrate": st.integers(1, 10**8), "max_bitrate": st.just(0)}),
    st.fixed_dictionaries({"fps": st.integers(1, 240)}),
    st.fixed_dictionaries({"width": st.sampled_from([200, 210]), "height": st.sampled_from([150, 160])}),
    st.fixed_dictionaries({"multipass": st.sampled_from([None, "off", "full"])}),
    st.fixed_dictionaries({"spatial_aq": st.sampled_from([None, False, True, 5]), "temporal_aq": st.booleans()}),
    st.fixed_dictionaries({"min_qp": st.sampled_from([None, 3]), "max_qp": st.sampled_from([None, 44])}),
)


def applicable(config: EncoderConfig, changes: list[dict[str, Any]]) -> list[dict[str, Any]]:
    """The changes that do not contradict the settings at that time, in a size that the encoder was made for."""
    kept = []
    largest = max(config.width, config.max_width), max(config.height, config.max_height)
    for change in changes:
        if change.get("width", 0) > largest[0] or change.get("height", 0) > largest[1]:
            continue
        try:
            config = config.replaced(**change)
        except InvalidConfig:
            continue
        kept.append(change)
    return kept


@given(
    fields=fields_of_configs(),
    forced=st.sets(st.integers(0, 7), max_size=3),
    changes=st.lists(LIVE_CHANGES, max_size=3),
)
@settings(
    max_examples=60,
    deadline=None,
    suppress_health_check=[HealthCheck.function_scoped_fixture, HealthCheck.too_slow],
)
def test_all_versions_give_the_driver_the_same_values(
    driver: Driver,
    monkeypatch: pytest.MonkeyPatch,
    fields: dict[str, Any],
    forced: set[int],
    changes: list[dict[str, Any]],
) -> None:
    config = EncoderConfig(**fields)
    changes = applicable(config, changes)
    monkeypatch.setenv("PDUM_NVENC_ABI", "13.0")
    new = told_by(driver, config, forced, changes)
    monkeypatch.setenv("PDUM_NVENC_ABI", "13.1")
    assert told_by(driver, config, forced, changes) == new
    monkeypatch.setenv("PDUM_NVENC_ABI", "12.1")
    if takes_13_0(config):
        with pytest.raises(UnsupportedFeature, match=r"12\.1") as caught:
            told_by(driver, config, forced, changes)
        assert "570" in caught.value.advice
        return
    old = told_by(driver, config, forced, changes)
    assert len(old) > 20
    assert old == new


@given(
    fields=fields_of_configs(), taken=st.sampled_from(["SUPPORT_LOOKAHEAD", "SUPPORT_10BIT_ENCODE", "NUM_MAX_BFRAMES"])
)
@settings(
    max_examples=30, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture, HealthCheck.too_slow]
)
def test_all_versions_miss_the_same_capability(
    driver: Driver, monkeypatch: pytest.MonkeyPatch, fields: dict[str, Any], taken: str
) -> None:
    config = EncoderConfig(**fields)
    assume(not takes_13_0(config))
    outcomes = []
    for version in VERSIONS:
        monkeypatch.setenv("PDUM_NVENC_ABI", version)
        outcomes.append(outcome(driver, config, taken))
    assert outcomes[0] == outcomes[1] == outcomes[2]
    assert outcomes[0] == "" or taken in outcomes[0]


def outcome(driver: Driver, config: EncoderConfig, taken: str) -> str:
    """The encoder's error on a GPU without the capability; empty if it needs none."""
    try:
        with driver.simulator.machine(gpus={**GPU, "caps": {taken: 0}}):
            NvencEncoder(config).close()
    except UnsupportedFeature as error:
        return str(error)
    return ""
