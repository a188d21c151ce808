#include "session/reference_history.hpp"

#include <algorithm>

namespace pdum::nvenc {

void ReferenceHistory::add(int64_t pts, int64_t seq, bool is_idr, std::optional<uint32_t> slot) {
    if (is_idr) {
        slots_.fill(std::nullopt);
        last_idr_ = pts;
    }
    if (pictures_.size() == most_pictures) pictures_.pop_front();
    pictures_.push_back({pts, seq, false});
    if (slot) slots_.at(*slot) = pts;
}

std::optional<uint32_t> ReferenceHistory::first_empty(uint32_t slots) const {
    for (uint32_t slot = 0; slot < most_slots; ++slot) {
        if ((slots >> slot & 1) != 0 && !slots_.at(slot)) return slot;
    }
    return std::nullopt;
}

ReferenceHistory::Loss ReferenceHistory::loss_of(int64_t seq, uint32_t kept) const {
    const auto lost =
        std::find_if(pictures_.rbegin(), pictures_.rend(), [&](const Picture& p) { return p.seq == seq; });
    Loss loss;
    if (lost == pictures_.rend()) return loss;
    loss.is_harmless = lost->is_spoilt || lost->pts < last_idr_;
    const int64_t first_kept = std::max(pictures_.back().pts - int64_t{kept} + 1, last_idr_);
    for (const Picture& picture : pictures_) {
        if (picture.is_spoilt || picture.pts < first_kept) continue;
        if (picture.pts < lost->pts) loss.leaves_intact = true;
        if (picture.pts >= lost->pts) loss.spoilt.push_back(picture.pts);
    }
    return loss;
}

void ReferenceHistory::spoil(const std::vector<int64_t>& pts) {
    const auto is_among = [&](int64_t one) { return std::find(pts.begin(), pts.end(), one) != pts.end(); };
    for (Picture& picture : pictures_) picture.is_spoilt |= is_among(picture.pts);
    for (std::optional<int64_t>& slot : slots_) {
        if (slot && is_among(*slot)) slot.reset();
    }
}

}  // namespace pdum::nvenc
