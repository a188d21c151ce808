#include "encode/references.hpp"

#include <algorithm>

#include "common/text.hpp"
#include "encode/breach.hpp"

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

void ReferenceRules::add(const PictureReferences& picture, bool is_idr, uint64_t timestamp, uint64_t serial) {
    constexpr size_t most_coded = 64;
    if (is_idr) {
        marked_ = 0;
        coded_.clear();
    }
    if (picture.marks && picture.slot < 32) marked_ |= 1u << picture.slot;
    if (coded_.size() == most_coded) coded_.erase(coded_.begin());
    coded_.push_back({timestamp, serial});
}

std::optional<uint64_t> ReferenceRules::invalidated(uint64_t timestamp) const {
    const auto found = std::find_if(coded_.begin(), coded_.end(),
                                    [timestamp](const Coded& coded) { return coded.timestamp == timestamp; });
    if (found != coded_.end()) return found->serial;
    require(false, text("no picture since the last IDR has the timestamp ", timestamp));
    return std::nullopt;
}

}  // namespace nvsim
