// HEVC's parameter sets, written again from CUVIDHEVCPICPARAMS.
//
// The reference sets of the SPS are not in the struct, and slices may name one of them, or be coded as a difference to
// one. Each slice gets its set written out instead, from the references in the struct. The rest of its header has to
// keep its place within bytes, because slice data begin at a byte: extra header bits, which codecs skip, fill up.
#include <algorithm>

#include "common/bits.hpp"
#include "decode/entry.hpp"
#include "decode/hevc_headers.hpp"
#include "decode/start_codes.hpp"
#include "decode/units.hpp"

namespace nvsim::decode {
namespace {

using Params = CUVIDHEVCPICPARAMS;

constexpr uint32_t kMostExtraBits = 7;

void write_profile(BitWriter& out) {
    constexpr uint32_t range_extensions = 4, level = 186;
    out.bits(0, 3);
    out.bits(range_extensions, 5);
    out.bits(1u << (31 - range_extensions), 32);
    out.bits(0b1001, 4);
    out.bits(0, 32);
    out.bits(0, 12);
    out.bits(level, 8);
}

void write_buffering(BitWriter& out) {
    constexpr uint32_t most = 16;
    out.bit(1);
    out.ue(most - 1);
    out.ue(0);
    out.ue(0);
}

Bytes video_set() {
    BitWriter out;
    out.bits(0, 4);
    out.bits(3, 2);
    out.bits(0, 9);
    out.bit(1);
    out.bits(0xffff, 16);
    write_profile(out);
    write_buffering(out);
    out.bits(0, 6);
    out.ue(0);
    out.bits(0, 2);
    return out.finish();
}

void write_range_extension(BitWriter& out, const Params& p) {
    out.bit(p.sps_range_extension_flag);
    if (p.sps_range_extension_flag == 0) return;
    out.bit(1);
    out.bits(0, 7);
    for (const unsigned char flag :
         {p.transform_skip_rotation_enabled_flag, p.transform_skip_context_enabled_flag, p.implicit_rdpcm_enabled_flag,
          p.explicit_rdpcm_enabled_flag, p.extended_precision_processing_flag, p.intra_smoothing_disabled_flag,
          p.high_precision_offsets_enabled_flag, p.persistent_rice_adaptation_enabled_flag,
          p.cabac_bypass_alignment_enabled_flag})
        out.bit(flag);
}

Bytes sequence_set(const Params& p, int chroma) {
    BitWriter out;
    out.bits(0, 7);
    out.bit(1);
    write_profile(out);
    out.ue(0);
    out.ue(static_cast<uint32_t>(chroma));
    if (chroma == 3) out.bit(p.separate_colour_plane_flag);
    out.ue(static_cast<uint32_t>(p.pic_width_in_luma_samples));
    out.ue(static_cast<uint32_t>(p.pic_height_in_luma_samples));
    out.bit(0);
    out.ue(p.bit_depth_luma_minus8);
    out.ue(p.bit_depth_chroma_minus8);
    out.ue(p.log2_max_pic_order_cnt_lsb_minus4);
    write_buffering(out);
    out.ue(p.log2_min_luma_coding_block_size_minus3);
    out.ue(p.log2_diff_max_min_luma_coding_block_size);
    out.ue(p.log2_min_transform_block_size_minus2);
    out.ue(p.log2_diff_max_min_transform_block_size);
    out.ue(p.max_transform_hierarchy_depth_inter);
    out.ue(p.max_transform_hierarchy_depth_intra);
    out.bit(p.scaling_list_enable_flag);
    if (p.scaling_list_enable_flag != 0) out.bit(0);  // the picture's set has them
    out.bit(p.amp_enabled_flag);
    out.bit(p.sample_adaptive_offset_enabled_flag);
    out.bit(p.pcm_enabled_flag);
    if (p.pcm_enabled_flag != 0) {
        out.bits(p.pcm_sample_bit_depth_luma_minus1, 4);
        out.bits(p.pcm_sample_bit_depth_chroma_minus1, 4);
        out.ue(p.log2_min_pcm_luma_coding_block_size_minus3);
        out.ue(p.log2_diff_max_min_pcm_luma_coding_block_size);
        out.bit(p.pcm_loop_filter_disabled_flag);
    }
    out.ue(0);
    out.bit(p.long_term_ref_pics_present_flag);
    if (p.long_term_ref_pics_present_flag != 0) out.ue(0);
    out.bit(p.sps_temporal_mvp_enabled_flag);
    out.bit(p.strong_intra_smoothing_enabled_flag);
    out.bit(0);
    write_range_extension(out, p);
    return out.finish();
}

void write_list(BitWriter& out, const unsigned char* list, int size, const unsigned char* first) {
    out.bit(1);
    int last = 8;
    if (first != nullptr) {
        out.se(*first - 8);
        last = *first;
    }
    for (int i = 0; i < size; ++i) {
        out.se((list[i] - last + 128 + 256) % 256 - 128);
        last = list[i];
    }
}

void write_lists(BitWriter& out, const Params& p) {
    for (int i = 0; i < 6; ++i) write_list(out, p.ScalingList4x4 + 16 * i, 16, nullptr);
    for (int i = 0; i < 6; ++i) write_list(out, p.ScalingList8x8 + 64 * i, 64, nullptr);
    for (int i = 0; i < 6; ++i) write_list(out, p.ScalingList16x16 + 64 * i, 64, p.ScalingListDCCoeff16x16 + i);
    for (int i = 0; i < 2; ++i) write_list(out, p.ScalingList32x32 + 64 * i, 64, p.ScalingListDCCoeff32x32 + i);
}

void write_tiles(BitWriter& out, const Params& p) {
    out.ue(p.num_tile_columns_minus1);
    out.ue(p.num_tile_rows_minus1);
    out.bit(p.uniform_spacing_flag);
    if (p.uniform_spacing_flag == 0) {
        for (int i = 0; i < p.num_tile_columns_minus1; ++i) out.ue(p.column_width_minus1[i]);
        for (int i = 0; i < p.num_tile_rows_minus1; ++i) out.ue(p.row_height_minus1[i]);
    }
    out.bit(p.loop_filter_across_tiles_enabled_flag);
}

void write_picture_extension(BitWriter& out, const Params& p) {
    out.bit(p.pps_range_extension_flag);
    if (p.pps_range_extension_flag == 0) return;
    out.bit(1);
    out.bits(0, 7);
    if (p.transform_skip_enabled_flag != 0) out.ue(p.log2_max_transform_skip_block_size_minus2);
    out.bit(p.cross_component_prediction_enabled_flag);
    out.bit(p.chroma_qp_offset_list_enabled_flag);
    if (p.chroma_qp_offset_list_enabled_flag != 0) {
        out.ue(p.diff_cu_chroma_qp_offset_depth);
        out.ue(p.chroma_qp_offset_list_len_minus1);
        for (int i = 0; i <= p.chroma_qp_offset_list_len_minus1 && i < 6; ++i) {
            out.se(p.cb_qp_offset_list[i]);
            out.se(p.cr_qp_offset_list[i]);
        }
    }
    out.ue(p.log2_sao_offset_scale_luma);
    out.ue(p.log2_sao_offset_scale_chroma);
}

Bytes picture_set(const Params& p, uint32_t id, uint32_t extra_bits) {
    BitWriter out;
    out.ue(id);
    out.ue(0);
    out.bit(p.dependent_slice_segments_enabled_flag);
    out.bit(p.output_flag_present_flag);
    out.bits(extra_bits, 3);
    out.bit(p.sign_data_hiding_enabled_flag);
    out.bit(p.cabac_init_present_flag);
    out.ue(p.num_ref_idx_l0_default_active_minus1);
    out.ue(p.num_ref_idx_l1_default_active_minus1);
    out.se(p.init_qp_minus26);
    out.bit(p.constrained_intra_pred_flag);
    out.bit(p.transform_skip_enabled_flag);
    out.bit(p.cu_qp_delta_enabled_flag);
    if (p.cu_qp_delta_enabled_flag != 0) out.ue(p.diff_cu_qp_delta_depth);
    out.se(p.pps_cb_qp_offset);
    out.se(p.pps_cr_qp_offset);
    out.bit(p.pps_slice_chroma_qp_offsets_present_flag);
    out.bit(p.weighted_pred_flag);
    out.bit(p.weighted_bipred_flag);
    out.bit(p.transquant_bypass_enabled_flag);
    out.bit(p.tiles_enabled_flag);
    out.bit(p.entropy_coding_sync_enabled_flag);
    if (p.tiles_enabled_flag != 0) write_tiles(out, p);
    out.bit(p.loop_filter_across_slices_enabled_flag);
    out.bit(1);
    out.bit(p.deblocking_filter_override_enabled_flag);
    out.bit(p.pps_deblocking_filter_disabled_flag);
    if (p.pps_deblocking_filter_disabled_flag == 0) {
        out.se(p.pps_beta_offset_div2);
        out.se(p.pps_tc_offset_div2);
    }
    out.bit(p.scaling_list_enable_flag);
    if (p.scaling_list_enable_flag != 0) write_lists(out, p);
    out.bit(p.lists_modification_present_flag);
    out.ue(p.log2_parallel_merge_level_minus2);
    out.bit(p.slice_segment_header_extension_present_flag);
    write_picture_extension(out, p);
    return out.finish();
}

struct Reference {
    int distance;
    bool used;
};

bool listed(const unsigned char (&list)[8], int count, int index) {
    return std::find(list, list + std::min(count, 8), index) != list + std::min(count, 8);
}

// Short-term references before the picture, or after it, nearest first.
std::vector<Reference> references(const Params& p, bool before) {
    std::vector<Reference> found;
    for (int i = 0; i < 16; ++i) {
        const int distance = p.PicOrderCntVal[i] - p.CurrPicOrderCntVal;
        if (p.RefPicIdx[i] < 0 || p.IsLongTerm[i] != 0 || distance == 0 || (distance < 0) != before) continue;
        const bool used = before ? listed(p.RefPicSetStCurrBefore, p.NumPocStCurrBefore, i)
                                 : listed(p.RefPicSetStCurrAfter, p.NumPocStCurrAfter, i);
        const auto same = [&](const Reference& other) { return other.distance == std::abs(distance); };
        // Some clients leave what they do not use of the list at zero, so that surface 0 comes more than once.
        const auto twin = std::find_if(found.begin(), found.end(), same);
        if (twin == found.end())
            found.push_back({std::abs(distance), used});
        else
            twin->used = twin->used || used;
    }
    std::sort(found.begin(), found.end(),
              [](const Reference& a, const Reference& b) { return a.distance < b.distance; });
    return found;
}

int bits_for(int count) {
    int bits = 0;
    while ((1 << bits) < count) ++bits;
    return bits;
}

// Bits as a list, for pieces that lie between bytes.
class BitList {
   public:
    void bit(bool value) { bits_.push_back(value); }
    void ue(uint32_t value) {
        int length = 0;
        while (((value + 1) >> length) > 1) ++length;
        for (int i = 0; i < length; ++i) bit(false);
        for (int i = length; i >= 0; --i) bit((value + 1) >> i & 1);
    }
    void copy(const Bytes& from, size_t begin, size_t end) {
        for (size_t i = begin; i < end; ++i) bit(from[i / 8] >> (7 - i % 8) & 1);
    }
    size_t size() const { return bits_.size(); }
    void append(const BitList& other) { bits_.insert(bits_.end(), other.bits_.begin(), other.bits_.end()); }
    Bytes bytes() const {
        Bytes out((bits_.size() + 7) / 8);
        for (size_t i = 0; i < bits_.size(); ++i)
            if (bits_[i]) out[i / 8] = static_cast<uint8_t>(out[i / 8] | 128 >> i % 8);
        return out;
    }

