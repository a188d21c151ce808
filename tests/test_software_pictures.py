"""What one picture is given in the software engine: key frames are made, and everything else is refused by name."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest

from pdum.nvenc import (
    EncoderConfig,
    Metadata,
    PictureOptions,
    Region,
    Sei,
    SoftwareEncoder,
    TimeCode,
    UnsupportedFeature,
)

pytestmark = pytest.mark.one_abi

FRAME = np.full((96, 96), 90, np.uint8)
CONFIG = EncoderConfig(width=96, height=64, gop=0, preset="p1", qp_map="delta")


def test_key_frames() -> None:
    options = [None, PictureOptions(force_idr=True), PictureOptions(), PictureOptions(force_intra=True, sei=[])]
    with SoftwareEncoder(CONFIG) as encoder:
        packets = [packet for seq, one in enumerate(options) for packet in encoder.submit(FRAME, seq, picture=one)]
        packets += encoder.flush_pipeline()
        assert [packet.keyframe for packet in packets] == [True, True, False, True]
        assert encoder.encode(FRAME, picture=PictureOptions(force_idr=True))
    assert encoder.unmapped == ("qp_map",)


@pytest.mark.parametrize(
    ("options", "name"),
    [
        ({"sei": [Sei(5, b"x")]}, "sei"),
        ({"metadata": [Metadata(4, b"x")]}, "metadata"),
        ({"time_code": TimeCode(1, 2, 3, 4)}, "time_code"),
        ({"regions": [Region(0, 0, 9, 9, qp=-5)]}, "regions"),
        ({"qp_map": np.zeros((4, 6), np.int8)}, "qp_map"),
        ({"emphasis_map": np.zeros((4, 6), np.int8)}, "emphasis_map"),
    ],
)
def test_what_software_cannot_carry(options: dict[str, Any], name: str) -> None:
    with SoftwareEncoder(CONFIG) as encoder:
        for call in (lambda one: encoder.submit(FRAME, 0, picture=one), lambda one: encoder.encode(FRAME, picture=one)):
            with pytest.raises(UnsupportedFeature, match=name) as caught:
                call(PictureOptions(**options))
            assert "NvencEncoder" in str(caught.value)
        assert encoder.in_flight == 0
        assert encoder.encode(FRAME) + encoder.flush(), "it stays usable"


def test_what_is_no_picture_options() -> None:
    with SoftwareEncoder(CONFIG) as encoder, pytest.raises(TypeError, match="PictureOptions"):
        encoder.submit(FRAME, 0, picture={"force_idr": True})  # type: ignore[arg-type]
