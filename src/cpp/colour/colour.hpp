// RGB to YUV on the GPU, by kernels that are built into the module: no CUDA toolkit, no other library.
#pragma once

#include <array>
#include <atomic>
#include <memory>
#include <mutex>

#include "colour/colour_plan.hpp"
#include "cuda/cuda.hpp"

namespace pdum::nvenc {

// Safe to use from several threads. The driver compiles a kernel at its first use, which takes some milliseconds once
// (the driver keeps the result in its cache on disk) and is impossible while the stream is being captured.
class RgbConverter {
   public:
    explicit RgbConverter(std::shared_ptr<const Context> context);
    RgbConverter(const RgbConverter&) = delete;
    RgbConverter& operator=(const RgbConverter&) = delete;

    // Queues the conversion on the stream and returns at once; the image and the planes stay in use until it is done
    // there. Throws invalid_frame before anything is queued, or what the driver answers.
    void convert(const RgbImage& image, const YuvPlanes& planes, const ColourSpace& space, CUstream stream) const;

   private:
    // The context has to be current.
    CUfunction function(unsigned kernel) const;
    CUfunction load(unsigned kernel) const;

    std::shared_ptr<const Context> context_;
    mutable std::array<std::atomic<CUfunction>, kernel_count> functions_{};
    mutable std::mutex loading_;
    mutable std::array<OwnedHandle<CUmodule>, kernel_count> modules_{};
};

}  // namespace pdum::nvenc
