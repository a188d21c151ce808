"""The data of one picture reaches NV_ENC_PIC_PARAMS on both interfaces, for that picture only."""

from __future__ import annotations

from typing import Any
from uuid import UUID

import numpy as np
import pytest

from control.driver_calls import GPU, HEIGHT, WIDTH, Driver, Flat, flat
from frames import CudaFrame, Gpu, nv12
from pdum.nvenc import (
    ContentLight,
    EncoderConfig,
    InvalidConfig,
    MasteringDisplay,
    Metadata,
    NvencEncoder,
    NvencError,
    PictureOptions,
    Sei,
    TimeCode,
    UnsupportedFeature,
)

from simulator import Simulator
from simulator.trace import read_calls

pytestmark = pytest.mark.one_abi

UUID_TEXT = "086f3693-b7b3-4f2c-9653-21492feee5b8"
CAPTION = bytes((0xFC, 0x94, 0x2C, 0xFD, 0x80, 0x80))
FRAME = nv12(WIDTH, HEIGHT)
FORCE_INTRA, FORCE_IDR, WITH_HEADERS = 1, 2, 4  # NV_ENC_PIC_FLAGS
CLOCK = "timeCode.clockTimestamp[0]."


def pictures(driver: Driver, *options: PictureOptions | None, **settings: Any) -> list[Flat]:
    """The arguments of nvEncEncodePicture for each picture: codecPicParams and the flags."""

    def use(encoder: NvencEncoder) -> None:
        for seq, one in enumerate(options):
            encoder.submit(FRAME, seq, picture=one)
        encoder.flush_pipeline()

    calls = [flat(call.args) for call in driver.calls(use, name="nvEncEncodePicture", **settings)]
    return [codec_part(call) for call in calls if call.get("inputBuffer")]


def codec_part(call: Flat) -> Flat:
    prefix = "codecPicParams."
    part = {path.removeprefix(prefix): value for path, value in call.items() if path.startswith(prefix)}
    return {**part, **({"flags": call["encodePicFlags"]} if "encodePicFlags" in call else {})}


def sent(array: str, *messages: tuple[int, bytes]) -> Flat:
    """The fields that these messages fill."""
    told: Flat = {f"{array}Cnt": len(messages)} if messages else {}
    for number, (kind, payload) in enumerate(messages):
        one = {"payloadSize": len(payload), "payloadType": kind, "payload": payload.hex()}
        told |= {f"{array}[{number}].{name}": value for name, value in one.items() if value not in (0, "")}
    return told


@pytest.mark.parametrize("codec", ["h264", "hevc", "av1"])
def test_flags(abi: str, driver: Driver, codec: str) -> None:
    """A forced IDR has its parameter sets."""
    told = pictures(
        driver, None, PictureOptions(force_idr=True), PictureOptions(force_intra=True), None, codec=codec, gop=0
    )
    assert told == [{}, {"flags": FORCE_IDR | WITH_HEADERS}, {"flags": FORCE_INTRA}, {}]


@pytest.mark.parametrize("codec", ["h264", "hevc"])
@pytest.mark.parametrize(
    ("sei", "kind", "payload"),
    [
        (Sei(0, b"buffering"), 0, b"buffering"),
        (Sei(47, b"\0\0\1 display orientation \0"), 47, b"\0\0\1 display orientation \0"),
        (Sei(0xFFFF, b""), 0xFFFF, b""),
        (Sei(200, bytes(range(256)) * 3), 200, bytes(range(256)) * 3),
        (Sei(6, bytearray(b"any buffer")), 6, b"any buffer"),  # type: ignore[arg-type]
        (Sei.user_data(UUID_TEXT, b"note"), 5, UUID(UUID_TEXT).bytes + b"note"),
        (Sei.user_data(UUID(UUID_TEXT), b""), 5, UUID(UUID_TEXT).bytes),
        (Sei.captions(CAPTION), 4, b"\xb5\x00\x31GA94\x03\x42\xff" + CAPTION + b"\xff"),
    ],
    ids=lambda value: str(value)[:24],
)
def test_sei(abi: str, driver: Driver, codec: str, sei: Sei, kind: int, payload: bytes) -> None:
    told = pictures(driver, None, PictureOptions(sei=[sei]), None, codec=codec)
    assert told == [{}, sent("seiPayloadArray", (kind, payload)), {}]


