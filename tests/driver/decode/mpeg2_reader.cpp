// MPEG-1 and MPEG-2 as a parser reads them.
#include "decode/format_parts.hpp"
#include "decode/reader.hpp"
#include "decode/start_codes.hpp"

namespace nvsim::decode {
namespace {

enum Code {
    kPicture = 0x00,
    kFirstSlice = 0x01,
    kLastSlice = 0xaf,
    kUserData = 0xb2,
    kSequence = 0xb3,
    kExtension = 0xb5,
    kSequenceEnd = 0xb7,
    kGroup = 0xb8
};
enum Extension { kOfSequence = 1, kDisplay = 2, kOfPicture = 8 };
enum Kind { kI = 1, kP = 2, kB = 3 };
enum Structure { kTop = 1, kBottom = 2, kFrame = 3 };

struct Header {
    Bytes units;  // the sequence's, with start codes
    int width = 0, height = 0, aspect = 1, rate = 3, rate_n = 1, rate_d = 1, chroma = 1;
    bool progressive = true, mpeg2 = false, low_delay = false;
    int video_format = 5, primaries = 2, transfer = 2, matrix = 2;
};

struct Picture {
    int kind = kI, structure = kFrame;
    bool top_first = true, repeat = false, progressive = true;
};

CUVIDEOFORMAT_display_aspect_ratio aspect(const Header& header, const CUVIDEOFORMAT_display_area& area) {
    if (header.mpeg2 && header.aspect == 2) return {4, 3};
    if (header.mpeg2 && header.aspect == 3) return {16, 9};
    return aspect_of(area, 1, 1);
}

CUVIDEOFORMAT_frame_rate rate(const Header& header) {
    static constexpr unsigned rates[][2] = {{0, 1},  {24000, 1001}, {24, 1},       {25, 1}, {30000, 1001},
                                            {30, 1}, {50, 1},       {60000, 1001}, {60, 1}};
    if (header.rate > 8) return {0, 1};
    return rate_of(uint64_t{rates[header.rate][0]} * static_cast<unsigned>(header.rate_n),
                   uint64_t{rates[header.rate][1]} * static_cast<unsigned>(header.rate_d));
}

class Mpeg2Reader final : public StreamReader {
   public:
    Mpeg2Reader(ReaderSink& sink, cudaVideoCodec codec)
        : StreamReader(sink),
          codec_(codec),
          codes_(
              [this](const uint8_t* data, size_t size, const Timestamp& timestamp) { take(data, size, timestamp); }) {}

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
        header_ = {};
        references_ = since_reference_ = 0;
        first_field_.reset();
    }

   private:
    void take(const uint8_t* data, size_t size, const Timestamp& timestamp) {
        const int code = data[0];
        const bool slice = code >= kFirstSlice && code <= kLastSlice;
        if (!slice && code != kExtension && code != kUserData) end_access_unit_before(code);
        if (!begun_) {
            begun_ = true;
            unit_time_ = timestamp;
        }
        if (code == kPicture) unit_time_ = unit_time_ ? unit_time_ : timestamp;
        BitReader in(data + 1, size - 1);
        if (code == kSequence) read_sequence(in);
        if (code == kPicture) {
            picture_ = Picture();
            in.skip(10);
            picture_->kind = static_cast<int>(in.bits(3));
        }
        if (code == kExtension) read_extension(in);
        if (slice) slice_at_.push_back(static_cast<unsigned>(coded_.size()));
        if (!picture_ && (code == kSequence || code == kExtension)) append_unit(header_.units, data, size);
        if (code != kSequence && (picture_ || code == kGroup)) append_unit(coded_, data, size);
    }

    void end_access_unit_before(int code) {
        if (picture_ && !slice_at_.empty()) end_access_unit();
        if (code == kSequence) header_.units.clear();
    }

    void read_sequence(BitReader& in) {
        const Bytes none;
        Header next;
        next.width = static_cast<int>(in.bits(12));
        next.height = static_cast<int>(in.bits(12));
        next.aspect = static_cast<int>(in.bits(4));
        next.rate = static_cast<int>(in.bits(4));
        header_ = next;
    }

    void read_extension(BitReader& in) {
        const unsigned kind = in.bits(4);
        if (kind == kOfSequence && !picture_) {
            header_.mpeg2 = true;
            in.skip(8);
            header_.progressive = in.flag();
            header_.chroma = static_cast<int>(in.bits(2));
            header_.width |= static_cast<int>(in.bits(2)) << 12;
            header_.height |= static_cast<int>(in.bits(2)) << 12;
            in.skip(21);
            header_.low_delay = in.flag();
            header_.rate_n = static_cast<int>(in.bits(2)) + 1;
            header_.rate_d = static_cast<int>(in.bits(5)) + 1;
        } else if (kind == kDisplay && !picture_) {
            header_.video_format = static_cast<int>(in.bits(3));
            if (!in.flag()) return;
            header_.primaries = static_cast<int>(in.bits(8));
            header_.transfer = static_cast<int>(in.bits(8));
            header_.matrix = static_cast<int>(in.bits(8));
        } else if (kind == kOfPicture && picture_) {
            in.skip(18);
            picture_->structure = static_cast<int>(in.bits(2));
            picture_->top_first = in.flag();
            in.skip(5);
            picture_->repeat = in.flag();
            in.skip(1);
            picture_->progressive = in.flag();
        }
    }

