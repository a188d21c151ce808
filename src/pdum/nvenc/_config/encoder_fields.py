"""The fields of ``EncoderConfig`` as keyword arguments, so that editors can complete them where they are passed on."""

from __future__ import annotations

from typing import TYPE_CHECKING, TypedDict

from . import choices

if TYPE_CHECKING:
    from . import values
    from .colour import Colour
    from .hdr import ContentLight, MasteringDisplay
    from .settings import FrameRate


class EncoderFields(TypedDict, total=False):
    """What each field means stands with ``EncoderConfig``."""

    width: int
    height: int
    codec: choices.Codec
    preset: choices.Preset
    tuning: choices.Tuning
    profile: choices.Profile
    level: str | None
    tier: choices.Tier | None
    format: choices.FrameFormat
    chroma: choices.Chroma
    bit_depth: int
    colour: str | Colour
    fps: FrameRate
    gop: int
    rate_control: choices.RateControl | None
    bitrate: int
    max_bitrate: int
    vbv_size: int | None
    vbv_initial_delay: int | None
    qp: values.Qp | None
    min_qp: values.Qp | None
    max_qp: values.Qp | None
    initial_qp: values.Qp | None
    cq: float | None
    multipass: choices.Multipass | None
    lookahead: int | None
    lookahead_level: int | str | None
    spatial_aq: bool | int | None
    temporal_aq: bool | None
    low_delay_key_frame_scale: int | None
    strict_gop: bool | None
    nonref_p: bool | None
    weighted_prediction: bool | None
    bframes: int | None
    b_ref_mode: choices.BReferences | None
    adaptive_i: bool | None
    adaptive_b: bool | None
    temporal_filter: bool | None
    unidirectional_b: bool | None
    slices: int | tuple[str, int] | None
    intra_refresh_period: int
    intra_refresh_count: int
    split_encode: str | int | None
    mastering_display: MasteringDisplay | None
    content_light: ContentLight | None
    time_code: bool
    qp_map: choices.QpMap | None
    max_width: int
    max_height: int
    gpu_id: int
    cuda_context: int
    extra_output_delay: int
    copy: choices.CopyMode
