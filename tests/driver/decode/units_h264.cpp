// H.264's parameter sets, written again from CUVIDH264PICPARAMS.
#include <algorithm>

#include "common/bits.hpp"
#include "decode/entry.hpp"
#include "decode/h264_headers.hpp"
#include "decode/start_codes.hpp"
#include "decode/units.hpp"

namespace nvsim::decode {
namespace {

constexpr int kSliceTypes[] = {1, 2, 5};

bool is_flat(const CUVIDH264PICPARAMS& params) {
    const auto flat = [](unsigned char weight) { return weight == 16 || weight == 0; };
    return std::all_of(std::begin(params.WeightScale4x4), std::end(params.WeightScale4x4), flat) &&
           std::all_of(std::begin(params.WeightScale8x8), std::end(params.WeightScale8x8), flat);
}

void write_list(BitWriter& out, const unsigned char* weights, const int* zigzag, int size) {
    out.bit(1);
    int last = 8;
    for (int i = 0; i < size; ++i) {
        const int next = weights[zigzag[i]];
        out.se((next - last + 128 + 256) % 256 - 128);
        last = next;
    }
}

void write_lists(BitWriter& out, const CUVIDH264PICPARAMS& params, int chroma) {
    for (int i = 0; i < 6; ++i) write_list(out, params.WeightScale4x4 + 16 * i, h264::zigzag4, 16);
    if (params.transform_8x8_mode_flag == 0) return;
    for (int i = 0; i < 2; ++i) write_list(out, params.WeightScale8x8 + 64 * i, h264::zigzag8, 64);
    if (chroma == 3) out.bits(0, 4);  // as those of luma
}

class H264Units final : public UnitMaker {
   public:
    explicit H264Units(const CUVIDDECODECREATEINFO& info) : chroma_(static_cast<int>(info.ChromaFormat)) {}

    Bytes unit(const CUVIDPICPARAMS& picture) override {
        const int type = first_code(picture) & 31;
        if (std::find(std::begin(kSliceTypes), std::end(kSliceTypes), type) == std::end(kSliceTypes))
            return given(picture);
        const CUVIDH264PICPARAMS& params = picture.CodecSpecific.h264;
        // What such streams need is not in the struct.
        if (params.pic_order_cnt_type == 1 || params.num_slice_groups_minus1 != 0) throw Refusal{Status::not_supported};
        Bytes unit;
        append_nal(unit, {0x67}, sequence(picture, params));
        append_nal(unit, {0x68}, picture_set(params, pps_of(picture)));
        for (const Bytes& slice : nal_units(picture)) append_unit(unit, slice);
        return unit;
    }

   private:
    static uint32_t pps_of(const CUVIDPICPARAMS& picture) {
        const std::vector<Bytes> units = nal_units(picture);
        const Bytes payload = unescaped(units.front().data(), std::min<size_t>(units.front().size(), 32));
        BitReader in(payload);
        in.skip(8);
        in.ue();
        in.ue();
        return in.ue();
    }

    Bytes sequence(const CUVIDPICPARAMS& picture, const CUVIDH264PICPARAMS& params) {
        const bool frames = params.frame_mbs_only_flag != 0;
        adaptive_ = adaptive_ || params.MbaffFrameFlag != 0 || params.mb_adaptive_frame_field_flag != 0;
        constexpr uint32_t high444 = 244, level = 51;
        BitWriter out;
        out.bits(high444, 8);
        out.bits(0, 8);
        out.bits(level, 8);
        out.ue(0);
        out.ue(static_cast<uint32_t>(chroma_));
        if (chroma_ == 3) out.bit(params.residual_colour_transform_flag);
        out.ue(params.bit_depth_luma_minus8);
        out.ue(params.bit_depth_chroma_minus8);
        out.bit(params.qpprime_y_zero_transform_bypass_flag);
        out.bit(0);
        out.ue(static_cast<uint32_t>(params.log2_max_frame_num_minus4));
        out.ue(static_cast<uint32_t>(params.pic_order_cnt_type));
        if (params.pic_order_cnt_type == 0) out.ue(static_cast<uint32_t>(params.log2_max_pic_order_cnt_lsb_minus4));
        out.ue(static_cast<uint32_t>(params.num_ref_frames));
        out.bit(0);
        out.ue(static_cast<uint32_t>(picture.PicWidthInMbs - 1));
        out.ue(static_cast<uint32_t>(picture.FrameHeightInMbs / (frames ? 1 : 2) - 1));
        out.bit(frames);
        if (!frames) out.bit(adaptive_);
        out.bit(params.direct_8x8_inference_flag != 0);
        out.bits(0, 2);  // neither cropping nor usability information
        return out.finish();
    }

    Bytes picture_set(const CUVIDH264PICPARAMS& params, uint32_t id) const {
        BitWriter out;
        out.ue(id);
        out.ue(0);
        out.bit(params.entropy_coding_mode_flag != 0);
        out.bit(params.pic_order_present_flag != 0);
        out.ue(0);
        out.ue(static_cast<uint32_t>(params.num_ref_idx_l0_active_minus1));
        out.ue(static_cast<uint32_t>(params.num_ref_idx_l1_active_minus1));
        out.bit(params.weighted_pred_flag != 0);
        out.bits(static_cast<uint32_t>(params.weighted_bipred_idc), 2);
        out.se(params.pic_init_qp_minus26);
        out.se(params.pic_init_qs_minus26);
        out.se(params.chroma_qp_index_offset);
        out.bit(params.deblocking_filter_control_present_flag != 0);
        out.bit(params.constrained_intra_pred_flag != 0);
        out.bit(params.redundant_pic_cnt_present_flag != 0);
        out.bit(params.transform_8x8_mode_flag != 0);
        const bool lists = !is_flat(params);
        out.bit(lists);
        if (lists) write_lists(out, params, chroma_);
        out.se(params.second_chroma_qp_index_offset);
        return out.finish();
    }

    const int chroma_;
    bool adaptive_ = false;  // pairs of macroblocks may be fields: only pictures of frames say it
};

}  // namespace

std::unique_ptr<UnitMaker> make_h264_units(const CUVIDDECODECREATEINFO& info) {
    return std::make_unique<H264Units>(info);
}

}  // namespace nvsim::decode
