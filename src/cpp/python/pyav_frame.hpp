// Frames of PyAV, on the GPU or on the host, taken as they are: their planes may lie anywhere.
#pragma once

#include <pybind11/pybind11.h>

#include "python/frame_from_python.hpp"

namespace pdum::nvenc {

// Whether the object is a frame of PyAV's; if so, the view is filled. Throws invalid_frame.
bool read_pyav_frame(const pybind11::handle& frame, const FrameSpec& spec, FrameView& view);

}  // namespace pdum::nvenc
