// Copies a frame into one of the encoder's surfaces, asynchronously on a stream.
#pragma once

#include "abi/pixel_format.hpp"
#include "cuda/cuda.hpp"
#include "session/frame_view.hpp"

namespace pdum::nvenc {

void copy_frame(const FrameView& frame, PixelFormat format, uint32_t height, const DeviceRows& destination,
                const Context& context, CUstream stream);

}  // namespace pdum::nvenc
