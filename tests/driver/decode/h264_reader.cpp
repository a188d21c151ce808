// H.264 as a parser reads it.
#include <algorithm>
#include <cstring>

#include "decode/format_parts.hpp"
#include "decode/h264_headers.hpp"
#include "decode/h264_order.hpp"
#include "decode/reader.hpp"
#include "decode/start_codes.hpp"

namespace nvsim::decode {
namespace {

using namespace h264;

enum Nal { kSlice = 1, kIdr = 5, kSei = 6, kSps = 7, kPps = 8, kDelimiter = 9, kEndOfSequence = 10, kEndOfStream = 11 };

Sequence sequence_of(const Sps& sps, const Bytes& header) {
    Sequence sequence;
    CUVIDEOFORMAT& format = sequence.format;
    format.codec = cudaVideoCodec_H264;
    // Two ticks are a frame.
    format.frame_rate = rate_of(sps.vui.time_scale, uint64_t{2} * sps.vui.units_in_tick);
    format.progressive_sequence = sps.frame_mbs_only;
    format.bit_depth_luma_minus8 = static_cast<unsigned char>(sps.depth_luma - 8);
    format.bit_depth_chroma_minus8 = static_cast<unsigned char>(sps.depth_chroma - 8);
    format.min_num_decode_surfaces = static_cast<unsigned char>(sps.most_frames() + 1);
    format.coded_width = static_cast<unsigned>(sps.width_mbs) * 16;
    format.coded_height = static_cast<unsigned>(sps.height_mbs) * 16;
    format.display_area = {sps.crop_left, sps.crop_top, sps.width_mbs * 16 - sps.crop_right,
                           sps.height_mbs * 16 - sps.crop_bottom};
    format.chroma_format = static_cast<cudaVideoChromaFormat>(sps.chroma);
    format.display_aspect_ratio = aspect_of(format.display_area, sps.vui.sar_width, sps.vui.sar_height);
    format.video_signal_description =
        signal_of(sps.vui.video_format, sps.vui.full_range, sps.vui.primaries, sps.vui.transfer, sps.vui.matrix);
    sequence.header = header;
    sequence.reorder = sps.reorder_frames();
    return sequence;
}

void fill(CUVIDH264PICPARAMS& out, const Sps& sps, const Pps& pps) {
    out.log2_max_frame_num_minus4 = sps.frame_num_bits - 4;
    out.pic_order_cnt_type = sps.poc_type;
    out.log2_max_pic_order_cnt_lsb_minus4 = sps.poc_lsb_bits - 4;
    out.delta_pic_order_always_zero_flag = sps.delta_always_zero;
    out.frame_mbs_only_flag = sps.frame_mbs_only;
    out.direct_8x8_inference_flag = sps.direct_8x8;
    out.num_ref_frames = sps.references;
    out.residual_colour_transform_flag = sps.separate_planes;
    out.bit_depth_luma_minus8 = static_cast<unsigned char>(sps.depth_luma - 8);
    out.bit_depth_chroma_minus8 = static_cast<unsigned char>(sps.depth_chroma - 8);
    out.qpprime_y_zero_transform_bypass_flag = sps.lossless_bypass;
    out.entropy_coding_mode_flag = pps.cabac;
    out.pic_order_present_flag = pps.order_present;
    out.num_ref_idx_l0_active_minus1 = pps.references0 - 1;
    out.num_ref_idx_l1_active_minus1 = pps.references1 - 1;
    out.weighted_pred_flag = pps.weighted;
    out.weighted_bipred_idc = pps.weighted_bi;
    out.pic_init_qp_minus26 = pps.qp;
    out.deblocking_filter_control_present_flag = pps.deblocking_control;
    out.redundant_pic_cnt_present_flag = pps.redundant_count;
    out.transform_8x8_mode_flag = pps.transform_8x8;
    out.constrained_intra_pred_flag = pps.constrained_intra;
    out.chroma_qp_index_offset = pps.chroma_offset;
    out.second_chroma_qp_index_offset = pps.second_chroma_offset;
    out.fmo_aso_enable = pps.slice_groups > 1;
    out.num_slice_groups_minus1 = static_cast<unsigned char>(pps.slice_groups - 1);
    out.slice_group_map_type = static_cast<unsigned char>(pps.group_map_type);
    out.pic_init_qs_minus26 = static_cast<signed char>(pps.qs);
    out.mb_adaptive_frame_field_flag = sps.adaptive_fields;
    for (size_t list = 0; list < 6; ++list)
        for (size_t i = 0; i < 16; ++i)
            out.WeightScale4x4[list * 16 + static_cast<size_t>(zigzag4[i])] = pps.lists.four[list][i];
    for (size_t list = 0; list < 2; ++list)
        for (size_t i = 0; i < 64; ++i)
            out.WeightScale8x8[list * 64 + static_cast<size_t>(zigzag8[i])] = pps.lists.eight[list][i];
    for (CUVIDH264DPBENTRY& entry : out.dpb) entry.PicIdx = -1;
}

class H264Reader final : public StreamReader {
   public:
    explicit H264Reader(ReaderSink& sink)
        : StreamReader(sink),
          codes_([this](const uint8_t* data, size_t size, const Timestamp& timestamp) { take(data, size, timestamp); },
                 true) {}

    void feed(const uint8_t* data, size_t size, const Timestamp& timestamp) override {
        codes_.feed(data, size, timestamp);
    }

    void end_picture() override {
        codes_.finish();
        end_access_unit();
    }

