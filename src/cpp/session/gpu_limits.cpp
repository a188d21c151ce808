#include "session/gpu_limits.hpp"

#include <algorithm>
#include <limits>
#include <optional>
#include <string>
#include <vector>

#include "core/error.hpp"
#include "session/open_encoder.hpp"

namespace pdum::nvenc {
namespace {

std::string size_text(int64_t width, int64_t height) { return std::to_string(width) + "x" + std::to_string(height); }

std::string list_of(const std::vector<Codec>& codecs) {
    std::string text;
    for (const Codec codec : codecs) text += (text.empty() ? "" : ", ") + std::string(name_of(codec));
    return text.empty() ? "nothing" : text;
}

void require_codec(EncodeApi& api, const Context& context, Codec codec) {
    const std::vector<Codec> codecs = api.codecs();
    if (std::find(codecs.begin(), codecs.end(), codec) != codecs.end()) return;
    fail(ErrorKind::unsupported_feature,
         gpu_text(context) + " cannot encode " + name_of(codec) + "; it encodes " + list_of(codecs) + ".",
         "Choose one of those codecs, or another GPU with gpu_id.");
}

void require_size(EncodeApi& api, const Context& context, const Settings& settings, uint32_t picture_width,
                  uint32_t picture_height) {
    const auto limit = [&](Capability capability) { return api.capability(settings.codec, capability); };
    const int min_width = limit(Capability::min_width), max_width = limit(Capability::max_width);
    const int min_height = limit(Capability::min_height), max_height = limit(Capability::max_height);
    // A size beyond an int exceeds any limit, too.
    constexpr uint32_t largest = std::numeric_limits<int>::max();
    const int width = static_cast<int>(std::min(picture_width, largest));
    const int height = static_cast<int>(std::min(picture_height, largest));
    if (width < min_width || width > max_width || height < min_height || height > max_height) {
        fail(ErrorKind::invalid_config,
             "A picture of " + size_text(picture_width, picture_height) + " was asked for; " + gpu_text(context) +
                 " encodes " + name_of(settings.codec) + " from " + size_text(min_width, min_height) + " to " +
                 size_text(max_width, max_height) + ".",
             "Scale or pad the picture into that range.");
    }
    const int macroblocks = (width + 15) / 16 * ((height + 15) / 16);
    const int max_macroblocks = limit(Capability::max_macroblocks);
    if (max_macroblocks > 0 && macroblocks > max_macroblocks) {
        fail(ErrorKind::invalid_config,
             "A picture of " + size_text(width, height) + " has " + std::to_string(macroblocks) + " blocks of 16x16; " +
                 gpu_text(context) + " takes " + std::to_string(max_macroblocks) + " in " + name_of(settings.codec) +
                 ".",
             "Scale the picture down.");
    }
}

const char* nvidia_name_of(Capability capability) {
    const auto* found = std::find_if(capability_names.begin(), capability_names.end(),
                                     [&](const CapabilityName& name) { return name.capability == capability; });
    return found->nvidia_name;
}

// One request of the settings, and the capability that it needs.
struct Demand {
    bool asked;
    const char* setting;
    Capability capability;
    int least = 1;
    bool is_bit = false;  // the capability is a set of bits, and `least` is one of them
};

void require_demands(EncodeApi& api, const Context& context, Codec codec, const std::vector<Demand>& demands) {
    for (const Demand& demand : demands) {
        if (!demand.asked) continue;
        if (!api.knows(demand.capability)) {
            fail(ErrorKind::unsupported_feature,
                 std::string(demand.setting) + " takes version 13.0 of the encode interface (capability " +
                     nvidia_name_of(demand.capability) + "); this is " + api.version_name() + ".",
                 "Update the NVIDIA driver to 570.0 or newer, which has 13.0.");
        }
        const int has = api.capability(codec, demand.capability);
        if (demand.is_bit ? (has & demand.least) != 0 : has >= demand.least) continue;
        fail(ErrorKind::unsupported_feature,
             std::string(demand.setting) + " was asked for, but " + gpu_text(context) + " cannot do that in " +
                 name_of(codec) + " (capability " + nvidia_name_of(demand.capability) + " is " + std::to_string(has) +
                 ", wanted is " + std::to_string(demand.least) + ").",
             "Leave it out, or choose another codec or GPU; capabilities() lists what is supported.");
    }
}

// The driver silently uses fewer engines if the GPU has fewer than were asked for.
int engines_of(const Settings& s) {
    switch (s.split_encode.value_or(SplitEncode::off)) {
        case SplitEncode::automatic:
        case SplitEncode::off: return 1;
        case SplitEncode::two: return 2;
        case SplitEncode::three: return 3;
        case SplitEncode::four: return 4;
    }
    return 1;
}

// The capability is the highest level; "auto" takes any.
int least_lookahead_level(uint32_t level) {
    constexpr uint32_t automatic = 15;
    return level == automatic ? 1 : static_cast<int>(level);
}

std::vector<Demand> demands_of(const Settings& s) {
    const RateSettings& rate = s.rate;
    const std::optional<RateControl> mode = s.chosen_mode();
    const bool bytes = s.slices && s.slices->mode == SliceMode::bytes;
    const int engines = engines_of(s);
    const bool hierarchical = s.layers.count > 0 && !s.layers.svc;
    const auto refers = [&s](BReference wanted) { return s.b_reference == wanted; };
    return {
        {s.b_frames > 0, "bframes", Capability::max_b_frames, static_cast<int>(s.b_frames)},
        {refers(BReference::each), "b_ref_mode='each'", Capability::b_ref_modes, 1, true},
        {refers(BReference::middle), "b_ref_mode='middle'", Capability::b_ref_modes, 2, true},
        {refers(BReference::hierarchical), "b_ref_mode='hierarchical'", Capability::b_ref_modes, 4, true},
        {rate.lookahead > 0, "lookahead", Capability::lookahead},
        {rate.lookahead_level.has_value(), "lookahead_level", Capability::lookahead_level,
         least_lookahead_level(rate.lookahead_level.value_or(0))},
        {rate.temporal_aq.value_or(false), "temporal_aq", Capability::temporal_aq},
        {rate.vbv_size.has_value(), "vbv_size", Capability::custom_vbv_size},
        {s.weighted_prediction.value_or(false), "weighted_prediction", Capability::weighted_prediction},
        {s.temporal_filter.value_or(0) > 0, "temporal_filter", Capability::temporal_filter},
        {s.unidirectional_b.value_or(false), "unidirectional_b", Capability::unidirectional_b},
        {mode == RateControl::vbr, "rate_control='vbr'", Capability::rate_control_modes, 1, true},
        {mode == RateControl::cbr, "rate_control='cbr'", Capability::rate_control_modes, 2, true},
        {s.level.value_or(0) > 0, "level", Capability::max_level, static_cast<int>(s.level.value_or(0))},
        {s.intra_refresh.has_value(), "intra_refresh_period", Capability::intra_refresh},
        {s.map_mode == MapMode::emphasis, "qp_map='emphasis'", Capability::emphasis_map},
        {s.reference_frames > 1, "reference_frames", Capability::multiple_reference_frames},
        {std::max(s.references.l0, s.references.l1) > 1, "references", Capability::multiple_reference_frames},
        {s.layers.count > 0, "layers", Capability::max_temporal_layers, static_cast<int>(s.layers.count)},
        {s.layers.count > 0 && s.layers.svc, "layers", Capability::temporal_svc},
        {hierarchical && s.b_frames == 0, "layers", Capability::hierarchical_p_frames},
        {hierarchical && s.b_frames > 0, "layers", Capability::hierarchical_b_frames},
        {s.structure != Structure::frame, "interlaced", Capability::field_encoding},
        {s.alpha.has_value(), "alpha", Capability::alpha_layer},
        {s.two_views, "stereo", Capability::mv_hevc},
        {s.monochrome.value_or(false), "monochrome", Capability::monochrome},
        {s.single_slice_refresh.value_or(false), "single_slice_refresh", Capability::single_slice_intra_refresh},
        {s.attempts > 0, "attempts", Capability::disable_enc_state_advance},
        {s.sub_frames, "sub_frames", Capability::subframe_readback},
        {s.reconstruction, "reconstruction", Capability::reconstructed_output},
        {s.statistics == StatisticsLevel::rows, "statistics='rows'", Capability::row_statistics},
        {s.statistics == StatisticsLevel::blocks, "statistics='blocks'", Capability::block_statistics},
        {s.long_term_references > 0, "long_term_references", Capability::max_ltr_frames,
         static_cast<int>(s.long_term_references)},
        {s.entropy == Entropy::cabac, "entropy='cabac'", Capability::cabac},
        {s.transform_8x8.value_or(false), "transform_8x8", Capability::adaptive_transform},
        {bytes, "slices=('bytes', n)", Capability::dynamic_slice_mode},
        {engines > 1, "split_encode", Capability::encoder_engines, engines},
        {s.bit_depth == 10, "bit_depth=10", Capability::ten_bit},
        {s.chroma == Chroma::c444, "chroma='444'", Capability::yuv444},
        {s.chroma == Chroma::c422, "chroma='422'", Capability::yuv422},
        {s.tuning == Tuning::lossless, "tuning='lossless'", Capability::lossless},
    };
}

// A change may contradict a setting from before; the settings of a new encoder were checked together.
void require_consistent_rates(const Settings& settings) {
    const RateSettings& rate = settings.rate;
    if (settings.tuning == Tuning::lossless && (rate.bitrate > 0 || rate.max_bitrate > 0)) {
        fail(ErrorKind::invalid_config, "A bitrate does not work with tuning='lossless'.",
             "A lossless stream takes the bits that it needs.");
    }
    if (rate.max_bitrate > 0 && rate.bitrate == 0 && !rate.cq_256ths) {
        fail(ErrorKind::invalid_config, "max_bitrate=" + std::to_string(rate.max_bitrate) + " needs a bitrate.",
             "Give the mean as bitrate.");
    }
    if (rate.max_bitrate > 0 && rate.max_bitrate < rate.bitrate) {
        fail(ErrorKind::invalid_config,
             "The change would leave max_bitrate=" + std::to_string(rate.max_bitrate) +
                 ", which is less than bitrate=" + std::to_string(rate.bitrate) + ".",
             "Give both in one call.");
    }
}

// The mode that presets are known to choose, if the preset decides.
RateControl mode_of(const Settings& settings) {
    if (settings.tuning == Tuning::lossless) return RateControl::constqp;
    return settings.chosen_mode().value_or(settings.low_latency() ? RateControl::cbr : RateControl::vbr);
}

// Constant quantisers have a capability of their own.
bool can_change_mode_live(EncodeApi& api, const Settings& from, const Settings& to) {
    const RateControl mode = mode_of(to);
    if (mode == mode_of(from)) return true;
    const bool to_constqp = mode == RateControl::constqp;
    return api.capability(to.codec, to_constqp ? Capability::live_constqp : Capability::live_rate_control_change) != 0;
}

}  // namespace

void require_within_limits(EncodeApi& api, const Context& context, const Settings& settings) {
    require_codec(api, context, settings.codec);
    require_size(api, context, settings, settings.width, settings.height);
    require_size(api, context, settings, std::max(settings.width, settings.max_width),
                 std::max(settings.height, settings.max_height));
    require_demands(api, context, settings.codec, demands_of(settings));
}

void require_motion_limits(EncodeApi& api, const Context& context, const Settings& settings) {
    require_codec(api, context, settings.codec);
    require_size(api, context, settings, settings.width, settings.height);
    require_demands(api, context, settings.codec,
                    {{true, "Motion estimation", Capability::motion_estimation_only},
                     {traits_of(settings.format).bit_depth == 10, "a format of 10 bits", Capability::ten_bit},
                     {traits_of(settings.format).chroma == Chroma::c444, "chroma='444'", Capability::yuv444}});
}

ChangeKind require_change(EncodeApi& api, const Context& context, const Settings& from, const Settings& to) {
    require_consistent_rates(to);
    const bool resized = from.width != to.width || from.height != to.height;
    const uint32_t most_width = std::max(from.width, from.max_width);
    const uint32_t most_height = std::max(from.height, from.max_height);
    if (resized && (to.width > most_width || to.height > most_height)) {
        fail(ErrorKind::invalid_config,
             "A change to " + std::to_string(to.width) + "x" + std::to_string(to.height) +
                 " was asked for; this encoder was made for at most " + std::to_string(most_width) + "x" +
                 std::to_string(most_height) + ".",
             "Give max_width and max_height when it is made.");
    }
    if (resized) require_size(api, context, to, to.width, to.height);
    require_demands(api, context, to.codec, demands_of(to));
    if (!can_change_mode_live(api, from, to)) return ChangeKind::reopening;
    require_demands(api, context, to.codec,
                    {{resized, "a live change of width and height", Capability::live_resolution_change},
                     {from.rate.bitrate != to.rate.bitrate || from.rate.max_bitrate != to.rate.max_bitrate,
                      "a live change of bitrate", Capability::live_bitrate_change}});
    return ChangeKind::live;
}

}  // namespace pdum::nvenc
