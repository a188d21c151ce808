// Pictures as a decoder will show them: the memory into which the engine writes them, and who reads it.
#pragma once

#include <atomic>
#include <cstddef>
#include <cstdint>
#include <memory>
#include <mutex>
#include <vector>

#include "abi/encode_api.hpp"
#include "core/failures.hpp"
#include "cuda/cuda.hpp"

namespace pdum::nvenc {

// The encoder and the holder of the lease share it, so its memory lives as long as either needs it.
struct ReconstructionSurface {
    ReconstructionSurface(const std::shared_ptr<const Context>& context, PixelFormat of, uint32_t w, uint32_t h);

    const PixelFormat format;
    const uint32_t width;
    const uint32_t height;
    const DeviceRows rows;
    std::atomic<bool> is_lent{false};
};

// The right to read a finished reconstruction. The destructor gives the memory back in stream order, without a lock or
// a turn of the session: the engine writes there again after every known reader has done the work that it has queued by
// then. It waits on the host for nothing, unless a reader's stream belongs to another context.
class Reconstruction {
   public:
    // `engine_input`: the stream that the engine follows.
    Reconstruction(std::shared_ptr<const Context> context, std::shared_ptr<ReconstructionSurface> surface,
                   std::shared_ptr<const Stream> engine_input);
    ~Reconstruction();
    Reconstruction(const Reconstruction&) = delete;
    Reconstruction& operator=(const Reconstruction&) = delete;

    const std::shared_ptr<const Context>& context() const noexcept { return context_; }
    CUdeviceptr address() const noexcept { return surface_->rows.pointer(); }
    size_t pitch() const noexcept { return surface_->rows.pitch(); }
    PixelFormat format() const noexcept { return surface_->format; }
    uint32_t width() const noexcept { return surface_->width; }
    uint32_t height() const noexcept { return surface_->height; }

    // The stream has to live as long as the lease.
    void add_reader(CUstream stream);

   private:
    bool follow_readers() noexcept;

    const std::shared_ptr<const Context> context_;
    const std::shared_ptr<ReconstructionSurface> surface_;
    const std::shared_ptr<const Stream> engine_input_;

    std::mutex mutex_;
    std::vector<CUstream> readers_;
};

// The surfaces of an encoder. Each has a number that stays the same for as long as a picture needs it.
class Reconstructions {
   public:
    Reconstructions(std::shared_ptr<const Context> context, std::shared_ptr<const Stream> engine_input)
        : context_(std::move(context)), engine_input_(std::move(engine_input)) {}

    // Call it for each session of the driver's before its first picture.
    void register_with(EncodeApi& api) { api_ = &api; }
    // A free surface of the picture's size; a new one if there is none.
    size_t take(const Settings& settings);
    // Gives it to the next picture.
    MappedHandle map(size_t number);
    // The picture was not taken.
    void withdraw(size_t number, Failures& failures) noexcept { static_cast<void>(unmap(number, failures)); }
    // The picture is finished. Null if the driver does not give the surface back.
    std::shared_ptr<Reconstruction> finish(size_t number, Failures& failures);
    // Unregisters what no picture in flight writes; that is everything if `engine_is_done`. The surfaces are not used
    // again.
    void release(bool engine_is_done, Failures& failures) noexcept;

   private:
    struct Slot {
        std::shared_ptr<ReconstructionSurface> surface;  // null: the place is empty
        RegisteredHandle registered = nullptr;
        MappedHandle mapped = nullptr;
        bool is_given_up = false;  // the driver did not unmap it: it stays mapped
    };

    bool unmap(size_t number, Failures& failures) noexcept;
    void drop_others(const Settings& settings);
    size_t add(const Settings& settings);

    const std::shared_ptr<const Context> context_;
    const std::shared_ptr<const Stream> engine_input_;
    EncodeApi* api_ = nullptr;
    std::vector<Slot> slots_;
};

// In which format the engine writes the reconstructions of pictures of this format.
PixelFormat reconstruction_format(PixelFormat format);

}  // namespace pdum::nvenc
