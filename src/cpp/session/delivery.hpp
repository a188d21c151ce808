// From the driver's access units to those of the caller: which frame each belongs to, and when it is to be decoded.
#pragma once

#include <cstddef>
#include <cstdint>
#include <deque>
#include <memory>
#include <optional>
#include <vector>

#include "abi/encode_api.hpp"
#include "session/picture_maps.hpp"
#include "session/reconstructions.hpp"

namespace pdum::nvenc {

struct AccessUnit {
    int64_t seq = 0;
    int64_t pts = 0;  // the frame's place in the order of submission, from 0
    int64_t dts = 0;  // grows by one with each access unit; never above pts
    PictureType type = PictureType::unknown;
    uint32_t average_qp = 0;
    uint32_t temporal_layer = 0;
    const void* data = nullptr;  // valid while Sink::take runs
    size_t size = 0;
    std::shared_ptr<const PictureStatistics> statistics;  // null unless the settings ask for them
    std::shared_ptr<Reconstruction> reconstruction;       // likewise
};

// Takes access units, one at a time and in coding order, while their memory is valid.
class Sink {
   public:
    virtual ~Sink() = default;
    virtual void take(const AccessUnit& unit) = 0;
};

// A frame that the driver has.
struct Submitted {
    int64_t pts = 0;
    int64_t seq = 0;
    size_t input = 0;
    std::optional<size_t> reconstruction;        // the number of its surface
    SharedMap map = nullptr;                     // the driver may read it until the access unit is out
    SharedHints hints = nullptr;                 // likewise
    std::optional<size_t> alpha = std::nullopt;  // another input
};

// An access unit on its way out, and the input that it was made from.
struct Finished {
    AccessUnit unit;
    size_t input = 0;
    std::optional<size_t> reconstruction;  // the number of its surface
    std::optional<size_t> alpha;
};

class Delivery {
   public:
    // Call it before the first access unit.
    void set_b_frames(uint32_t b_frames);

    // Frames, in the order of submission. The last one can be withdrawn if the driver did not take it.
    void add(const Submitted& frame) { submitted_.push_back(frame); }
    void withdraw() { submitted_.pop_back(); }
    // Finds the frame of an access unit that the driver gave. Throws if there is none.
    Finished finish(const LockedAccessUnit& unit);

    // Keeps a copy of an access unit until a sink takes it.
    void keep(const AccessUnit& unit);
    // Hands over what was kept.
    void hand_over_kept(Sink& sink);

    // How many frames the driver has.
    size_t with_driver() const noexcept { return submitted_.size(); }
    // How many access units are kept.
    size_t kept() const noexcept { return kept_.size(); }
    bool is_in_flight(int64_t pts) const;
    // Of the next access unit. Several attempts at a picture have the same.
    int64_t next_dts() const noexcept { return next_dts_; }
    void set_next_dts(int64_t dts) noexcept { next_dts_ = dts; }
    void clear() noexcept;
    // Of a driver's session that is given up.
    void forget_submitted() noexcept { submitted_.clear(); }

   private:
    struct Kept {
        AccessUnit unit;
        std::vector<unsigned char> data;
    };

    std::deque<Submitted> submitted_;
    std::deque<Kept> kept_;
    int64_t next_dts_ = 0;
};

}  // namespace pdum::nvenc
