"""All settings of an encoder, as one frozen object."""

from __future__ import annotations

from dataclasses import dataclass, fields, replace
from functools import cache, wraps
from typing import TYPE_CHECKING, Any, cast

from .._errors import InvalidConfig
from . import (
    choices,
    coding,
    film_grain,
    layers,
    values,
)
from .colour import Colour
from .film_grain import FilmGrain
from .hdr import ContentLight, MasteringDisplay
from .layers import Layers
from .native_settings import native_settings
from .plain import PRESETS_OWN, canonical_rate, unplain
from .plain import plain as plain_value
from .references import References
from .rules import require_compatible
from .settings import (
    LARGEST_EXTRA_DELAY,
    FrameRate,
    bits,
    nearest,
    one_of,
    whole,
)

if TYPE_CHECKING:
    from collections.abc import Mapping
    from pathlib import Path

    from typing_extensions import Self, Unpack

    from .encoder_fields import EncoderFields

AMOUNTS_OF_BITS = ("bitrate", "max_bitrate", "vbv_size", "vbv_initial_delay")


@dataclass(frozen=True, kw_only=True)
class EncoderConfig:
    """All settings of an encoder. The preset and the tuning decide everything that you do not set.

    ``None`` always means "as the driver's preset has it". Sizes are pixels, rates bits a second, VBV sizes bits:
    ``8_000_000``, ``8e6`` or ``"8M"``. Names that other tools use for codecs and formats work too, such as
    ``"libx264"`` and ``"rgb24"``.

    Args:
        width, height: the size of the picture. Even, except in formats with full colour resolution.
        codec: ``"h264"``, ``"hevc"`` (``"h265"``) or ``"av1"``.
        preset: ``"p1"`` (fastest) to ``"p7"`` (best).
        tuning: ``"ll"``, ``"ull"``, ``"hq"``, ``"uhq"``, ``"lossless"``, or their long names.
        profile: ``"auto"`` fits the stream. H.264 has ``"baseline"``, ``"main"``, ``"high"``, ``"high10"``,
            ``"high422"``, ``"high444"``; HEVC has ``"main"``, ``"main10"``, ``"rext"``; AV1 has ``"main"``.
        level: such as ``"4.1"``; None: the lowest that fits.
        tier: ``"main"`` or ``"high"`` (HEVC, AV1).
        format: how frames lie in memory: ``"nv12"``, ``"p010"``, ``"yuv420"``, ``"yuv444"``, ``"yuv444_10"``,
            ``"nv16"``, ``"p210"``, ``"argb"``, ``"abgr"``, ``"ayuv"``, ``"argb10"`` or ``"abgr10"``. With ``"rgb"``,
            this package converts arrays (height, width, 3) or (3, height, width) of uint8, or of floats from 0 to 1.
        chroma: the stream's: ``"420"``, ``"422"``, ``"444"``; ``"auto"``: that of the format.
        bit_depth: the stream's: 8 or 10; 0: that of the format.
        colour: a ``Colour``, the name of one (``"bt709"``, ``"hdr10"``, …), or ``"auto"``: BT.709 from 720 lines on,
            BT.601 below. ``"rgb"`` is converted with its matrix and range. The hardware converts the other RGB
            formats with a matrix of its own, and the stream signals that one.
        fps: frames a second, a number or a fraction.
        gop: the number of frames from one IDR to the next, more than ``bframes``; 0: only the first frame is an IDR;
            None: the preset's: 250 for ``hq`` and ``lossless``, 0 for ``ll`` and ``ull``.
        rate_control: ``"constqp"``, ``"vbr"`` or ``"cbr"``; None: what ``qp``, ``cq`` or ``bitrate`` need.
        bitrate: bits a second; 0: the preset's.
        max_bitrate: the highest bits a second; 0: no limit.
        vbv_size, vbv_initial_delay: bits.
        qp: the quantiser of ``"constqp"``: one number, or three for I, P and B.
        min_qp, max_qp, initial_qp: limits and start of the other modes, in the same forms.
        cq: constant quality, from just above 0 (best) to 51 (AV1: 63), in steps of 1/256.
        multipass: ``"off"``, ``"quarter"`` or ``"full"``.
        lookahead: how many frames to look ahead, at most 31 together with ``bframes``; None: the preset's number.
        lookahead_level: 0 to 3, or ``"auto"`` (interface 13.0).
        spatial_aq: adaptive quantisation within a picture: False, True, or a strength from 1 to 15.
        temporal_aq: adaptive quantisation over time: False or True.
        low_delay_key_frame_scale: how much larger than other pictures a key frame may be, in ``"cbr"``.
        strict_gop: each GOP keeps to its share of the bits.
        nonref_p: P-frames that no picture refers to.
        weighted_prediction: better fades.
        bframes: the number of B-frames between two anchors; None: the preset's.
        b_ref_mode: which B-frames others may refer to: ``"off"``, ``"each"``, ``"middle"``, ``"hierarchical"``
            (interface 13.1).
        adaptive_i, adaptive_b: whether lookahead may place I- and B-frames.
        temporal_filter: reduces noise over time (interface 13.0).
        unidirectional_b: B-frames refer only to earlier pictures (interface 13.0).
        slices: a number of slices, or ``("macroblocks" | "bytes" | "rows" | "count", n)``.
        intra_refresh_period, intra_refresh_count: instead of key frames, a wave of intra blocks: how often it starts,
            and how many frames it takes. Needs ``gop=0``. 0: none.
        split_encode: how many engines share each picture: ``"auto"``, ``"off"``, 2, 3, 4 (HEVC, AV1).
        mastering_display, content_light: HDR10's static metadata, on every IDR.
        aud: access unit delimiters (H.264, HEVC).
        filler_data: fills up ``"cbr"`` streams to their bitrate.
        sample_aspect: the width of a sample by its height, such as ``(64, 45)`` or ``"64:45"``.
        entropy: ``"cabac"`` or ``"cavlc"`` (H.264).
        transform_8x8: whether blocks of 8x8 may be transformed at once (H.264).
        single_slice_refresh: pictures of a refresh stay in one slice (H.264, HEVC).
        layers: ``Layers(count)``, or the count alone: temporal layers, of which a receiver may drop the upper ones
            (HEVC, AV1: interface 13.0).
        references: ``References(l0=…, l1=…, dpb=…)``: the lengths of both lists, and the pictures that are kept.
        tiles: the columns and rows into which pictures are divided, such as ``(2, 2)`` (AV1).
        film_grain: grain that decoders add to the pictures: ``FilmGrain(…)``, or a strength from 1 to 255 (AV1).
        interlaced: ``"top"`` or ``"bottom"``: each picture is coded as two fields, of which this is the first (H.264).
        alpha: whether the stream keeps the transparency of ``"argb"`` and ``"abgr"`` frames, in a layer of its own
            (HEVC), or the alpha that comes beside ``"nv12"``: frames are then pairs ``(frame, alpha)``. A number: how
            many times that layer's bits the picture gets, instead of 15.
        stereo: frames are pairs, of the left and the right eye, and the stream has a layer for each (MV-HEVC; interface
            13.0). Both views have the size of the encoder, and one packet has both.
        monochrome: the stream has no colour; that of the frames is ignored.
        deblocking: True, False (HEVC: interface 13.0), or ``"within_slices"`` (H.264, HEVC).
        constrained_intra: intra blocks use only intra blocks (H.264, HEVC).
        chroma_qp_offset: what is added to the quantiser of colour, -12 to 12 (AV1: -64 to 63), or two for Cb and Cr.
        statistics: what the encoder counts, for ``Packet.statistics``: of the ``"picture"`` (quantiser, kinds of
            blocks, motion), and also of its ``"rows"`` of blocks or its ``"blocks"``.
        sub_frames: ``encode_slices`` gives each slice as soon as it is ready (H.264, HEVC; with ``slices``).
        reconstruction: packets have the picture as a decoder will show it (``Packet.reconstruction``), on the GPU.
        attempts: how often a picture may be coded, of which you keep one (``begin_attempts``). 0: only once.
        time_code: pictures may have time codes.
        qp_map: pictures may give regions more or fewer bits (``PictureOptions``): ``"delta"`` by offsets to the
            quantiser of each block, ``"emphasis"`` by levels (H.264, without AQ).
        motion_hints: how many hints of motion a picture may have for each block
            (``PictureOptions(motion_hints=…)``): up to 15, in HEVC 1, in AV1 255. 0: none.
        picture_types: ``"auto"``: the driver chooses them; ``"manual"``: ``PictureOptions(type=…)`` does, and there
            are no B-frames.
        reference_frames: how many of the last pictures are kept. Each picture refers to one of them; the others are for
            ``lost``. None: the driver's choice.
        long_term_references: how many pictures can be kept for later ones (``PictureOptions``).
        max_width, max_height: the largest size for ``reconfigure``; 0: the first size.
        gpu_id, cuda_context, extra_output_delay: as in ``NvencEncoder``.
        copy: of frames on the GPU. ``"auto"``: read in place if the call returns only after the engine has read the
            frame, or with ``on_released``; copied otherwise, so you may always change the frame after the call.
            ``"never"``: always read in place; do not change the frame until its packet is out (``Packet.released``).
            ``"always"``: always copied.
    """

    width: int
    height: int
    codec: choices.Codec = "h264"
    preset: choices.Preset = "p3"
    tuning: choices.Tuning = "ll"
    profile: choices.Profile = "auto"
    level: str | None = None
    tier: choices.Tier | None = None
    format: choices.FrameFormat = "nv12"
    chroma: choices.Chroma = "auto"
    bit_depth: int = 0
    colour: str | Colour = "auto"
    fps: FrameRate = 30
    gop: int | None = 30
    rate_control: choices.RateControl | None = None
    bitrate: int = 0
    max_bitrate: int = 0
    vbv_size: int | None = None
    vbv_initial_delay: int | None = None
    qp: values.Qp | None = None
    min_qp: values.Qp | None = None
    max_qp: values.Qp | None = None
    initial_qp: values.Qp | None = None
    cq: float | None = None
    multipass: choices.Multipass | None = None
    lookahead: int | None = 0
    lookahead_level: int | str | None = None
    spatial_aq: bool | int | None = None
    temporal_aq: bool | None = None
    low_delay_key_frame_scale: int | None = None
    strict_gop: bool | None = None
    nonref_p: bool | None = None
    weighted_prediction: bool | None = None
    bframes: int | None = 0
    b_ref_mode: choices.BReferences | None = None
    adaptive_i: bool | None = None
    adaptive_b: bool | None = None
    temporal_filter: bool | None = None
    unidirectional_b: bool | None = None
    slices: int | tuple[str, int] | None = None
    intra_refresh_period: int = 0
    intra_refresh_count: int = 0
    split_encode: str | int | None = None
    mastering_display: MasteringDisplay | None = None
    content_light: ContentLight | None = None
    aud: bool | None = None
    filler_data: bool | None = None
    sample_aspect: coding.Aspect | None = None
    entropy: choices.Entropy | None = None
    transform_8x8: bool | None = None
    deblocking: bool | str | None = None
    constrained_intra: bool | None = None
    chroma_qp_offset: coding.ChromaOffset | None = None
    single_slice_refresh: bool | None = None
    layers: Layers | int | None = None
    references: References | None = None
    tiles: coding.Tiles | None = None
    statistics: choices.Statistics | None = None
    sub_frames: bool = False
    reconstruction: bool = False
    film_grain: FilmGrain | int | None = None
    monochrome: bool | None = None
    interlaced: choices.FirstField | None = None
    alpha: bool | int | None = None
    stereo: bool | None = None
    attempts: int = 0
    time_code: bool = False
    qp_map: choices.QpMap | None = None
    motion_hints: int = 0
    picture_types: choices.PictureTypes = "auto"
    reference_frames: int | None = None
    long_term_references: int = 0
    max_width: int = 0
    max_height: int = 0
    gpu_id: int = 0
    cuda_context: int = 0
    extra_output_delay: int = 0
    copy: choices.CopyMode = "auto"

    def __post_init__(self) -> None:
        for name, value in _shallow(self).items():
            if isinstance(value, list) and name != "fps":
                object.__setattr__(self, name, tuple(value))
            elif isinstance(value, dict):  # a table of TOML, such as --set and configuration files give
                object.__setattr__(self, name, unplain(name, value))
            elif name in AMOUNTS_OF_BITS and value is not None:
                object.__setattr__(self, name, bits(name, value))
        object.__setattr__(self, "format", values.format_name(self.format))
        if self.sample_aspect is not None:
            object.__setattr__(self, "sample_aspect", coding.aspect(self.sample_aspect))
        object.__setattr__(self, "film_grain", film_grain.described(self.film_grain))
        object.__setattr__(self, "layers", layers.grouped(self.layers))
        object.__setattr__(self, "_native", native_settings(self))  # once: a configuration never changes
        self.session()
        object.__setattr__(self, "fps", canonical_rate(self.fps))
        require_compatible(self)

    @classmethod
    def names(cls) -> list[str]:
        """The names of all fields."""
        return list(_names())

    @classmethod
    def of(cls, given: Mapping[str, Any]) -> Self:
        """A configuration from fields by name. An unknown name is an error that offers the most similar one."""
        require_fields(given)
        return cls(**given)

    def replaced(self, **changes: Unpack[EncoderFields]) -> Self:
        """A copy with some fields changed. An unknown name is an error that offers the most similar one."""
        require_fields(changes)
        return replace(self, **cast("dict[str, Any]", changes))

    def to_dict(self) -> dict[str, Any]:
        """The fields as plain values for JSON and TOML. Fields at None are left out, or written as ``"preset"``."""
        plain = {name: plain_value(value) for name, value in _shallow(self).items()}
        plain |= {name: "preset" for name in PRESETS_OWN if plain[name] is None}
        return {name: value for name, value in plain.items() if value is not None}

    @classmethod
    def from_dict(cls, plain: Mapping[str, Any]) -> Self:
        """A configuration from what ``to_dict`` returned."""
        require_fields(plain)
        return cls(**{name: unplain(name, value) for name, value in plain.items()})

    def to_toml(self) -> str:
        """A TOML document with one key for each field, in the order of the fields."""
        from .toml import dump

        return dump(self.to_dict())

    @classmethod
    def from_toml(cls, text: str | Path) -> Self:
        """A configuration from a TOML document's text, or from a file."""
        from .toml import load

        return cls.from_dict(load(text))

    def settings(self) -> dict[str, Any]:
        """The settings in the native module's form."""
        return dict(self.__dict__["_native"])

    def session(self) -> dict[str, Any]:
        """The native module's further arguments."""
        return {
            "gpu_id": whole("gpu_id", self.gpu_id, most=0x7FFFFFFF),
            "cuda_context": whole("cuda_context", self.cuda_context, most=0xFFFF_FFFF_FFFF_FFFF),
            "extra_output_delay": whole("extra_output_delay", self.extra_output_delay, most=LARGEST_EXTRA_DELAY),
            "copy": one_of("copy", self.copy, {mode: mode for mode in ("auto", "always", "never")}),
        }


def require_fields(names: Mapping[str, Any]) -> None:
    known = EncoderConfig.names()
    for name in names:
        if name not in known:
            raise InvalidConfig(f"Unknown encoder setting {name!r}.{nearest(str(name), known)}")


@cache
def _names() -> tuple[str, ...]:
    return tuple(field.name for field in fields(EncoderConfig))


def _shallow(config: EncoderConfig) -> dict[str, Any]:
    return {name: getattr(config, name) for name in _names()}


def _offer_right_names() -> None:
    """Makes the TypeError for an unknown name also offer the right one, which Python's own does not."""
    made = EncoderConfig.__init__

    @wraps(made)
    def checked(self: EncoderConfig, *positional: Any, **given: Any) -> None:
        known = EncoderConfig.names()
        for name in given:
            if name not in known:
                raise TypeError(f"EncoderConfig() got an unexpected keyword argument {name!r}.{nearest(name, known)}")
        made(self, *positional, **given)

    EncoderConfig.__init__ = checked  # type: ignore[method-assign]


_offer_right_names()