   private:
    std::vector<bool> bits_;
};

BitList written_set(const Params& p) {
    const std::vector<Reference> halves[] = {references(p, true), references(p, false)};
    BitList out;
    out.bit(false);  // the set is in the slice
    for (const auto& half : halves) out.ue(static_cast<uint32_t>(half.size()));
    for (const auto& half : halves) {
        int last = 0;
        for (const Reference& reference : half) {
            out.ue(static_cast<uint32_t>(reference.distance - last - 1));
            out.bit(reference.used);
            last = reference.distance;
        }
    }
    return out;
}

// Places in a slice's header, in bits of its payload from the NAL unit's header on.
struct Places {
    uint32_t pps = 0;
    size_t extra_at = 0, set_at = 0, set_end = 0;  // set_at 0: there is no set
};

Places find_places(const Bytes& payload, const Params& p) {
    BitReader in(payload);
    Places places;
    const int type = payload[0] >> 1 & 63;
    in.skip(16);
    const bool first = in.flag();
    if (hevc::is_irap(type)) in.skip(1);
    places.pps = in.ue();
    if (!first) {
        const bool dependent = p.dependent_slice_segments_enabled_flag != 0 && in.flag();
        const int block =
            1 << (p.log2_min_luma_coding_block_size_minus3 + 3 + p.log2_diff_max_min_luma_coding_block_size);
        const auto blocks = [&](int length) { return (length + block - 1) / block; };
        in.skip(
            static_cast<size_t>(bits_for(blocks(p.pic_width_in_luma_samples) * blocks(p.pic_height_in_luma_samples))));
        if (dependent) return places;
    }
    places.extra_at = in.position();
    if (hevc::is_idr(type)) return places;
    in.skip(p.num_extra_slice_header_bits);
    in.ue();
    if (p.output_flag_present_flag != 0) in.skip(1);
    if (p.separate_colour_plane_flag != 0) in.skip(2);
    in.skip(static_cast<size_t>(p.log2_max_pic_order_cnt_lsb_minus4) + 4);
    places.set_at = in.position();
    const bool named = in.flag();
    in.skip(static_cast<size_t>(named ? bits_for(p.num_short_term_ref_pic_sets) : p.NumBitsForShortTermRPSInSlice));
    places.set_end = in.position();
    return places;
}

class HevcUnits final : public UnitMaker {
   public:
    explicit HevcUnits(const CUVIDDECODECREATEINFO& info) : chroma_(static_cast<int>(info.ChromaFormat)) {}

