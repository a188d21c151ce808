#include "decode/surface.hpp"

#include <algorithm>
#include <cstring>

namespace nvsim::decode {
namespace {

constexpr size_t kPitchAlignment = 512;

bool half_width(cudaVideoSurfaceFormat format) {
    return format != cudaVideoSurfaceFormat_YUV444 && format != cudaVideoSurfaceFormat_YUV444_16Bit;
}

bool half_height(cudaVideoSurfaceFormat format) {
    return format == cudaVideoSurfaceFormat_NV12 || format == cudaVideoSurfaceFormat_P016;
}

// One plane of a picture as it is read: its part and its field, by coordinates from 0.
struct Source {
    const uint8_t* data = nullptr;
    int pitch = 0;
    int width = 1, height = 1;  // of the part
    int left = 0, top = 0;
    int plane_width = 1, plane_height = 1;
    int depth = 8;
    int constant = 0;  // if there is no data
    Field field = Field::both;

    int row(int y) const {
        int line = std::min(top + y, plane_height - 1);
        if (field == Field::top) line = line / 2 * 2;
        if (field == Field::bottom) line = std::min(line / 2 * 2 + 1, plane_height - 1);
        return line;
    }
    // In 16 bits, the value in the high bits.
    unsigned at(int x, int y) const {
        if (data == nullptr) return static_cast<unsigned>(constant) << 8;
        const uint8_t* line = data + static_cast<ptrdiff_t>(row(y)) * pitch;
        const int column = std::min(left + x, plane_width - 1);
        if (depth == 8) return static_cast<unsigned>(line[column]) << 8;
        uint16_t value;
        std::memcpy(&value, line + 2 * column, sizeof value);
        return static_cast<unsigned>(value) << (16 - depth) & 0xFFFF;
    }
};

// The place of sample `i` of `wanted` among `given` ones, in 1/256, centres on centres.
int scaled(int i, int wanted, int given) {
    const int64_t place = (int64_t{2 * i + 1} * given * 256 / wanted - 256) / 2;
    return static_cast<int>(std::clamp<int64_t>(place, 0, int64_t{given - 1} * 256));
}

unsigned interpolated(const Source& source, int x, int y) {
    const int left = x >> 8, top = y >> 8, right = std::min(left + 1, source.width - 1),
              below = std::min(top + 1, source.height - 1);
    const unsigned fx = static_cast<unsigned>(x) & 255, fy = static_cast<unsigned>(y) & 255;
    const unsigned above = source.at(left, top) * (256 - fx) + source.at(right, top) * fx;
    const unsigned under = source.at(left, below) * (256 - fx) + source.at(right, below) * fx;
    return static_cast<unsigned>((uint64_t{above} * (256 - fy) + uint64_t{under} * fy) >> 16);
}

struct Sink {
    uint8_t* data;
    size_t pitch;
    int step;    // samples from one to the next: 2 where two planes are interleaved
    int bytes;   // of a sample
    Rect place;  // in samples of this plane

    void put(int x, int y, unsigned value) const {
        uint8_t* sample =
            data + static_cast<size_t>(y) * pitch + static_cast<size_t>(x) * static_cast<size_t>(step * bytes);
        if (bytes == 1) {
            *sample = static_cast<uint8_t>(value >> 8);
            return;
        }
        const auto word = static_cast<uint16_t>(value);
        std::memcpy(sample, &word, sizeof word);
    }
};

void copy_plane(const Source& source, const Sink& sink) {
    const int width = sink.place.width(), height = sink.place.height();
    const bool same = width == source.width && height == source.height;
    for (int y = 0; y < height; ++y)
        for (int x = 0; x < width; ++x)
            sink.put(sink.place.left + x, sink.place.top + y,
                     same ? source.at(x, y)
                          : interpolated(source, scaled(x, width, source.width), scaled(y, height, source.height)));
}

Rect halved(const Rect& rect, bool wide, bool high) {
    const int dx = wide ? 2 : 1, dy = high ? 2 : 1;
    return {rect.left / dx, rect.top / dy, (rect.right + dx - 1) / dx, (rect.bottom + dy - 1) / dy};
}

Source source_of(const Pixels* picture, int plane, const Rect& part, Field field) {
    Source source;
    source.constant = plane == 0 ? 16 : 128;
    const bool wide = plane > 0 && picture != nullptr && picture->chroma != 3;
    const bool high = plane > 0 && picture != nullptr && picture->chroma < 2;
    const Rect mine = halved(part, wide, high);
    source.left = mine.left;
    source.top = mine.top;
    source.width = std::max(1, mine.width());
    source.height = std::max(1, mine.height());
    if (picture == nullptr || (plane > 0 && picture->chroma == 0)) return source;
    source.data = picture->plane[plane];
    source.pitch = picture->pitch[plane];
    source.depth = picture->depth;
    source.plane_width = wide ? (picture->width + 1) / 2 : picture->width;
    source.plane_height = high ? (picture->height + 1) / 2 : picture->height;
    source.field = field;
    return source;
}

}  // namespace

int Layout::bytes_per_sample() const {
    return format == cudaVideoSurfaceFormat_NV12 || format == cudaVideoSurfaceFormat_YUV444 ||
                   format == cudaVideoSurfaceFormat_NV16
               ? 1
               : 2;
}

bool Layout::planar() const { return !half_width(format); }

size_t Layout::pitch() const {
    const size_t row = static_cast<size_t>(width) * static_cast<size_t>(bytes_per_sample());
    return (row + kPitchAlignment - 1) / kPitchAlignment * kPitchAlignment;
}

// The luma's height is rounded up to even before chroma begins.
size_t Layout::rows() const {
    const size_t luma = (static_cast<size_t>(height) + 1) & ~size_t{1};
    if (planar()) return luma * 3;
    return half_height(format) ? luma + luma / 2 : luma * 2;
}

void lay_out(const Pixels* picture, const Layout& layout, Field field, uint8_t* output) {
    const size_t luma = layout.pitch() * ((static_cast<size_t>(layout.height) + 1) & ~size_t{1});
    const int bytes = layout.bytes_per_sample();
    copy_plane(source_of(picture, 0, layout.source, field), {output, layout.pitch(), 1, bytes, layout.target});
    const Rect chroma = halved(layout.target, !layout.planar(), half_height(layout.format));
    for (int plane = 1; plane < 3; ++plane) {
        uint8_t* first = layout.planar() ? output + luma * static_cast<size_t>(plane)
                                         : output + luma + static_cast<size_t>((plane - 1) * bytes);
        copy_plane(source_of(picture, plane, layout.source, field),
                   {first, layout.pitch(), layout.planar() ? 1 : 2, bytes, chroma});
    }
}

}  // namespace nvsim::decode
