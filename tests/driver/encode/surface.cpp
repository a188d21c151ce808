#include "encode/surface.hpp"

#include <algorithm>
#include <cstring>

namespace nvsim {

namespace {

struct Layout {
    PixelFormat format;
    const char* name;
    int sample_bytes;  // of one component
    int chroma;        // chroma_format_idc
    enum { planar, semi_planar, packed } arrangement;
};

// In the order in which the driver lists them.
constexpr Layout layouts[] = {
    {PixelFormat::nv12, "NV12", 1, 1, Layout::semi_planar},
    {PixelFormat::yv12, "YV12", 1, 1, Layout::planar},
    {PixelFormat::iyuv, "IYUV", 1, 1, Layout::planar},
    {PixelFormat::yuv444, "YUV444", 1, 3, Layout::planar},
    {PixelFormat::p010, "YUV420_10BIT", 2, 1, Layout::semi_planar},
    {PixelFormat::yuv444_10, "YUV444_10BIT", 2, 3, Layout::planar},
    {PixelFormat::argb, "ARGB", 1, 3, Layout::packed},
    {PixelFormat::abgr, "ABGR", 1, 3, Layout::packed},
    {PixelFormat::ayuv, "AYUV", 1, 3, Layout::packed},
    {PixelFormat::argb10, "ARGB10", 2, 3, Layout::packed},
    {PixelFormat::abgr10, "ABGR10", 2, 3, Layout::packed},
    {PixelFormat::nv16, "NV16", 1, 2, Layout::semi_planar},
    {PixelFormat::p210, "P210", 2, 2, Layout::semi_planar},
};

const Layout* layout_of(PixelFormat format) {
    for (const Layout& layout : layouts)
        if (layout.format == format) return &layout;
    return nullptr;
}

size_t half(size_t length) { return (length + 1) / 2; }

// A component of a planar picture, as wide as its samples are.
template <typename Sample>
struct PlaneView {
    Sample* data;
    size_t width;
    size_t height;
    Sample& at(size_t x, size_t y) const { return data[y * width + x]; }
};

size_t chroma_width(const PictureFormat& format) { return format.chroma == 3 ? format.width : half(format.width); }
size_t chroma_height(const PictureFormat& format) { return format.chroma == 1 ? half(format.height) : format.height; }

struct Yuv {
    int y, u, v;  // at 10 bits
};

// Weights of red and blue in luma, for the limited range at 10 bits.
struct Matrix {
    double red, blue;
};

Matrix matrix_of(const ColourDescription& colour) {
    if (colour.description_present && colour.matrix == 1) return {0.2126, 0.0722};
    return {0.299, 0.114};
}

Yuv from_rgb(double r, double g, double b, Matrix matrix) {  // components 0..1
    const double y = matrix.red * r + (1 - matrix.red - matrix.blue) * g + matrix.blue * b;
    const double u = (b - y) / (2 * (1 - matrix.blue));
    const double v = (r - y) / (2 * (1 - matrix.red));
    return {static_cast<int>(64 + 876 * y + 0.5), static_cast<int>(512 + 896 * u + 0.5),
            static_cast<int>(512 + 896 * v + 0.5)};
}

Yuv packed_pixel(PixelFormat format, const uint8_t* pixel, Matrix matrix) {
    uint32_t word = 0;
    std::memcpy(&word, pixel, 4);
    const int low = word & 0xff, middle = word >> 8 & 0xff, high = word >> 16 & 0xff;
    const int low10 = word & 0x3ff, middle10 = word >> 10 & 0x3ff, high10 = word >> 20 & 0x3ff;
    switch (format) {
        case PixelFormat::argb: return from_rgb(high / 255.0, middle / 255.0, low / 255.0, matrix);
        case PixelFormat::abgr: return from_rgb(low / 255.0, middle / 255.0, high / 255.0, matrix);
        case PixelFormat::argb10: return from_rgb(high10 / 1023.0, middle10 / 1023.0, low10 / 1023.0, matrix);
        case PixelFormat::abgr10: return from_rgb(low10 / 1023.0, middle10 / 1023.0, high10 / 1023.0, matrix);
        default: return {high * 4, middle * 4, low * 4};  // AYUV: A, Y, U, V from the highest byte down
    }
}

// One sample of a planar or semi-planar source at 10 bits. `component` 0 is Y, 1 is U, 2 is V.
int source_sample(const Layout& layout, const Planes& planes, const uint8_t* packed, int component, size_t x,
                  size_t y) {
    int plane = component;
    size_t index = x;
    if (layout.arrangement == Layout::semi_planar && component > 0) {
        plane = 1;
        index = 2 * x + (component - 1);
    } else if (layout.format == PixelFormat::yv12 && component > 0) {
        plane = 3 - component;
    }
    const uint8_t* row = packed + planes.plane[plane].offset + y * planes.plane[plane].pitch;
    if (layout.sample_bytes == 1) return row[index] * 4;
    uint16_t sample;
    std::memcpy(&sample, row + 2 * index, 2);
    return sample >> 6;  // 10 bits lie in the high end of 16
}

template <typename Sample>
void put(const PlaneView<Sample>& view, size_t x, size_t y, int value10) {
    const int rounded = sizeof(Sample) == 2 ? value10 : std::min((value10 + 2) / 4, 255);
    view.at(x, y) = static_cast<Sample>(rounded);
}

template <typename Sample>
struct Target {
    PlaneView<Sample> component[3];
};

template <typename Sample>
Target<Sample> target_views(std::vector<uint8_t>& pixels, const PictureFormat& format) {
    const size_t luma = size_t{1} * format.width * format.height;
    const size_t width = chroma_width(format), height = chroma_height(format);
    pixels.resize((luma + 2 * width * height) * sizeof(Sample));
    auto* base = reinterpret_cast<Sample*>(pixels.data());
    return {{{base, static_cast<size_t>(format.width), static_cast<size_t>(format.height)},
             {base + luma, width, height},
             {base + luma + width * height, width, height}}};
}

template <typename Sample>
void convert_packed(PixelFormat format, const uint8_t* packed, const PictureFormat& target, Matrix matrix,
                    const Target<Sample>& out) {
    const size_t step_x = target.chroma == 3 ? 1 : 2, step_y = target.chroma == 1 ? 2 : 1;
    const size_t width = target.width, height = target.height;
    const auto pixel = [&](size_t x, size_t y) {
        return packed_pixel(format, packed + 4 * (std::min(y, height - 1) * width + std::min(x, width - 1)), matrix);
    };
    for (size_t y = 0; y < height; ++y)
        for (size_t x = 0; x < width; ++x) put(out.component[0], x, y, pixel(x, y).y);
    const int count = static_cast<int>(step_x * step_y);
    for (size_t y = 0; y < out.component[1].height; ++y) {
        for (size_t x = 0; x < out.component[1].width; ++x) {
            int u = 0, v = 0;
            for (size_t dy = 0; dy < step_y; ++dy) {
                for (size_t dx = 0; dx < step_x; ++dx) {
                    const Yuv yuv = pixel(x * step_x + dx, y * step_y + dy);
                    u += yuv.u;
                    v += yuv.v;
                }
            }
            put(out.component[1], x, y, (u + count / 2) / count);
            put(out.component[2], x, y, (v + count / 2) / count);
        }
    }
}

template <typename Sample>
void convert_planes(const Layout& layout, const uint8_t* packed, const PictureFormat& target,
                    const Target<Sample>& out) {
    const Planes planes = packed_planes(layout.format, target.width, target.height);
    const PictureFormat source{target.width, target.height, layout.chroma, 8};
    for (int component = 0; component < 3; ++component) {
        const auto& view = out.component[component];
        const size_t limit_x = component ? chroma_width(source) : target.width;
        const size_t limit_y = component ? chroma_height(source) : target.height;
        const size_t scale_x = component && view.width < limit_x ? 2 : 1;
        const size_t scale_y = component && view.height < limit_y ? 2 : 1;
        for (size_t y = 0; y < view.height; ++y)
            for (size_t x = 0; x < view.width; ++x)
                put(view, x, y,
                    source_sample(layout, planes, packed, component, std::min(x * scale_x, limit_x - 1),
                                  std::min(y * scale_y, limit_y - 1)));
    }
}

template <typename Sample>
std::vector<uint8_t> convert(const Layout& layout, const uint8_t* packed, const PictureFormat& target, Matrix matrix) {
    std::vector<uint8_t> pixels;
    const Target<Sample> out = target_views<Sample>(pixels, target);
    if (layout.arrangement == Layout::packed)
        convert_packed(layout.format, packed, target, matrix, out);
    else
        convert_planes(layout, packed, target, out);
    return pixels;
}

// The common case, NV12 to 4:2:0 of 8 bits, is only a matter of taking the chroma apart.
std::vector<uint8_t> planar_from_nv12(const uint8_t* packed, const PictureFormat& target) {
    std::vector<uint8_t> pixels;
    const Target<uint8_t> out = target_views<uint8_t>(pixels, target);
    const size_t luma = size_t{1} * target.width * target.height;
    const size_t samples = out.component[1].width * out.component[1].height;
    std::memcpy(pixels.data(), packed, luma);
    const uint8_t* chroma = packed + luma;
    for (size_t i = 0; i < samples; ++i) {
        out.component[1].data[i] = chroma[2 * i];
        out.component[2].data[i] = chroma[2 * i + 1];
    }
    return pixels;
}

}  // namespace

const char* name_of(PixelFormat format) {
    const Layout* layout = layout_of(format);
    return layout ? layout->name : nullptr;
}

const std::vector<PixelFormat>& all_pixel_formats() {
    static const std::vector<PixelFormat> all = [] {
        std::vector<PixelFormat> formats;
        for (const Layout& layout : layouts) formats.push_back(layout.format);
        return formats;
    }();
    return all;
}

Planes planes_of(PixelFormat format, size_t width, size_t height, size_t pitch, size_t surface_height) {
    const Layout& layout = *layout_of(format);
    Planes planes;
    const auto add = [&](size_t offset, size_t plane_pitch, size_t bytes, size_t rows) {
        planes.plane[planes.count++] = {offset, plane_pitch, bytes, rows};
    };
    add(0, pitch, row_bytes(format, width), height);
    if (layout.arrangement == Layout::packed) return planes;
    const size_t luma = pitch * surface_height;
    const size_t rows = layout.chroma == 1 ? half(height) : height;
    const size_t surface_rows = layout.chroma == 1 ? half(surface_height) : surface_height;
    if (layout.arrangement == Layout::semi_planar) {
        add(luma, pitch, 2 * half(width) * layout.sample_bytes, rows);
        return planes;
    }
    const size_t chroma_pitch = layout.chroma == 3 ? pitch : half(pitch);
    const size_t bytes = (layout.chroma == 3 ? width : half(width)) * layout.sample_bytes;
    add(luma, chroma_pitch, bytes, rows);
    add(luma + chroma_pitch * surface_rows, chroma_pitch, bytes, rows);
    return planes;
}

Planes packed_planes(PixelFormat format, size_t width, size_t height) {
    Planes planes = planes_of(format, width, height, row_bytes(format, width), height);
    size_t offset = 0;
    for (int i = 0; i < planes.count; ++i) {
        Plane& plane = planes.plane[i];
        plane.offset = offset;
        plane.pitch = plane.row_bytes;
        offset += plane.row_bytes * plane.rows;
    }
    return planes;
}

size_t packed_size(PixelFormat format, size_t width, size_t height) {
    const Planes planes = packed_planes(format, width, height);
    const Plane& last = planes.plane[planes.count - 1];
    return last.offset + last.row_bytes * last.rows;
}

size_t row_bytes(PixelFormat format, size_t width) {
    const Layout& layout = *layout_of(format);
    return layout.arrangement == Layout::packed ? 4 * width : width * layout.sample_bytes;
}

size_t system_pitch(PixelFormat format, size_t width) {
    const Layout& layout = *layout_of(format);
    const bool in_thirds = layout.arrangement == Layout::planar && layout.chroma == 1;  // YV12 and IYUV
    const size_t unit = in_thirds || layout.arrangement == Layout::packed ? 512 : 64;
    return (row_bytes(format, width) + unit - 1) / unit * unit;
}

int chroma_of(PixelFormat format) { return layout_of(format)->chroma; }
int bit_depth_of(PixelFormat format) { return layout_of(format)->sample_bytes == 2 ? 10 : 8; }

bool is_rgb(PixelFormat format) {
    return layout_of(format)->arrangement == Layout::packed && format != PixelFormat::ayuv;
}

std::vector<uint8_t> to_planar(PixelFormat format, const uint8_t* packed, const PictureFormat& target,
                               const ColourDescription& colour) {
    const Layout& layout = *layout_of(format);
    if (format == PixelFormat::nv12 && target.chroma == 1 && target.bit_depth == 8)
        return planar_from_nv12(packed, target);
    const Matrix matrix = matrix_of(colour);
    return target.bit_depth == 10 ? convert<uint16_t>(layout, packed, target, matrix)
                                  : convert<uint8_t>(layout, packed, target, matrix);
}

}  // namespace nvsim
