"""What a GPU's encoder can do, under readable names. The driver is asked once."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass, fields
from operator import index
from threading import Lock
from types import MappingProxyType
from typing import Any, TypeAlias, overload

from .. import _nvenc
from .._config.settings import codec_name
from .._config.values import LEVELS
from .._encoders.nvenc import forced_abi
from .._errors import InvalidConfig, UnsupportedFeature

Value: TypeAlias = "bool | int | str | frozenset[str]"

RATE_CONTROL_BITS = {"vbr": 1, "cbr": 2}  # constqp has no bit: every encoder has it
B_REF_BITS = {"each": 1, "middle": 2}


@dataclass(frozen=True, kw_only=True)
class Capabilities(Mapping[str, Value]):
    """What one codec of one GPU can do: ``found.ten_bit`` or ``found["ten_bit"]``, and ``dict(found)`` for all.

    Numbers are in pixels, frames, macroblocks of 16x16 or macroblocks a second. ``rate_control_modes`` and
    ``b_ref_modes`` hold values of ``EncoderConfig``'s ``rate_control`` and ``b_ref_mode``. A capability that the
    interface version does not know is False. ``encoder_capacity`` is the free share of the encoder in percent when it
    was first asked.
    """

    codec: str
    gpu_id: int
    abi: str

    max_b_frames: int
    rate_control_modes: frozenset[str]
    field_encoding: bool
    monochrome: bool
    fmo: bool
    quarter_pixel_motion: bool
    b_direct_mode: bool
    cabac: bool
    adaptive_transform: bool
    stereo_mvc: bool
    max_temporal_layers: int
    hierarchical_p_frames: bool
    hierarchical_b_frames: bool
    max_level: str
    min_level: str
    separate_colour_plane: bool
    max_width: int
    max_height: int
    temporal_svc: bool
    live_resolution_change: bool
    live_bitrate_change: bool
    live_constqp: bool
    live_rate_control_change: bool
    subframe_readback: bool
    constrained_encoding: bool
    intra_refresh: bool
    custom_vbv_size: bool
    dynamic_slice_mode: bool
    reference_invalidation: bool
    preprocessing: bool
    async_encode: bool
    max_macroblocks: int
    max_macroblocks_per_second: int
    yuv444: bool
    lossless: bool
    sample_adaptive_offset: bool
    motion_estimation_only: bool
    lookahead: bool
    temporal_aq: bool
    ten_bit: bool
    max_ltr_frames: int
    weighted_prediction: bool
    encoder_capacity: int
    b_ref_modes: frozenset[str]
    emphasis_map: bool
    min_width: int
    min_height: int
    multiple_reference_frames: bool
    alpha_layer: bool
    encoder_engines: int
    single_slice_intra_refresh: bool
    disable_enc_state_advance: bool
    reconstructed_output: bool
    block_statistics: bool
    row_statistics: bool
    temporal_filter: bool
    lookahead_level: bool
    unidirectional_b: bool
    mv_hevc: bool
    yuv422: bool

    def __getitem__(self, name: str) -> Value:
        if name not in NAMES:
            raise KeyError(name)
        value: Value = getattr(self, name)
        return value

    def __iter__(self) -> Iterator[str]:
        return iter(NAMES)

    def __len__(self) -> int:
        return len(NAMES)


_TYPES = {field.name: str(field.type) for field in fields(Capabilities)}
NAMES = tuple(name for name in _TYPES if name not in ("codec", "gpu_id", "abi"))

_found: dict[tuple[int, str], Mapping[str, Capabilities]] = {}
_asking = Lock()


@overload
def capabilities(gpu_id: int = 0) -> Mapping[str, Capabilities]: ...


@overload
def capabilities(gpu_id: int, codec: str) -> Capabilities: ...


@overload
def capabilities(gpu_id: int = 0, *, codec: str) -> Capabilities: ...


def capabilities(gpu_id: int = 0, codec: str | None = None) -> Capabilities | Mapping[str, Capabilities]:
    """What the GPU's encoder can do with one codec, or with each codec that it has.

    The first call for each GPU and interface version opens a session; later calls answer from memory.

    Raises:
        InvalidConfig: a codec or a GPU that does not exist.
        UnsupportedFeature: a codec that this GPU does not encode.
        NvencError: the error that making an encoder would raise, if none can be made.
    """
    name = None if codec is None else codec_name(codec)
    all_codecs = _of_gpu(gpu_id)
    if name is None:
        return all_codecs
    if name not in all_codecs:
        raise UnsupportedFeature(f"GPU {gpu_id} cannot encode {name}; it encodes {', '.join(all_codecs) or 'nothing'}.")
    return all_codecs[name]


def _of_gpu(gpu_id: int) -> Mapping[str, Capabilities]:
    try:
        gpu = index(gpu_id)
    except TypeError as error:
        raise InvalidConfig(f"Expected the number of a GPU, got gpu_id={gpu_id!r}.") from error
    if not 0 <= gpu <= 0x7FFFFFFF:
        raise InvalidConfig(f"Expected the number of a GPU, counted from 0, got gpu_id={gpu}.")
    key = (gpu, _nvenc.chosen_abi(forced_abi()))
    with _asking:
        if key not in _found:
            raw = _nvenc.capabilities(*key)
            _found[key] = MappingProxyType({codec: _named(codec, *key, values) for codec, values in raw.items()})
        return _found[key]


def _named(codec: str, gpu_id: int, abi: str, values: Mapping[str, int]) -> Capabilities:
    named: dict[str, Any] = {name: _value(codec, name, values[name]) for name in NAMES}
    return Capabilities(codec=codec, gpu_id=gpu_id, abi=abi, **named)


def _value(codec: str, name: str, value: int) -> Value:
    if name == "rate_control_modes":
        return frozenset({"constqp", *_names_of_bits(value, RATE_CONTROL_BITS)})
    if name == "b_ref_modes":
        return frozenset({"off", *_names_of_bits(value, B_REF_BITS)})
    if _TYPES[name] == "str":
        names = {number: level for level, number in LEVELS[codec].items()}
        return names.get(value, str(value))
    return value if _TYPES[name] == "int" else value > 0


def _names_of_bits(value: int, bits: Mapping[str, int]) -> list[str]:
    return [name for name, bit in bits.items() if value & bit]
