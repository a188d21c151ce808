// The encoder's input stream, held for the producer of a frame.
#pragma once

#include <memory>
#include <utility>

#include "cuda/cuda.hpp"
#include "python/python_objects.hpp"

namespace pdum::nvenc {

// Keeps the stream alive while Python code uses it. Made and destroyed with the GIL held.
class HeldStream {
   public:
    explicit HeldStream(std::shared_ptr<const Stream> stream) : stream_(std::move(stream)) {}
    // The last holder destroys the stream, which is a call of the driver.
    ~HeldStream() {
        if (stream_ == nullptr) return;
        const WithoutGil unlocked;
        stream_.reset();
    }
    HeldStream(const HeldStream&) = delete;
    HeldStream& operator=(const HeldStream&) = delete;

    CUstream handle() const noexcept { return stream_->handle(); }
    // For a caller that has already released the GIL.
    void release() noexcept { stream_.reset(); }

   private:
    std::shared_ptr<const Stream> stream_;
};

}  // namespace pdum::nvenc
