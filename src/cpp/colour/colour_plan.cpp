#include "colour/colour_plan.hpp"

#include <algorithm>
#include <utility>

#include "core/error.hpp"

namespace pdum::nvenc {
namespace {

enum class Order : unsigned { rgb, rgbx, planes, any };

constexpr unsigned any_to_subsampled = 54;
constexpr unsigned any_to_full = 55;
constexpr unsigned most_threads_of_block = 96;
constexpr unsigned most_grid_rows = 65535;

bool is_subsampled(YuvFormat format) { return format == YuvFormat::nv12 || format == YuvFormat::p010; }
bool has_ten_bits(YuvFormat format) { return format == YuvFormat::p010 || format == YuvFormat::yuv444_10; }

int64_t size_of(RgbType type) {
    switch (type) {
        case RgbType::u8: return 1;
        case RgbType::f16: return 2;
        case RgbType::f32: return 4;
    }
    return 0;
}

[[noreturn]] void invalid_image(std::string summary, std::string advice = {}) {
    fail(ErrorKind::invalid_frame, std::move(summary), std::move(advice));
}

// The shares of red and blue in luma; green has the rest.
struct LumaShares {
    double red;
    double blue;
};

LumaShares luma_shares(ColourMatrix matrix) {
    switch (matrix) {
        case ColourMatrix::bt601: return {0.299, 0.114};
        case ColourMatrix::bt709: return {0.2126, 0.0722};
        case ColourMatrix::bt2020: return {0.2627, 0.0593};
    }
    return {};
}

// From the input's values to the output's: how far luma and chroma reach, and where they begin.
struct Quantisation {
    double luma_span;
    double luma_base;
    double chroma_span;
    double chroma_middle;
    double greatest;
};

Quantisation quantisation(bool ten_bits, bool full_range) {
    const double step = ten_bits ? 4 : 1;
    const double greatest = ten_bits ? 1023 : 255;
    if (full_range) return {greatest, 0, greatest, 128 * step, greatest};
    return {219 * step, 16 * step, 224 * step, 128 * step, greatest};
}

// A little more than half a code: pure colours often fall between two codes, and all of them should go up, despite the
// rounding of float32.
double half_a_code(const Quantisation& q) { return 0.5 + q.greatest / (1 << 22); }

ChannelWeights weights(double r, double g, double b, double scale, double offset) {
    return {static_cast<float>(r * scale), static_cast<float>(g * scale), static_cast<float>(b * scale),
            static_cast<float>(offset)};
}

void set_weights(ColourKernelArgument& argument, RgbType type, YuvFormat format, const ColourSpace& space) {
    const auto [red, blue] = luma_shares(space.matrix);
    const double green = 1 - red - blue;
    const Quantisation q = quantisation(has_ten_bits(format), space.full_range);
    const double white = type == RgbType::u8 ? 255 : 1;
    const double samples = !is_subsampled(format) ? 1 : space.siting == ChromaSiting::left ? 8 : 4;
    const double chroma = q.chroma_span / white / samples;
    argument.y = weights(red, green, blue, q.luma_span / white, q.luma_base + half_a_code(q));
    argument.u = weights(-red, -green, 1 - blue, chroma / (2 * (1 - blue)), q.chroma_middle + half_a_code(q));
    argument.v = weights(1 - red, -green, -blue, chroma / (2 * (1 - red)), q.chroma_middle + half_a_code(q));
    argument.chroma_ceiling = static_cast<float>(q.greatest + 0.5);
}

// An image and weights with the channels in the order of memory: BGR is RGB with the weights exchanged.
void put_channels_in_order(ColourKernelArgument& argument, RgbImage& image) {
    if (image.channel_stride >= 0) return;
    image.data += static_cast<CUdeviceptr>(2 * image.channel_stride);
    image.channel_stride = -image.channel_stride;
    for (ChannelWeights* channel : {&argument.y, &argument.u, &argument.v}) std::swap(channel->of_r, channel->of_b);
}

template <typename... Integers>
bool all_aligned(uint64_t alignment, Integers... values) {
    return ((static_cast<uint64_t>(values) % alignment == 0) && ...);
}

// How the pixels lie, alignment aside.
Order order_of(const RgbImage& image) {
    const int64_t size = size_of(image.type);
    if (image.pixel_stride == size) return Order::planes;
    if (image.channel_stride != size) return Order::any;
    if (image.pixel_stride == 3 * size) return Order::rgb;
    return image.pixel_stride == 4 * size ? Order::rgbx : Order::any;
}

// The kernel's widest access: a strip of a plane, or a part of three or four channels that is a power of two.
uint64_t source_alignment(RgbType type, Order order) { return type == RgbType::f32 || order == Order::rgbx ? 16 : 8; }

// Pixels of a row that one thread of a wide kernel takes.
uint32_t strip_of(RgbType type, Order order, bool subsampled) {
    if (type == RgbType::f32 && order == Order::rgbx && subsampled) return 2;
    return type == RgbType::u8 ? 8 : 4;
}

bool fits_wide_kernels(const RgbImage& image, const YuvPlanes& planes, Order order) {
    constexpr uint64_t widest_store = 16;
    const uint64_t alignment = source_alignment(image.type, order);
    return order != Order::any && all_aligned(alignment, image.data, image.row_stride) &&
           (order != Order::planes || all_aligned(alignment, image.channel_stride)) &&
           all_aligned(widest_store, planes.luma, planes.luma_pitch, planes.first_chroma, planes.second_chroma,
                       planes.chroma_pitch);
}

constexpr const char* targets[] = {"nv12_left", "nv12_centre", "p010_left", "p010_centre", "yuv444", "yuv444_10"};
constexpr unsigned target_count = 6;
constexpr const char* orders[] = {"rgb", "rgbx", "planes"};
constexpr unsigned order_count = 3;
constexpr const char* types[] = {"u8", "f16", "f32"};

unsigned target_of(YuvFormat format, ChromaSiting siting) {
    const unsigned centre = siting == ChromaSiting::centre ? 1 : 0;
    switch (format) {
        case YuvFormat::nv12: return 0 + centre;
        case YuvFormat::p010: return 2 + centre;
        case YuvFormat::yuv444: return 4;
        case YuvFormat::yuv444_10: return 5;
    }
    return 0;
}

unsigned wide_kernel(RgbType type, Order order, unsigned target) {
    return (static_cast<unsigned>(type) * order_count + static_cast<unsigned>(order)) * target_count + target;
}

void check(const RgbImage& image, const YuvPlanes& planes) {
    const std::string size = std::to_string(image.width) + "x" + std::to_string(image.height);
    const bool subsampled = is_subsampled(planes.format);
    if (image.width == 0 || image.height == 0) invalid_image("The RGB image of " + size + " has no pixels.");
    if (subsampled && (image.width % 2 != 0 || image.height % 2 != 0)) {
        invalid_image("Expected an even width and height, got an RGB image of " + size + ".",
                      "4:2:0 has one chroma sample for 2x2 pixels.");
    }
    const uint32_t grid_rows = subsampled ? image.height / 2 : image.height;
    if (grid_rows > most_grid_rows || image.width > 1u << 24)
        invalid_image("The RGB image of " + size + " is too large.");
    if (image.data == 0) invalid_image("The RGB image has a null pointer.", "Is its array still allocated?");
    if (!all_aligned(static_cast<uint64_t>(size_of(image.type)), image.data, image.row_stride, image.pixel_stride,
                     image.channel_stride)) {
        invalid_image("The RGB image's elements do not lie on multiples of their size.",
                      "Make a contiguous copy first.");
    }
}

ColourKernelArgument argument_for(const RgbImage& image, const YuvPlanes& planes, const ColourSpace& space) {
    ColourKernelArgument argument{};
    set_weights(argument, image.type, planes.format, space);
    argument.luma = reinterpret_cast<unsigned char*>(planes.luma);
    argument.first_chroma = reinterpret_cast<unsigned char*>(planes.first_chroma);
    argument.second_chroma = reinterpret_cast<unsigned char*>(planes.second_chroma);
    argument.luma_pitch = static_cast<long long>(planes.luma_pitch);
    argument.chroma_pitch = static_cast<long long>(planes.chroma_pitch);
    argument.source_type = static_cast<int>(image.type);
    argument.ten_bits = has_ten_bits(planes.format) ? 1 : 0;
    argument.left_siting = space.siting == ChromaSiting::left ? 1 : 0;
    return argument;
}

void set_image(ColourKernelArgument& argument, const RgbImage& image) {
    argument.source = reinterpret_cast<const unsigned char*>(image.data);
    argument.row_stride = image.row_stride;
    argument.pixel_stride = image.pixel_stride;
    argument.channel_stride = image.channel_stride;
}

void add_launch(ConversionPlan& plan, unsigned kernel, ColourKernelArgument argument, uint32_t begin, uint32_t end,
                uint32_t pixels_of_thread, uint32_t rows) {
    if (begin == end) return;
    argument.first_column = static_cast<int>(begin);
    argument.end_column = static_cast<int>(end);
    const uint32_t threads = (end - begin + pixels_of_thread - 1) / pixels_of_thread;
    const uint32_t blocks = (threads + most_threads_of_block - 1) / most_threads_of_block;
    const uint32_t block = ((threads + blocks - 1) / blocks + 31) / 32 * 32;
    plan.launches[plan.count++] = {kernel, blocks, rows, block, argument};
}

}  // namespace

RgbImage rgb_image(CUdeviceptr data, RgbLayout layout, RgbType type, const std::array<int64_t, 3>& shape,
                   const int64_t* strides) {
    const bool hwc = layout == RgbLayout::hwc;
    const auto [rows, columns, channels] = hwc ? std::array{0, 1, 2} : std::array{1, 2, 0};
    const auto extent = [&](int axis) { return shape[static_cast<size_t>(axis)]; };
    if (extent(channels) != 3 && extent(channels) != 4) {
        invalid_image("Expected 3 or 4 channels, got an RGB image of " + std::to_string(extent(channels)) +
                      " channels.");
    }
    if (std::min(extent(rows), extent(columns)) < 0 || std::max(extent(rows), extent(columns)) > UINT32_MAX) {
        invalid_image("The RGB image's shape (" + std::to_string(shape[0]) + ", " + std::to_string(shape[1]) + ", " +
                      std::to_string(shape[2]) + ") is out of range.");
    }
    const int64_t size = size_of(type);
    const std::array<int64_t, 3> packed{shape[1] * shape[2] * size, shape[2] * size, size};
    const auto stride = [&](int axis) {
        return strides != nullptr ? strides[axis] : packed[static_cast<size_t>(axis)];
    };
    RgbImage image;
    image.data = data;
    image.type = type;
    image.height = static_cast<uint32_t>(extent(rows));
    image.width = static_cast<uint32_t>(extent(columns));
    image.row_stride = stride(rows);
    image.pixel_stride = stride(columns);
    image.channel_stride = stride(channels);
    return image;
}

YuvPlanes yuv_planes(YuvFormat format, CUdeviceptr data, size_t pitch, uint32_t height) noexcept {
    const CUdeviceptr plane = pitch * height;
    const CUdeviceptr second = is_subsampled(format) ? 0 : data + 2 * plane;
    return {format, data, data + plane, second, pitch, pitch};
}

std::string kernel_name(unsigned kernel) {
    if (kernel == any_to_subsampled) return "any_to_subsampled";
    if (kernel == any_to_full) return "any_to_full";
    const unsigned target = kernel % target_count;
    const unsigned order = kernel / target_count % order_count;
    return std::string(types[kernel / target_count / order_count]) + "_" + orders[order] + "_to_" + targets[target];
}

ConversionPlan plan_conversion(const RgbImage& image, const YuvPlanes& planes, const ColourSpace& space) {
    check(image, planes);
    const bool subsampled = is_subsampled(planes.format);
    ColourKernelArgument argument = argument_for(image, planes, space);
    RgbImage ordered = image;
    put_channels_in_order(argument, ordered);
    set_image(argument, ordered);

    const uint32_t rows = subsampled ? image.height / 2 : image.height;
    const Order order = order_of(ordered);
    const uint32_t strip = strip_of(image.type, order, subsampled);
    const uint32_t wide_end = fits_wide_kernels(ordered, planes, order) ? image.width / strip * strip : 0;
    ConversionPlan plan;
    if (wide_end > 0) {
        const unsigned kernel = wide_kernel(image.type, order, target_of(planes.format, space.siting));
        add_launch(plan, kernel, argument, 0, wide_end, strip, rows);
    }
    add_launch(plan, subsampled ? any_to_subsampled : any_to_full, argument, wide_end, image.width, subsampled ? 2 : 1,
               rows);
    return plan;
}

}  // namespace pdum::nvenc