@pytest.mark.parametrize("codec", ["h264", "hevc"])
def test_several_messages_keep_their_order(abi: str, driver: Driver, codec: str) -> None:
    messages = [(number, bytes((number,)) * number) for number in (5, 1, 9, 200)]
    (told,) = pictures(driver, PictureOptions(sei=tuple(Sei(*one) for one in messages)), codec=codec)
    assert told == sent("seiPayloadArray", *messages)


def test_av1_metadata(abi: str, driver: Driver) -> None:
    note = Metadata(31, b"private")
    captions = Metadata.captions(CAPTION)
    told = pictures(driver, None, PictureOptions(metadata=[note, captions]), codec="av1")
    t35 = b"\xb5\x00\x31GA94\x03\x42\xff" + CAPTION + b"\xff"
    assert told == [{}, sent("obuPayloadArray", (31, b"private"), (4, t35))]


def test_time_codes_of_h264(abi: str, driver: Driver) -> None:
    told = pictures(
        driver,
        PictureOptions(time_code=TimeCode(23, 59, 58, 255, True)),
        None,
        PictureOptions(time_code=TimeCode(1, 2, 3, 4)),
        codec="h264",
        time_code=True,
    )
    names = ("hoursValue", "minutesValue", "secondsValue", "nFrames", "cntDroppedFrames")

    def clock(*values: int) -> Flat:
        # Counting type 4, drop-frame. Before 13.1 the field has one bit.
        dropping = {CLOCK + "countingTypeMSB": 2} if values[-1] and abi == "13.1" else {}
        return dropping | {CLOCK + name: value for name, value in zip(names, values, strict=True) if value}

    # The older interface has no way to say that a picture of such a stream has no time code.
    none = {} if abi == "12.1" else {"timeCode.skipClockTimestampInsertion": 1}
    assert told == [clock(23, 59, 58, 255, 1), none, clock(1, 2, 3, 4, 0)]


def test_hevc_time_codes_are_messages_of_our_own(abi: str, driver: Driver) -> None:
    """Before 13.1 the driver's field has no room for counting type 4, drop-frame. Other messages come first."""
    note = Sei(200, b"note")
    told = pictures(
        driver,
        PictureOptions(sei=[note], time_code=TimeCode(23, 59, 58, 255, True)),
        None,
        PictureOptions(time_code=TimeCode(1, 2, 3, 4)),
        codec="hevc",
        time_code=True,
    )

    def clock(hours: int, minutes: int, seconds: int, frames: int, drop: bool) -> tuple[int, bytes]:
        # One timestamp, which counts frames; its counting type is 4 with dropped numbers; then a stop bit and zeros.
        bits = f"0110{4 if drop else 0:05b}10{drop:b}{frames:09b}{seconds:06b}{minutes:06b}{hours:05b}{0:05b}1"
        return 136, int(bits.ljust(48, "0"), 2).to_bytes(6, "big")

    assert told == [
        sent("seiPayloadArray", (200, b"note"), clock(23, 59, 58, 255, True)),
        {},
        sent("seiPayloadArray", clock(1, 2, 3, 4, False)),
    ]


def test_av1_time_codes_are_metadata(abi: str, driver: Driver) -> None:
    told = pictures(driver, PictureOptions(time_code=TimeCode(1, 2, 3, 4)), codec="av1")
    # counting_type 0 in 5 bits, full_timestamp 1, 0, 0, then 9, 6, 6, 5 and 5 bits
    value = int(f"{0:05b}100{4:09b}{3:06b}{2:06b}{1:05b}{0:05b}0", 2)
    assert told == [sent("obuPayloadArray", (5, value.to_bytes(5, "big")))]


