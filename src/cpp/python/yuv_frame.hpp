// Arrays of the encoder's own formats as frames: one block of rows, or planes that follow one another.
#pragma once

#include <string>

#include "python/array_layout.hpp"
#include "python/frame_spec.hpp"
#include "session/frame_view.hpp"

namespace pdum::nvenc {

// What an encoder expects of a frame, in words.
std::string wanted_yuv(const FrameSpec& spec);

// Whether a flat array of that many bytes is a whole packed frame; if so, it gets the frame's shape and type.
bool shape_flat_yuv(ArrayLayout& array, const FrameSpec& spec);

// Fills the view's geometry from an array that holds a whole frame, or says why it does not. Throws invalid_frame.
void accept_yuv(const ArrayLayout& array, const FrameSpec& spec, FrameView& view);

}  // namespace pdum::nvenc
