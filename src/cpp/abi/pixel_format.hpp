// The picture formats that the encoder reads, and how each one lies in memory.
#pragma once

#include <cstddef>
#include <cstdint>
#include <string_view>

namespace pdum::nvenc {

enum class PixelFormat { nv12, p010, yuv420, yuv444, yuv444_10, nv16, p210, argb, abgr, ayuv, argb10, abgr10 };

enum class Chroma { c420, c422, c444 };

// One surface is rows of one pitch; the chroma of yuv420 alone lies at half the pitch.
struct FormatTraits {
    PixelFormat format;
    std::string_view name;
    Chroma chroma;          // of what is encoded: packed RGB is turned into 4:2:0 unless 4:4:4 is asked for
    int bit_depth;          // of a sample
    uint32_t pixel_bytes;   // from one pixel to the next in a row
    uint32_t sample_bytes;  // of one array element
    uint32_t rows_times_2;  // rows of the surface for one row of the picture, times two
    bool packed;            // all components of a pixel side by side
    bool rgb;               // the engine converts it itself
    std::string_view layout;
};

const FormatTraits& traits_of(PixelFormat format);
// Null for an unknown name.
const FormatTraits* find_format(std::string_view name);

// The pitch of luma divided by that of chroma: two for separate planes of U and V at half the width.
inline size_t chroma_pitch_divisor(const FormatTraits& format) { return format.format == PixelFormat::yuv420 ? 2 : 1; }

// Whether rows with padding still make one array, which they do not if chroma has a pitch of its own.
inline bool has_padded_array(const FormatTraits& format) { return chroma_pitch_divisor(format) == 1; }

// Bytes of a row without its padding.
inline size_t row_bytes_of(const FormatTraits& format, uint32_t width) { return size_t{width} * format.pixel_bytes; }

// Whether an array of a frame has a third axis for the components of a pixel.
inline bool has_component_axis(const FormatTraits& format) { return format.packed && format.sample_bytes == 1; }

inline size_t surface_rows(const FormatTraits& format, uint32_t height) {
    return size_t{height} * format.rows_times_2 / 2;
}

}  // namespace pdum::nvenc
