// VP8 and VP9 as a parser reads them. Each packet is a frame, or in VP9 a superframe of several.
#include <algorithm>
#include <array>

#include "decode/format_parts.hpp"
#include "decode/reader.hpp"

namespace nvsim::decode {
namespace {

struct Shape {
    int width = 0, height = 0;
    unsigned depth = 8;
    int chroma = 1;
    bool full_range = false;
    int matrix = 2;
};

Sequence sequence_of(cudaVideoCodec codec, const Shape& shape, int surfaces) {
    Sequence sequence;
    CUVIDEOFORMAT& format = sequence.format;
    format.codec = codec;
    format.frame_rate = {0, 1};
    format.progressive_sequence = 1;
    format.bit_depth_luma_minus8 = format.bit_depth_chroma_minus8 = static_cast<unsigned char>(shape.depth - 8);
    format.min_num_decode_surfaces = static_cast<unsigned char>(surfaces);
    format.coded_width = static_cast<unsigned>(shape.width);
    format.coded_height = static_cast<unsigned>(shape.height);
    format.display_area = {0, 0, shape.width, shape.height};
    format.chroma_format = static_cast<cudaVideoChromaFormat>(shape.chroma);
    format.display_aspect_ratio = aspect_of(format.display_area, 1, 1);
    format.video_signal_description = signal_of(5, shape.full_range, 2, 2, shape.matrix);
    return sequence;
}

Unit unit_of(const uint8_t* data, size_t size, const Shape& shape, bool intra, const Timestamp& timestamp) {
    Unit unit;
    unit.data.assign(data, data + size);
    unit.slices = {0};
    unit.timestamp = timestamp;
    unit.params.PicWidthInMbs = (shape.width + 15) / 16;
    unit.params.FrameHeightInMbs = (shape.height + 15) / 16;
    unit.params.ref_pic_flag = 1;
    unit.params.intra_pic_flag = intra;
    return unit;
}

class PacketReader : public StreamReader {
   public:
    using StreamReader::StreamReader;
    void end_picture() override {}
};

class Vp8Reader final : public PacketReader {
   public:
    using PacketReader::PacketReader;

    void feed(const uint8_t* data, size_t size, const Timestamp& timestamp) override {
        if (size < 4) return;
        const bool key = (data[0] & 1) == 0;
        if (key && !read_size(data, size)) return;
        if (shape_.width == 0) return;
        Unit unit = unit_of(data, size, shape_, key, timestamp);
        unit.shown = (data[0] >> 4 & 1) != 0;
        CUVIDVP8PICPARAMS& vp8 = unit.params.CodecSpecific.vp8;
        vp8.width = shape_.width;
        vp8.height = shape_.height;
        vp8.first_partition_size = static_cast<unsigned>(data[0] | data[1] << 8 | data[2] << 16) >> 5;
        sink_.picture(unit);
    }

    void reset() override { shape_ = {}; }

   private:
    bool read_size(const uint8_t* data, size_t size) {
        if (size < 10 || data[3] != 0x9d || data[4] != 0x01 || data[5] != 0x2a) return false;
        shape_.width = (data[6] | data[7] << 8) & 0x3fff;
        shape_.height = (data[8] | data[9] << 8) & 0x3fff;
        constexpr int surfaces = 4;  // three references and the picture
        sink_.sequence(sequence_of(cudaVideoCodec_VP8, shape_, surfaces));
        return true;
    }

    Shape shape_;
};

class Vp9Reader final : public PacketReader {
   public:
    using PacketReader::PacketReader;

    void feed(const uint8_t* data, size_t size, const Timestamp& timestamp) override {
        for (const auto& [at, length] : frames_of(data, size)) frame(data + at, length, timestamp);
    }

    void reset() override {
        slots_.fill(-1);
        shape_ = {};
    }

    bool holds(int index) const override { return std::find(slots_.begin(), slots_.end(), index) != slots_.end(); }

   private:
    using Frames = std::vector<std::pair<size_t, size_t>>;

    // By the index at the superframe's end.
    static Frames frames_of(const uint8_t* data, size_t size) {
        if (size == 0) return {};
        const unsigned mark = data[size - 1];
        const size_t count = (mark & 7) + 1, bytes = (mark >> 3 & 3) + 1, index = 2 + bytes * count;
        if ((mark & 0xe0) != 0xc0 || size < index || data[size - index] != mark) return {{0, size}};
        Frames frames;
        size_t at = 0;
        for (size_t i = 0; i < count; ++i) {
            size_t length = 0;
            for (size_t k = 0; k < bytes; ++k) length |= size_t{data[size - index + 1 + i * bytes + k]} << (8 * k);
            if (length == 0 || at + length > size - index) break;
            frames.emplace_back(at, length);
            at += length;
        }
        return frames;
    }

