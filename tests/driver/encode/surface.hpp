// The pixel formats that a client may hand in: where their planes lie, and how they become planar YUV.
#pragma once

#include <cstddef>
#include <cstdint>
#include <vector>

#include "encode/coder.hpp"

namespace nvsim {

// Values of NV_ENC_BUFFER_FORMAT, the same in every API version that has the format.
enum class PixelFormat : uint32_t {
    undefined = 0,
    nv12 = 0x1,
    yv12 = 0x10,
    iyuv = 0x100,
    yuv444 = 0x1000,
    p010 = 0x10000,
    yuv444_10 = 0x100000,
    argb = 0x1000000,
    argb10 = 0x2000000,
    ayuv = 0x4000000,
    abgr = 0x10000000,
    abgr10 = 0x20000000,
    nv16 = 0x40000001,
    p210 = 0x40000002,
};

const char* name_of(PixelFormat format);  // "NV12"; null for a value that is no format

const std::vector<PixelFormat>& all_pixel_formats();

// One plane of a surface whose luma rows lie `pitch` bytes apart and which is `height` rows high.
struct Plane {
    size_t offset;     // from the surface's first byte
    size_t pitch;      // bytes between rows
    size_t row_bytes;  // that hold pixels
    size_t rows;
};

struct Planes {
    Plane plane[3];
    int count = 0;
};

// The planes of a picture of width x height inside a surface of surface_height rows.
Planes planes_of(PixelFormat format, size_t width, size_t height, size_t pitch, size_t surface_height);

// The same picture with its rows and planes back to back.
Planes packed_planes(PixelFormat format, size_t width, size_t height);
size_t packed_size(PixelFormat format, size_t width, size_t height);
size_t row_bytes(PixelFormat format, size_t width);

// Bytes from one row to the next in an input buffer of the driver's own, as recorded: behaviour of an RTX 3060.
size_t system_pitch(PixelFormat format, size_t width);

int chroma_of(PixelFormat format);     // chroma_format_idc; RGB counts as 4:4:4
int bit_depth_of(PixelFormat format);  // 8 or 10
bool is_rgb(PixelFormat format);

// Packed pixels of any format as the planar samples that a coder of `target` takes. RGB becomes limited-range YUV by
// the matrix of `colour`: BT.601 for 5, 6 and unspecified, BT.709 for 1.
std::vector<uint8_t> to_planar(PixelFormat format, const uint8_t* packed, const PictureFormat& target,
                               const ColourDescription& colour);

}  // namespace nvsim
