// The encoder's own surfaces, and the right to write one of them.
#pragma once

#include <atomic>
#include <cstddef>
#include <cstdint>
#include <memory>
#include <utility>

#include "cuda/cuda.hpp"

namespace pdum::nvenc {

// The encoder and the holder of the lease share it, so its memory lives as long as either needs it.
class OwnSurface {
   public:
    OwnSurface(const std::shared_ptr<const Context>& context, size_t row_bytes, size_t rows, bool packed)
        : rows_(context, row_bytes, rows, packed) {}

    const DeviceRows& rows() const noexcept { return rows_; }
    bool is_lent() const noexcept { return lent_.load(std::memory_order_acquire); }
    // Whether it was given back, and all earlier writes are done.
    bool is_available() noexcept;

   private:
    friend class SurfaceLease;

    DeviceRows rows_;
    std::unique_ptr<Event> last_write_;  // belongs to the lease while lent_ is true, else to the encoder
    std::atomic<bool> lent_{false};
};

// The right to write a surface. Its destructor gives the surface back, without a lock or a turn of the session. A
// surface that was not submitted is reused only after its stream has done its work.
class SurfaceLease {
   public:
    // What the session knows about the surface during the turn in which it lends the surface.
    struct Terms {
        size_t input = 0;
        uint32_t width = 0;
        uint32_t height = 0;
        CUstream stream = nullptr;  // on which the caller writes; must live as long as the lease
    };

    SurfaceLease(std::shared_ptr<const Context> context, std::shared_ptr<OwnSurface> surface, const Terms& terms);
    ~SurfaceLease();
    SurfaceLease(SurfaceLease&&) noexcept = default;
    SurfaceLease& operator=(SurfaceLease&&) = delete;

    CUdeviceptr address() const noexcept { return surface_->rows().pointer(); }
    size_t pitch() const noexcept { return surface_->rows().pitch(); }
    uint32_t width() const noexcept { return terms_.width; }
    uint32_t height() const noexcept { return terms_.height; }
    CUstream stream() const noexcept { return terms_.stream; }
    size_t input() const noexcept { return terms_.input; }

    // The encoder's input stream now waits for everything that was written.
    void set_followed_by(std::shared_ptr<const Stream> input) noexcept { followed_by_ = std::move(input); }
    // The engine reads the surface, and the encoder knows when it is done.
    void set_submitted() noexcept { submitted_ = true; }
    // The stream may not exist any more, so its work cannot be waited for.
    void set_stream_lost() noexcept { stream_is_lost_ = true; }

   private:
    std::shared_ptr<const Context> context_;
    std::shared_ptr<OwnSurface> surface_;  // null after a move
    Terms terms_;
    // Set by the one holder that submits, read by the last holder.
    std::shared_ptr<const Stream> followed_by_;
    bool submitted_ = false;
    bool stream_is_lost_ = false;
};

}  // namespace pdum::nvenc
