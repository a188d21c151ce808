// The buffers that the driver writes access units to, from empty to locked, and how many access units it has promised.
#pragma once

#include <cstddef>
#include <cstdint>
#include <deque>
#include <optional>
#include <vector>

#include "abi/encode_api.hpp"
#include "core/failures.hpp"

namespace pdum::nvenc {

class OutputQueue {
   public:
    // `reorder_depth`: how many frames the driver holds back at least, by the settings.
    // `b_frames`: pictures that wait for a later one and come out with it, as a left view waits for its right one.
    OutputQueue(EncodeApi& api, uint32_t reorder_depth, uint32_t b_frames)
        : api_(api), b_frames_(b_frames), held_back_(reorder_depth) {}

    // Creates one more buffer.
    void add();
    // An empty buffer for the next picture; a new one if all are in use.
    OutputHandle empty();
    // The driver has taken a picture with the buffer that empty() gave.
    void push(Accepted accepted);
    // The end of the stream was sent: the driver gives out everything.
    void end_stream();

    // Whether the driver keeps pictures that only further pictures or the end of the stream bring out.
    bool holds_back() const noexcept { return promised_ < pending_.size(); }
    // Whether the driver has taken pictures since the last end of the stream.
    bool is_unended() const noexcept { return unended_; }
    // Whether the next access unit comes without further pictures.
    bool has_promised() const noexcept { return promised_ > 0; }
    // How many frames the driver keeps before it gives one out.
    uint32_t held_back() const noexcept { return held_back_; }

    // Waits for the oldest pending access unit and locks it, after what is still locked has been unlocked. If the
    // driver refuses, it stays the oldest.
    LockedAccessUnit lock_next(Failures& failures);
    // What there is of the oldest pending access unit. `use` gets its bytes so far while they are locked. If it is
    // whole, it is as after lock_next; else it stays the oldest.
    template <typename Use>
    std::optional<LockedAccessUnit> lock_part(Use use, Failures& failures) {
        make_ready_to_lock(failures);
        const OutputHandle output = pending_.front();
        const LockedPart part = api_.lock_part(output);
        if (!part.is_locked) return std::nullopt;
        if (part.is_whole) {
            take_locked();
            return part.unit;
        }
        part_locked_ = output;
        use(part.unit);
        unlock_part(failures);
        return std::nullopt;
    }
    // Unlocks what is locked. A buffer that the driver does not unlock stays locked, and is tried again next time.
    void unlock_all(Failures& failures) noexcept;

    // Waits for every promised access unit and drops it. Whether nothing is pending any more.
    bool drain(Failures& failures) noexcept;
    // Destroys the buffers; those of pending pictures only if the engine is known to be done with them.
    void release(bool engine_is_done, Failures& failures) noexcept;

   private:
    size_t count_promised() const noexcept;
    // Throws if the driver does not unlock what it has locked of the oldest pending buffer.
    void make_ready_to_lock(Failures& failures);
    // The driver has locked the oldest pending buffer for good.
    void take_locked();
    void unlock_part(Failures& failures) noexcept;

    EncodeApi& api_;
    const uint32_t b_frames_;
    std::vector<OutputHandle> empty_;
    std::deque<OutputHandle> pending_;  // given to the driver, in the order in which it fills them
    std::vector<OutputHandle> locked_;
    OutputHandle part_locked_ = nullptr;  // the oldest pending buffer, before its access unit was whole
    bool part_is_given_up_ = false;       // the device was lost while it was unlocked
    bool unended_ = false;
    size_t promised_ = 0;  // how many of pending_ the driver fills without further pictures
    uint32_t held_back_;
    uint32_t wanting_input_ = 0;  // consecutive calls with the answer "more input"
};

}  // namespace pdum::nvenc
