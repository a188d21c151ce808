"""The simulator's real codecs, checked by FFmpeg's decoders and parsers."""

from __future__ import annotations

import subprocess
from dataclasses import dataclass, field
from itertools import pairwise
from pathlib import Path

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from loud import missing
from streams import (
    Decoded,
    Format,
    Pixels,
    Syntax,
    decode,
    headers_of,
    moving_pictures,
    nal_type,
    nal_units,
    obus,
    psnr,
    worst_psnr,
)

pytestmark = pytest.mark.one_abi

CODECS = ["h264", "hevc", "av1"]
PARAMETER_SETS = {"h264": {7, 8}, "hevc": {32, 33, 34}}
SEI = {"h264": 6, "hevc": 39}
AUD = {"h264": 9, "hevc": 35}
DEFAULT = Format()


@dataclass
class Unit:
    """One access unit: its picture, type, call and bytes."""

    serial: int
    kind: str
    qp: int
    call: int
    data: bytes


@dataclass
class Coded:
    path: Path
    codec: str
    units: list[Unit] = field(default_factory=list)

    @property
    def stream(self) -> bytes:
        return b"".join(unit.data for unit in self.units)

    @property
    def headers(self) -> bytes:
        return self.path.with_name(self.path.name + ".headers").read_bytes()

    def decode(self) -> list[Decoded]:
        return decode(self.stream, self.codec)

    def syntax(self) -> Syntax:
        return headers_of(self.path, self.codec)


class Probe:
    """codec_probe over pictures that are made once for each format."""

    def __init__(self, program: Path, folder: Path) -> None:
        self.program = program
        self.folder = folder
        self.made: dict[Format, list[list[Pixels]]] = {}

    def pictures(self, form: Format, count: int) -> list[list[Pixels]]:
        if len(self.made.get(form, [])) < count:
            self.made[form] = moving_pictures(form, count)
            self._file(form).write_bytes(b"".join(p.tobytes() for picture in self.made[form] for p in picture))
        return self.made[form][:count]

    def _file(self, form: Format) -> Path:
        return self.folder / f"{form.width}x{form.height}_{form.chroma}_{form.depth}.yuv"

    def run(self, codec: str, types: str, form: Format, options: dict[str, object]) -> subprocess.CompletedProcess[str]:
        self.pictures(form, len(types))
        words = {"codec": codec, "types": types, "width": form.width, "height": form.height}
        words |= {"chroma": form.chroma, "depth": form.depth} | options
        command = [str(self.program), str(self._file(form)), str(self.folder / codec)]
        return subprocess.run(
            command + [f"{key}={value}" for key, value in words.items()], capture_output=True, text=True, timeout=120
        )

    def __call__(self, codec: str, types: str, form: Format = DEFAULT, **options: object) -> Coded:
        done = self.run(codec, types, form, options)
        assert done.returncode == 0, done.stderr
        coded = Coded(self.folder / codec, codec)
        stream, at = coded.path.read_bytes(), 0
        for line in done.stdout.splitlines():
            serial, kind, qp, size, call = line.split()
            coded.units.append(Unit(int(serial), kind, int(qp), int(call), stream[at : at + int(size)]))
            at += int(size)
        assert at == len(stream)
        return coded


@pytest.fixture(scope="session")
def probe(nvsim_dir: Path, tmp_path_factory: pytest.TempPathFactory) -> Probe:
    program = nvsim_dir / "codec_probe"
    if not program.exists():
        pytest.fail("codec_probe is not built with the simulated driver", pytrace=False)
    found = Probe(program, tmp_path_factory.mktemp("codecs"))
    for codec in CODECS:
        done = found.run(codec, "K", DEFAULT, {})
        if done.returncode == 2:
            missing(f"real {codec}: {done.stderr.strip()}", "apt-get install libx264-dev libx265-dev libaom-dev")
    return found


@st.composite
def picture_types(draw: st.DrawFn, b_frames: int) -> str:
    """Display order: an IDR, then groups of B pictures with the anchor that follows them."""
    types = "K"
    for _ in range(draw(st.integers(1, 6))):
        held = draw(st.integers(0, b_frames))
        types += "B" * held + draw(st.sampled_from("PPPIK" if held == 0 else "PPPI"))
    return types


def coding_order(types: str) -> list[tuple[int, int]]:
    """(serial, call) as the hardware would give them: an anchor at once, the B pictures before it right behind it."""
    order: list[tuple[int, int]] = []
    held: list[int] = []
    for index, kind in enumerate(types):
        if kind == "B":
            held.append(index)
        else:
            order += [(index, index)] + [(b, index) for b in held]
            held = []
    return order


