// HEVC as a parser reads it.
#include <algorithm>

#include "decode/format_parts.hpp"
#include "decode/hevc_headers.hpp"
#include "decode/reader.hpp"
#include "decode/start_codes.hpp"

namespace nvsim::decode {
namespace {

using namespace hevc;

Sequence sequence_of(const Sps& sps, const Bytes& header) {
    Sequence sequence;
    CUVIDEOFORMAT& format = sequence.format;
    format.codec = cudaVideoCodec_HEVC;
    format.frame_rate = rate_of(sps.vui.time_scale, sps.vui.units_in_tick);
    format.progressive_sequence = !sps.fields;
    format.bit_depth_luma_minus8 = static_cast<unsigned char>(sps.depth_luma - 8);
    format.bit_depth_chroma_minus8 = static_cast<unsigned char>(sps.depth_chroma - 8);
    format.min_num_decode_surfaces = static_cast<unsigned char>(sps.buffering + 1);
    format.coded_width = static_cast<unsigned>(sps.width);
    format.coded_height = static_cast<unsigned>(sps.height);
    format.display_area = {sps.crop_left, sps.crop_top, sps.width - sps.crop_right, sps.height - sps.crop_bottom};
    format.chroma_format = static_cast<cudaVideoChromaFormat>(sps.chroma);
    format.display_aspect_ratio = aspect_of(format.display_area, sps.vui.sar_width, sps.vui.sar_height);
    format.video_signal_description =
        signal_of(sps.vui.video_format, sps.vui.full_range, sps.vui.primaries, sps.vui.transfer, sps.vui.matrix);
    sequence.header = header;
    sequence.reorder = sps.reorder;
    return sequence;
}

void fill(CUVIDHEVCPICPARAMS& out, const Sps& sps, const Pps& pps) {
    const auto byte = [](int value) { return static_cast<unsigned char>(value); };
    out.pic_width_in_luma_samples = sps.width;
    out.pic_height_in_luma_samples = sps.height;
    out.log2_min_luma_coding_block_size_minus3 = byte(sps.min_block);
    out.log2_diff_max_min_luma_coding_block_size = byte(sps.block_range);
    out.log2_min_transform_block_size_minus2 = byte(sps.min_transform);
    out.log2_diff_max_min_transform_block_size = byte(sps.transform_range);
    out.pcm_enabled_flag = sps.pcm;
    out.log2_min_pcm_luma_coding_block_size_minus3 = byte(sps.pcm_min);
    out.log2_diff_max_min_pcm_luma_coding_block_size = byte(sps.pcm_range);
    out.pcm_sample_bit_depth_luma_minus1 = byte(sps.pcm_luma);
    out.pcm_sample_bit_depth_chroma_minus1 = byte(sps.pcm_chroma);
    out.pcm_loop_filter_disabled_flag = sps.pcm_unfiltered;
    out.strong_intra_smoothing_enabled_flag = sps.strong_smoothing;
    out.max_transform_hierarchy_depth_intra = byte(sps.depth_intra);
    out.max_transform_hierarchy_depth_inter = byte(sps.depth_inter);
    out.amp_enabled_flag = sps.asymmetric;
    out.separate_colour_plane_flag = sps.separate_planes;
    out.log2_max_pic_order_cnt_lsb_minus4 = byte(sps.poc_bits - 4);
    out.num_short_term_ref_pic_sets = byte(static_cast<int>(sps.sets.size()));
    out.long_term_ref_pics_present_flag = sps.long_term;
    out.num_long_term_ref_pics_sps = byte(sps.long_term_count);
    out.sps_temporal_mvp_enabled_flag = sps.temporal_vectors;
    out.sample_adaptive_offset_enabled_flag = sps.adaptive_offset;
    out.scaling_list_enable_flag = sps.lists;
    out.bit_depth_luma_minus8 = byte(sps.depth_luma - 8);
    out.bit_depth_chroma_minus8 = byte(sps.depth_chroma - 8);
    out.dependent_slice_segments_enabled_flag = pps.dependent;
    out.sign_data_hiding_enabled_flag = pps.sign_hiding;
    out.init_qp_minus26 = static_cast<signed char>(pps.init_qp);
    out.num_extra_slice_header_bits = byte(pps.extra_bits);
    out.output_flag_present_flag = pps.output_flag;
    out.num_ref_idx_l0_default_active_minus1 = byte(pps.references0 - 1);
    out.num_ref_idx_l1_default_active_minus1 = byte(pps.references1 - 1);
    std::fill(std::begin(out.RefPicIdx), std::end(out.RefPicIdx), -1);
}

class HevcReader final : public StreamReader {
   public:
    explicit HevcReader(ReaderSink& sink)
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
        begin_sequence_ = true;
        messages_.clear();
    }

   private:
    void take(const uint8_t* data, size_t size, const Timestamp& timestamp) {
        if (size < 3) return;
        const int type = data[0] >> 1 & 63;
        const int scalable = (data[0] & 1) << 5 | data[1] >> 3;
        if (scalable != 0) return;  // further layers, which no decoder of the chip takes
        if (type <= kVclLast) {
            take_slice(data, size, timestamp);
            return;
        }
        if (type <= kSei || (type >= 41 && type <= 44) || (type >= 48 && type <= 55)) end_access_unit();
        begin_unit(timestamp);
        take_parameters(type, data, size);
        if (type == kSei) read_messages(unescaped(data, size), 2, messages_);
        if (type == kEndOfSequence || type == kEndOfStream) begin_sequence_ = true;
    }

