"""Each field of EncoderConfig: does the card take it, and does the decoded stream show it?

This goes through the package itself, unlike the other questions.
"""

from __future__ import annotations

from collections.abc import Callable
from contextlib import suppress
from dataclasses import dataclass, field
from typing import Any

from .._config.config import EncoderConfig
from .._config.hdr import ContentLight, MasteringDisplay
from .._config.motion_hints import shape as hint_shape
from .._config.picture import PictureOptions, TimeCode
from .._config.regions import Region
from .._errors import NvencError, UnsupportedFeature
from .bench import Bench
from .pictures import SIZE, mean_luma
from .probe import Answer, NotAsked, NotHere, Probe
from .takes import FRAMES, Take, encode, plain

SEEN, ACCEPTED = "it is taken and seen", "it is taken"
MUCH = 1.5
"""How much larger or smaller a stream has to be to show a rate."""
DECIBELS = 2.0
LEAST_PSNR = 25.0
HEVC_SEI = {"mastering display": 137, "content light": 144, "time code": 136}


Seen = Callable[[Take, Take], bool]
"""Whether a stream with the setting differs from the one without as it should."""


@dataclass(frozen=True, kw_only=True)
class Control:
    """One field, with a value to try."""

    name: str
    given: dict[str, Any]
    base: dict[str, Any] = field(default_factory=dict)
    """Settings that both streams have."""
    codecs: tuple[str, ...] = ("h264", "hevc", "av1")
    """The first of these that the card has is used."""
    seen: Seen | None = None
    """None: a stream need not show it."""
    picture: PictureOptions | None = None


def asked(control: Control) -> Callable[[Bench], Answer]:
    def ask(bench: Bench) -> Answer:
        codec = next((codec for codec in control.codecs if codec in bench.codecs), None)
        if codec is None:
            raise NotHere(f"this card encodes none of {', '.join(control.codecs)}")
        common = {**_common(bench, codec), **control.base}
        try:
            with_it = encode(EncoderConfig.of({**common, **control.given}), control.picture)
            without = plain(EncoderConfig.of(common))
        except UnsupportedFeature as lacking:
            raise NotHere(str(lacking)) from None
        except NvencError as error:
            return Answer(found=f"it is refused: {error}")
        changes = "yes" if with_it.units != without.units else "no"
        numbers = {"with it": _numbers(with_it), "without": _numbers(without), "other bytes": changes}
        if control.seen is None:
            return Answer(found=ACCEPTED, numbers=numbers)
        return Answer(found=SEEN if control.seen(with_it, without) else "it is taken and not seen", numbers=numbers)

    return ask


def _common(bench: Bench, codec: str) -> dict[str, Any]:
    return {"width": SIZE[0], "height": SIZE[1], "codec": codec, "gpu_id": bench.gpu_id}


def _numbers(take: Take) -> dict[str, Any]:
    found: dict[str, Any] = {"bytes": take.size}
    if take.config.format == "nv12" and (take.config.width, take.config.height) == SIZE:
        with suppress(NotAsked):  # the card's part of the answer is known without a decoder
            found["dB"] = round(take.psnr, 1)
    return found


# What is looked for.


def worse(a: Take, b: Take) -> bool:
    return a.psnr < b.psnr - DECIBELS


def better(a: Take, b: Take) -> bool:
    return a.psnr > b.psnr + DECIBELS


def larger(a: Take, b: Take) -> bool:
    return a.size > b.size * MUCH


def exact(a: Take, _: Take) -> bool:
    return a.psnr == 99.0


def every_picture(a: Take, _: Take) -> bool:
    """All pictures come back, and show what went in."""
    return len(a.pictures) == FRAMES and a.psnr > LEAST_PSNR


def resized(a: Take, _: Take) -> bool:
    wanted = (a.config.width, a.config.height)
    return {(picture.width, picture.height) for picture in a.pictures} == {wanted}


def type_count(name: str, count: int) -> Seen:
    return lambda a, _: a.types.count(name) == count


def has_type(name: str) -> Seen:
    return lambda a, b: name in a.types and name not in b.types


def pixel_format(part: str) -> Seen:
    return lambda a, _: all(part in one.format.name for one in a.pictures)


def grey_as(luma: int) -> Seen:
    return lambda a, _: all(abs(mean_luma(one) - luma) <= 2 for one in a.pictures)


def h264_byte(place: int, value: int) -> Seen:
    """Of the sequence parameter set: its profile is byte 1, its level byte 3."""
    return lambda a, b: a.nal_unit(7)[place] == value != b.nal_unit(7)[place]