DISPLAY = MasteringDisplay(min_luminance=0.005, max_luminance=1000)
LIGHT = ContentLight(1000, 400)
# ST 2086 by hand, red, green, blue and white. H.264 and HEVC count chromaticities in 1/50000 and luminance in 1/10000.
POINTS = [35400, 14600, 8500, 39850, 6550, 2300, 15635, 16450]
LUMINANCES = [10_000_000, 50]
# AV1 counts chromaticities in 1/65536, the most luminance in 1/256 and the least in 1/16384.
AV1_POINTS = [46399, 19137, 11141, 52232, 8585, 3015, 20493, 21561]
AV1_LUMINANCES = [256_000, 82]


def big_endian(shorts: list[int], longs: list[int] | None = None) -> bytes:
    return np.array(shorts, ">u2").tobytes() + np.array(longs or [], ">u4").tobytes()


SEI_137 = big_endian([*POINTS[2:6], *POINTS[:2], *POINTS[6:]], LUMINANCES)  # green, blue, red, white
OBU_2 = big_endian(AV1_POINTS, AV1_LUMINANCES)
LIGHTS = big_endian([1000, 400])
HDR = {"mastering_display": DISPLAY, "content_light": LIGHT}


def display_told(abi: str, codec: str) -> Flat:
    """What the driver gets about the display with an IDR."""
    if codec == "h264" or abi == "12.1":
        return {"message": (2, OBU_2) if codec == "av1" else (137, SEI_137)}
    points, luminances = (AV1_POINTS, AV1_LUMINANCES) if codec == "av1" else (POINTS, LUMINANCES)
    names = [f"{point}.{axis}" for point in ("r", "g", "b", "whitePoint") for axis in "xy"]
    values = dict(zip([*names, "maxLuma", "minLuma"], [*points, *luminances], strict=True))
    return {f"pMasteringDisplay.{name}": value for name, value in values.items()}


def light_told(abi: str, codec: str) -> Flat:
    """What the driver gets about the content's light with an IDR."""
    if codec == "h264" or abi == "12.1":
        return {"message": (1 if codec == "av1" else 144, LIGHTS)}
    return {"pMaxCll.maxContentLightLevel": 1000, "pMaxCll.maxPicAverageLightLevel": 400}


def hdr_told(codec: str, parts: list[Flat], *more: tuple[int, bytes]) -> Flat:
    """All of it, with further messages of the picture's own."""
    messages = [part["message"] for part in parts if "message" in part]
    fields = {path: value for part in parts for path, value in part.items() if path != "message"}
    return {**fields, **sent("obuPayloadArray" if codec == "av1" else "seiPayloadArray", *messages, *more)}


@pytest.mark.parametrize("codec", ["h264", "hevc", "av1"])
def test_hdr_metadata_is_on_every_idr(abi: str, driver: Driver, codec: str) -> None:
    """From interface 13.0 on in the fields that HEVC and AV1 have for it, else as a message; on no other picture."""
    note = (31, b"x") if codec == "av1" else (200, b"x")
    own = PictureOptions(
        force_idr=True,
        metadata=[Metadata(*note)] if codec == "av1" else (),
        sei=() if codec == "av1" else [Sei(*note)],
    )
    told = pictures(driver, None, None, own, None, None, codec=codec, gop=2, **HDR)
    parts = [display_told(abi, codec), light_told(abi, codec)]
    forced = {**hdr_told(codec, parts, note), "flags": FORCE_IDR | WITH_HEADERS}
    assert told == [hdr_told(codec, parts), {}, forced, {}, hdr_told(codec, parts)]


@pytest.mark.parametrize("codec", ["h264", "hevc", "av1"])
def test_one_of_the_two_kinds_of_hdr_metadata_alone(abi: str, driver: Driver, codec: str) -> None:
    for name, part in (("mastering_display", display_told(abi, codec)), ("content_light", light_told(abi, codec))):
        assert pictures(driver, None, codec=codec, **{name: HDR[name]}) == [hdr_told(codec, [part])]


