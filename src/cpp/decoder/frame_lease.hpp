// The memory of a decoded frame, and who reads it.
#pragma once

#include <atomic>
#include <cstddef>
#include <cstdint>
#include <memory>
#include <mutex>
#include <vector>

#include "cuda/cuda.hpp"
#include "decoder/chip.hpp"

namespace pdum::nvenc {

// Memory for copies of frames that outlive their surfaces. It is used again as soon as a frame gives it back, because
// all writers and readers are ordered by the chip's stream. As much is kept as is out, so that a decoder that is far
// ahead of its reader neither allocates nor frees memory for each frame: both may wait for the whole GPU.
class SpareRows {
   public:
    SpareRows(size_t row_bytes, size_t rows) : row_bytes_(row_bytes), rows_(rows) {}

    size_t row_bytes() const noexcept { return row_bytes_; }
    size_t rows() const noexcept { return rows_; }
    std::unique_ptr<DeviceRows> take(const std::shared_ptr<const Context>& context);
    void give_back(std::unique_ptr<DeviceRows> rows) noexcept;

   private:
    static constexpr size_t always_kept = 8;

    const size_t row_bytes_;
    const size_t rows_;
    std::mutex mutex_;
    std::vector<std::unique_ptr<DeviceRows>> spare_;
    size_t out_ = 0;
};

// A frame of the chip, or a copy of one. The destructor gives the memory back in stream order: the next frame is
// written there after every known reader has done the work that it has queued by then. It waits on the host for
// nothing, unless a reader's stream belongs to another context.
class FrameLease {
   public:
    // Takes the frame over.
    FrameLease(std::shared_ptr<Chip> chip, const MappedFrame& frame);
    FrameLease(std::shared_ptr<Chip> chip, std::shared_ptr<SpareRows> spares, std::unique_ptr<DeviceRows> copy);
    ~FrameLease();
    FrameLease(const FrameLease&) = delete;
    FrameLease& operator=(const FrameLease&) = delete;

    CUdeviceptr address() const noexcept { return address_; }
    size_t pitch() const noexcept { return pitch_; }
    bool is_copy() const noexcept { return copy_ != nullptr; }
    const std::shared_ptr<Chip>& chip() const noexcept { return chip_; }

    // The stream has to live as long as the lease.
    void add_reader(CUstream stream);
    // A reader's stream may not exist any more, so its work cannot be waited for: the memory is not used again.
    void set_reader_lost() noexcept { reader_is_lost_ = true; }
    // Work that is queued on `stream` from now on waits until the frame has been written.
    void make_wait_until_written(CUstream stream) const;

   private:
    bool follow_readers() noexcept;
    void give_back();

    const std::shared_ptr<Chip> chip_;
    const std::shared_ptr<SpareRows> spares_;  // null for a frame of the chip
    std::unique_ptr<DeviceRows> copy_;
    const MappedFrame frame_{};  // unused for a copy
    const CUdeviceptr address_;
    const size_t pitch_;

    std::mutex mutex_;
    std::vector<CUstream> readers_;
    std::atomic<bool> reader_is_lost_{false};
};

}  // namespace pdum::nvenc