    void read_colours(BitReader& in, unsigned profile) {
        constexpr unsigned rgb = 7;
        static constexpr int matrices[] = {2, 6, 1, 6, 7, 9, 2, 0};
        shape_.depth = profile >= 2 ? (in.flag() ? 12 : 10) : 8;
        const unsigned space = in.bits(3);
        shape_.matrix = matrices[space];
        const bool free_chroma = profile == 1 || profile == 3;
        shape_.full_range = space == rgb || in.flag();
        shape_.chroma = space == rgb ? 3 : 1;
        if (!free_chroma) return;
        if (space != rgb) {
            const bool half_width = in.flag(), half_height = in.flag();
            shape_.chroma = !half_width ? 3 : half_height ? 1 : 2;
        }
        in.skip(1);
    }

    void read_size(BitReader& in) {
        shape_.width = static_cast<int>(in.bits(16)) + 1;
        shape_.height = static_cast<int>(in.bits(16)) + 1;
    }

    void read_size_by_references(BitReader& in, const std::array<unsigned, 3>& references) {
        for (const unsigned reference : references)
            if (in.flag()) {
                shape_.width = sizes_[reference].first;
                shape_.height = sizes_[reference].second;
                return;
            }
        read_size(in);
    }

    void frame(const uint8_t* data, size_t size, const Timestamp& timestamp) {
        BitReader in(data, size);
        if (in.bits(2) != 2) return;
        const unsigned profile = in.bit() | in.bit() << 1;
        if (profile == 3) in.skip(1);
        if (in.flag()) {
            const int index = slots_[in.bits(3)];
            if (index >= 0) sink_.show(index, timestamp);
            return;
        }
        const bool key = !in.flag(), shown = in.flag(), resilient = in.flag();
        bool intra = key;
        unsigned refreshed = 0xff;
        std::array<unsigned, 3> references{};
        if (key) {
            in.skip(24);
            read_colours(in, profile);
            read_size(in);
        } else {
            intra = !shown && in.flag();
            if (!resilient) in.skip(2);
            if (intra) {
                in.skip(24);
                if (profile > 0) read_colours(in, profile);
                refreshed = in.bits(8);
                read_size(in);
            } else {
                refreshed = in.bits(8);
                for (unsigned& reference : references) {
                    reference = in.bits(3);
                    in.skip(1);
                }
                if (std::any_of(references.begin(), references.end(), [&](unsigned r) { return slots_[r] < 0; }))
                    return;
                read_size_by_references(in, references);
            }
        }
        if (in.ran_out() || shape_.width == 0) return;
        emit(data, size, {intra, shown, refreshed, profile}, references, timestamp);
    }

    struct Header {
        bool intra, shown;
        unsigned refreshed, profile;
    };

    void emit(const uint8_t* data, size_t size, const Header& header, const std::array<unsigned, 3>& references,
              const Timestamp& timestamp) {
        constexpr int surfaces = 10;  // eight slots, the picture, and one that is shown
        sink_.sequence(sequence_of(cudaVideoCodec_VP9, shape_, surfaces));
        Unit unit = unit_of(data, size, shape_, header.intra, timestamp);
        unit.shown = header.shown;
        CUVIDVP9PICPARAMS& vp9 = unit.params.CodecSpecific.vp9;
        vp9.width = static_cast<unsigned>(shape_.width);
        vp9.height = static_cast<unsigned>(shape_.height);
        vp9.LastRefIdx = slot(references[0]);
        vp9.GoldenRefIdx = slot(references[1]);
        vp9.AltRefIdx = slot(references[2]);
        vp9.profile = header.profile & 7;
        vp9.frameType = header.intra ? 0 : 1;
        vp9.showFrame = header.shown;
        vp9.bitDepthMinus8Luma = vp9.bitDepthMinus8Chroma = static_cast<unsigned char>(shape_.depth - 8);
        const int index = sink_.picture(unit);
        for (unsigned i = 0; i < slots_.size(); ++i)
            if ((header.refreshed >> i & 1) != 0) {
                slots_[i] = index;
                sizes_[i] = {shape_.width, shape_.height};
            }
    }

    unsigned char slot(unsigned reference) const { return static_cast<unsigned char>(slots_[reference]); }

    Shape shape_;
    std::array<int, 8> slots_ = {-1, -1, -1, -1, -1, -1, -1, -1};
    std::array<std::pair<int, int>, 8> sizes_{};
};

}  // namespace

std::unique_ptr<StreamReader> make_vp8_reader(ReaderSink& sink) { return std::make_unique<Vp8Reader>(sink); }
std::unique_ptr<StreamReader> make_vp9_reader(ReaderSink& sink) { return std::make_unique<Vp9Reader>(sink); }

}  // namespace nvsim::decode
