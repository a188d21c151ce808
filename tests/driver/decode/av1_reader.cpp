// AV1 as a parser reads it: OBUs of temporal units.
#include <algorithm>
#include <array>

#include "common/bits.hpp"
#include "decode/format_parts.hpp"
#include "decode/reader.hpp"

namespace nvsim::decode {
namespace {

enum Obu { kSequence = 1, kDelimiter = 2, kFrameHeader = 3, kTileGroup = 4, kMetadata = 5, kFrame = 6, kRedundant = 7 };
enum FrameType { kKey = 0, kInter = 1, kIntraOnly = 2, kSwitch = 3 };
constexpr unsigned kSelect = 2;  // each frame says it itself

struct Header {  // of a sequence
    Bytes obu;
    unsigned profile = 0;
    bool reduced = false, decoder_model = false, equal_interval = false;
    int removal_bits = 0, presentation_bits = 0, id_bits = 0;
    int width = 0, height = 0;
    unsigned screen_content = kSelect, integer_motion = kSelect;
    int order_bits = 0;
    unsigned depth = 8;
    int chroma = 1, full_range = 0, primaries = 2, transfer = 2, matrix = 2;
    bool grain = false;
    uint32_t units_in_tick = 0, time_scale = 0;
    std::vector<unsigned> operating_points;
};

void skip_uvlc(BitReader& in) {
    int zeros = 0;
    while (zeros < 32 && in.left() > 0 && !in.flag()) ++zeros;
    in.skip(static_cast<size_t>(zeros < 32 ? zeros : 0));
}

void read_colours(BitReader& in, Header& header) {
    const bool deep = in.flag();
    header.depth = deep ? (header.profile == 2 && in.flag() ? 12 : 10) : 8;
    const bool mono = header.profile != 1 && in.flag();
    if (in.flag()) {
        header.primaries = static_cast<int>(in.bits(8));
        header.transfer = static_cast<int>(in.bits(8));
        header.matrix = static_cast<int>(in.bits(8));
    }
    const bool srgb = header.primaries == 1 && header.transfer == 13 && header.matrix == 0;
    if (!mono && srgb) {
        header.full_range = 1;
        header.chroma = 3;
        in.skip(1);
        return;
    }
    header.full_range = static_cast<int>(in.bit());
    header.chroma = mono ? 0 : header.profile == 0 ? 1 : header.profile == 1 ? 3 : 2;
    if (mono) return;
    if (header.profile == 2 && header.depth == 12) {
        const bool half_width = in.flag(), half_height = half_width && in.flag();
        header.chroma = !half_width ? 3 : half_height ? 1 : 2;
    }
    if (header.chroma == 1) in.skip(2);
    in.skip(1);
}

void read_points(BitReader& in, Header& header) {
    int delay_bits = 0;
    if (in.flag()) {
        header.units_in_tick = in.bits(32);
        header.time_scale = in.bits(32);
        header.equal_interval = in.flag();
        if (header.equal_interval) skip_uvlc(in);
        header.decoder_model = in.flag();
        if (header.decoder_model) {
            delay_bits = static_cast<int>(in.bits(5)) + 1;
            in.skip(32);
            header.removal_bits = static_cast<int>(in.bits(5)) + 1;
            header.presentation_bits = static_cast<int>(in.bits(5)) + 1;
        }
    }
    const bool initial_delay = in.flag();
    const unsigned count = in.bits(5) + 1;
    for (unsigned i = 0; i < count; ++i) {
        header.operating_points.push_back(in.bits(12));
        if (in.bits(5) > 7) in.skip(1);
        if (header.decoder_model && in.flag()) in.skip(static_cast<size_t>(2 * delay_bits + 1));
        if (initial_delay && in.flag()) in.skip(4);
    }
}

void read_tools(BitReader& in, Header& header) {
    in.skip(3);
    if (!header.reduced) {
        in.skip(4);
        const bool order = in.flag();
        if (order) in.skip(2);
        header.screen_content = in.flag() ? kSelect : in.bit();
        if (header.screen_content > 0) header.integer_motion = in.flag() ? kSelect : in.bit();
        if (order) header.order_bits = static_cast<int>(in.bits(3)) + 1;
    }
    in.skip(3);
}

std::optional<Header> read_sequence(const uint8_t* payload, size_t size) {
    BitReader in(payload, size);
    Header header;
    header.profile = in.bits(3);
    in.skip(1);
    header.reduced = in.flag();
    if (header.reduced)
        in.skip(5);
    else
        read_points(in, header);
    const auto width_bits = static_cast<int>(in.bits(4)) + 1, height_bits = static_cast<int>(in.bits(4)) + 1;
    header.width = static_cast<int>(in.bits(width_bits)) + 1;
    header.height = static_cast<int>(in.bits(height_bits)) + 1;
    if (!header.reduced && in.flag()) {
        const auto delta = static_cast<int>(in.bits(4)) + 2;
        header.id_bits = delta + static_cast<int>(in.bits(3)) + 1;
    }
    read_tools(in, header);
    read_colours(in, header);
    header.grain = in.flag();
    if (in.ran_out()) return std::nullopt;
    return header;
}

struct Frame {
    bool existing = false, shown = true;
    unsigned type = kKey, slot = 0, refreshed = 0xff;
};

Frame read_frame(const uint8_t* payload, size_t size, const Header& header) {
    BitReader in(payload, size);
    Frame frame;
    if (header.reduced) return frame;
    const auto skip_presentation = [&] {
        if (header.decoder_model && !header.equal_interval) in.skip(static_cast<size_t>(header.presentation_bits));
    };
    frame.existing = in.flag();
    if (frame.existing) {
        frame.slot = in.bits(3);
        return frame;
    }
    frame.type = in.bits(2);
    frame.shown = in.flag();
    if (frame.shown)
        skip_presentation();
    else
        in.skip(1);
    const bool intra = frame.type == kKey || frame.type == kIntraOnly;
    const bool whole = frame.type == kSwitch || (frame.type == kKey && frame.shown);
    const bool resilient = whole || in.flag();
    in.skip(1);
    const unsigned content = header.screen_content == kSelect ? in.bit() : header.screen_content;
    if (content != 0 && header.integer_motion == kSelect) in.skip(1);
    in.skip(static_cast<size_t>(header.id_bits));
    if (frame.type != kSwitch) in.skip(1);
    in.skip(static_cast<size_t>(header.order_bits));
    if (!intra && !resilient) in.skip(3);
    if (header.decoder_model && in.flag()) return frame;  // times of removal by layers: no encoder writes them
    frame.refreshed = whole ? 0xff : in.bits(8);
    return frame;
}

// A frame that is not shown, made to come out: the decoder of the chip has its pixels at once, this codec's not.
Bytes shown_slot(unsigned slot, const Header& header) {
    BitWriter out;
    out.bit(1);
    out.bits(slot, 3);
    if (header.decoder_model && !header.equal_interval) out.bits(0, header.presentation_bits);
    out.bits(0, header.id_bits);
    Bytes obu;
    append_obu(obu, kFrameHeader, out.finish());
    return obu;
}

class Av1Reader final : public StreamReader {
   public:
    using StreamReader::StreamReader;

