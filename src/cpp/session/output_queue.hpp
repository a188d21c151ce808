// The buffers that the driver writes access units to, from empty to locked, and how many access units it has promised.
#pragma once

#include <cstddef>
#include <cstdint>
#include <deque>
#include <vector>

#include "abi/encode_api.hpp"
#include "core/failures.hpp"

namespace pdum::nvenc {

class OutputQueue {
   public:
    // `reorder_depth`: how many frames the driver holds back at least, by the settings.
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
    // Unlocks what is locked. A buffer that the driver does not unlock stays locked, and is tried again next time.
    void unlock_all(Failures& failures) noexcept;

    // Waits for every promised access unit and drops it. Whether nothing is pending any more.
    bool drain(Failures& failures) noexcept;
    // Destroys the buffers; those of pending pictures only if the engine is known to be done with them.
    void release(bool engine_is_done, Failures& failures) noexcept;

   private:
    size_t count_promised() const noexcept;

    EncodeApi& api_;
    const uint32_t b_frames_;
    std::vector<OutputHandle> empty_;
    std::deque<OutputHandle> pending_;  // given to the driver, in the order in which it fills them
    std::vector<OutputHandle> locked_;
    bool unended_ = false;
    size_t promised_ = 0;  // how many of pending_ the driver fills without further pictures
    uint32_t held_back_;
    uint32_t wanting_input_ = 0;  // consecutive calls with the answer "more input"
};

}  // namespace pdum::nvenc
