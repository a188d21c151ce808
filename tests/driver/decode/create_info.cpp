#include "decode/create_info.hpp"

#include <string>

#include "common/text.hpp"
#include "decode/caps.hpp"

namespace nvsim::decode {

namespace {

constexpr int kMostSurfaces = 32;
constexpr int kMostOutputs = 64;

template <typename R>
Rect rect_of(const R& rect) {
    return {rect.left, rect.top, rect.right, rect.bottom};
}

bool outside(const Rect& rect, int64_t width, int64_t height) {
    return rect.left < 0 || rect.top < 0 || rect.width() < 0 || rect.height() < 0 || rect.right > width ||
           rect.bottom > height;
}

Rect or_whole(const Rect& rect, int64_t width, int64_t height) {
    if (rect.width() != 0 && rect.height() != 0) return rect;
    return {0, 0, static_cast<int>(width), static_cast<int>(height)};
}

void check_areas(const CUVIDDECODECREATEINFO& info, const std::string& object) {
    const auto width = static_cast<int64_t>(info.ulWidth), height = static_cast<int64_t>(info.ulHeight);
    if (outside(rect_of(info.display_area), width, height))
        violate(Status::invalid_value, object, "display_area lies outside the picture");
    if (info.ulTargetWidth == 0 || info.ulTargetHeight == 0 || info.ulTargetWidth % 2 != 0 ||
        info.ulTargetHeight % 2 != 0)
        violate(Status::invalid_value, object,
                text("the target's size ", info.ulTargetWidth, "x", info.ulTargetHeight, " has to be even"));
    if (outside(rect_of(info.target_rect), static_cast<int64_t>(info.ulTargetWidth),
                static_cast<int64_t>(info.ulTargetHeight)))
        violate(Status::invalid_value, object, "target_rect lies outside the target");
}

void check_counts(unsigned long surfaces, unsigned long outputs, const std::string& object) {
    if (surfaces < 1 || surfaces > kMostSurfaces)
        violate(Status::invalid_value, object,
                text("ulNumDecodeSurfaces is ", surfaces, ", and has to be from 1 to ", kMostSurfaces));
    if (outputs < 1 || outputs > kMostOutputs)
        violate(Status::invalid_value, object,
                text("ulNumOutputSurfaces is ", outputs, ", and has to be from 1 to ", kMostOutputs));
}

}  // namespace

void check_create_info(const Device& device, const CUVIDDECODECREATEINFO& info) {
    const std::string object = "CUVIDDECODECREATEINFO";
    if (info.Reserved1 != 0 || !all_zero(info.Reserved2))
        violate(Status::invalid_value, object, "reserved words are not zero");
    const auto found =
        capability(device.gpu, info.CodecType, info.ChromaFormat, static_cast<unsigned>(info.bitDepthMinus8) + 8);
    if (!found) throw Refusal{Status::not_supported};
    const unsigned long most_width = std::max(info.ulWidth, info.ulMaxWidth),
                        most_height = std::max(info.ulHeight, info.ulMaxHeight);
    if (info.ulWidth < found->min_width || info.ulHeight < found->min_height || most_width > found->max_width ||
        most_height > found->max_height || most_width * most_height / 256 > found->max_macroblocks)
        throw Refusal{Status::invalid_value};
    if (info.OutputFormat > cudaVideoSurfaceFormat_P216 || (found->output_formats >> info.OutputFormat & 1) == 0)
        violate(Status::invalid_value, object,
                text("OutputFormat ", info.OutputFormat, " is not in nOutputFormatMask"));
    if (info.DeinterlaceMode > cudaVideoDeinterlaceMode_Adaptive)
        violate(Status::invalid_value, object, text("DeinterlaceMode ", info.DeinterlaceMode, " does not exist"));
    check_counts(info.ulNumDecodeSurfaces, info.ulNumOutputSurfaces, object);
    check_areas(info, object);
}

Layout layout_of(const CUVIDDECODECREATEINFO& info) {
    Layout layout;
    layout.format = info.OutputFormat;
    layout.width = static_cast<int>(info.ulTargetWidth);
    layout.height = static_cast<int>(info.ulTargetHeight);
    layout.source =
        or_whole(rect_of(info.display_area), static_cast<int64_t>(info.ulWidth), static_cast<int64_t>(info.ulHeight));
    layout.target = or_whole(rect_of(info.target_rect), layout.width, layout.height);
    return layout;
}

}  // namespace nvsim::decode