@pytest.mark.parametrize("codec", ["h264", "hevc"])
@pytest.mark.parametrize("b_frames", [0, 1, 2, 3])
@settings(
    max_examples=8, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture, HealthCheck.too_slow]
)
@given(data=st.data())
def test_types_and_order_are_the_callers(probe: Probe, codec: str, b_frames: int, data: st.DataObject) -> None:
    types = data.draw(picture_types(b_frames))
    coded = probe(codec, types, b_frames=b_frames)
    assert [(unit.serial, unit.call) for unit in coded.units] == coding_order(types)
    assert {unit.serial: unit.kind for unit in coded.units} == dict(enumerate(types))
    decoded = coded.decode()
    assert "".join(picture.kind for picture in decoded) == types.replace("K", "I")
    assert worst_psnr(probe.pictures(DEFAULT, len(types)), decoded) >= 35


def test_av1_answers_at_once_and_forces_keys(probe: Probe) -> None:
    coded = probe("av1", "KPPPKPPKP", qp_i=60, qp_p=70)
    assert [(unit.serial, unit.call, unit.kind) for unit in coded.units] == [
        (index, index, kind) for index, kind in enumerate("KPPPKPPKP")
    ]
    decoded = coded.decode()
    assert [picture.key for picture in decoded] == [kind == "K" for kind in "KPPPKPPKP"]
    assert worst_psnr(probe.pictures(DEFAULT, 9), decoded) >= 35


def test_serials_are_carried_not_counted(probe: Probe) -> None:
    coded = probe("h264", "KBBP", b_frames=2, first_serial=1000)
    assert [unit.serial for unit in coded.units] == [1000, 1003, 1001, 1002]


FORMATS = [
    ("h264", Format()), ("h264", Format(depth=10)), ("h264", Format(chroma=2)), ("h264", Format(chroma=2, depth=10)),
    ("h264", Format(chroma=3)), ("h264", Format(width=322, height=194)),
    ("hevc", Format()), ("hevc", Format(depth=10)), ("hevc", Format(chroma=2)), ("hevc", Format(chroma=2, depth=10)),
    ("hevc", Format(chroma=3)), ("hevc", Format(chroma=3, depth=10)), ("hevc", Format(width=322, height=194)),
    ("av1", Format()), ("av1", Format(depth=10)), ("av1", Format(chroma=3)), ("av1", Format(width=322, height=194)),
]  # fmt: skip


@pytest.mark.parametrize(("codec", "form"), FORMATS, ids=str)
@pytest.mark.parametrize("b_frames", [0, 2])
def test_every_format_keeps_its_pixels(probe: Probe, codec: str, form: Format, b_frames: int) -> None:
    types = "KPPPPPP" if b_frames == 0 or codec == "av1" else "KBBPBBP"
    pictures = probe.pictures(form, len(types))
    lossy = probe(codec, types, form, b_frames=b_frames)
    assert worst_psnr(pictures, lossy.decode(), form.depth) >= 35
    exact = probe(codec, types, form, b_frames=b_frames, lossless=1)
    assert worst_psnr(pictures, exact.decode(), form.depth) == float("inf")


@pytest.mark.parametrize("qp", [12, 40])
def test_left_out_fillers_are_never_missed(probe: Probe, qp: int) -> None:
    """A decoder with other references than the encoder's would drift further with every picture."""
    types = "K" + "BBP" * 25
    options: dict[str, object] = {"qp_i": qp, "qp_p": qp, "qp_b": qp}
    pictures = probe.pictures(DEFAULT, len(types))

    def qualities(coded: Coded) -> list[float]:
        return [psnr(a, b.planes) for a, b in zip(pictures, coded.decode(), strict=True)]

    with_b = qualities(probe("h264", types, DEFAULT, b_frames=2, **options))
    without = qualities(probe("h264", types.replace("B", "P"), DEFAULT, **options))
    assert min(with_b[-9:]) >= min(without[-9:]) - 1.5
    assert min(with_b[-9:]) >= min(with_b[1:10]) - 1.0


def sets_in(unit: Unit, codec: str) -> list[bytes]:
    if codec == "av1":
        return [body for kind, body in obus(unit.data) if kind == 1]
    return [nal for nal in nal_units(unit.data) if nal_type(nal, codec) in PARAMETER_SETS[codec]]