    Bytes unit(const CUVIDPICPARAMS& picture) override {
        const int code = first_code(picture);
        if (code < 0 || (code >> 1 & 63) > hevc::kVclLast) return given(picture);
        const Params& params = picture.CodecSpecific.hevc;
        if (params.num_long_term_ref_pics_sps != 0) throw Refusal{Status::not_supported};  // they are not in the struct
        const BitList set = written_set(params);
        Bytes slices;
        uint32_t pps = 0, extra_bits = params.num_extra_slice_header_bits;
        for (const Bytes& nal : nal_units(picture)) {
            if (nal.size() < 4) continue;
            const Bytes payload = unescaped(nal.data(), nal.size());
            const Places places = find_places(payload, params);
            pps = places.pps;
            append_slice(slices, payload, places, set, extra_bits, params.num_extra_slice_header_bits);
        }
        Bytes unit;
        append_nal(unit, {hevc::kVps << 1, 1}, video_set());
        append_nal(unit, {hevc::kSps << 1, 1}, sequence_set(params, chroma_));
        append_nal(unit, {hevc::kPps << 1, 1}, picture_set(params, pps, extra_bits));
        unit.insert(unit.end(), slices.begin(), slices.end());
        return unit;
    }

   private:
    // All slices of a picture name the same set, so that all need as many bits more.
    static void append_slice(Bytes& out, const Bytes& payload, const Places& places, const BitList& set,
                             uint32_t& extra_bits, uint32_t bits_before) {
        BitList head;
        if (places.set_at == 0 || places.set_end > payload.size() * 8) {
            append_nal(out, {payload[0], payload[1]}, Bytes(payload.begin() + 2, payload.end()));
            return;
        }
        const size_t was = places.set_end - places.set_at;
        const auto filling = static_cast<uint32_t>((was + 8 * set.size() - set.size()) % 8);
        if (bits_before + filling > kMostExtraBits) throw Refusal{Status::not_supported};
        extra_bits = bits_before + filling;
        head.copy(payload, 16, places.extra_at);
        for (uint32_t i = 0; i < filling; ++i) head.bit(false);
        head.copy(payload, places.extra_at, places.set_at);
        head.append(set);
        const size_t whole = (places.set_end + 7) / 8;
        head.copy(payload, places.set_end, whole * 8);
        Bytes slice = head.bytes();
        slice.insert(slice.end(), payload.begin() + static_cast<ptrdiff_t>(whole), payload.end());
        append_nal(out, {payload[0], payload[1]}, slice);
    }

    const int chroma_;
};

}  // namespace

std::unique_ptr<UnitMaker> make_hevc_units(const CUVIDDECODECREATEINFO& info) {
    return std::make_unique<HevcUnits>(info);
}

}  // namespace nvsim::decode
