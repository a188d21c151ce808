// Frames of PyAV on the GPU or on the host. Their planes may lie anywhere.
#pragma once

#include <pybind11/pybind11.h>

#include "python/frame_spec.hpp"
#include "session/frame_view.hpp"

namespace pdum::nvenc {

// Fills the view if the object is a frame of PyAV, and says whether it is one. Throws invalid_frame.
bool read_pyav_frame(const pybind11::handle& frame, const FrameSpec& spec, FrameView& view);

}  // namespace pdum::nvenc
