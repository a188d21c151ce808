"""The fields of ``EncoderConfig`` as keyword arguments, so that editors complete them and type checkers know them.

``EncoderConfig`` says what each field means.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, TypedDict

from . import choices

if TYPE_CHECKING:
    from pathlib import Path

    from . import coding, values
    from .colour import Colour
    from .film_grain import FilmGrain
    from .filters import Filters
    from .hdr import ContentLight, MasteringDisplay
    from .layers import Layers
    from .references import References
    from .settings import Bits, FrameRate


class RateFields(TypedDict, total=False):
    """Rate control, except the bitrate itself. All of these can change while the encoder runs."""

    rate_control: choices.RateControl | None
    max_bitrate: Bits
    vbv_size: Bits | None
    vbv_initial_delay: Bits | None
    qp: values.Qp | None
    min_qp: values.Qp | None
    max_qp: values.Qp | None
    cq: float | None
    multipass: choices.Multipass | None
    spatial_aq: bool | int | None
    temporal_aq: bool | None


class LiveFields(RateFields, total=False):
    """What ``reconfigure`` can change."""

    bitrate: Bits
    fps: FrameRate
    width: int
    height: int


class StreamFields(RateFields, total=False):
    """Everything that ``NvencEncoder`` has no argument for and a video file does not decide."""

    level: str | None
    tier: choices.Tier | None
    chroma: choices.Chroma
    bit_depth: int
    colour: str | Colour
    initial_qp: values.Qp | None
    lookahead: int | None
    lookahead_level: int | str | None
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
    aud: bool | None
    filler_data: bool | None
    entropy: choices.Entropy | None
    transform_8x8: bool | None
    deblocking: bool | str | None
    constrained_intra: bool | None
    chroma_qp_offset: coding.ChromaOffset | None
    single_slice_refresh: bool | None
    layers: Layers | int | None
    references: References | None
    tiles: coding.Tiles | None
    film_grain: FilmGrain | int | None
    monochrome: bool | None
    interlaced: choices.FirstField | None
    alpha: bool | int | None
    reference_frames: int | None
    copy: choices.CopyMode


class PictureFields(TypedDict, total=False):
    """What single pictures may ask for (``PictureOptions``). Video files have no such pictures."""

    time_code: bool
    qp_map: choices.QpMap | None
    motion_hints: int
    picture_types: choices.PictureTypes
    long_term_references: int


class OutputFields(TypedDict, total=False):
    """What packets bring besides their bytes. Files keep only the bytes."""

    statistics: choices.Statistics | None
    sub_frames: bool
    reconstruction: bool


class ShapeFields(TypedDict, total=False):
    """The shape of the picture, which a video file decides."""

    sample_aspect: coding.Aspect | None


class FurtherFields(StreamFields, ShapeFields, PictureFields, OutputFields, total=False):
    """The fields that ``NvencEncoder`` takes after its arguments."""

    stereo: bool | None
    attempts: int
    format: choices.FrameFormat
    max_width: int
    max_height: int


class EncoderFields(FurtherFields, total=False):
    """All fields."""

    width: int
    height: int
    codec: choices.Codec
    preset: choices.Preset
    tuning: choices.Tuning
    profile: choices.Profile
    fps: FrameRate
    gop: int | None
    bitrate: Bits
    gpu_id: int
    cuda_context: int
    extra_output_delay: int


class WriterFields(StreamFields, ShapeFields, PictureFields, total=False):
    """The fields that ``VideoWriter`` takes after its arguments."""

    stereo: bool | None
    preset: choices.Preset
    tuning: choices.Tuning
    profile: choices.Profile
    gop: int | None
    max_width: int
    max_height: int
    cuda_context: int
    extra_output_delay: int


class FileEncoderFields(StreamFields, total=False):
    """The fields that a video file leaves open."""

    preset: choices.Preset
    tuning: choices.Tuning
    profile: choices.Profile
    gop: int | None
    bitrate: Bits
    extra_output_delay: int


class LiveEncoderFields(StreamFields, ShapeFields, PictureFields, total=False):
    """The fields that ``LiveEncoder`` takes after its arguments."""

    preset: choices.Preset
    tuning: choices.Tuning
    profile: choices.Profile
    format: choices.FrameFormat
    gop: int | None
    cuda_context: int


class EncodeFileFields(FileEncoderFields, total=False):
    """With those of ``FileJob``: what ``EncoderPool.encode_file`` takes after its arguments."""

    right: str | Path | None
    filters: Filters
    target: str
    max_size: int | str
    smaller_than: float | None
    in_place: bool
    keep_work: bool
    verify: choices.Verify
