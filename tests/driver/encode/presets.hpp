// What a preset and a tuning stand for, in numbers that every API version can hold.
#pragma once

#include <cstdint>

#include "encode/coder.hpp"

namespace nvsim {

enum class Tuning {
    undefined = 0,
    high_quality = 1,
    low_latency = 2,
    ultra_low_latency = 3,
    lossless = 4,
    ultra_high_quality = 5
};

// The presets of before API 10, which no longer exist in API 12.
enum class OldPreset {
    none,
    standard,
    fast,
    high_quality,
    bluray,
    low_latency,
    low_latency_hq,
    low_latency_hp,
    lossless,
    lossless_hp
};

struct PresetRequest {
    Codec codec = Codec::h264;
    int level = 4;  // P1 to P7
    Tuning tuning = Tuning::undefined;
};

// An old preset as the new one that comes nearest.
PresetRequest translate(OldPreset preset, Codec codec);

struct PresetValues {
    uint32_t gop_length = 250;
    uint32_t idr_period = 250;
    int frame_interval_p = 1;
    RateControl rate_control = RateControl::vbr;
    uint32_t average_bitrate = 0;
    uint32_t max_bitrate = 0;
    uint32_t vbv_size = 0;
    uint32_t qp_i = 25, qp_p = 28, qp_b = 31;
    bool adaptive_quantisation = false;
    bool temporal_aq = false;
    bool lookahead = false;
    uint32_t lookahead_depth = 0;
    bool zero_reorder_delay = false;
    int multi_pass = 0;        // NV_ENC_MULTI_PASS
    int b_reference_mode = 0;  // NV_ENC_BFRAME_REF_MODE
    uint32_t reference_frames = 0;
    bool lossless = false;
    bool repeat_headers = false;
    bool cabac = true;
    bool transform_8x8 = true;
    uint32_t temporal_filter = 0;
};

PresetValues preset_values(const PresetRequest& request);

}  // namespace nvsim