    void feed(const uint8_t* data, size_t size, const Timestamp& timestamp) override {
        size_t at = 0;
        timestamp_ = timestamp;
        while (at < size) {
            const size_t taken = take(data + at, size - at);
            if (taken == 0) break;
            at += taken;
        }
        end_frame();
    }

    void end_picture() override {}

    void reset() override {
        header_.reset();
        slots_.fill(-1);
        coded_.clear();
        before_.clear();
        frame_.reset();
    }

    bool holds(int index) const override { return std::find(slots_.begin(), slots_.end(), index) != slots_.end(); }

   private:
    size_t take(const uint8_t* data, size_t size) {
        const int type = data[0] >> 3 & 15;
        size_t at = (data[0] & 4) != 0 ? 2 : 1;
        size_t length = size - std::min(at, size);
        if ((data[0] & 2) != 0) {
            length = 0;
            for (int shift = 0; at < size && shift < 56; shift += 7) {
                length |= size_t{data[at] & 127u} << shift;
                if ((data[at++] & 128) == 0) break;
            }
        }
        if (at + length > size) return 0;
        obu(type, data, at + length, data + at, length);
        return at + length;
    }

    void obu(int type, const uint8_t* whole, size_t size, const uint8_t* payload, size_t length) {
        if (type == kTileGroup) {
            coded_.insert(coded_.end(), whole, whole + size);
            return;
        }
        if (type != kRedundant) end_frame();
        if (type == kSequence) {
            take_sequence(whole, size, payload, length);
            return;
        }
        if ((type != kFrame && type != kFrameHeader) || !header_) return;
        const Frame frame = read_frame(payload, length, *header_);
        if (frame.existing) {
            // The codec learns of it with the next frame, since a key frame that is shown fills all slots again.
            before_.assign(whole, whole + size);
            if (slots_[frame.slot] >= 0) sink_.show(slots_[frame.slot], timestamp_);
            return;
        }
        frame_ = frame;
        coded_.assign(whole, whole + size);
    }

