#include "python/yuv_frame.hpp"

#include <string_view>

#include "python/frame_answers.hpp"

namespace pdum::nvenc {
namespace {

std::string shape_text(const FrameSpec& spec) {
    const FormatTraits& format = *spec.format;
    const std::string width = std::to_string(spec.width), height = std::to_string(spec.height);
    const std::string type = " and type uint" + std::to_string(format.sample_bytes * 8);
    if (format.packed && format.sample_bytes == 1) return "(" + height + ", " + width + ", 4)" + type;
    if (format.packed) return "(" + height + ", " + width + ")" + type;
    return "(" + std::to_string(surface_rows(format, spec.height)) + ", " + width + ")" + type;
}

// "|u1", "<u2" or "<u4". Some libraries have no unsigned types beyond bytes; signed ones hold the same bits.
bool is_sample_type(std::string_view type, uint32_t bytes) {
    if (!type.empty() && (type[0] == '|' || type[0] == '<')) type.remove_prefix(1);
    if (type.size() != 2 || type[1] != static_cast<char>('0' + bytes)) return false;
    return type[0] == 'u' || (type[0] == 'i' && bytes > 1);
}

// The array dimension that holds the rows, if the shape is one that a whole frame has.
struct RowDimension {
    bool fits = false;
    size_t index = 0;
};

RowDimension row_dimension(const Extents& shape, const FrameSpec& spec) {
    const FormatTraits& format = *spec.format;
    const auto rows = static_cast<int64_t>(surface_rows(format, spec.height));
    if (format.packed && format.sample_bytes == 1) {
        return {shape.count == 3 && shape[0] == rows && shape[1] == spec.width && shape[2] == format.pixel_bytes, 0};
    }
    if (shape.count == 2) return {shape[0] == rows && shape[1] == spec.width, 0};
    const bool planes = format.chroma == Chroma::c444 && !format.packed;
    return {planes && shape.count == 3 && shape[0] == 3 && shape[1] == spec.height && shape[2] == spec.width, 1};
}

// For an image of three channels: such a frame is RGB for an encoder that converts it.
std::string_view advice_for_rgb(const Extents& shape, const FrameSpec& spec) {
    if (shape.count != 3) return "";
    const bool is_last = shape[0] == spec.height && shape[1] == spec.width && (shape[2] == 3 || shape[2] == 4);
    const bool is_first = shape[0] == 3 && shape[1] == spec.height && shape[2] == spec.width;
    return is_last || is_first ? " For RGB images, make the encoder with format=\"rgb\"." : "";
}

// The bytes from one row to the next; 0 if the strides are not those of a frame.
int64_t usable_pitch(const ArrayLayout& array, const FrameSpec& spec, size_t row) {
    const FormatTraits& format = *spec.format;
    const int64_t row_bytes = int64_t{spec.width} * format.pixel_bytes;
    if (array.strides.count == 0) return row_bytes;
    if (array.strides.count != array.shape.count) return 0;
    const int64_t pitch = array.strides[row];
    if (array.strides[row + 1] != format.pixel_bytes || pitch < row_bytes) return 0;
    if (row == 1 && array.strides[0] != pitch * spec.height) return 0;
    if (array.strides.count == 3 && row == 0 && array.strides[2] != 1) return 0;
    return format.format == PixelFormat::yuv420 && pitch != row_bytes ? 0 : pitch;
}

}  // namespace

std::string wanted_yuv(const FrameSpec& spec) {
    return "Expected an array of shape " + shape_text(spec) + " for format '" + std::string(spec.format->name) +
           "' and " + std::to_string(spec.width) + "x" + std::to_string(spec.height) + ": " +
           std::string(spec.format->layout) + ".";
}

bool shape_flat_yuv(ArrayLayout& array, const FrameSpec& spec) {
    const FormatTraits& format = *spec.format;
    const auto rows = static_cast<int64_t>(surface_rows(format, spec.height));
    if (array.shape[0] != rows * spec.width * format.pixel_bytes) return false;
    const bool components = format.packed && format.sample_bytes == 1;
    array.shape = {{rows, spec.width, 4}, components ? size_t{3} : size_t{2}};
    array.type = "u" + std::to_string(format.sample_bytes);
    return true;
}

void accept_yuv(const ArrayLayout& array, const FrameSpec& spec, FrameView& view) {
    const FormatTraits& format = *spec.format;
    const RowDimension row = row_dimension(array.shape, spec);
    if (!row.fits || !is_sample_type(array.type, format.sample_bytes)) {
        invalid_frame("Got a frame of shape " + tuple_text(array.shape) + " and type '" + array.type + "'.",
                      wanted_yuv(spec).append(advice_for_rgb(array.shape, spec)));
    }
    const int64_t pitch = usable_pitch(array, spec, row.index);
    if (pitch == 0) {
        invalid_frame("Got a frame of strides " + tuple_text(array.strides) + ".",
                      "The pixels of a row have to lie side by side, each row behind the one before" +
                          std::string(format.format == PixelFormat::yuv420 ? " without padding" : "") +
                          ". Make a contiguous copy first. " + wanted_yuv(spec));
    }
    if (array.data == nullptr) invalid_frame("The frame has a null pointer.", "Is its array still allocated?");
    view.data = array.data;
    view.pitch = static_cast<size_t>(pitch);
    view.row_bytes = size_t{spec.width} * format.pixel_bytes;
    view.rows = surface_rows(format, spec.height);
    view.chroma_offset = view.pitch * spec.height;
}

}  // namespace pdum::nvenc