def high_tier(a: Take, b: Take) -> bool:
    return bool(a.nal_unit(33)[3] & 32) and not b.nal_unit(33)[3] & 32


def colours(value: int) -> Seen:
    return lambda a, b: a.pictures[0].colorspace == value != b.pictures[0].colorspace


def slices(count: int) -> Seen:
    def seen(a: Take, _: Take) -> bool:
        return sum(unit[0] & 31 in (1, 5) for unit in a.nal_units() if unit) == count

    return seen


def waits(count: int) -> Seen:
    return lambda a, b: a.first_after - b.first_after >= count


def hevc_message(kind: int) -> Seen:
    def has(take: Take) -> bool:
        return any(unit[:1] == b"\x4e" and unit[2:3] == bytes((kind,)) for unit in take.nal_units())

    return lambda a, b: has(a) and not has(b)


HQ = {"tuning": "hq"}
RATE = {"tuning": "hq", "bitrate": 400_000}
B_FRAMES = {"tuning": "hq", "bframes": 3}
AHEAD = {"tuning": "hq", "lookahead": 8}
HEVC = ("hevc",)
H264 = ("h264",)


def same(name: str, value: Any, base: dict[str, Any] | None = None, **more: Any) -> Control:
    return Control(name=name, given={name: value}, base=base or {}, **more)


ROWS, COLUMNS = hint_shape("h264", *SIZE)
STILL = [[[0, 0]] * COLUMNS] * ROWS
"""Hints that nothing moves."""