    void take_sequence(const uint8_t* whole, size_t size, const uint8_t* payload, size_t length) {
        auto read = read_sequence(payload, length);
        if (!read) return;
        header_ = std::move(read);
        header_->obu.assign(whole, whole + size);
        constexpr int surfaces = 10;  // eight slots, the picture, and one that is shown
        Sequence sequence;
        CUVIDEOFORMAT& format = sequence.format;
        format.codec = cudaVideoCodec_AV1;
        format.frame_rate = rate_of(header_->time_scale, header_->units_in_tick);
        format.progressive_sequence = 1;
        format.bit_depth_luma_minus8 = format.bit_depth_chroma_minus8 = static_cast<unsigned char>(header_->depth - 8);
        format.min_num_decode_surfaces = surfaces;
        format.coded_width = static_cast<unsigned>(header_->width);
        format.coded_height = static_cast<unsigned>(header_->height);
        format.display_area = {0, 0, header_->width, header_->height};
        format.chroma_format = static_cast<cudaVideoChromaFormat>(header_->chroma);
        format.display_aspect_ratio = aspect_of(format.display_area, 1, 1);
        format.video_signal_description =
            signal_of(5, header_->full_range, header_->primaries, header_->transfer, header_->matrix);
        sequence.header = header_->obu;
        sequence.most_width = format.coded_width;
        sequence.most_height = format.coded_height;
        sink_.operating_point(header_->operating_points);
        sink_.sequence(sequence);
    }

    void end_frame() {
        if (!frame_) return;
        const Frame frame = *frame_;
        frame_.reset();
        Unit unit;
        unit.data = header_->obu;
        unit.data.insert(unit.data.end(), before_.begin(), before_.end());
        before_.clear();
        unit.slices = {static_cast<unsigned>(unit.data.size())};
        unit.data.insert(unit.data.end(), coded_.begin(), coded_.end());
        const bool needed = !frame.shown && frame.refreshed != 0 && frame.type != kKey;
        if (needed) {
            unsigned slot = 0;
            while ((frame.refreshed >> slot & 1) == 0) ++slot;
            const Bytes shown = shown_slot(slot, *header_);
            unit.data.insert(unit.data.end(), shown.begin(), shown.end());
        }
        emit(unit, frame);
    }

    void emit(Unit& unit, const Frame& frame) {
        unit.shown = frame.shown;
        unit.timestamp = timestamp_;
        unit.params.PicWidthInMbs = (header_->width + 15) / 16;
        unit.params.FrameHeightInMbs = (header_->height + 15) / 16;
        unit.params.ref_pic_flag = frame.refreshed != 0;
        unit.params.intra_pic_flag = frame.type == kKey || frame.type == kIntraOnly;
        CUVIDAV1PICPARAMS& av1 = unit.params.CodecSpecific.av1;
        av1.width = static_cast<unsigned>(header_->width);
        av1.height = static_cast<unsigned>(header_->height);
        av1.profile = header_->profile & 7;
        av1.bit_depth_minus8 = (header_->depth - 8) & 15;
        av1.mono_chrome = header_->chroma == 0;
        av1.frame_type = frame.type & 3;
        av1.show_frame = frame.shown;
        for (size_t i = 0; i < slots_.size(); ++i) av1.ref_frame_map[i] = static_cast<unsigned char>(slots_[i]);
        const int index = sink_.picture(unit);
        for (unsigned i = 0; i < slots_.size(); ++i)
            if ((frame.refreshed >> i & 1) != 0) slots_[i] = index;
    }

    std::optional<Header> header_;
    std::optional<Frame> frame_;
    Bytes coded_;   // of the frame
    Bytes before_;  // a frame header that shows an earlier frame
    Timestamp timestamp_;
    std::array<int, 8> slots_ = {-1, -1, -1, -1, -1, -1, -1, -1};
};

}  // namespace

std::unique_ptr<StreamReader> make_av1_reader(ReaderSink& sink) { return std::make_unique<Av1Reader>(sink); }

}  // namespace nvsim::decode
