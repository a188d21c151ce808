// The sequence parameter sets of x264 and x265 with the client's own video usability information.
#include "codec_nal.hpp"

namespace nvsim {
namespace {

bool has_chroma_fields(uint32_t profile) {
    for (const uint32_t high : {100u, 110u, 122u, 244u, 44u, 83u, 86u, 118u, 128u})
        if (profile == high) return true;
    return false;
}

struct H264SpsShape {
    size_t vui_flag_at = 0;  // bit index of vui_parameters_present_flag
    uint32_t reference_frames = 0;
};

void skip_chroma_fields(BitReader& bits) {
    if (bits.ue() == 3) bits.flag();  // separate_colour_plane_flag
    bits.ue();
    bits.ue();
    bits.flag();  // qpprime_y_zero_transform_bypass_flag
    bits.flag();  // seq_scaling_matrix_present_flag: x264 writes flat matrices as absent
}

// `rbsp` begins after the NAL unit's header byte.
H264SpsShape parse_h264_sps(const Bytes& rbsp) {
    H264SpsShape shape;
    BitReader bits(rbsp);
    const uint32_t profile = bits.bits(8);
    bits.bits(16);  // constraints, level
    bits.ue();
    if (has_chroma_fields(profile)) skip_chroma_fields(bits);
    bits.ue();                         // log2_max_frame_num_minus4
    if (bits.ue() == 0) bits.ue();     // pic_order_cnt_type; x264 never writes type 1
    shape.reference_frames = bits.ue();
    bits.flag();
    bits.ue();
    bits.ue();
    if (!bits.flag()) bits.flag();  // frame_mbs_only_flag, mb_adaptive_frame_field_flag
    bits.flag();
    if (bits.flag())
        for (int side = 0; side < 4; ++side) bits.ue();
    shape.vui_flag_at = bits.position();
    return shape;
}

void copy_bits(const Bytes& from, size_t count, BitWriter& to) {
    BitReader reader(from);
    for (size_t i = 0; i < count; ++i) to.bits(reader.bits(1), 1);
}

void write_signal_type(BitWriter& out, const ColourDescription& colour) {
    out.flag(colour.signal_type_present);
    if (!colour.signal_type_present) return;
    out.bits(static_cast<uint32_t>(colour.video_format), 3);
    out.flag(colour.full_range);
    out.flag(colour.description_present);
    if (!colour.description_present) return;
    out.bits(static_cast<uint32_t>(colour.primaries), 8);
    out.bits(static_cast<uint32_t>(colour.transfer), 8);
    out.bits(static_cast<uint32_t>(colour.matrix), 8);
}

void write_timing(BitWriter& out, const StreamSettings& settings) {
    out.flag(settings.timing_info);
    if (!settings.timing_info) return;
    out.bits(settings.fps_denominator, 32);
    out.bits(settings.fps_numerator * 2, 32);  // the time scale counts fields
    out.flag(true);                            // fixed_frame_rate_flag
}

void write_h264_restriction(BitWriter& out, const StreamSettings& settings, uint32_t reference_frames) {
    out.flag(settings.bitstream_restriction);
    if (!settings.bitstream_restriction) return;
    out.flag(true);  // motion_vectors_over_pic_boundaries_flag
    out.ue(0);       // max_bytes_per_pic_denom: no limit
    out.ue(0);
    out.ue(15);      // log2 of the longest motion vector
    out.ue(15);
    out.ue(settings.b_frames == 0 ? 0 : settings.b_frames > 1 && settings.b_reference_mode != 0 ? 2 : 1);
    out.ue(reference_frames);  // max_dec_frame_buffering
}

void write_h264_vui(BitWriter& out, const StreamSettings& settings, uint32_t reference_frames) {
    const bool present =
        settings.colour.signal_type_present || settings.timing_info || settings.bitstream_restriction;
    out.flag(present);
    if (!present) return;
    out.flag(false);  // aspect_ratio_info_present_flag
    out.flag(false);  // overscan_info_present_flag
    write_signal_type(out, settings.colour);
    out.flag(false);  // chroma_loc_info_present_flag
    write_timing(out, settings);
    out.flag(false);  // nal_hrd_parameters_present_flag
    out.flag(false);  // vcl_hrd_parameters_present_flag
    out.flag(false);  // pic_struct_present_flag
    write_h264_restriction(out, settings, reference_frames);
}

Bytes finish(const Bytes& header, BitWriter& bits) {
    bits.trailing();
    Bytes nal = header;
    const Bytes body = add_emulation_prevention(bits.take());
    nal.insert(nal.end(), body.begin(), body.end());
    return nal;
}

void write_hevc_restriction(BitWriter& out) {
    out.flag(true);
    out.flag(false);  // tiles_fixed_structure_flag
    out.flag(true);   // motion_vectors_over_pic_boundaries_flag
    out.flag(false);  // restricted_ref_pic_lists_flag
    out.ue(0);        // min_spatial_segmentation_idc
    out.ue(0);        // max_bytes_per_pic_denom: no limit
    out.ue(0);
    out.ue(15);       // log2 of the longest motion vector
    out.ue(15);
}

}  // namespace

Bytes rewrite_h264_sps(const Bytes& sps, const StreamSettings& settings) {
    const Bytes header(sps.begin(), sps.begin() + 1);
    const Bytes rbsp = remove_emulation_prevention(Bytes(sps.begin() + 1, sps.end()));
    const H264SpsShape shape = parse_h264_sps(rbsp);
    BitWriter out;
    copy_bits(rbsp, shape.vui_flag_at, out);
    write_h264_vui(out, settings, shape.reference_frames);
    return finish(header, out);
}

// x265 always writes a VUI, and ends its SPS with bitstream_restriction_flag and sps_extension_flag, both 0.
Bytes rewrite_hevc_sps(const Bytes& sps, const StreamSettings& settings) {
    if (!settings.bitstream_restriction || sps.size() < 3) return sps;
    const Bytes header(sps.begin(), sps.begin() + 2);
    const Bytes rbsp = remove_emulation_prevention(Bytes(sps.begin() + 2, sps.end()));
    BitWriter out;
    copy_bits(rbsp, stop_bit(rbsp) - 2, out);
    write_hevc_restriction(out);
    out.flag(false);  // sps_extension_flag
    return finish(header, out);
}

}  // namespace nvsim
