// The part of RGB to YUV that needs no GPU: what can be converted, with which numbers, and by which kernels.
#pragma once

#include <array>
#include <cstddef>
#include <cstdint>
#include <string>
#include <vector>

#include "colour/colour_kernels.hpp"
#include "cuda/cuda_types.hpp"

namespace pdum::nvenc {

enum class RgbLayout { hwc, chw };
enum class RgbType { u8, f16, f32 };  // floats from 0 to 1; other values are clamped, and NaN is black
enum class YuvFormat { nv12, p010, yuv444, yuv444_10 };  // ten bits lie in the high bits of 16
enum class ColourMatrix { bt601, bt709, bt2020 };        // BT.2020 with non-constant luminance

// The position of a sample of 4:2:0 chroma. Left: on the left luma column, as H.264, HEVC and AV1 decoders expect if a
// stream says nothing. Centre: in the middle of four luma samples, as in JPEG.
enum class ChromaSiting { left, centre };

struct ColourSpace {
    ColourMatrix matrix = ColourMatrix::bt709;
    bool full_range = false;
    ChromaSiting siting = ChromaSiting::left;
};

// Strides in bytes. They may be negative (flipped images, BGR) or zero (one channel shown three times).
struct RgbImage {
    CUdeviceptr data = 0;  // the red of the upper left pixel
    RgbType type = RgbType::u8;
    uint32_t width = 0;
    uint32_t height = 0;
    int64_t row_stride = 0;
    int64_t pixel_stride = 0;
    int64_t channel_stride = 0;
};

// From an array of shape (height, width, 3 or 4) or (3 or 4, height, width); `strides` in bytes, null if it is
// packed. A fourth channel is ignored. Throws invalid_frame.
RgbImage rgb_image(CUdeviceptr data, RgbLayout layout, RgbType type, const std::array<int64_t, 3>& shape,
                   const int64_t* strides);

struct YuvPlanes {
    YuvFormat format = YuvFormat::nv12;
    CUdeviceptr luma = 0;
    CUdeviceptr first_chroma = 0;   // U; of 4:2:0, U and V side by side
    CUdeviceptr second_chroma = 0;  // V of 4:4:4
    size_t luma_pitch = 0;
    size_t chroma_pitch = 0;
};

// The planes of one allocation as NVIDIA's encoder wants them: chroma behind `height` rows of luma, one pitch for all.
YuvPlanes yuv_planes(YuvFormat format, CUdeviceptr data, size_t pitch, uint32_t height) noexcept;

// Kernels count from 0 to kernel_count - 1.
constexpr unsigned kernel_count = 56;
std::string kernel_name(unsigned kernel);

struct KernelLaunch {
    unsigned kernel = 0;
    unsigned grid_columns = 0;
    unsigned grid_rows = 0;
    unsigned block = 0;  // threads, side by side in a row
    ColourKernelArgument argument{};
};

// At most one launch for what the wide kernels can do, and one for the rest.
struct ConversionPlan {
    std::array<KernelLaunch, 2> launches{};
    size_t count = 0;
};

// Throws invalid_frame for what cannot be converted: odd sizes for 4:2:0, elements off their own alignment.
ConversionPlan plan_conversion(const RgbImage& image, const YuvPlanes& planes, const ColourSpace& space);

}  // namespace pdum::nvenc
