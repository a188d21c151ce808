// From the simulator's settings of a stream to libx264's parameters. Only for files that have found x264.h.
#pragma once

#include <cstdint>  // which x264.h needs

#include <x264.h>

#include <algorithm>
#include <cstddef>

#include "encode/coder.hpp"

namespace nvsim {

inline int colour_space(const StreamSettings& settings) {
    const PictureFormat& format = settings.format;
    const int with_chroma = format.chroma == 3 ? X264_CSP_I444 : format.chroma == 2 ? X264_CSP_I422 : X264_CSP_I420;
    const int space = settings.tools.monochrome ? X264_CSP_I400 : with_chroma;
    return format.bit_depth > 8 ? space | X264_CSP_HIGH_DEPTH : space;
}

inline constexpr int kLastQuantiser = 51;

// x264 counts quantisers from 0 at any depth, H.264 from -6 for each bit above 8.
inline int quantiser_offset(const PictureFormat& format) { return 6 * (format.bit_depth - 8); }

inline size_t macroblocks(const PictureFormat& format) {
    return static_cast<size_t>((format.width + 15) / 16) * static_cast<size_t>((format.height + 15) / 16);
}

inline void set_format(x264_param_t& param, const StreamSettings& settings) {
    param.i_width = settings.format.width;
    param.i_height = settings.format.height;
    param.i_csp = colour_space(settings);
    param.i_bitdepth = settings.format.bit_depth;
    param.i_fps_num = settings.fps_numerator;
    param.i_fps_den = settings.fps_denominator;
    param.b_vfr_input = 0;
    param.vui.b_fullrange = settings.colour.full_range ? 1 : 0;
    if (settings.level != 0) param.i_level_idc = settings.level;
}

// Picture types are the front's alone; x264 would turn an I picture this long after the last IDR into another IDR.
inline void set_structure(x264_param_t& param, const StreamSettings& settings) {
    param.i_threads = 1;
    param.i_lookahead_threads = 1;
    param.i_sync_lookahead = 0;
    param.rc.i_lookahead = 0;
    param.rc.b_mb_tree = 0;
    param.i_scenecut_threshold = 0;
    param.i_keyint_min = param.i_keyint_max = X264_KEYINT_MAX_INFINITE;
    param.i_bframe = settings.b_frames;
    param.i_bframe_adaptive = X264_B_ADAPT_NONE;
    param.i_bframe_pyramid = X264_B_PYRAMID_NONE;  // B pictures as references would not survive the renumbering
    param.analyse.b_mb_info = settings.b_frames > 0 ? 1 : 0;
    param.i_frame_reference = 1;
    // x264 keeps the last pictures only, so it needs all from one of the lowest layer to the next.
    const int least_kept = static_cast<int>(settings.layers.period());
    if (settings.b_frames == 0) param.i_dpb_size = std::clamp(settings.reference_frames, std::min(least_kept, 16), 16);
    param.analyse.i_weighted_pred = X264_WEIGHTP_NONE;
    param.i_slice_count = settings.slices > 1 ? settings.slices : 0;
    param.i_slice_max_mbs = settings.slice_macroblocks;
    param.i_slice_max_size = settings.slice_bytes;
    param.b_repeat_headers = 0;
    param.b_aud = 0;
    param.b_annexb = 1;
    param.b_full_recon = settings.reconstructions ? 1 : 0;
    param.i_log_level = X264_LOG_NONE;
}

inline bool is_baseline(const StreamSettings& settings) { return settings.profile == "baseline"; }

// The tools are what x264 chooses the profile in the SPS by.
inline void set_tools(x264_param_t& param, const StreamSettings& settings) {
    const CodingTools& tools = settings.tools;
    param.b_cabac = is_baseline(settings) || tools.cavlc ? 0 : 1;
    const bool has_8x8 = !is_baseline(settings) && settings.profile != "main" && tools.transform_8x8;
    param.analyse.b_transform_8x8 = has_8x8 ? 1 : 0;
    // x264 filters over the borders of slices, or not at all, and it has one offset for both planes.
    param.b_deblocking_filter = tools.deblocking == 1 ? 0 : 1;
    param.b_interlaced = tools.interlaced ? 1 : 0;  // frames in which each pair of macroblocks is of fields or not
    param.b_tff = 1;
    param.b_constrained_intra = tools.constrained_intra ? 1 : 0;
    param.analyse.i_chroma_qp_offset = tools.cb_offset;
    param.analyse.b_weighted_bipred = 0;
    param.analyse.intra = X264_ANALYSE_I4x4 | (param.analyse.b_transform_8x8 ? X264_ANALYSE_I8x8 : 0u);
}

// Every picture is given its own quantiser. x264 cuts those to the range between the three that it thinks constant, so
// these factors put the one of I pictures 40 steps over that of P pictures, and the one of B pictures at the bottom.
inline void set_rates(x264_param_t& param, const StreamSettings& settings) {
    constexpr int kSpan = 39;
    param.rc.i_rc_method = X264_RC_CQP;
    param.rc.i_vbv_max_bitrate = param.rc.i_vbv_buffer_size = 0;
    param.rc.i_qp_constant = settings.lossless ? 0 : kLastQuantiser + quantiser_offset(settings.format) - kSpan;
    param.rc.f_ip_factor = param.rc.f_pb_factor = 0.01f;
    if (!settings.block_maps || settings.lossless) return;
    // x264 takes offsets of blocks from its adaptive quantisation alone, which it does not do with constant ones. So
    // weak a one changes nothing by itself, and x264 would switch one of strength 0 off.
    param.rc.i_rc_method = X264_RC_CRF;
    param.rc.f_rf_constant = static_cast<float>(settings.qp_p);
    param.rc.i_aq_mode = X264_AQ_VARIANCE;
    param.rc.f_aq_strength = 1e-4f;
}

// A wish that the format cannot have is raised to the least profile that can.
inline const char* profile_name(const StreamSettings& settings) {
    if (settings.lossless || settings.format.chroma == 3 || settings.profile == "high444") return "high444";
    if (settings.format.chroma == 2 || settings.profile == "high422") return "high422";
    if (settings.format.bit_depth > 8 || settings.profile == "high10") return "high10";
    if (settings.profile == "baseline" || settings.profile == "main") return settings.profile.c_str();
    return "high";
}

}  // namespace nvsim
