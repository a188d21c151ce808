#include "decoder/frame_lease.hpp"

#include <algorithm>
#include <utility>

#include "core/failures.hpp"
#include "session/stream_order.hpp"

namespace pdum::nvenc {

std::unique_ptr<DeviceRows> SpareRows::take(const std::shared_ptr<const Context>& context) {
    {
        const std::lock_guard<std::mutex> lock(mutex_);
        if (!spare_.empty()) {
            std::unique_ptr<DeviceRows> rows = std::move(spare_.back());
            spare_.pop_back();
            ++out_;
            return rows;
        }
    }
    auto rows = std::make_unique<DeviceRows>(context, row_bytes_, rows_);
    const std::lock_guard<std::mutex> lock(mutex_);
    ++out_;
    return rows;
}

void SpareRows::give_back(std::unique_ptr<DeviceRows> rows) noexcept {
    const std::lock_guard<std::mutex> lock(mutex_);
    --out_;
    if (spare_.size() < std::max(always_kept, out_)) spare_.push_back(std::move(rows));
}

FrameLease::FrameLease(std::shared_ptr<Chip> chip, const MappedFrame& frame)
    : chip_(std::move(chip)), frame_(frame), address_(frame.address), pitch_(frame.pitch) {}

FrameLease::FrameLease(std::shared_ptr<Chip> chip, std::shared_ptr<SpareRows> spares, std::unique_ptr<DeviceRows> copy)
    : chip_(std::move(chip)),
      spares_(std::move(spares)),
      copy_(std::move(copy)),
      address_(copy_->pointer()),
      pitch_(copy_->pitch()) {}

// If a reader's stream is gone, nobody knows when it is done: the memory is not used again, and ends with the chip.
FrameLease::~FrameLease() {
    if (!chip_->context()->is_usable()) return;
    Failures unreported;
    bool may_be_used_again = false;
    unreported.run([&] {
        const ContextScope scope(*chip_->context());
        may_be_used_again = follow_readers();
        if (may_be_used_again) give_back();
    });
    if (!may_be_used_again && frame_.address != 0) chip_->keep_to_the_end(frame_);
}

bool FrameLease::follow_readers() noexcept {
    if (reader_is_lost_) return false;
    Failures unknown;
    for (CUstream reader : readers_) {
        const bool known = unknown.run([&] {
            const std::unique_ptr<Event> read = record_end_of(reader, chip_->context());
            if (read != nullptr) read->make_wait(chip_->stream()->handle());
        });
        if (!known) return false;
    }
    return true;
}

void FrameLease::give_back() {
    if (copy_ != nullptr) {
        spares_->give_back(std::move(copy_));
    } else {
        chip_->unmap(frame_);
    }
}

void FrameLease::add_reader(CUstream stream) {
    if (stream == chip_->stream()->handle()) return;
    const std::lock_guard<std::mutex> lock(mutex_);
    if (std::find(readers_.begin(), readers_.end(), stream) == readers_.end()) readers_.push_back(stream);
}

void FrameLease::make_wait_until_written(CUstream stream) const {
    if (stream == chip_->stream()->handle()) return;
    const ContextScope scope(*chip_->context());
    const Event written(chip_->context());
    written.record(chip_->stream()->handle());
    written.make_wait(stream);
}

}  // namespace pdum::nvenc
