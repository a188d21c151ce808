#include "encode/references.hpp"

#include <algorithm>

#include "encode/breach.hpp"
#include "encode/text.hpp"

namespace nvsim {
namespace {

void require(bool holds, const std::string& message) {
    if (!holds) forbid(Status::success, Status::invalid_param, message);
}

}  // namespace

void ReferenceRules::check(const PictureReferences& picture, const StreamSettings& stream) const {
    const auto slots = static_cast<uint32_t>(stream.long_term_slots);
    require(picture.usage_mode == 0, "ltrUsageMode is reserved");
    require(!picture.marks || picture.slot < slots,
            text("ltrMarkFrameIdx ", picture.slot, " of ", slots, " long-term references"));
    if (!picture.uses) return;
    require(picture.bitmap != 0, "ltrUseFrames with an empty ltrUseFrameBitmap");
    require(slots < 32 && picture.bitmap >> slots == 0,
            text("ltrUseFrameBitmap 0x", std::hex, picture.bitmap, std::dec, " of ", slots, " long-term references"));
    require((picture.bitmap & ~marked_) == 0, text("ltrUseFrameBitmap 0x", std::hex, picture.bitmap,
                                                   " names pictures that were not marked since the last IDR"));
}

void ReferenceRules::add(const PictureReferences& picture, bool is_idr, uint64_t timestamp) {
    constexpr size_t most_timestamps = 64;
    if (is_idr) {
        marked_ = 0;
        timestamps_.clear();
    }
    if (picture.marks && picture.slot < 32) marked_ |= 1u << picture.slot;
    if (timestamps_.size() == most_timestamps) timestamps_.erase(timestamps_.begin());
    timestamps_.push_back(timestamp);
}

void ReferenceRules::check_invalidation(uint64_t timestamp) const {
    require(std::find(timestamps_.begin(), timestamps_.end(), timestamp) != timestamps_.end(),
            text("no picture since the last IDR has the timestamp ", timestamp));
}

}  // namespace nvsim
