#include "abi/pixel_format.hpp"

#include <algorithm>
#include <array>

namespace pdum::nvenc {
namespace {

constexpr std::array<FormatTraits, 12> formats{{
    {PixelFormat::nv12, "nv12", Chroma::c420, 8, 1, 1, 3, false, false,
     "the rows of Y, then half as many of interleaved U and V"},
    {PixelFormat::p010, "p010", Chroma::c420, 10, 2, 2, 3, false, false,
     "as NV12, with 10 bits in the upper end of 16"},
    {PixelFormat::yuv420, "yuv420", Chroma::c420, 8, 1, 1, 3, false, false,
     "the rows of Y, then the quarter-size planes U and V, packed"},
    {PixelFormat::yuv444, "yuv444", Chroma::c444, 8, 1, 1, 6, false, false, "the planes Y, U and V"},
    {PixelFormat::yuv444_10, "yuv444_10", Chroma::c444, 10, 2, 2, 6, false, false,
     "the planes Y, U and V, with 10 bits in the upper end of 16"},
    {PixelFormat::nv16, "nv16", Chroma::c422, 8, 1, 1, 4, false, false,
     "the rows of Y, then as many of interleaved U and V"},
    {PixelFormat::p210, "p210", Chroma::c422, 10, 2, 2, 4, false, false,
     "as NV16, with 10 bits in the upper end of 16"},
    {PixelFormat::argb, "argb", Chroma::c420, 8, 4, 1, 2, true, true, "bytes B, G, R, A in memory"},
    {PixelFormat::abgr, "abgr", Chroma::c420, 8, 4, 1, 2, true, true, "bytes R, G, B, A in memory"},
    {PixelFormat::ayuv, "ayuv", Chroma::c444, 8, 4, 1, 2, true, false, "bytes V, U, Y, A in memory"},
    {PixelFormat::argb10, "argb10", Chroma::c420, 10, 4, 4, 2, true, true,
     "32-bit words with B in the low 10 bits, then G, then R"},
    {PixelFormat::abgr10, "abgr10", Chroma::c420, 10, 4, 4, 2, true, true,
     "32-bit words with R in the low 10 bits, then G, then B"},
}};

}  // namespace

const FormatTraits& traits_of(PixelFormat format) { return formats[static_cast<size_t>(format)]; }

const FormatTraits* find_format(std::string_view name) {
    const auto* found =
        std::find_if(formats.begin(), formats.end(), [&](const FormatTraits& f) { return f.name == name; });
    return found != formats.end() ? found : nullptr;
}

}  // namespace pdum::nvenc
