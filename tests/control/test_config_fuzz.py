"""Configurations that are right, nearly right and wrong in every field: an encoder or a clear error, never a crash.

It is meant to run under AddressSanitizer too (tests/sanitize.sh), where each example costs some twenty times as much.
"""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from control.configs import fields_of_configs
from control.driver_calls import GPU
from control.test_differential import frame_of
from pdum.nvenc import EncoderConfig, Metadata, NvencEncoder, NvencError, PictureOptions, Region, Sei, TimeCode

from simulator import Simulator

pytestmark = [pytest.mark.one_abi, pytest.mark.sanitize]

BOUNDED = settings(
    max_examples=60,
    deadline=None,
    derandomize=True,
    suppress_health_check=[HealthCheck.function_scoped_fixture, HealthCheck.too_slow],
)
# Python itself raises TypeError for unknown arguments; all other errors are ours.
ALLOWED = (NvencError, TypeError)

EDGES = st.sampled_from(
    [
        0,
        1,
        -1,
        2,
        15,
        16,
        31,
        32,
        51,
        52,
        63,
        64,
        255,
        256,
        65535,
        65536,
        2**31 - 1,
        2**31,
        2**32 - 1,
        2**32,
        2**64,
        2**70,
    ]
)
WORDS = st.sampled_from(
    [
        "auto",
        "off",
        "2",
        "4",
        "p7",
        "hq",
        "uhq",
        "lossless",
        "av1",
        "hevc",
        "high",
        "rext",
        "444",
        "argb",
        "vbr",
        "constqp",
        "each",
        "middle",
        "full",
        "rows",
        "4.1",
        "9.9",
        "hdr10",
        "1/0",
        "1e99999",
        "\x00",
        "�",
        "ß",
    ]
)
JUNK = st.one_of(
    EDGES,
    WORDS,
    st.none(),
    st.booleans(),
    st.floats(),
    st.binary(max_size=3),
    st.lists(EDGES, max_size=4),
    st.tuples(WORDS, EDGES),
    st.tuples(EDGES, EDGES, EDGES),
    st.builds(object),
    st.dictionaries(WORDS, EDGES, max_size=2),
)
SPOILT = st.dictionaries(st.sampled_from(EncoderConfig.names()), JUNK, max_size=3).filter(
    # Only the driver can recognise an invalid context, and a real driver may fail to, except for NULL and nonsense.
    lambda fields: (
        fields.get("cuda_context", 0) in (0, -1, 2**64, 2**70, None)
        or not isinstance(fields["cuda_context"], (int, float))
    )
)
CAPS = st.dictionaries(
    st.sampled_from(
        [
            "NUM_MAX_BFRAMES",
            "SUPPORT_LOOKAHEAD",
            "SUPPORT_10BIT_ENCODE",
            "SUPPORT_YUV444_ENCODE",
            "SUPPORT_INTRA_REFRESH",
            "SUPPORT_REF_PIC_INVALIDATION",
            "SUPPORT_MULTIPLE_REF_FRAMES",
            "NUM_MAX_LTR_FRAMES",
            "SUPPORT_DYN_RES_CHANGE",
            "SUPPORT_CUSTOM_VBV_BUF_SIZE",
            "SUPPORT_EMPHASIS_LEVEL_MAP",
            "NUM_ENCODER_ENGINES",
            "SUPPORTED_RATECONTROL_MODES",
        ]
    ),
    st.integers(0, 2),
    max_size=3,
)
PAYLOADS = st.one_of(st.binary(max_size=40), st.sampled_from([b"", bytes(5000), b"\0\0\1" * 9]))
MESSAGES = st.lists(st.builds(Sei, st.integers(0, 0xFFFF), PAYLOADS), max_size=3)
OBUS = st.lists(st.builds(Metadata, st.integers(0, 0xFFFFFFFF), PAYLOADS), max_size=3)
CODES = st.builds(
    TimeCode, st.integers(0, 23), st.integers(0, 59), st.integers(0, 59), st.integers(0, 255), st.booleans()
)
REGIONS = st.lists(
    st.one_of(
        st.builds(Region, *[st.integers(-500, 500)] * 2, *[st.integers(1, 700)] * 2, qp=st.integers(-128, 127)),
        st.builds(Region, *[st.integers(-500, 500)] * 2, *[st.integers(1, 700)] * 2, emphasis=st.integers(0, 5)),
    ),
    max_size=4,
)
ARRAYS = st.builds(
    np.full,
    st.tuples(st.integers(0, 40), st.integers(0, 40)),
    st.integers(0, 127),
    st.sampled_from([np.int8, np.uint8, np.int32]),
)
MAPS = st.one_of(
    st.builds(lambda regions: {"regions": regions}, REGIONS),
    st.builds(lambda name, value: {name: value}, st.sampled_from(["qp_map", "emphasis_map"]), st.one_of(ARRAYS, JUNK)),
)
PICTURES = st.one_of(
    st.none(),
    MAPS.map(lambda fields: PictureOptions(**fields)),
    st.builds(PictureOptions, type=st.sampled_from(["IDR", "I", "P", "B"])),
    st.builds(
        PictureOptions,
        force_idr=st.booleans(),
        force_intra=st.booleans(),
        sei=MESSAGES,
        metadata=OBUS,
        time_code=st.one_of(st.none(), CODES),
        mark_long_term=st.one_of(st.none(), st.integers(0, 3)),
        use_long_term=st.lists(st.integers(0, 3), max_size=2),
    ),
    JUNK,
)


