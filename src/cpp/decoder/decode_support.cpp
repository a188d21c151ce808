#include "decoder/decode_support.hpp"

#include <string>

#include "core/error.hpp"

namespace pdum::nvenc {
namespace {

constexpr const char* by_processor = "Decode it on the processor.";

const char* name_of_chroma(VideoChroma chroma) {
    switch (chroma) {
        case VideoChroma::monochrome: return "4:0:0";
        case VideoChroma::c420: return "4:2:0";
        case VideoChroma::c422: return "4:2:2";
        case VideoChroma::c444: return "4:4:4";
    }
    return "of an unknown chroma format";
}

std::string text_of(const VideoFormat& format) {
    return std::string(name_of(format.codec)) + " " + name_of_chroma(format.chroma) + " with " +
           std::to_string(format.bit_depth) + " bits";
}

std::string size_text(uint32_t width, uint32_t height) { return std::to_string(width) + "x" + std::to_string(height); }

}  // namespace

PixelFormat require_decodable(const Context& context, const VideoFormat& format) {
    const std::string gpu = "GPU " + std::to_string(context.gpu()) + " (" + context.gpu_name() + ")";
    const DecodeLimits limits = decode_limits(format.codec, format.chroma, format.bit_depth);
    if (!limits.is_supported) {
        fail(ErrorKind::unsupported_feature, gpu + " does not decode " + text_of(format) + ".", by_processor);
    }
    const uint64_t macroblocks = uint64_t{format.coded_width} * format.coded_height / 256;
    const bool fits = format.coded_width >= limits.min_width && format.coded_height >= limits.min_height &&
                      format.coded_width <= limits.max_width && format.coded_height <= limits.max_height &&
                      macroblocks <= limits.max_macroblocks;
    if (!fits) {
        fail(ErrorKind::unsupported_feature,
             gpu + " decodes " + text_of(format) + " from " + size_text(limits.min_width, limits.min_height) + " to " +
                 size_text(limits.max_width, limits.max_height) + " and up to " +
                 std::to_string(limits.max_macroblocks) + " macroblocks, got a video of " +
                 size_text(format.coded_width, format.coded_height) + ".",
             by_processor);
    }
    const std::optional<PixelFormat> layout = output_format(limits, format);
    if (layout) return *layout;
    fail(ErrorKind::unsupported_feature, gpu + " decodes " + text_of(format) + ", but not without losing bits.",
         by_processor);
}

}  // namespace pdum::nvenc
