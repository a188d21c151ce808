// VC-1's advanced profile as a parser reads it. The others have no headers in their streams.
#include "decode/format_parts.hpp"
#include "decode/reader.hpp"
#include "decode/start_codes.hpp"

namespace nvsim::decode {
namespace {

enum Code { kSlice = 0x0b, kField = 0x0c, kFrame = 0x0d, kEntryPoint = 0x0e, kSequence = 0x0f };
enum Kind { kP = 0, kB = 1, kI = 2, kBi = 3, kSkipped = 4 };

struct Sequence3 {  // the header of profile 3
    int width = 0, height = 0;
    bool postprocessed = false, pulldown = false, interlaced = false, counted = false, interpolated = false,
         segmented = false;
};

std::optional<Sequence3> read_sequence(const Bytes& unit) {
    BitReader in(unit.data() + 1, unit.size() - 1);
    Sequence3 sequence;
    constexpr unsigned advanced = 3;
    if (in.bits(2) != advanced) return std::nullopt;
    in.skip(3 + 2 + 3 + 5);
    sequence.postprocessed = in.flag();
    sequence.width = static_cast<int>(in.bits(12) + 1) * 2;
    sequence.height = static_cast<int>(in.bits(12) + 1) * 2;
    sequence.pulldown = in.flag();
    sequence.interlaced = in.flag();
    sequence.counted = in.flag();
    sequence.interpolated = in.flag();
    in.skip(1);
    sequence.segmented = in.flag();
    if (in.ran_out()) return std::nullopt;
    return sequence;
}

int unary(BitReader& in, int most) {
    int count = 0;
    while (count < most && in.flag()) ++count;
    return count;
}

class Vc1Reader final : public StreamReader {
   public:
    explicit Vc1Reader(ReaderSink& sink)
        : StreamReader(sink), codes_([this](const uint8_t* data, size_t size, const Timestamp& timestamp) {
              take(data, size, timestamp);
          }) {}

    void feed(const uint8_t* data, size_t size, const Timestamp& timestamp) override {
        codes_.feed(data, size, timestamp);
    }

    void end_picture() override {
        codes_.finish();
        emit();
    }

    void reset() override {
        codes_.clear();
        sequence_.reset();
        header_.clear();
        coded_.clear();
        references_ = since_reference_ = 0;
    }

   private:
    void take(const uint8_t* data, size_t size, const Timestamp& timestamp) {
        const int code = data[0];
        if (code == kField || code == kSlice) {  // of the picture before
            append_unit(coded_, data, size);
            return;
        }
        emit();
        if (code == kSequence) {
            header_.clear();
            if (auto read = read_sequence(unescaped(data, size))) sequence_ = read;
        }
        if (code == kSequence || code == kEntryPoint) append_unit(header_, data, size);
        if (code != kFrame) return;
        first_.assign(data, data + size);
        append_unit(coded_, data, size);
        timestamp_ = timestamp;
    }

    void emit() {
        if (!coded_.empty() && sequence_) emit_picture();
        coded_.clear();
    }

    Kind kind_of_first(bool& progressive) const {
        const Bytes plain = unescaped(first_.data(), first_.size());
        BitReader in(plain.data() + 1, plain.size() - 1);
        const int coding = sequence_->interlaced ? unary(in, 2) : 0;
        progressive = coding == 0;
        constexpr int fields = 2;
        if (coding != fields) return static_cast<Kind>(unary(in, 4));
        static constexpr Kind of_fields[] = {kI, kI, kP, kP, kB, kB, kBi, kBi};
        return of_fields[in.bits(3)];
    }

    void emit_picture() {
        sink_.sequence(sequence());
        Unit unit;
        const Kind kind = kind_of_first(unit.progressive);
        unit.data = header_;
        unit.slices = {static_cast<unsigned>(unit.data.size())};
        unit.data.insert(unit.data.end(), coded_.begin(), coded_.end());
        unit.timestamp = timestamp_;
        const bool is_reference = kind != kB && kind != kBi;
        constexpr long long step = 1 << 20;
        if (is_reference) {
            ++references_;
            since_reference_ = 0;
        }
        unit.order = is_reference ? references_ * step : (references_ - 1) * step + ++since_reference_;
        unit.params.PicWidthInMbs = (sequence_->width + 15) / 16;
        unit.params.FrameHeightInMbs = (sequence_->height + 15) / 16;
        unit.params.ref_pic_flag = is_reference;
        unit.params.intra_pic_flag = kind == kI || kind == kBi;
        CUVIDVC1PICPARAMS& vc1 = unit.params.CodecSpecific.vc1;
        vc1.ForwardRefIdx = vc1.BackwardRefIdx = -1;
        vc1.FrameWidth = sequence_->width;
        vc1.FrameHeight = sequence_->height;
        vc1.intra_pic_flag = unit.params.intra_pic_flag;
        vc1.ref_pic_flag = unit.params.ref_pic_flag;
        vc1.progressive_fcm = unit.progressive;
        vc1.profile = 3;
        vc1.postprocflag = sequence_->postprocessed;
        vc1.pulldown = sequence_->pulldown;
        vc1.interlace = sequence_->interlaced;
        vc1.tfcntrflag = sequence_->counted;
        vc1.finterpflag = sequence_->interpolated;
        vc1.psf = sequence_->segmented;
        sink_.picture(unit);
    }

    Sequence sequence() const {
        Sequence sequence;
        CUVIDEOFORMAT& format = sequence.format;
        format.codec = cudaVideoCodec_VC1;
        format.frame_rate = {0, 1};
        format.progressive_sequence = !sequence_->interlaced;
        format.min_num_decode_surfaces = 4;  // two references, the picture and one that is shown
        format.coded_width = static_cast<unsigned>((sequence_->width + 15) / 16 * 16);
        format.coded_height = static_cast<unsigned>((sequence_->height + 15) / 16 * 16);
        format.display_area = {0, 0, sequence_->width, sequence_->height};
        format.chroma_format = cudaVideoChromaFormat_420;
        format.display_aspect_ratio = aspect_of(format.display_area, 1, 1);
        format.video_signal_description = signal_of(5, 0, 2, 2, 2);
        sequence.header = header_;
        sequence.reorder = 1;
        return sequence;
    }

    StartCodes codes_;
    std::optional<Sequence3> sequence_;
    Bytes header_;  // of the sequence, and its entry point
    Bytes first_;   // the first unit of the picture
    Bytes coded_;   // all of it
    Timestamp timestamp_;
    long long references_ = 0, since_reference_ = 0;
};

}  // namespace

std::unique_ptr<StreamReader> make_vc1_reader(ReaderSink& sink) { return std::make_unique<Vc1Reader>(sink); }

}  // namespace nvsim::decode
