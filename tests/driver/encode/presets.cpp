#include "encode/presets.hpp"

#include <algorithm>

namespace nvsim {

namespace {

constexpr uint32_t infinite_gop = 0xffffffff;

bool is_low_latency(Tuning tuning) { return tuning == Tuning::low_latency || tuning == Tuning::ultra_low_latency; }

void set_high_quality(PresetValues& values, const PresetRequest& request) {
    const bool slow = request.level >= 5;
    values.frame_interval_p = request.level == 1 ? 1 : request.level <= 3 ? 2 : 4;
    if (request.codec == Codec::h264 && request.level <= 4) values.frame_interval_p = request.level == 1 ? 1 : 3;
    values.b_reference_mode = request.level >= 4 ? 2 : 0;
    values.multi_pass = slow ? 1 : 0;
    values.adaptive_quantisation = slow;
    values.reference_frames = slow ? 4 : 0;
    if (request.tuning != Tuning::ultra_high_quality) return;
    values.frame_interval_p = 5;
    values.b_reference_mode = 2;
    values.lookahead = values.temporal_aq = values.adaptive_quantisation = true;
    values.lookahead_depth = 16;
    values.temporal_filter = request.codec == Codec::hevc ? 4 : 0;
}

void set_low_latency(PresetValues& values, const PresetRequest& request) {
    values.gop_length = values.idr_period = infinite_gop;
    values.rate_control = RateControl::cbr;
    values.zero_reorder_delay = true;
    values.multi_pass = request.level >= 6 ? 2 : request.level >= 3 ? 1 : 0;
    values.adaptive_quantisation = request.level >= 6;
    // One frame at 30 frames a second.
    values.vbv_size = request.tuning == Tuning::ultra_low_latency ? values.average_bitrate / 30 : 0;
}

void set_lossless(PresetValues& values) {
    values.rate_control = RateControl::constqp;
    values.qp_i = values.qp_p = values.qp_b = 0;
    values.average_bitrate = values.max_bitrate = 0;
    values.frame_interval_p = 1;
    values.lossless = true;
}

}  // namespace

PresetRequest translate(OldPreset preset, Codec codec) {
    switch (preset) {
        case OldPreset::fast: return {codec, 1, Tuning::high_quality};
        case OldPreset::high_quality: return {codec, 6, Tuning::high_quality};
        case OldPreset::bluray: return {codec, 5, Tuning::high_quality};
        case OldPreset::low_latency: return {codec, 4, Tuning::low_latency};
        case OldPreset::low_latency_hq: return {codec, 6, Tuning::low_latency};
        case OldPreset::low_latency_hp: return {codec, 1, Tuning::low_latency};
        case OldPreset::lossless: return {codec, 4, Tuning::lossless};
        case OldPreset::lossless_hp: return {codec, 1, Tuning::lossless};
        default: return {codec, 4, Tuning::high_quality};
    }
}

PresetValues preset_values(const PresetRequest& request) {
    PresetValues values;
    values.average_bitrate = request.codec == Codec::h264 ? 5000000 : 4000000;
    values.max_bitrate = values.average_bitrate * 3 / 2;
    values.transform_8x8 = request.level > 1;
    if (request.tuning == Tuning::lossless)
        set_lossless(values);
    else if (is_low_latency(request.tuning))
        set_low_latency(values, request);
    else
        set_high_quality(values, request);
    return values;
}

}  // namespace nvsim