@pytest.mark.parametrize("where", ["encode", "submit"])
@pytest.mark.parametrize(
    ("settings", "options", "kind", "words"),
    [
        ({"codec": "av1"}, PictureOptions(sei=[Sei(5, b"x")]), UnsupportedFeature, ["sei", "av1", "metadata"]),
        ({}, PictureOptions(metadata=[Metadata(4, b"x")]), UnsupportedFeature, ["metadata", "h264", "sei"]),
        ({}, PictureOptions(time_code=TimeCode(1, 2, 3, 4)), InvalidConfig, ["TimeCode", "time_code=True"]),
        ({"codec": "hevc"}, PictureOptions(time_code=TimeCode(1, 2, 3, 4)), InvalidConfig, ["time_code=True"]),
        ({}, {"force_idr": True}, TypeError, ["picture", "PictureOptions"]),
    ],
    ids=str,
)
def test_data_that_this_stream_cannot_carry(
    abi: str,
    driver: Driver,
    where: str,
    settings: dict[str, Any],
    options: Any,
    kind: type[Exception],
    words: list[str],
) -> None:
    def use(encoder: NvencEncoder) -> None:
        with pytest.raises(kind) as caught:
            getattr(encoder, where)(FRAME, *([7] if where == "submit" else []), picture=options)
        for word in words:
            assert word in str(caught.value)
        assert encoder.in_flight == 0
        assert encoder.encode(FRAME), "it stays usable"

    calls = driver.calls(use, name="nvEncEncodePicture", **settings)
    assert len([call for call in calls if call.args.get("inputBuffer")]) == 1


@pytest.mark.parametrize(
    ("make", "words"),
    [
        (lambda: Sei(-1, b""), ["Sei type=-1"]),
        (lambda: Sei(0x10000, b""), ["Sei type=65536"]),
        (lambda: Sei("5", b""), ["Sei type='5'"]),  # type: ignore[arg-type]
        (lambda: Sei(5, "text"), ["Sei", "'text'", "bytes"]),  # type: ignore[arg-type]
        (lambda: Sei(5, 4), ["Sei", "4", "bytes"]),  # type: ignore[arg-type]
        (lambda: Sei.user_data("no uuid", b""), ["uuid='no uuid'"]),
        (lambda: Sei.user_data(5, b""), ["uuid=5"]),  # type: ignore[arg-type]
        (lambda: Sei.captions(b"12"), ["2 bytes", "triplets"]),
        (lambda: Sei.captions(b""), ["0 bytes"]),
        (lambda: Sei.captions(bytes(32 * 3)), ["96 bytes"]),
        (lambda: Metadata(-1, b""), ["Metadata type=-1"]),
        (lambda: Metadata(4, None), ["Metadata", "None"]),  # type: ignore[arg-type]
        (lambda: TimeCode(24, 0, 0, 0), ["time_code hours=24"]),
        (lambda: TimeCode(0, 60, 0, 0), ["time_code minutes=60"]),
        (lambda: TimeCode(0, 0, 60, 0), ["time_code seconds=60"]),
        (lambda: TimeCode(0, 0, 0, 256), ["time_code frames=256"]),
        (lambda: TimeCode(0, 0, 0, 1.5), ["time_code frames=1.5"]),  # type: ignore[arg-type]
        (lambda: TimeCode(0, 0, 0, 0, 1), ["time_code drop_frame=1"]),  # type: ignore[arg-type]
        (lambda: ContentLight(-1, 0), ["content_light max_cll=-1"]),
        (lambda: ContentLight(1, 65536), ["content_light max_fall=65536"]),
        (lambda: ContentLight("1", 5), ["content_light max_cll='1'"]),  # type: ignore[arg-type]
        (lambda: MasteringDisplay(red=(0.5, 1.5)), ["mastering_display red=(0.5, 1.5)"]),
        (lambda: MasteringDisplay(white=(0.5,)), ["mastering_display white=(0.5,)"]),  # type: ignore[arg-type]
        (lambda: MasteringDisplay(blue="ab"), ["mastering_display blue='ab'"]),  # type: ignore[arg-type]
        (lambda: MasteringDisplay(min_luminance=5, max_luminance=5), ["luminance", "5"]),
        (lambda: MasteringDisplay(max_luminance="x"), ["luminance", "x"]),  # type: ignore[arg-type]
        (lambda: PictureOptions(force_idr=1), ["force_idr=1"]),  # type: ignore[arg-type]
        (lambda: PictureOptions(sei=Sei(5, b"")), ["sei=", "list of Sei"]),  # type: ignore[arg-type]
        (lambda: PictureOptions(sei=[(5, b"")]), ["sei=", "list of Sei"]),  # type: ignore[list-item]
        (lambda: PictureOptions(metadata=[Sei(5, b"")]), ["metadata=", "Metadata"]),  # type: ignore[list-item]
        (lambda: PictureOptions(time_code="01:02:03:04"), ["time_code="]),  # type: ignore[arg-type]
        (lambda: EncoderConfig(width=2, height=2, mastering_display=LIGHT), ["mastering_display="]),  # type: ignore[arg-type]
        (lambda: EncoderConfig(width=2, height=2, content_light=(1, 2)), ["content_light="]),  # type: ignore[arg-type]
    ],
)
def test_data_that_cannot_be_a_message(make: Any, words: list[str]) -> None:
    with pytest.raises(InvalidConfig) as caught:
        make()
    assert isinstance(caught.value, NvencError)
    for word in words:
        assert word in str(caught.value)


