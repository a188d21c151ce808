#include "python/rgb_frame.hpp"

#include <algorithm>
#include <optional>
#include <string_view>

#include "core/error.hpp"

namespace pdum::nvenc {
namespace {

// No array has longer ones, and their sums do not overflow.
constexpr int64_t longest_stride = int64_t{1} << 40;

bool is_channel_count(int64_t count) { return count == 3 || count == 4; }

std::optional<RgbLayout> layout_of(const Extents& shape, const FrameSpec& spec) {
    if (shape.count != 3) return std::nullopt;
    if (shape[0] == spec.height && shape[1] == spec.width && is_channel_count(shape[2])) return RgbLayout::hwc;
    if (is_channel_count(shape[0]) && shape[1] == spec.height && shape[2] == spec.width) return RgbLayout::chw;
    return std::nullopt;
}

std::optional<RgbType> type_of(std::string_view type) {
    if (!type.empty() && (type[0] == '|' || type[0] == '<')) type.remove_prefix(1);
    if (type == "u1") return RgbType::u8;
    if (type == "f2") return RgbType::f16;
    if (type == "f4") return RgbType::f32;
    return std::nullopt;
}

void require_strides(const Extents& strides, const FrameSpec& spec) {
    const auto* end = strides.values.data() + strides.count;
    const bool sensible =
        strides.count == 0 || (strides.count == 3 && std::all_of(strides.values.data(), end, [](int64_t s) {
                                   return s >= -longest_stride && s <= longest_stride;
                               }));
    if (sensible) return;
    fail(ErrorKind::invalid_frame, "Got a frame of strides " + tuple_text(strides) + ".",
         "Make a contiguous copy first. " + wanted_rgb(spec));
}

}  // namespace

std::string wanted_rgb(const FrameSpec& spec) {
    const std::string width = std::to_string(spec.width), height = std::to_string(spec.height);
    return "Expected an array of shape (" + height + ", " + width + ", 3) or (3, " + height + ", " + width +
           ") and type uint8, or float16 or float32 from 0 to 1, for format 'rgb' and " + width + "x" + height +
           ". A fourth channel is ignored.";
}

bool shape_flat_rgb(ArrayLayout& array, const FrameSpec& spec) {
    if (array.shape[0] != int64_t{spec.height} * spec.width * 3) return false;
    array.shape = {{spec.height, spec.width, 3}, 3};
    array.type = "u1";
    return true;
}

void accept_rgb(const ArrayLayout& array, const FrameSpec& spec, FrameView& view) {
    const std::optional<RgbLayout> layout = layout_of(array.shape, spec);
    const std::optional<RgbType> type = type_of(array.type);
    if (!layout || !type) {
        fail(ErrorKind::invalid_frame,
             "Got a frame of shape " + tuple_text(array.shape) + " and type '" + array.type + "'.", wanted_rgb(spec));
    }
    require_strides(array.strides, spec);
    if (array.data == nullptr) {
        fail(ErrorKind::invalid_frame, "The frame has a null pointer.", "Is its array still allocated?");
    }
    view.data = array.data;
    view.image = rgb_image(reinterpret_cast<CUdeviceptr>(array.data), *layout, *type,
                           {array.shape[0], array.shape[1], array.shape[2]},
                           array.strides.count == 0 ? nullptr : array.strides.values.data());
}

}  // namespace pdum::nvenc