@pytest.mark.parametrize("codec", CODECS)
@pytest.mark.parametrize(
    ("options", "where"),
    [
        ({}, {0, 3}),
        ({"repeat_headers": 0}, {0}),
        ({"omit_headers": 1}, set()),
        ({"omit_headers": 1, "headers_at": "2"}, {2}),
        ({"headers_at": "1,4"}, {0, 1, 3, 4}),
    ],
)
def test_parameter_sets_are_where_the_client_wants_them(
    probe: Probe, codec: str, options: dict[str, object], where: set[int]
) -> None:
    coded = probe(codec, "KPPKPP", DEFAULT, **options)
    found = [sets_in(unit, codec) for unit in coded.units]
    assert {index for index, sets in enumerate(found) if sets} == where
    alone = [body for _, body in obus(coded.headers)] if codec == "av1" else nal_units(coded.headers)
    assert all(sets == alone for sets in found if sets)
    if codec != "av1":
        assert [nal_type(nal, codec) for nal in alone] == sorted(PARAMETER_SETS[codec])
    stream = coded.stream if 0 in where else coded.headers + coded.stream
    if codec != "av1" or 0 in where:  # a sequence header belongs behind a temporal delimiter
        assert len(decode(stream, codec)) == 6


@pytest.mark.parametrize("codec", ["h264", "hevc"])
def test_nothing_is_in_the_stream_that_was_not_asked_for(probe: Probe, codec: str) -> None:
    plain = [nal_type(nal, codec) for nal in nal_units(probe(codec, "KPBP", b_frames=1).stream)]
    assert SEI[codec] not in plain
    assert AUD[codec] not in plain
    full = probe(codec, "KPBP", b_frames=1, aud=1, sei_type=5, sei="0123456789abcdef\0\0\0payload".replace("\0", "0"))
    for unit in full.units:
        nals = nal_units(unit.data)
        kinds = [nal_type(nal, codec) for nal in nals]
        assert kinds[0] == AUD[codec]
        assert kinds.count(AUD[codec]) == kinds.count(SEI[codec]) == 1
        message = nals[kinds.index(SEI[codec])]
        assert b"0123456789abcdef000payload" in message
    assert len(full.decode()) == 4


def test_av1_metadata_stands_before_its_frame(probe: Probe) -> None:
    coded = probe("av1", "KPP", sei_type=4, sei="itu-t t35")
    for unit in coded.units:
        kinds = [kind for kind, _ in obus(unit.data)]
        assert kinds == ([2, 1, 5, 6] if unit.kind == "K" else [2, 5, 6])
        assert dict(obus(unit.data))[5] == b"\x04itu-t t35\x80"
    assert len(coded.decode()) == 3


@pytest.mark.parametrize("codec", ["h264", "hevc"])
def test_vui_says_what_was_asked_for(probe: Probe, codec: str) -> None:
    colour = {"signal": 1, "full_range": 1, "description": 1, "primaries": 9, "transfer": 16, "matrix": 9}
    coded = probe(codec, "KPP", Format(depth=10), fps_num=30000, fps_den=1001, restriction=1, **colour)
    syntax = coded.syntax()
    assert syntax.first("video_full_range_flag") == 1
    assert syntax.first("colour_primaries") == 9
    assert syntax.first("transfer_characteristics") == 16
    assert syntax.first("matrix_coefficients") == 9
    assert syntax.first("bitstream_restriction_flag") == 1
    prefix = "" if codec == "h264" else "vui_"
    assert syntax.first(f"{prefix}num_units_in_tick") == 1001
    assert syntax.first(f"{prefix}time_scale") == 30000 * (2 if codec == "h264" else 1)
    if codec == "h264":
        assert syntax.first("max_num_reorder_frames") == 0
    else:
        assert syntax.first("sps_max_num_reorder_pics[0]") == 0
    assert worst_psnr(probe.pictures(Format(depth=10), 3), coded.decode(), 10) >= 35


@pytest.mark.parametrize("codec", ["h264", "hevc"])
def test_vui_says_nothing_else(probe: Probe, codec: str) -> None:
    syntax = probe(codec, "KPP", timing=0).syntax()
    assert not any(syntax.all("bitstream_restriction_flag"))
    assert not any(syntax.all("video_signal_type_present_flag"))
    assert not any(syntax.all("timing_info_present_flag") + syntax.all("vui_timing_info_present_flag"))


def test_reordering_is_announced(probe: Probe) -> None:
    assert probe("h264", "KBBP", b_frames=2, restriction=1).syntax().first("max_num_reorder_frames") == 1
    assert probe("hevc", "KBBP", b_frames=2).syntax().first("sps_max_num_reorder_pics[0]") == 1