FORMATS = {
    "nv12": "NV12",
    "p010": "YUV420_10BIT",
    "yuv420": "IYUV",
    "yuv444": "YUV444",
    "yuv444_10": "YUV444_10BIT",
    "nv16": "NV16",
    "p210": "P210",
    "argb": "ARGB",
    "abgr": "ABGR",
    "ayuv": "AYUV",
    "argb10": "ARGB10",
    "abgr10": "ABGR10",
}


@pytest.mark.parametrize("form", FORMATS)
def test_the_format_reaches_surfaces_and_pictures(abi: str, driver: Driver, form: str) -> None:
    settings: dict[str, Any] = {"codec": "hevc", "format": form}
    if abi == "12.1" and form in ("nv16", "p210"):
        assert isinstance(driver.refusal(**settings), UnsupportedFeature)
        return

    def use(encoder: NvencEncoder) -> None:
        with encoder.surface() as surface:
            told = surface.__cuda_array_interface__
        encoder.encode(np.zeros(told["shape"], told["typestr"]))

    calls = driver.calls(use, **settings)
    wanted = f"NV_ENC_BUFFER_FORMAT_{FORMATS[form]}"
    registered = [call.args for call in calls if call.name == "nvEncRegisterResource"]
    encoded = [call.args for call in calls if call.name == "nvEncEncodePicture" and call.args.get("inputBuffer")]
    assert registered
    assert encoded
    assert {one["bufferFormat"] for one in registered} == {one["bufferFmt"] for one in encoded} == {wanted}


@pytest.mark.parametrize(("copy", "in_place"), [("always", False), ("never", True), ("auto", True)])
def test_copy_says_what_is_registered(
    abi: str, simulator: Simulator, driver: Driver, copy: str, in_place: bool
) -> None:
    with simulator.machine(gpus=GPU, trace=str(driver.path)):
        gpu = Gpu()
        pointer = gpu.allocate(WIDTH * HEIGHT * 3 // 2)
        with NvencEncoder(WIDTH, HEIGHT, copy=copy) as encoder:
            encoder.encode(CudaFrame(pointer, FRAME.shape))
        gpu.close()
    registered = {call.args["resourceToRegister"] for call in read_calls(driver.path, "nvEncRegisterResource")}
    assert (f"{pointer:#x}" in registered) == in_place
