#include "encode/codec_layers.hpp"

namespace nvsim {
namespace {

constexpr int kIdrSlice = 5;
constexpr uint8_t kPrefix = 14;
constexpr uint32_t kScalabilityInformation = 24;

// The part of profile_tier_level that is there for any number of layers.
constexpr size_t kGeneralBits = 96;

void copy_bits(BitReader& from, size_t count, BitWriter& to) {
    for (size_t i = 0; i < count; ++i) to.bits(from.bits(1), 1);
}

void copy_numbers(BitReader& from, int count, BitWriter& to) {
    for (int i = 0; i < count; ++i) to.ue(from.ue());
}

// No layer but the highest has a profile or a level of its own.
void write_profile(BitReader& from, BitWriter& out, int layers) {
    copy_bits(from, kGeneralBits, out);
    if (layers > 1) out.bits(0, 16);
}

// x265 gives its numbers for each of its layers, of which it has one. They are given for the highest one here.
void write_ordering(BitReader& from, BitWriter& out) {
    from.flag();
    out.bit(0);
    copy_numbers(from, 3, out);
}

void copy_sps_format(BitReader& from, BitWriter& out) {
    copy_numbers(from, 1, out);
    const uint32_t chroma = from.ue();
    out.ue(chroma);
    if (chroma == 3) copy_bits(from, 1, out);
    copy_numbers(from, 2, out);
    const bool is_cropped = from.flag();
    out.bit(is_cropped);
    if (is_cropped) copy_numbers(from, 4, out);
    copy_numbers(from, 3, out);  // both depths, and the bits of the picture order count
}

// The rest of a slice's header, from its references on; false if it is not as x265 writes it without several slices.
bool copy_slice_header(BitReader& from, BitWriter& out, bool is_intra, bool has_filter_flag) {
    copy_bits(from, 1, out);  // slice_temporal_mvp_enabled_flag
    if (!is_intra) {
        if (from.flag()) return false;  // num_ref_idx_active_override_flag
        out.bit(0);
        copy_numbers(from, 1, out);  // five_minus_max_num_merge_cand
    }
    copy_numbers(from, 1, out);  // slice_qp_delta
    if (has_filter_flag) copy_bits(from, 1, out);
    if (!from.flag()) return false;
    while (from.position() % 8 != 0)
        if (from.flag()) return false;
    return true;
}

}  // namespace

Bytes layer_prefix(const Bytes& slice, int layer) {
    const bool is_idr = nal_type(Codec::h264, slice) == kIdrSlice;
    BitWriter bits;
    bits.bit(1);  // svc_extension_flag
    bits.bit(is_idr);
    bits.bits(static_cast<uint32_t>(layer), 6);  // priority_id
    bits.bit(1);                                 // no_inter_layer_pred_flag
    bits.bits(0, 7);                             // dependency_id, quality_id
    bits.bits(static_cast<uint32_t>(layer), 3);
    bits.bits(0, 2);  // use_ref_base_pic_flag, discardable_flag
    bits.bit(1);      // output_flag
    bits.bits(3, 2);  // reserved
    bits.bits(0, 2);  // store_ref_base_pic_flag, additional_prefix_nal_unit_extension_flag
    Bytes nal{static_cast<uint8_t>((slice[0] & 0xe0) | kPrefix)};
    const Bytes body = add_emulation_prevention(bits.finish());
    nal.insert(nal.end(), body.begin(), body.end());
    return nal;
}

SeiMessage scalability_information(const TemporalLayers& layers, const StreamSettings& settings) {
    BitWriter out;
    out.bits(4, 3);  // temporal_id_nesting_flag, and two flags about priorities
    out.ue(static_cast<uint32_t>(layers.count - 1));
    for (int layer = 0; layer < layers.count; ++layer) {
        out.ue(static_cast<uint32_t>(layer));
        out.bits(static_cast<uint32_t>(layer), 6);  // priority_id
        out.bits(0, 8);                             // discardable_flag, dependency_id, quality_id
        out.bits(static_cast<uint32_t>(layer), 3);  // temporal_id
        out.bits(0, 5);                             // parts of pictures; profile and bitrate
        out.bit(1);                                 // frm_rate_info_present_flag
        out.bits(0, 6);                             // sizes, dependencies, parameter sets, restrictions
        out.bit(1);                                 // layer_output_flag
        out.bits(0, 2);                             // constant_frm_rate_idc
        out.bits(256 * settings.fps_numerator / settings.fps_denominator >> (layers.count - 1 - layer), 16);
        out.ue(0);  // layer_dependency_info_src_layer_id_delta
        out.ue(0);  // parameter_sets_info_src_layer_id_delta
    }
    return {kScalabilityInformation, out.finish()};
}

Bytes with_hevc_layers(const Bytes& parameter_set, int layers) {
    constexpr int kVps = 32, kSps = 33;
    const int type = nal_type(Codec::hevc, parameter_set);
    if (layers == 1 || (type != kVps && type != kSps)) return parameter_set;
    const Bytes rbsp = remove_emulation_prevention(Bytes(parameter_set.begin() + 2, parameter_set.end()));
    BitReader from(rbsp);
    BitWriter out;
    copy_bits(from, type == kVps ? 12 : 4, out);
    from.bits(3);
    out.bits(static_cast<uint32_t>(layers - 1), 3);
    copy_bits(from, type == kVps ? 17 : 1, out);
    write_profile(from, out, layers);
    if (type == kSps) copy_sps_format(from, out);
    write_ordering(from, out);
    copy_bits(from, stop_bit(rbsp) - from.position(), out);
    Bytes nal(parameter_set.begin(), parameter_set.begin() + 2);
    const Bytes body = add_emulation_prevention(out.finish());
    nal.insert(nal.end(), body.begin(), body.end());
    return nal;
}

Bytes with_hevc_references(const Bytes& slice, const StreamSettings& settings) {
    constexpr int kFirstIntraType = 16, kPocBits = 8;
    constexpr uint32_t kIntra = 2;
    if (nal_type(Codec::hevc, slice) >= kFirstIntraType || settings.slices > 1) return slice;
    const Bytes rbsp = remove_emulation_prevention(Bytes(slice.begin() + 2, slice.end()));
    BitReader from(rbsp);
    BitWriter out;
    copy_bits(from, 1, out);     // first_slice_segment_in_pic_flag
    copy_numbers(from, 1, out);  // slice_pic_parameter_set_id
    const uint32_t type = from.ue();
    out.ue(type);
    copy_bits(from, kPocBits + 1, out);  // the last one is short_term_ref_pic_set_sps_flag
    const uint32_t named = from.ue();
    from.ue();
    for (uint32_t i = 0; i < named; ++i) {
        from.ue();
        from.flag();
    }
    const bool is_intra = type == kIntra;
    out.ue(is_intra ? 0 : 1);
    out.ue(0);
    if (!is_intra) out.bits(3, 2);  // the picture before, which is referred to
    if (!copy_slice_header(from, out, is_intra, settings.tools.deblocking != 1)) return slice;
    Bytes body = out.finish();
    body.insert(body.end(), rbsp.begin() + static_cast<std::ptrdiff_t>(from.position() / 8), rbsp.end());
    Bytes nal(slice.begin(), slice.begin() + 2);
    const Bytes escaped = add_emulation_prevention(body);
    nal.insert(nal.end(), escaped.begin(), escaped.end());
    return nal;
}

void name_hevc_layer(Bytes& nal, int layer) {
    constexpr uint8_t kPlusOne = 7;
    nal[1] = static_cast<uint8_t>((nal[1] & ~kPlusOne) | (layer + 1));
}

}  // namespace nvsim
