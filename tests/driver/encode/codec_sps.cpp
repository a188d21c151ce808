// The sequence parameter sets of x264 and x265 with the client's own video usability information.
#include "encode/codec_nal.hpp"

namespace nvsim {
namespace {

bool has_chroma_fields(uint32_t profile) {
    for (const uint32_t high : {100u, 110u, 122u, 244u, 44u, 83u, 86u, 118u, 128u})
        if (profile == high) return true;
    return false;
}

struct H264SpsShape {
    size_t vui_flag_at = 0;   // bit index of vui_parameters_present_flag
    size_t gaps_flag_at = 0;  // of gaps_in_frame_num_value_allowed_flag
    uint32_t reference_frames = 0;
    H264Numbering numbering;
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
    shape.numbering.frame_num_bits = static_cast<int>(bits.ue()) + 4;
    if (bits.ue() == 0) shape.numbering.poc_bits = static_cast<int>(bits.ue()) + 4;  // x264 never writes type 1
    shape.reference_frames = bits.ue();
    shape.gaps_flag_at = bits.position();
    bits.flag();
    bits.ue();
    bits.ue();
    shape.numbering.has_fields = !bits.flag();    // frame_mbs_only_flag
    if (shape.numbering.has_fields) bits.flag();  // mb_adaptive_frame_field_flag
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

void overwrite_bits(Bytes& bytes, size_t at, int count, uint32_t value) {
    for (int i = count - 1; i >= 0; --i, ++at) {
        const int shift = 7 - static_cast<int>(at % 8);
        bytes[at / 8] = static_cast<uint8_t>((bytes[at / 8] & ~(1 << shift)) | (value >> i & 1u) << shift);
    }
}

void write_signal_type(BitWriter& out, const ColourDescription& colour) {
    out.bit(colour.signal_type_present);
    if (!colour.signal_type_present) return;
    out.bits(static_cast<uint32_t>(colour.video_format), 3);
    out.bit(colour.full_range);
    out.bit(colour.description_present);
    if (!colour.description_present) return;
    out.bits(static_cast<uint32_t>(colour.primaries), 8);
    out.bits(static_cast<uint32_t>(colour.transfer), 8);
    out.bits(static_cast<uint32_t>(colour.matrix), 8);
}

bool has_aspect(const CodingTools& tools) { return tools.aspect_width != tools.aspect_height; }

void write_aspect(BitWriter& out, const CodingTools& tools) {
    out.bit(has_aspect(tools));
    if (!has_aspect(tools)) return;
    out.bits(255, 8);  // aspect_ratio_idc: told in two numbers
    out.bits(tools.aspect_width, 16);
    out.bits(tools.aspect_height, 16);
}

void write_timing(BitWriter& out, const StreamSettings& settings) {
    out.bit(settings.timing_info);
    if (!settings.timing_info) return;
    out.bits(settings.fps_denominator, 32);
    out.bits(settings.fps_numerator * 2, 32);  // the time scale counts fields
    out.bit(1);                                // fixed_frame_rate_flag
}

void write_h264_restriction(BitWriter& out, const StreamSettings& settings, uint32_t reference_frames) {
    out.bit(settings.bitstream_restriction);
    if (!settings.bitstream_restriction) return;
    out.bit(1);  // motion_vectors_over_pic_boundaries_flag
    out.ue(0);   // max_bytes_per_pic_denom: no limit
    out.ue(0);
    out.ue(15);  // log2 of the longest motion vector
    out.ue(15);
    out.ue(settings.b_frames == 0 ? 0 : settings.b_frames > 1 && settings.b_reference_mode != 0 ? 2 : 1);
    out.ue(reference_frames);  // max_dec_frame_buffering
}

void write_h264_vui(BitWriter& out, const StreamSettings& settings, uint32_t reference_frames) {
    const bool present = settings.colour.signal_type_present || settings.timing_info ||
                         settings.bitstream_restriction || settings.time_codes || has_aspect(settings.tools);
    out.bit(present);
    if (!present) return;
    write_aspect(out, settings.tools);
    out.bit(0);  // overscan_info_present_flag
    write_signal_type(out, settings.colour);
    out.bit(0);  // chroma_loc_info_present_flag
    write_timing(out, settings);
    out.bit(0);                    // nal_hrd_parameters_present_flag
    out.bit(0);                    // vcl_hrd_parameters_present_flag
    out.bit(settings.time_codes);  // pic_struct_present_flag
    write_h264_restriction(out, settings, reference_frames);
}

Bytes finish(const Bytes& header, BitWriter& bits) {
    Bytes nal = header;
    const Bytes body = add_emulation_prevention(bits.finish());
    nal.insert(nal.end(), body.begin(), body.end());
    return nal;
}

void write_hevc_restriction(BitWriter& out, const StreamSettings& settings) {
    out.bit(settings.bitstream_restriction ? 1 : 0);
    if (!settings.bitstream_restriction) return;
    out.bit(0);  // tiles_fixed_structure_flag
    out.bit(1);  // motion_vectors_over_pic_boundaries_flag
    out.bit(0);  // restricted_ref_pic_lists_flag
    out.ue(0);   // min_spatial_segmentation_idc
    out.ue(0);   // max_bytes_per_pic_denom: no limit
    out.ue(0);
    out.ue(15);  // log2 of the longest motion vector
    out.ue(15);
}

Bytes hevc_rbsp(const Bytes& nal) { return remove_emulation_prevention(Bytes(nal.begin() + 2, nal.end())); }

Bytes hevc_nal(const Bytes& like, const Bytes& rbsp) {
    Bytes nal(like.begin(), like.begin() + 2);
    const Bytes body = add_emulation_prevention(rbsp);
    nal.insert(nal.end(), body.begin(), body.end());
    return nal;
}

// x265 takes a level as a limit and refuses to do without a bitrate then. `profile_at`: where profile_tier_level
// begins.
void set_hevc_level(Bytes& rbsp, size_t profile_at, const StreamSettings& settings) {
    if (settings.level == 0) return;
    constexpr uint8_t kTier = 0x20;
    rbsp[profile_at] = static_cast<uint8_t>((rbsp[profile_at] & ~kTier) | (settings.tier != 0 ? kTier : 0));
    rbsp[profile_at + 11] = static_cast<uint8_t>(settings.level);
}

}  // namespace

Bytes rewrite_h264_sps(const Bytes& sps, const StreamSettings& settings) {
    const Bytes header(sps.begin(), sps.begin() + 1);
    Bytes rbsp = remove_emulation_prevention(Bytes(sps.begin() + 1, sps.end()));
    const H264SpsShape shape = parse_h264_sps(rbsp);
    if (settings.layers.count > 1) overwrite_bits(rbsp, shape.gaps_flag_at, 1, 1);  // layers may be left out
    BitWriter out;
    copy_bits(rbsp, shape.vui_flag_at, out);
    write_h264_vui(out, settings, shape.reference_frames);
    return finish(header, out);
}

H264Numbering h264_numbering(const Bytes& sps) {
    return parse_h264_sps(remove_emulation_prevention(Bytes(sps.begin() + 1, sps.end()))).numbering;
}

Bytes renumber_h264_slice(const Bytes& slice, const H264Numbering& numbering, uint32_t left_out, uint32_t poc) {
    constexpr int kIdrSlice = 5;
    Bytes rbsp = remove_emulation_prevention(Bytes(slice.begin() + 1, slice.end()));
    BitReader bits(rbsp);
    for (int field = 0; field < 3; ++field) bits.ue();  // first_mb_in_slice, slice_type, pic_parameter_set_id
    const size_t number_at = bits.position();
    const uint32_t number = bits.bits(numbering.frame_num_bits);
    overwrite_bits(rbsp, number_at, numbering.frame_num_bits, number - left_out);
    if (numbering.has_fields) bits.flag();                     // field_pic_flag: x264 codes frames
    if (nal_type(Codec::h264, slice) == kIdrSlice) bits.ue();  // idr_pic_id
    overwrite_bits(rbsp, bits.position(), numbering.poc_bits, poc);
    Bytes nal(slice.begin(), slice.begin() + 1);
    const Bytes body = add_emulation_prevention(rbsp);
    nal.insert(nal.end(), body.begin(), body.end());
    return nal;
}

Bytes rewrite_hevc_vps(const Bytes& vps, const StreamSettings& settings) {
    Bytes rbsp = hevc_rbsp(vps);
    set_hevc_level(rbsp, 4, settings);
    return hevc_nal(vps, rbsp);
}

// x265 ends its SPS with a VUI whose last part, from the timing on, has a fixed length: the flag, two numbers of 32
// bits, vui_poc_proportional_to_timing_flag, vui_hrd_parameters_present_flag, bitstream_restriction_flag, and, behind
// the VUI, sps_extension_flag; all flags but the first are 0. (Without timing it would write the HRD flag all the same,
// which no parser expects.)
Bytes rewrite_hevc_sps(const Bytes& sps, const StreamSettings& settings) {
    constexpr size_t kTail = 1 + 32 + 32 + 4;
    Bytes rbsp = hevc_rbsp(sps);
    set_hevc_level(rbsp, 1, settings);
    BitWriter out;
    copy_bits(rbsp, stop_bit(rbsp) - kTail, out);
    out.bit(settings.timing_info ? 1 : 0);
    if (settings.timing_info) {
        out.bits(settings.fps_denominator, 32);
        out.bits(settings.fps_numerator, 32);
        out.bit(0);  // vui_poc_proportional_to_timing_flag
        out.bit(0);  // vui_hrd_parameters_present_flag
    }
    write_hevc_restriction(out, settings);
    out.bit(0);  // sps_extension_flag
    return hevc_nal(sps, out.finish());
}

}  // namespace nvsim
