// MPEG-4 part 2 as a parser reads it.
#include "decode/format_parts.hpp"
#include "decode/reader.hpp"
#include "decode/start_codes.hpp"

namespace nvsim::decode {
namespace {

enum Code { kFirstLayer = 0x20, kLastLayer = 0x2f, kGroup = 0xb3, kPicture = 0xb6 };
enum Kind { kI = 0, kP = 1, kB = 2, kS = 3 };

struct Layer {
    int width = 0, height = 0, sar_width = 1, sar_height = 1;
    bool interlaced = false, low_delay = false;
    unsigned resolution = 0, increment = 0;
};

int bits_for(unsigned most) {
    int bits = 1;
    while ((1u << bits) <= most) ++bits;
    return bits;
}

std::optional<Layer> read_layer(const uint8_t* data, size_t size) {
    static constexpr int known[][2] = {{1, 1}, {1, 1}, {12, 11}, {10, 11}, {16, 11}, {40, 33}};
    BitReader in(data + 1, size - 1);
    Layer layer;
    in.skip(9);
    unsigned version = 1;
    if (in.flag()) {
        version = in.bits(4);
        in.skip(3);
    }
    const unsigned aspect = in.bits(4);
    if (aspect == 15) {
        layer.sar_width = static_cast<int>(in.bits(8));
        layer.sar_height = static_cast<int>(in.bits(8));
    } else if (aspect < std::size(known)) {
        layer.sar_width = known[aspect][0];
        layer.sar_height = known[aspect][1];
    }
    if (in.flag()) {
        in.skip(2);
        layer.low_delay = in.flag();
        if (in.flag()) in.skip(79);
    }
    const unsigned shape = in.bits(2);
    if (shape != 0) return std::nullopt;  // only rectangles
    in.skip(1);
    layer.resolution = in.bits(16);
    in.skip(1);
    if (in.flag()) layer.increment = in.bits(bits_for(layer.resolution > 0 ? layer.resolution - 1 : 0));
    in.skip(1);
    layer.width = static_cast<int>(in.bits(13));
    in.skip(1);
    layer.height = static_cast<int>(in.bits(13));
    in.skip(1);
    layer.interlaced = in.flag();
    static_cast<void>(version);
    if (in.ran_out() || layer.width == 0 || layer.height == 0) return std::nullopt;
    return layer;
}

class Mpeg4Reader final : public StreamReader {
   public:
    explicit Mpeg4Reader(ReaderSink& sink)
        : StreamReader(sink), codes_([this](const uint8_t* data, size_t size, const Timestamp& timestamp) {
              take(data, size, timestamp);
          }) {}

    void feed(const uint8_t* data, size_t size, const Timestamp& timestamp) override {
        codes_.feed(data, size, timestamp);
    }
    void end_picture() override { codes_.finish(); }

    void reset() override {
        codes_.clear();
        layer_.reset();
        header_.clear();
        references_ = since_reference_ = 0;
    }

   private:
    void take(const uint8_t* data, size_t size, const Timestamp& timestamp) {
        const int code = data[0];
        if (code == kPicture) {
            picture(data, size, timestamp);
            return;
        }
        if (code == kGroup) return;
        if (whole_header_) header_.clear();
        whole_header_ = false;
        append_unit(header_, data, size);
        if (code >= kFirstLayer && code <= kLastLayer)
            if (auto layer = read_layer(data, size)) layer_ = layer;
    }

    void picture(const uint8_t* data, size_t size, const Timestamp& timestamp) {
        whole_header_ = true;
        if (!layer_ || size < 2) return;
        const int kind = data[1] >> 6;
        sink_.sequence(sequence());
        Unit unit;
        unit.data = header_;
        unit.slices = {static_cast<unsigned>(header_.size())};
        append_unit(unit.data, data, size);
        unit.timestamp = timestamp;
        unit.progressive = !layer_->interlaced;
        constexpr long long step = 1 << 20;
        if (kind != kB) {
            ++references_;
            since_reference_ = 0;
        }
        unit.order = kind == kB ? (references_ - 1) * step + ++since_reference_ : references_ * step;
        unit.params.PicWidthInMbs = (layer_->width + 15) / 16;
        unit.params.FrameHeightInMbs = (layer_->height + 15) / 16;
        unit.params.ref_pic_flag = kind != kB;
        unit.params.intra_pic_flag = kind == kI;
        CUVIDMPEG4PICPARAMS& mpeg4 = unit.params.CodecSpecific.mpeg4;
        mpeg4.ForwardRefIdx = mpeg4.BackwardRefIdx = -1;
        mpeg4.video_object_layer_width = layer_->width;
        mpeg4.video_object_layer_height = layer_->height;
        mpeg4.vop_coding_type = kind;
        mpeg4.vop_coded = 1;
        mpeg4.interlaced = layer_->interlaced;
        sink_.picture(unit);
    }

    Sequence sequence() const {
        Sequence sequence;
        CUVIDEOFORMAT& format = sequence.format;
        format.codec = cudaVideoCodec_MPEG4;
        format.frame_rate = rate_of(layer_->resolution, layer_->increment);
        format.progressive_sequence = !layer_->interlaced;
        format.min_num_decode_surfaces = 4;  // two references, the picture and one that is shown
        format.coded_width = static_cast<unsigned>((layer_->width + 15) / 16 * 16);
        format.coded_height = static_cast<unsigned>((layer_->height + 15) / 16 * 16);
        format.display_area = {0, 0, layer_->width, layer_->height};
        format.chroma_format = cudaVideoChromaFormat_420;
        format.display_aspect_ratio = aspect_of(format.display_area, layer_->sar_width, layer_->sar_height);
        format.video_signal_description = signal_of(5, 0, 2, 2, 2);
        sequence.header = header_;
        sequence.reorder = layer_->low_delay ? 0 : 1;
        return sequence;
    }

    StartCodes codes_;
    std::optional<Layer> layer_;
    Bytes header_;
    bool whole_header_ = false;  // the next unit of a header begins a new one
    long long references_ = 0, since_reference_ = 0;
};

}  // namespace

std::unique_ptr<StreamReader> make_mpeg4_reader(ReaderSink& sink) { return std::make_unique<Mpeg4Reader>(sink); }

}  // namespace nvsim::decode
