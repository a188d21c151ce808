// Checks of a frame before it is used: its size, its GPU and its CUDA context.
#pragma once

#include "abi/settings.hpp"
#include "cuda/cuda.hpp"
#include "session/frame_view.hpp"

namespace pdum::nvenc {

// Throws invalid_frame if the picture size has changed since the frame was measured, which happens outside the turn.
void require_size(const FrameView& frame, const Settings& settings);

// Throws invalid_frame if the frame's memory is not on the GPU of the context.
void require_device(const FrameView& frame, const Context& ours);

// The context that a frame's memory belongs to; `ours` if that makes no difference or CUDA does not say.
CUcontext owner_of(const FrameView& frame, bool in_place, const Context& ours);

}  // namespace pdum::nvenc
