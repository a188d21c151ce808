// The memory that the engine reads: the encoder's own surfaces, and frames of the caller, which are registered so that
// they need no copy. Each has a number that stays the same for as long as it is in use.
#pragma once

#include <cstdint>
#include <memory>
#include <optional>
#include <utility>
#include <vector>

#include "abi/encode_api.hpp"
#include "core/failures.hpp"
#include "cuda/cuda.hpp"
#include "cuda/memory_kind.hpp"
#include "session/frame_view.hpp"
#include "session/surface_lease.hpp"

namespace pdum::nvenc {

class Inputs {
   public:
    Inputs(std::shared_ptr<const Context> context, const Settings& settings);

    // Registers the encoder's own surfaces with a session of the driver's. Call it before anything else, and again
    // after `release` for the next session.
    void register_with(EncodeApi& api);

    // A surface of our own that is free; a new one if there is none, because the driver may hold more frames than its
    // documents say.
    size_t own_surface();
    size_t new_surface();
    // How many surfaces of the encoder's own have the picture's size.
    size_t own_surfaces() const;
    // A free surface, which is not chosen again until the lease ends.
    SurfaceLease lend(CUstream stream);

    // Why a frame's memory cannot be read in place, as far as the frame itself tells; null if it can.
    const char* obstacle(const FrameView& frame) const;
    // Whether NVENC can read memory of that kind, as far as CUDA tells. Memory that is registered need not be asked
    // about.
    bool is_readable(const FrameView& frame) const { return !kinds_ || kinds_->is_plain(address_of(frame)); }
    // Why NVENC cannot read it.
    const char* obstacle_of_memory(const FrameView& frame) const;
    // The frame's own memory, if it is registered and still the same allocation.
    std::optional<size_t> find(const FrameView& frame);
    // Registers the frame's memory.
    size_t add(const FrameView& frame);
    // Remembers that the driver refuses the frame's memory, which cannot be read in place from now on.
    void refuse(const FrameView& frame, Failures& failures) noexcept;
    // The addresses whose registrations have left since the last call.
    std::vector<CUdeviceptr> take_unregistered() { return std::exchange(unregistered_, {}); }
    // Drops the registration of an address whose owner is gone.
    void forget(CUdeviceptr address, Failures& failures) noexcept;

    bool fits(size_t input) const { return fits(slots_[input]); }
    const DeviceRows& rows(size_t input) const { return slots_[input].surface->rows(); }
    uint32_t pitch(size_t input) const { return slots_[input].pitch; }

    // Maps it once, for any number of pictures in flight.
    MappedHandle map(size_t input);
    // Maps it for the next `map`, so that a refusal is known before.
    void map_ahead(size_t input);
    void unmap(size_t input, Failures& failures) noexcept;

    // For another picture size: idle surfaces go now, the others when they become idle.
    void resize(const Settings& settings, Failures& failures) noexcept;
    void drop_stale(Failures& failures) noexcept;

    // Unregisters what no picture in flight reads; that is everything if `engine_is_done`. Then forgets the caller's
    // memory. The encoder's own surfaces stay; those that are lent keep their numbers.
    void release(bool engine_is_done, Failures& failures) noexcept;

   private:
    struct Slot {
        std::shared_ptr<OwnSurface> surface;  // null for the caller's memory
        CUdeviceptr address = 0;
        uint64_t allocation = 0;  // CUDA's number for the caller's allocation; 0: unknown
        uint32_t pitch = 0;
        uint32_t width = 0;
        uint32_t height = 0;
        RegisteredHandle registered = nullptr;  // null if there is no session, or the place is empty
        MappedHandle mapped = nullptr;
        uint32_t uses = 0;       // pictures in flight that read it
        uint64_t last_used = 0;  // by the count of registered frames
        bool forgotten = false;  // its owner is gone: to be dropped when it is idle
        bool given_up = false;   // the device was lost while it was unmapped

        bool is_lent() const noexcept { return surface != nullptr && surface->is_lent(); }
        bool is_callers() const noexcept { return surface == nullptr && registered != nullptr; }
        bool is_empty() const noexcept { return surface == nullptr && registered == nullptr; }
    };

    // Memory of the caller that the driver refused.
    struct Refused {
        CUdeviceptr address = 0;
        size_t pitch = 0;
        uint64_t allocation = 0;
    };

    static CUdeviceptr address_of(const FrameView& frame) { return reinterpret_cast<CUdeviceptr>(frame.data); }
    bool fits(const Slot& slot) const { return slot.width == width_ && slot.height == height_; }
    uint64_t allocation_of(CUdeviceptr address) const;
    bool is_the_same(const Slot& slot) const;
    bool is_refused(const FrameView& frame) const;
    size_t empty_place();
    bool take_back(Slot& slot, Failures& failures) noexcept;
    void drop(Slot& slot, Failures& failures) noexcept;
    void make_room(CUdeviceptr address);
    void forget_session(Slot& slot, Failures& failures) noexcept;

    std::shared_ptr<const Context> context_;
    EncodeApi* api_ = nullptr;  // null before the first `register_with`
    PixelFormat format_;
    uint32_t width_;
    uint32_t height_;
    uint64_t registered_frames_ = 0;
    bool any_stale_ = false;
    std::vector<Slot> slots_;
    size_t next_checked_ = 0;  // where the next search for lost memory continues
    std::vector<CUdeviceptr> unregistered_;
    std::vector<Refused> refused_;      // the newest last
    std::optional<MemoryKinds> kinds_;  // from the first surface on
};

}  // namespace pdum::nvenc
