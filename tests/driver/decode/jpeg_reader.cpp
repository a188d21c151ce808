// JPEG as a parser reads it: each packet is a picture.
#include <algorithm>

#include "decode/format_parts.hpp"
#include "decode/reader.hpp"

namespace nvsim::decode {
namespace {

struct Shape {
    int width = 0, height = 0, chroma = -1;
};

bool starts_frame(uint8_t marker) { return marker >= 0xc0 && marker <= 0xc2; }

int chroma_of(const uint8_t* components, int count) {
    if (count == 1) return cudaVideoChromaFormat_Monochrome;
    if (count != 3) return -1;
    const int wide = (components[1] >> 4) / std::max(components[4] >> 4, 1);
    const int high = (components[1] & 15) / std::max(components[4] & 15, 1);
    if (wide == 2 && high == 2) return cudaVideoChromaFormat_420;
    if (wide == 2 && high == 1) return cudaVideoChromaFormat_422;
    return wide == 1 && high == 1 ? int{cudaVideoChromaFormat_444} : -1;
}

Shape read_shape(const uint8_t* data, size_t size) {
    for (size_t at = 2; at + 4 <= size && data[at] == 0xff;) {
        const size_t length = size_t{data[at + 2]} << 8 | data[at + 3];
        if (starts_frame(data[at + 1]) && at + 2 + length <= size && length >= 11)
            return {data[at + 7] << 8 | data[at + 8], data[at + 5] << 8 | data[at + 6],
                    chroma_of(data + at + 10, data[at + 9])};
        at += 2 + length;
    }
    return {};
}

class JpegReader final : public StreamReader {
   public:
    using StreamReader::StreamReader;

    void feed(const uint8_t* data, size_t size, const Timestamp& timestamp) override {
        if (size < 4 || data[0] != 0xff || data[1] != 0xd8) return;
        const Shape shape = read_shape(data, size);
        if (shape.chroma < 0) return;
        Sequence sequence;
        CUVIDEOFORMAT& format = sequence.format;
        format.codec = cudaVideoCodec_JPEG;
        format.frame_rate = {0, 1};
        format.progressive_sequence = 1;
        format.min_num_decode_surfaces = 1;
        format.coded_width = static_cast<unsigned>(shape.width);
        format.coded_height = static_cast<unsigned>(shape.height);
        format.display_area = {0, 0, shape.width, shape.height};
        format.chroma_format = static_cast<cudaVideoChromaFormat>(shape.chroma);
        format.display_aspect_ratio = aspect_of(format.display_area, 1, 1);
        format.video_signal_description = signal_of(5, 1, 2, 2, 2);
        sink_.sequence(sequence);
        Unit unit;
        unit.data.assign(data, data + size);
        unit.slices = {0};
        unit.timestamp = timestamp;
        unit.params.PicWidthInMbs = (shape.width + 15) / 16;
        unit.params.FrameHeightInMbs = (shape.height + 15) / 16;
        unit.params.intra_pic_flag = 1;
        sink_.picture(unit);
    }

    void end_picture() override {}
    void reset() override {}
};

}  // namespace

std::unique_ptr<StreamReader> make_jpeg_reader(ReaderSink& sink) { return std::make_unique<JpegReader>(sink); }

}  // namespace nvsim::decode
