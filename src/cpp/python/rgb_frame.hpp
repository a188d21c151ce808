// Arrays of RGB as frames: rows of pixels, or one plane for each channel.
#pragma once

#include <string>

#include "python/array_layout.hpp"
#include "python/frame_spec.hpp"
#include "session/frame_view.hpp"

namespace pdum::nvenc {

// What an encoder expects of an RGB frame, in words.
std::string wanted_rgb(const FrameSpec& spec);

// Whether a flat array of that many bytes is a whole packed frame of bytes; if so, it gets the frame's shape and type.
bool shape_flat_rgb(ArrayLayout& array, const FrameSpec& spec);

// Fills the view's image from an array of RGB, or says why it is not one. Throws invalid_frame.
void accept_rgb(const ArrayLayout& array, const FrameSpec& spec, FrameView& view);

}  // namespace pdum::nvenc
