#include "session/reference_history.hpp"

#include <algorithm>

namespace pdum::nvenc {

void ReferenceHistory::add(const Picture& picture, bool is_idr, std::optional<uint32_t> slot) {
    if (is_idr) {
        slots_.fill(std::nullopt);
        last_idr_ = picture.pts;
    }
    if (pictures_.size() == most_pictures) pictures_.pop_front();
    pictures_.push_back(picture);
    if (slot) slots_.at(*slot) = picture.pts;
}

std::optional<uint32_t> ReferenceHistory::first_empty(uint32_t slots) const {
    for (uint32_t slot = 0; slot < most_slots; ++slot) {
        if ((slots >> slot & 1) != 0 && !slots_.at(slot)) return slot;
    }
    return std::nullopt;
}

int64_t ReferenceHistory::first_of_last(uint32_t count) const {
    int64_t first = pictures_.back().pts + 1;
    for (auto picture = pictures_.rbegin(); picture != pictures_.rend() && count > 0; ++picture) {
        if (!picture->is_reference) continue;
        first = picture->pts;
        --count;
    }
    return first;
}

ReferenceHistory::Loss ReferenceHistory::loss_of(int64_t seq, uint32_t kept) const {
    const auto lost =
        std::find_if(pictures_.rbegin(), pictures_.rend(), [&](const Picture& p) { return p.seq == seq; });
    Loss loss;
    if (lost == pictures_.rend()) return loss;
    loss.is_harmless = lost->is_spoilt || !lost->is_reference || lost->pts < last_idr_;
    const int64_t first_kept = std::max(first_of_last(kept), last_idr_);
    for (const Picture& picture : pictures_) {
        if (picture.is_spoilt || !picture.is_reference || picture.pts < first_kept) continue;
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