@pytest.mark.parametrize(
    ("codec", "form", "profile", "expected"),
    [
        ("h264", DEFAULT, "baseline", 66), ("h264", DEFAULT, "main", 77), ("h264", DEFAULT, "high", 100),
        ("h264", DEFAULT, "auto", 100), ("h264", Format(depth=10), "auto", 110),
        ("h264", Format(chroma=3), "auto", 244), ("hevc", DEFAULT, "main", 1),
        ("hevc", Format(depth=10), "auto", 2), ("hevc", Format(chroma=3), "auto", 4),
    ],
)  # fmt: skip
def test_profile(probe: Probe, codec: str, form: Format, profile: str, expected: int) -> None:
    name = "profile_idc" if codec == "h264" else "general_profile_idc"
    assert probe(codec, "KP", form, profile=profile).syntax().first(name) == expected


@pytest.mark.parametrize(("codec", "level", "name"), [("h264", 42, "level_idc"), ("hevc", 123, "general_level_idc")])
def test_level(probe: Probe, codec: str, level: int, name: str) -> None:
    assert probe(codec, "KP", level=level).syntax().first(name) == level


@pytest.mark.parametrize("codec", ["h264", "hevc"])
@pytest.mark.parametrize("depth", [8, 10])
def test_constant_quantisers_stay_constant(probe: Probe, codec: str, depth: int) -> None:
    quantisers = {"K": 20, "P": 27, "B": 33}
    coded = probe(codec, "KBBPBBP", Format(depth=depth), b_frames=2, qp_i=20, qp_p=27, qp_b=33)
    assert all(unit.qp == quantisers[unit.kind] for unit in coded.units)
    syntax = coded.syntax()
    start = 26 + syntax.first("pic_init_qp_minus26" if codec == "h264" else "init_qp_minus26")
    written = [start + delta for delta in syntax.all("slice_qp_delta")]
    assert written == [quantisers[unit.kind] for unit in coded.units]


def test_av1_quantisers_count_to_255(probe: Probe) -> None:
    coded = probe("av1", "KPP", qp_i=40, qp_p=120)
    assert [unit.qp for unit in coded.units] == [40, 120, 120]
    assert coded.syntax().all("base_q_idx") == [40, 120, 120]


@pytest.mark.parametrize("codec", CODECS)
@pytest.mark.parametrize("mode", ["cbr", "vbr"])
def test_rates_are_met_and_change_live(probe: Probe, codec: str, mode: str) -> None:
    options: dict[str, object] = {"rc": mode, "bitrate": 600_000, "max_bitrate": 600_000, "vbv": 200_000}
    coded = probe(codec, "K" + "P" * 119, DEFAULT, reconfigure_at=60, new_bitrate=1_500_000, **options)
    before, after = (
        sum(len(unit.data) for unit in units) * 8 * 30 / len(units) for units in (coded.units[15:60], coded.units[75:])
    )
    assert before == pytest.approx(600_000, rel=0.35)
    assert after == pytest.approx(1_500_000, rel=0.35)
    assert len(coded.decode()) == 120


@pytest.mark.parametrize("codec", CODECS)
def test_constant_quality_is_ordered(probe: Probe, codec: str) -> None:
    sizes = [len(probe(codec, "KPPPPP", rc="vbr", quality=quality).stream) for quality in (15, 25, 35, 45)]
    assert all(better > worse for better, worse in pairwise(sizes))


@pytest.mark.parametrize(("codec", "slices"), [("h264", 4), ("hevc", 3)])
@pytest.mark.parametrize("b_frames", [0, 2])
def test_slices(probe: Probe, codec: str, slices: int, b_frames: int) -> None:
    types = "KPPP" if b_frames == 0 else "KBBP"
    coded = probe(codec, types, b_frames=b_frames, slices=slices)
    assert [(unit.serial, unit.call) for unit in coded.units] == coding_order(types)
    limit = 6 if codec == "h264" else 32
    for unit in coded.units:
        assert sum(nal_type(nal, codec) < limit for nal in nal_units(unit.data)) == slices
    assert worst_psnr(probe.pictures(DEFAULT, 4), coded.decode()) >= 35


def test_a_refusal_says_why(probe: Probe) -> None:
    done = probe.run("hevc", "K", Format(width=16, height=16), {})
    assert done.returncode == 2
    assert "x265" in done.stderr
