"""Rate control and what decides about it: each setting's check."""

from __future__ import annotations

from typing import Any

from . import values
from .settings import MOST_FRAMES_AHEAD, whole

EncoderConfig = Any  # a module above this one, which calls it


def native(config: EncoderConfig, codec: str) -> dict[str, Any]:
    """The settings in the native module's form."""
    most_qp = values.LARGEST_QP[codec]
    scale = config.low_delay_key_frame_scale
    strength = values.aq_strength(config.spatial_aq)  # checks it before bool() below
    return {
        "rate_control": values.choice("rate_control", config.rate_control, ("constqp", "vbr", "cbr")),
        "bitrate": whole("bitrate", config.bitrate),
        "max_bitrate": whole("max_bitrate", config.max_bitrate),
        "vbv_size": values.optional("vbv_size", config.vbv_size),
        "vbv_initial": values.optional("vbv_initial_delay", config.vbv_initial_delay),
        "qp": values.qp("qp", config.qp, most_qp),
        "min_qp": values.qp("min_qp", config.min_qp, most_qp),
        "max_qp": values.qp("max_qp", config.max_qp, most_qp),
        "initial_qp": values.qp("initial_qp", config.initial_qp, most_qp),
        "cq_256ths": values.cq(config.cq, values.LARGEST_CQ[codec]),
        "multipass": values.choice("multipass", config.multipass, ("off", "quarter", "full")),
        "lookahead": values.optional("lookahead", config.lookahead, most=MOST_FRAMES_AHEAD),
        "lookahead_level": values.lookahead_level(config.lookahead_level),
        "aq_strength": strength,
        "spatial_aq": None if config.spatial_aq is None else bool(config.spatial_aq),
        "temporal_aq": values.flag("temporal_aq", config.temporal_aq),
        "low_delay_key_frame_scale": values.optional("low_delay_key_frame_scale", scale, 255),
        "strict_gop": values.flag("strict_gop", config.strict_gop),
        "nonref_p": values.flag("nonref_p", config.nonref_p),
        "adaptive_i": values.flag("adaptive_i", config.adaptive_i),
        "adaptive_b": values.flag("adaptive_b", config.adaptive_b),
    }
