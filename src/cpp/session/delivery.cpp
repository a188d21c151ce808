#include "session/delivery.hpp"

#include <algorithm>

#include "core/error.hpp"

namespace pdum::nvenc {

// How far decoding runs ahead of display if B-frames refer to one another as a tree.
void Delivery::set_b_frames(uint32_t b_frames) {
    int64_t depth = 0;
    for (uint32_t rest = b_frames; rest > 0; rest /= 2) ++depth;
    next_dts_ = -depth;
}

Finished Delivery::finish(const LockedAccessUnit& unit) {
    const auto pts = static_cast<int64_t>(unit.timestamp);
    const auto it =
        std::find_if(submitted_.begin(), submitted_.end(), [pts](const Submitted& s) { return s.pts == pts; });
    if (it == submitted_.end()) {
        fail(ErrorKind::encoder_failed, "The driver gave an access unit for a frame that is not in flight.",
             "Please report it with the driver's version.");
    }
    const Finished finished{{it->seq, pts, next_dts_++, unit.type, unit.average_qp, unit.temporal_layer, unit.data,
                             unit.size, unit.statistics, nullptr},
                            it->input,
                            it->reconstruction,
                            it->alpha};
    submitted_.erase(it);
    return finished;
}

void Delivery::keep(const AccessUnit& unit) {
    const auto* data = static_cast<const unsigned char*>(unit.data);
    kept_.push_back({unit, {data, data + unit.size}});
}

void Delivery::hand_over_kept(Sink& sink) {
    while (!kept_.empty()) {
        AccessUnit unit = kept_.front().unit;
        unit.data = kept_.front().data.data();
        sink.take(unit);
        kept_.pop_front();
    }
}

bool Delivery::is_in_flight(int64_t pts) const {
    const auto has_it = [pts](const Submitted& frame) { return frame.pts == pts; };
    const auto keeps_it = [pts](const Kept& kept) { return kept.unit.pts == pts; };
    return std::any_of(submitted_.begin(), submitted_.end(), has_it) ||
           std::any_of(kept_.begin(), kept_.end(), keeps_it);
}

void Delivery::clear() noexcept {
    submitted_.clear();
    kept_.clear();
}

}  // namespace pdum::nvenc