    void take_parameters(int type, const uint8_t* data, size_t size) {
        if (type == kVps) parameters_.vps[data[2] >> 4] = Bytes(data, data + size);
        if (type == kSps)
            if (auto sps = hevc::read_sps(data, size)) parameters_.sps[sps->id] = std::move(*sps);
        if (type == kPps)
            if (auto pps = hevc::read_pps(data, size)) parameters_.pps[pps->id] = std::move(*pps);
    }

    void begin_unit(const Timestamp& timestamp) {
        if (begun_) return;
        unit_time_ = timestamp;
        begun_ = true;
    }

    void take_slice(const uint8_t* data, size_t size, const Timestamp& timestamp) {
        const auto slice = hevc::read_slice(data, size, parameters_);
        if (!slice) return;
        if (slice->first) end_access_unit();
        begin_unit(timestamp);
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

    Bytes header(const Sps& sps, const Pps& pps) const {
        Bytes header;
        const auto vps = parameters_.vps.find(sps.vps);
        if (vps != parameters_.vps.end()) append_unit(header, vps->second);
        append_unit(header, sps.nal);
        append_unit(header, pps.nal);
        return header;
    }

    void end_access_unit() {
        if (slices_.empty()) return;
        const Slice slice = slices_.front();
        const Pps pps = parameters_.pps.at(slice.pps);
        const Sps sps = parameters_.sps.at(pps.sps);
        const bool starts = is_irap(slice.type) && (begin_sequence_ || is_idr(slice.type) || slice.type <= kBlaLast);
        if (is_irap(slice.type)) skip_leading_ = starts && !is_idr(slice.type);
        const bool skipped = (is_rasl(slice.type) && skip_leading_) || (begin_sequence_ && !starts);
        const int order = skipped ? 0 : order_of(slice, sps, starts);
        if (!skipped) emit(slice, sps, pps, order, starts);
        clear_unit();
        messages_.clear();
    }

    int order_of(const Slice& slice, const Sps& sps, bool starts) {
        const int period = 1 << sps.poc_bits, lsb = previous_order_ & (period - 1);
        int msb = previous_order_ - lsb;
        if (slice.poc_lsb < lsb && lsb - slice.poc_lsb >= period / 2) msb += period;
        if (slice.poc_lsb > lsb && slice.poc_lsb - lsb > period / 2) msb -= period;
        const int order = starts ? slice.poc_lsb : msb + slice.poc_lsb;
        const bool leading = slice.type >= kRadlN && slice.type <= kRaslR;
        const bool sublayer_free = slice.type <= 14 && slice.type % 2 == 0;  // nothing of its layer refers to it
        if (slice.layer == 0 && !leading && !sublayer_free) previous_order_ = order;
        begin_sequence_ = false;
        return order;
    }

    void emit(const Slice& slice, const Sps& sps, const Pps& pps, int order, bool starts) {
        const Bytes head = header(sps, pps);
        sink_.sequence(sequence_of(sps, head));
        if (starts) sink_.drain();
        Unit unit;
        // A CRA picture does not say that nothing before it is there. libavcodec would miss what only its leading
        // pictures refer to, and call the picture damaged: the end of a sequence says it.
        if (starts && !is_idr(slice.type)) append_unit(unit.data, {kEndOfSequence << 1, 1});
        unit.data.insert(unit.data.end(), head.begin(), head.end());
        const auto before = static_cast<unsigned>(unit.data.size());
        for (const unsigned at : slice_at_) unit.slices.push_back(at + before);
        unit.data.insert(unit.data.end(), coded_.begin(), coded_.end());
        unit.timestamp = unit_time_;
        unit.messages.swap(messages_);
        unit.order = order;
        unit.shown = slice.output;
        unit.progressive = !sps.fields;
        CUVIDPICPARAMS& out = unit.params;
        out.PicWidthInMbs = (sps.width + 15) / 16;
        out.FrameHeightInMbs = (sps.height + 15) / 16;
        out.ref_pic_flag = slice.type > 14 || slice.type % 2 != 0;
        out.intra_pic_flag = is_irap(slice.type);
        CUVIDHEVCPICPARAMS& hevc = out.CodecSpecific.hevc;
        fill(hevc, sps, pps);
        hevc.IrapPicFlag = is_irap(slice.type);
        hevc.IdrPicFlag = is_idr(slice.type);
        hevc.NumBitsForShortTermRPSInSlice = static_cast<int>(slice.set_end - slice.set_at);
        hevc.CurrPicOrderCntVal = order;
        sink_.picture(unit);
    }

    StartCodes codes_;
    Parameters parameters_;
    std::vector<Slice> slices_;
    std::vector<unsigned> slice_at_;
    Bytes coded_;
    bool begun_ = false;
    bool begin_sequence_ = true;  // the next picture is the first of its sequence
    bool skip_leading_ = false;   // pictures that refer to what came before the sequence
    int previous_order_ = 0;
    Timestamp unit_time_;
    std::vector<Message> messages_;
};

}  // namespace

std::unique_ptr<StreamReader> make_hevc_reader(ReaderSink& sink) { return std::make_unique<HevcReader>(sink); }

}  // namespace nvsim::decode
