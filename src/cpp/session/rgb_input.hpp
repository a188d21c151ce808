// Brings RGB frames into the encoder's own surfaces.
#pragma once

#include <cstddef>
#include <memory>

#include "abi/settings.hpp"
#include "colour/colour.hpp"
#include "cuda/cuda.hpp"
#include "session/frame_view.hpp"

namespace pdum::nvenc {

// For use on one stream, which keeps the frames in order.
class RgbInput {
   public:
    explicit RgbInput(std::shared_ptr<const Context> context);

    // Queues the conversion, with the matrix and range that the video stream signals. A frame that kernels of the
    // encoder's context cannot read is copied first, unless it is `in_reach`. The context has to be current. Throws
    // invalid_frame, or what the driver answers; part of the work may be queued by then.
    void convert(const FrameView& frame, bool in_reach, const Settings& settings, const DeviceRows& surface,
                 CUstream stream);

   private:
    RgbImage staged(const FrameView& frame, CUstream stream);

    std::shared_ptr<const Context> context_;
    RgbConverter converter_;
    std::unique_ptr<DeviceRows> staging_;
    size_t staging_bytes_ = 0;
};

}  // namespace pdum::nvenc