    void clear_unit() {
        picture_.reset();
        slice_at_.clear();
        coded_.clear();
        begun_ = false;
        unit_time_.reset();
    }

    void end_access_unit() {
        if (!picture_ || slice_at_.empty() || header_.width == 0 || header_.height == 0) return;
        const Picture picture = *picture_;
        const bool field = picture.structure != kFrame;
        const bool second = field && first_field_ && *first_field_ != picture.structure;
        if (!second) sink_.sequence(sequence());
        Unit unit;
        if (picture.kind == kI && !second) unit.data = header_.units;
        for (const unsigned at : slice_at_) unit.slices.push_back(at + static_cast<unsigned>(unit.data.size()));
        unit.data.insert(unit.data.end(), coded_.begin(), coded_.end());
        unit.timestamp = unit_time_;
        unit.second_field = second;
        unit.more_fields = field;
        unit.progressive = header_.mpeg2 ? picture.progressive && header_.progressive : true;
        unit.top_first = field ? picture.structure == kTop : picture.top_first;
        unit.repeat = picture.repeat ? 1 : 0;
        unit.order = order(picture, second);
        first_field_ = field && !second ? std::optional<int>(picture.structure) : std::nullopt;
        describe(unit, picture);
        clear_unit();
        sink_.picture(unit);
    }

    // A reference is shown when the next one comes, and pictures of kind B at once.
    long long order(const Picture& picture, bool second) {
        constexpr long long step = 1 << 20;
        if (!second && picture.kind != kB) {
            ++references_;
            since_reference_ = 0;
        }
        return picture.kind == kB ? (references_ - 1) * step + ++since_reference_ : references_ * step;
    }

    Sequence sequence() const {
        Sequence sequence;
        CUVIDEOFORMAT& format = sequence.format;
        format.codec = codec_;
        format.frame_rate = rate(header_);
        format.progressive_sequence = header_.progressive;
        format.min_num_decode_surfaces = 4;  // two references, the picture and one that is shown
        const int block = header_.progressive ? 16 : 32;
        format.coded_width = static_cast<unsigned>((header_.width + 15) / 16 * 16);
        format.coded_height = static_cast<unsigned>((header_.height + block - 1) / block * block);
        format.display_area = {0, 0, header_.width, header_.height};
        format.chroma_format = static_cast<cudaVideoChromaFormat>(header_.chroma);
        format.display_aspect_ratio = aspect(header_, format.display_area);
        format.video_signal_description =
            signal_of(header_.video_format, 0, header_.primaries, header_.transfer, header_.matrix);
        sequence.header = header_.units;
        sequence.reorder = header_.low_delay ? 0 : 1;
        return sequence;
    }

    void describe(Unit& unit, const Picture& picture) const {
        CUVIDPICPARAMS& out = unit.params;
        const Sequence form = sequence();
        out.PicWidthInMbs = static_cast<int>(form.format.coded_width / 16);
        out.FrameHeightInMbs = static_cast<int>(form.format.coded_height / 16);
        out.field_pic_flag = picture.structure != kFrame;
        out.bottom_field_flag = picture.structure == kBottom;
        out.ref_pic_flag = picture.kind != kB;
        out.intra_pic_flag = picture.kind == kI;
        out.CodecSpecific.mpeg2.picture_coding_type = picture.kind;
        out.CodecSpecific.mpeg2.top_field_first = picture.top_first;
        out.CodecSpecific.mpeg2.ForwardRefIdx = out.CodecSpecific.mpeg2.BackwardRefIdx = -1;
    }

    const cudaVideoCodec codec_;
    StartCodes codes_;
    Header header_;
    std::optional<Picture> picture_;
    std::vector<unsigned> slice_at_;
    Bytes coded_;
    bool begun_ = false;
    Timestamp unit_time_;
    std::optional<int> first_field_;  // its structure
    long long references_ = 0, since_reference_ = 0;
};

}  // namespace

std::unique_ptr<StreamReader> make_mpeg2_reader(ReaderSink& sink, cudaVideoCodec codec) {
    return std::make_unique<Mpeg2Reader>(sink, codec);
}

}  // namespace nvsim::decode
