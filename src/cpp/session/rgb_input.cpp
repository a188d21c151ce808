#include "session/rgb_input.hpp"

#include <algorithm>
#include <array>
#include <string>
#include <utility>

#include "core/error.hpp"

namespace pdum::nvenc {
namespace {

// A view that is spread over more than this many times its own bytes is refused, since all bytes between are copied.
constexpr size_t most_spread = 8;

YuvFormat format_of(const Settings& settings) {
    switch (settings.format) {
        case PixelFormat::nv12: return YuvFormat::nv12;
        case PixelFormat::p010: return YuvFormat::p010;
        case PixelFormat::yuv444: return YuvFormat::yuv444;
        case PixelFormat::yuv444_10: return YuvFormat::yuv444_10;
        default: fail(ErrorKind::invalid_config, "RGB frames are not converted to that format.");
    }
}

// Chroma lies where players expect it in a stream that does not say.
ColourSpace space_of(const Settings& settings) {
    const Colour signalled = settings.colour.value_or(Colour{});
    switch (signalled.matrix) {
        case 1: return {ColourMatrix::bt709, signalled.full_range};
        case 5:
        case 6: return {ColourMatrix::bt601, signalled.full_range};
        case 9: return {ColourMatrix::bt2020, signalled.full_range};
        default:
            fail(ErrorKind::invalid_config,
                 "RGB frames are not converted by the matrix " + std::to_string(signalled.matrix) + " of H.273.",
                 "It can be that of BT.601, BT.709 or BT.2020.");
    }
}

struct Span {
    size_t before = 0;  // bytes before the image's first element
    size_t bytes = 0;   // of everything
};

// From the lowest byte of the image to its highest one.
Span span_of(const RgbImage& image, size_t element) {
    Span span{0, element};
    const std::array<std::pair<int64_t, int64_t>, 3> axes{
        {{image.row_stride, image.height}, {image.pixel_stride, image.width}, {image.channel_stride, 3}}};
    for (const auto& [stride, extent] : axes) {
        const auto reach = static_cast<size_t>(std::abs(stride) * (extent - 1));
        span.bytes += reach;
        if (stride < 0) span.before += reach;
    }
    return span;
}

size_t element_bytes(RgbType type) { return type == RgbType::u8 ? 1 : type == RgbType::f16 ? 2 : 4; }

}  // namespace

RgbInput::RgbInput(std::shared_ptr<const Context> context) : context_(context), converter_(std::move(context)) {}

void RgbInput::convert(const FrameView& frame, bool in_reach, const Settings& settings, const DeviceRows& surface,
                       CUstream stream) {
    const YuvPlanes planes = yuv_planes(format_of(settings), surface.pointer(), surface.pitch(), settings.height);
    const bool on_device = frame.memory == FrameMemory::device;
    const RgbImage image = on_device && in_reach ? *frame.image : staged(frame, stream);
    converter_.convert(image, planes, space_of(settings), stream);
}

// One buffer serves all frames, because the stream reads each frame there before it goes on to the next.
RgbImage RgbInput::staged(const FrameView& frame, CUstream stream) {
    RgbImage image = *frame.image;
    const size_t element = element_bytes(image.type);
    const Span span = span_of(image, element);
    const size_t packed = size_t{image.width} * image.height * 3 * element;
    if (span.bytes / most_spread > packed) {
        fail(ErrorKind::invalid_frame,
             "The RGB frame's " + std::to_string(packed) + " bytes are spread over " + std::to_string(span.bytes) + ".",
             "Make a contiguous copy first, as numpy.ascontiguousarray() does.");
    }
    if (staging_bytes_ < span.bytes) {
        staging_bytes_ = 0;
        staging_.reset();
        staging_ = std::make_unique<DeviceRows>(context_, span.bytes, 1);
        staging_bytes_ = span.bytes;
    }
    const CUdeviceptr begin = image.data - span.before;
    CUDA_MEMCPY2D copy{};
    copy.srcMemoryType = frame.memory == FrameMemory::host ? memory_host : memory_device;
    copy.srcHost = reinterpret_cast<const void*>(begin);
    copy.srcDevice = begin;
    copy.srcPitch = span.bytes;
    copy.dstMemoryType = memory_device;
    copy.dstDevice = staging_->pointer();
    copy.dstPitch = span.bytes;
    copy.WidthInBytes = span.bytes;
    copy.Height = 1;
    check_cuda(context_->functions().cuMemcpy2DAsync(&copy, stream), "cuMemcpy2DAsync");
    image.data = staging_->pointer() + span.before;
    return image;
}

}  // namespace pdum::nvenc
