// Checks what a client says about the references between pictures. The sources: the comments of
// NVIDIA's header on enableLTR, ltrUsageMode, enablePTD, NV_ENC_PIC_FLAGS and nvEncInvalidateRefFrames.
#pragma once

#include <cstdint>
#include <optional>
#include <vector>

#include "encode/coder.hpp"

namespace nvsim {

// Of one picture.
struct PictureReferences {
    bool marks = false;  // it is kept in the slot
    uint32_t slot = 0;
    bool uses = false;  // it refers to the slots in the bitmap
    uint32_t bitmap = 0;
    uint32_t usage_mode = 0;
    bool is_reference = false;  // refPicFlag
};

class ReferenceRules {
   public:
    // Throws a violation for what no picture may say with these settings.
    void check(const PictureReferences& picture, const StreamSettings& stream) const;
    // The picture is coded.
    void add(const PictureReferences& picture, bool is_idr, uint64_t timestamp, uint64_t serial);
    // The serial of the picture with that timestamp. If there is none since the last IDR, throws a violation, or
    // answers nothing if the simulator is not strict.
    std::optional<uint64_t> invalidated(uint64_t timestamp) const;

   private:
    uint32_t marked_ = 0;  // slots that hold a picture, a bit for each
    struct Coded {
        uint64_t timestamp = 0;
        uint64_t serial = 0;
    };
    std::vector<Coded> coded_;  // the pictures since the last IDR, the last 64 of them
};

}  // namespace nvsim