    void reset() override {
        codes_.clear();
        clear_unit();
        parameters_ = {};
        order_ = {};
        previous_.reset();
        messages_.clear();
    }

   private:
    void take(const uint8_t* data, size_t size, const Timestamp& timestamp) {
        const int type = data[0] & 31;
        if (type == kSlice || type == kIdr) {
            take_slice(data, size, timestamp);
            return;
        }
        if (type >= kSei && type <= 18 && type != 12) end_access_unit();
        if (!begun_) {
            unit_time_ = timestamp;
            begun_ = true;
        }
        if (type == kSps) take_sps(data, size);
        if (type == kPps)
            if (auto pps = read_pps(data, size, parameters_)) parameters_.pps[pps->id] = std::move(*pps);
        if (type == kSei) take_messages(data, size);
        if (type == kEndOfSequence || type == kEndOfStream) previous_.reset();
    }

    void take_sps(const uint8_t* data, size_t size) {
        auto sps = read_sps(data, size);
        if (!sps) return;
        const int id = sps->id;
        parameters_.sps[id] = std::move(*sps);
    }

    void take_messages(const uint8_t* data, size_t size) {
        const Bytes payload = unescaped(data, size);
        read_messages(payload, 1, messages_);
    }

    // Whether the slice belongs to another picture than the one before.
    bool begins(const Slice& slice) const {
        const Slice& last = slices_.front();
        return slice.frame_num != last.frame_num || slice.pps != last.pps || slice.field != last.field ||
               slice.bottom != last.bottom || (slice.reference == 0) != (last.reference == 0) ||
               slice.idr != last.idr || (slice.idr && slice.idr_id != last.idr_id) || slice.poc_lsb != last.poc_lsb ||
               slice.delta_bottom != last.delta_bottom || slice.delta[0] != last.delta[0] ||
               slice.delta[1] != last.delta[1];
    }

    void take_slice(const uint8_t* data, size_t size, const Timestamp& timestamp) {
        const auto slice = read_slice(data, size, parameters_);
        if (!slice) return;
        if (!slices_.empty() && begins(*slice)) end_access_unit();
        if (!begun_) {
            unit_time_ = timestamp;
            begun_ = true;
        }
        slices_.push_back(*slice);
        slice_at_.push_back(static_cast<unsigned>(coded_.size()));
        append_unit(coded_, data, size);
    }

    void clear_unit() {
        slices_.clear();
        slice_at_.clear();
        coded_.clear();
        begun_ = false;
        unit_time_.reset();
    }

    bool second_field_of_previous(const Slice& slice) const {
        return slice.field && previous_ && previous_->field && !previous_second_ && slice.bottom != previous_->bottom &&
               slice.frame_num == previous_->frame_num && !slice.idr;
    }

    void end_access_unit() {
        if (slices_.empty()) return;
        const Slice slice = slices_.front();
        const Pps pps = parameters_.pps.at(slice.pps);
        const Sps sps = parameters_.sps.at(pps.sps);
        Unit unit;
        Bytes header;
        append_unit(header, sps.nal);
        append_unit(header, pps.nal);
        unit.second_field = second_field_of_previous(slice);
        if (!unit.second_field) sink_.sequence(sequence_of(sps, header));
        unit.data = header;
        for (const unsigned at : slice_at_) unit.slices.push_back(at + static_cast<unsigned>(header.size()));
        unit.data.insert(unit.data.end(), coded_.begin(), coded_.end());
        unit.timestamp = unit_time_;
        unit.messages.swap(messages_);
        describe(unit, slice, sps, pps);
        previous_ = slice;
        previous_second_ = unit.second_field;
        clear_unit();
        sink_.picture(unit);
    }

    void describe(Unit& unit, const Slice& slice, const Sps& sps, const Pps& pps) {
        if ((slice.idr && !unit.second_field) || slice.resets) sink_.drain();
        const OrderCount::Value order = order_.next(slice, sps);
        unit.order = order.least(slice.field, slice.bottom);
        unit.more_fields = slice.field;
        unit.progressive = sps.frame_mbs_only;
        unit.top_first = slice.field ? !slice.bottom : order.top <= order.bottom;
        CUVIDPICPARAMS& out = unit.params;
        out.PicWidthInMbs = sps.width_mbs;
        out.FrameHeightInMbs = sps.height_mbs;
        out.field_pic_flag = slice.field;
        out.bottom_field_flag = slice.bottom;
        out.ref_pic_flag = slice.reference != 0;
        out.intra_pic_flag =
            std::all_of(slices_.begin(), slices_.end(), [](const Slice& s) { return s.type == 2 || s.type == 4; });
        CUVIDH264PICPARAMS& h264 = out.CodecSpecific.h264;
        fill(h264, sps, pps);
        h264.ref_pic_flag = slice.reference != 0;
        h264.frame_num = slice.frame_num;
        h264.MbaffFrameFlag = sps.adaptive_fields && !slice.field;
        h264.CurrFieldOrderCnt[0] = order.top;
        h264.CurrFieldOrderCnt[1] = order.bottom;
    }

    StartCodes codes_;
    Parameters parameters_;
    OrderCount order_;
    std::vector<Slice> slices_;
    std::vector<unsigned> slice_at_;
    Bytes coded_;
    bool begun_ = false;
    Timestamp unit_time_;
    std::optional<Slice> previous_;
    bool previous_second_ = false;
    std::vector<Message> messages_;
};

}  // namespace

std::unique_ptr<StreamReader> make_h264_reader(ReaderSink& sink) { return std::make_unique<H264Reader>(sink); }

}  // namespace nvsim::decode