@BOUNDED
@given(
    fields=fields_of_configs(),
    spoilt=SPOILT,
    version=st.sampled_from(["12.1", "13.0", "13.1"]),
    caps=CAPS,
    pictures=st.lists(PICTURES, max_size=2),
    lost=st.lists(st.one_of(st.integers(-1, 3), JUNK), max_size=2),
    change=st.dictionaries(st.sampled_from(EncoderConfig.names()), JUNK, max_size=2),
)
def test_an_encoder_or_an_error(
    simulator: Simulator,
    monkeypatch: pytest.MonkeyPatch,
    fields: dict[str, Any],
    spoilt: dict[str, Any],
    version: str,
    caps: dict[str, int],
    pictures: list[Any],
    lost: list[Any],
    change: dict[str, Any],
) -> None:
    monkeypatch.setenv("PDUM_NVENC_ABI", version)
    # Only the driver recognises an invalid context, as a broken rule.
    with simulator.machine(gpus={**GPU, "caps": caps}, check="cuda_context" not in spoilt):
        try:
            encoder = NvencEncoder(**{**fields, **spoilt})
        except ALLOWED:
            return
        with encoder:
            for seq, picture in enumerate(pictures):
                try:
                    encoder.submit(frame_of(encoder), seq, picture=picture)
                except ALLOWED:
                    continue
            for seq in lost:
                try:
                    assert encoder.lost(seq) in (True, False)
                except (*ALLOWED, OverflowError):
                    continue
            before = encoder.config
            try:
                encoder.reconfigure(**change)
            except ALLOWED:
                assert encoder.config == before
            encoder.submit(frame_of(encoder), 99)
            assert encoder.flush_pipeline() or encoder.in_flight == 0, "it stays usable"


@BOUNDED
@given(plain=st.dictionaries(st.one_of(st.sampled_from(EncoderConfig.names()), WORDS), JUNK, max_size=6))
def test_dicts_from_anywhere(plain: dict[str, Any]) -> None:
    try:
        config = EncoderConfig.from_dict({"width": 640, "height": 480, **plain})
    except ALLOWED:
        return
    assert EncoderConfig.from_toml(config.to_toml()) == config


@BOUNDED
@given(
    text=st.one_of(
        st.text(), st.lists(st.sampled_from(["width", "=", "480", "\n", "[", "]", '"', "height", "fps"])).map("".join)
    )
)
def test_documents_from_anywhere(text: str) -> None:
    try:
        EncoderConfig.from_toml(text)
    except ALLOWED:
        return
