"""The fields of EncoderConfig for the tools of a codec, asked as those of ``controls.py`` are."""

from __future__ import annotations

from fractions import Fraction

from .._config.film_grain import FilmGrain
from .._config.layers import Layers
from .._config.references import References
from .._mp4 import h264
from .controls import DECIBELS, H264, HQ, Control, Seen, larger, probe_of, same
from .takes import Take


def has_unit(kind: int) -> Seen:
    return lambda a, b: bool(a.nal_unit(kind)) and not b.nal_unit(kind)


def has_hevc_layer(a: Take, _: Take) -> bool:
    """Whether the second picture is in the upper of two layers: the header of its last unit, which is a slice."""
    return a.nal_units(1)[-1][1] & 7 == 2


def has_second_layer(a: Take, _: Take) -> bool:
    """Whether the header of the first picture's last unit says so."""
    return a.nal_units()[-1][1] >> 3 == 1


def noisier(a: Take, b: Take) -> bool:
    return a.psnr < b.psnr - DECIBELS


def sample_aspect(a: Take, _: Take) -> bool:
    return h264.describe(a.units[0]).sample_aspect_ratio == Fraction(64, 45)


TOOL_CONTROLS: tuple[Control, ...] = (
    same("aud", True, codecs=H264, seen=has_unit(9)),
    Control(name="filler_data", given={"filler_data": True}, base={"bitrate": 20_000_000, "min_qp": 40}, seen=larger),
    same("sample_aspect", (64, 45), codecs=H264, seen=sample_aspect),
    same("entropy", "cavlc", codecs=H264),
    same("transform_8x8", False, codecs=H264),
    same("deblocking", False, codecs=H264),
    Control(name="deblocking within slices", given={"deblocking": "within_slices", "slices": 4}, codecs=H264),
    same("constrained_intra", True, codecs=H264),
    same("references", References(l0=4, dpb=4), codecs=("h264", "hevc")),
    Control(
        name="single_slice_refresh",
        given={"single_slice_refresh": True},
        base={"gop": 0, "intra_refresh_period": 8, "intra_refresh_count": 4},
        codecs=H264,
    ),
    Control(name="layers of H.264", given={"layers": Layers(2, scalability_info=True)}, codecs=H264, seen=has_unit(14)),
    Control(name="layers of HEVC", given={"layers": 2}, codecs=("hevc",), seen=has_hevc_layer),
    Control(name="layers of AV1", given={"layers": 2}, codecs=("av1",)),
    Control(name="layers without names", given={"layers": Layers(2, "hierarchical")}, codecs=H264),
    Control(name="film grain of AV1", given={"film_grain": FilmGrain.of_strength(80)}, codecs=("av1",), seen=noisier),
    Control(name="alpha", given={"alpha": True}, base={"format": "argb"}, codecs=("hevc",), seen=has_second_layer),
    Control(name="stereo", given={"stereo": True}, codecs=("hevc",), seen=has_second_layer),
    same("interlaced", "top", codecs=H264),
    same("monochrome", True, codecs=H264),
    Control(name="tiles of AV1", given={"tiles": (2, 1)}, codecs=("av1",)),
    same("chroma_qp_offset", 12, {**HQ, "qp": 30}, codecs=("h264", "hevc")),
)

PROBES = tuple(map(probe_of, TOOL_CONTROLS))