CONTROLS: tuple[Control, ...] = (
    Control(name="width and height", given={"width": 256, "height": 160}, seen=resized),
    *(
        Control(name=f"codec {codec}", given={}, codecs=(codec,), seen=every_picture)
        for codec in ("h264", "hevc", "av1")
    ),
    *(Control(name=f"preset p{number}", given={"preset": f"p{number}"}, seen=every_picture) for number in range(1, 8)),
    *(
        Control(name=f"tuning {tuning}", given={"tuning": tuning}, codecs=codecs, seen=seen)
        for tuning, codecs, seen in (
            ("ll", ("h264", "hevc"), every_picture),
            ("ull", ("h264", "hevc"), every_picture),
            ("hq", ("h264", "hevc"), every_picture),
            ("uhq", ("hevc", "av1"), every_picture),
            ("lossless", ("h264", "hevc"), exact),
        )
    ),
    same("profile", "main", {"profile": "high"}, codecs=H264, seen=h264_byte(1, 77)),
    same("level", "5.1", codecs=H264, seen=h264_byte(3, 51)),
    same("tier", "high", {"level": "5.1"}, codecs=HEVC, seen=high_tier),
    same("format", "p010", codecs=("hevc", "av1"), seen=pixel_format("10")),
    Control(name="format yuv444", given={"format": "yuv444"}, codecs=("h264", "hevc"), seen=pixel_format("444")),
    Control(name="format argb", given={"format": "argb"}, codecs=("h264", "hevc"), seen=grey_as(126)),
    Control(
        name="chroma", given={"format": "argb", "chroma": "444"}, codecs=("h264", "hevc"), seen=pixel_format("444")
    ),
    same("bit_depth", 10, codecs=HEVC, seen=pixel_format("10")),
    same("colour", "bt709", codecs=("h264", "hevc"), seen=colours(1)),
    same("fps", 5, RATE, seen=larger),
    same("gop", 4, HQ, seen=type_count("IDR", FRAMES // 4)),
    same("rate_control", "cbr", RATE),
    same("bitrate", 3_000_000, RATE, seen=larger),
    same("max_bitrate", 500_000, RATE),
    same("vbv_size", 100_000, RATE),
    Control(name="vbv_initial_delay", given={"vbv_size": 100_000, "vbv_initial_delay": 50_000}, base=RATE),
    same("qp", 45, HQ, seen=worse),
    same("min_qp", 45, RATE, seen=worse),
    same("max_qp", 12, RATE, seen=better),
    same("initial_qp", 40, RATE),
    same("cq", 45, HQ, seen=worse),
    same("multipass", "full", RATE),
    same("lookahead", 8, HQ, seen=waits(8)),
    same("lookahead_level", 1, AHEAD, codecs=("hevc", "av1", "h264")),
    same("spatial_aq", 8, RATE),
    same("temporal_aq", True, AHEAD),
    same("low_delay_key_frame_scale", 1, {"bitrate": 400_000}),
    same("strict_gop", True, RATE),
    same("nonref_p", True, HQ),
    same("weighted_prediction", True, HQ),
    same("bframes", 2, HQ, seen=has_type("B")),
    same("b_ref_mode", "middle", B_FRAMES),
    same("adaptive_i", True, AHEAD),
    same("adaptive_b", True, {**AHEAD, **B_FRAMES}),
    Control(
        name="temporal_filter", given={"temporal_filter": True}, base={**HQ, "bframes": 4}, codecs=("hevc", "h264")
    ),
    same("unidirectional_b", True, B_FRAMES, codecs=("hevc", "h264")),
    same("slices", 4, codecs=H264, seen=slices(4)),
    Control(
        name="intra refresh",
        given={"intra_refresh_period": 8, "intra_refresh_count": 4},
        base={"gop": 0},
        seen=type_count("IDR", 1),
    ),
    same("split_encode", "off", codecs=("hevc", "av1")),
    same("mastering_display", MasteringDisplay(), codecs=HEVC, seen=hevc_message(HEVC_SEI["mastering display"])),
    same("content_light", ContentLight(1000, 400), codecs=HEVC, seen=hevc_message(HEVC_SEI["content light"])),
    Control(
        name="time_code",
        given={"time_code": True},
        codecs=HEVC,
        seen=hevc_message(HEVC_SEI["time code"]),
        picture=PictureOptions(time_code=TimeCode(1, 2, 3, 4)),
    ),
    Control(
        name="qp_map",
        given={"qp_map": "delta"},
        base={**HQ, "qp": 20},
        codecs=("h264", "hevc"),
        seen=worse,
        picture=PictureOptions(regions=[Region(0, 0, *SIZE, qp=25)]),
    ),
    same("motion_hints", 1, picture=PictureOptions(motion_hints=STILL), codecs=H264),
    same("statistics", "picture"),
    same("reconstruction", True),
    same("sub_frames", True, {"slices": 4}, codecs=H264),
    same("attempts", 2),
    Control(name="attempts with a lookahead", given={"attempts": 2}, base={**HQ, "lookahead": 4}, seen=every_picture),
    same("reference_frames", 4, codecs=("h264", "hevc")),
    same("long_term_references", 2, codecs=("h264", "hevc"), picture=PictureOptions(mark_long_term=1)),
    same("picture_types", "manual", codecs=("h264", "hevc"), seen=every_picture),
    Control(name="max_width and max_height", given={"max_width": 640, "max_height": 384}),
    same("extra_output_delay", 4, seen=waits(4)),
    same("copy", "always"),
)


IN_ORDER = "all pictures come back in display order, and no decode time is late"


def time_stamps(codec: str) -> Callable[[Bench], Answer]:
    """The package counts decode times up. They are right if the driver reorders as the B-frames demand."""

    def ask(bench: Bench) -> Answer:
        bench.need_codec(codec)
        bframes = min(2, bench.cap(codec, "NUM_MAX_BFRAMES"))
        if bframes == 0:
            raise NotHere(f"this card codes no B-frames of {codec}")
        take = plain(EncoderConfig.of({**_common(bench, codec), **HQ, "bframes": bframes}))
        late = [pts for pts, dts in take.stamps if dts > pts]
        rises = all(a[1] < b[1] for a, b in zip(take.stamps, take.stamps[1:], strict=False))
        numbers = {"display times": [pts for pts, _ in take.stamps], "decode times": [dts for _, dts in take.stamps]}
        wrong = [f"late: {late}"] * bool(late) + ["decode times do not rise"] * (not rises)
        wrong += ["the pictures are not those that went in"] * (not every_picture(take, take))
        return Answer(found="; ".join(wrong) or IN_ORDER, numbers=numbers)

    return ask


def _assumed(control: Control) -> str:
    return ACCEPTED if control.seen is None else SEEN


def probe_of(control: Control) -> Probe:
    return Probe(
        theme="controls",
        name=control.name,
        question="Is it taken" + (", and does the decoded stream show it?" if control.seen else "?"),
        assumed=_assumed(control),
        source="docs of EncoderConfig",
        ask=asked(control),
    )


PROBES = (
    *map(probe_of, CONTROLS),
    *(
        Probe(
            theme="controls",
            name=f"time stamps, {codec}",
            question="Do pictures and their times come in a right order with B-frames?",
            assumed=IN_ORDER,
            source="docs of Packet",
            ask=time_stamps(codec),
        )
        for codec in ("h264", "hevc", "av1")
    ),
)
