#include "session/output_queue.hpp"

#include <algorithm>
#include <iterator>

#include "core/error.hpp"

namespace pdum::nvenc {

void OutputQueue::add() { empty_.push_back(api_.create_output()); }

OutputHandle OutputQueue::empty() {
    if (empty_.empty()) add();
    return empty_.back();
}

void OutputQueue::push(Accepted accepted) {
    pending_.push_back(empty_.back());
    empty_.pop_back();
    unended_ = true;
    if (accepted == Accepted::needs_more_input) {
        held_back_ = std::max(held_back_, ++wanting_input_);
    } else {
        wanting_input_ = 0;
        promised_ = count_promised();
    }
}

// With B-frames alone, a picture that the driver takes brings out all those that waited for it. A lookahead goes on
// holding back as many as it held back at first.
size_t OutputQueue::count_promised() const noexcept {
    const size_t pending = pending_.size();
    return held_back_ > b_frames_ ? pending - std::min<size_t>(pending, held_back_) : pending;
}

void OutputQueue::end_stream() {
    unended_ = false;
    promised_ = pending_.size();
    wanting_input_ = 0;
}

LockedAccessUnit OutputQueue::lock_next(Failures& failures) {
    make_ready_to_lock(failures);
    const OutputHandle output = pending_.front();
    const LockedAccessUnit unit = api_.lock(output);
    take_locked();
    return unit;
}

void OutputQueue::make_ready_to_lock(Failures& failures) {
    unlock_all(failures);
    if (part_locked_ == nullptr) return;
    failures.raise();
    fail(ErrorKind::device_lost, "The driver has not given back a buffer, because the device was lost.",
         "Close the encoder and make a new one.");
}

void OutputQueue::take_locked() {
    locked_.push_back(pending_.front());
    pending_.pop_front();
    --promised_;
}

void OutputQueue::unlock_part(Failures& failures) noexcept {
    if (part_locked_ == nullptr || part_is_given_up_) return;
    if (failures.run([this] { api_.unlock(part_locked_); })) part_locked_ = nullptr;
    part_is_given_up_ = failures.device_is_lost();
}

// On a lost device a buffer is unlocked, or never will be: it is neither tried again nor used again.
void OutputQueue::unlock_all(Failures& failures) noexcept {
    unlock_part(failures);
    const auto is_over = [&](OutputHandle output) {
        const bool unlocked = failures.run([&] { api_.unlock(output); });
        if (unlocked) empty_.push_back(output);
        return unlocked || failures.device_is_lost();
    };
    locked_.erase(std::remove_if(locked_.begin(), locked_.end(), is_over), locked_.end());
}

bool OutputQueue::drain(Failures& failures) noexcept {
    const auto is_out = [&](OutputHandle output) {
        unlock_all(failures);
        if (output == part_locked_) return false;
        const bool locked = failures.run([&] { api_.lock(output); });
        if (locked) locked_.push_back(output);
        return locked;
    };
    const auto promised = pending_.begin() + static_cast<std::ptrdiff_t>(promised_);
    const auto left = std::remove_if(pending_.begin(), promised, is_out);
    promised_ = static_cast<size_t>(left - pending_.begin());
    pending_.erase(left, promised);
    unlock_all(failures);
    return pending_.empty();
}

void OutputQueue::release(bool engine_is_done, Failures& failures) noexcept {
    if (engine_is_done) {
        std::remove_copy(pending_.begin(), pending_.end(), std::back_inserter(empty_), part_locked_);
        pending_.clear();
    }
    for (const OutputHandle output : empty_) failures.run([&] { api_.destroy_output(output); });
    empty_.clear();
}

}  // namespace pdum::nvenc
