"""Interlaced streams: what each picture tells the driver, and what FFmpeg reads in the stream."""

from __future__ import annotations

import json
import subprocess
from pathlib import Path
from typing import Any

import pytest

from control.coded import encode, planes_of, stream_of, syntax_of
from control.driver_calls import Driver
from control.test_pictures import FRAME, pictures
from pdum.nvenc import InvalidConfig, NvencEncoder, Packet, PictureOptions, TimeCode

from loud import need_program
from simulator import Simulator
from streams import decode, worst_psnr

pytestmark = pytest.mark.one_abi

WHOLE, TOP, BOTTOM = (PictureOptions(structure=word) for word in ("frame", "top", "bottom"))
TOLD = {"FRAME": WHOLE, "FIELD_TOP_BOTTOM": TOP, "FIELD_BOTTOM_TOP": BOTTOM}


@pytest.mark.parametrize("first", ["top", "bottom"])
def test_each_picture_says_what_it_is_made_of(abi: str, driver: Driver, first: str) -> None:
    def use(encoder: NvencEncoder) -> None:
        for seq, options in enumerate([None, *TOLD.values(), None]):
            encoder.submit(FRAME, seq, picture=options)
        encoder.flush_pipeline()

    calls = driver.calls(use, name="nvEncEncodePicture", interlaced=first)
    structures = [call.args["pictureStruct"] for call in calls if call.args.get("inputBuffer")]
    own = "FIELD_TOP_BOTTOM" if first == "top" else "FIELD_BOTTOM_TOP"
    assert structures == [f"NV_ENC_PIC_STRUCT_{name}" for name in (own, *TOLD, own)]


def test_time_codes_say_which_field_is_shown_first(abi: str, driver: Driver) -> None:
    """In picture timing, a picture without a time code has its structure, too."""
    clock = TimeCode(1, 2, 3, 4)
    options = [None, PictureOptions(time_code=clock), *(PictureOptions(structure=one) for one in ("frame", "bottom"))]
    options.append(PictureOptions(time_code=clock, structure="bottom"))
    told = pictures(driver, *options, interlaced="top", time_code=True)
    shown = [one.get("timeCode.displayPicStruct", "NV_ENC_PIC_STRUCT_DISPLAY_FRAME") for one in told]
    names = ("FIELD_TOP_BOTTOM", "FIELD_TOP_BOTTOM", "FRAME", "FIELD_BOTTOM_TOP", "FIELD_BOTTOM_TOP")
    assert shown == [f"NV_ENC_PIC_STRUCT_DISPLAY_{name}" for name in names]


def test_a_structure_needs_an_interlaced_stream(driver: Driver) -> None:
    def use(encoder: NvencEncoder) -> None:
        with pytest.raises(InvalidConfig, match=r"structure='top' needs an encoder .* interlaced"):
            encoder.submit(FRAME, 0, picture=TOP)

    driver.calls(use)


def test_a_structure_is_one_of_three() -> None:
    with pytest.raises(InvalidConfig, match="structure"):
        PictureOptions(structure="left")


def field_orders(packets: list[Packet], folder: Path) -> list[str]:
    """Of the decoded pictures, as FFmpeg's own tool shows them."""
    path = folder / "stream.h264"
    path.write_bytes(stream_of(packets))
    command = [need_program("ffprobe", "ffmpeg"), "-v", "error", "-show_frames", "-of", "json", str(path)]
    frames: list[dict[str, Any]] = json.loads(subprocess.run(command, check=True, capture_output=True).stdout)["frames"]
    names = {0: "bottom", 1: "top"}
    return [names[one["top_field_first"]] if one["interlaced_frame"] else "frame" for one in frames]


@pytest.mark.parametrize("bframes", [0, 2])
@pytest.mark.parametrize("first", ["top", "bottom"])
def test_decoders_know_the_first_field(simulator: Simulator, tmp_path: Path, first: str, bframes: int) -> None:
    packets = encode(simulator, 9, interlaced=first, tuning="hq", bframes=bframes, gop=6, qp=24)
    assert field_orders(packets, tmp_path) == [first] * 9
    syntax = syntax_of(packets, "h264", tmp_path)
    assert set(syntax.all("frame_mbs_only_flag")) == {0}
    assert worst_psnr(planes_of("nv12", 9), decode(stream_of(packets), "h264")) > 30


@pytest.mark.parametrize(("first", "number"), [("top", 3), ("bottom", 4)])
def test_picture_timing_has_both_fields(simulator: Simulator, tmp_path: Path, first: str, number: int) -> None:
    """H.264 (table D-1) has 0, a frame, for pictures that are one, and two places for clocks if they are fields."""
    options = {0: PictureOptions(time_code=TimeCode(10, 20, 30, 4)), 1: PictureOptions(structure="frame")}
    packets = encode(simulator, 3, options, interlaced=first, time_code=True, fps=25)
    syntax = syntax_of(packets, "h264", tmp_path)
    assert syntax.all("pic_struct") == [number, 0, number]
    assert [syntax.first(name) for name in ("hours_value", "minutes_value", "seconds_value", "n_frames")] == (
        [10, 20, 30, 4]
    )


def test_the_first_field_may_change(simulator: Simulator, tmp_path: Path) -> None:
    packets = encode(simulator, 4, {2: BOTTOM, 3: BOTTOM}, interlaced="top")
    assert field_orders(packets, tmp_path) == ["top", "top", "bottom", "bottom"]


def test_streams_are_progressive_otherwise(simulator: Simulator, tmp_path: Path) -> None:
    assert field_orders(encode(simulator, 3), tmp_path) == ["frame"] * 3
