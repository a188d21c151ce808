// Hints for the search for motion: how many a client promised, and those of a picture.
#pragma once

#include <cstddef>
#include <cstdint>
#include <vector>

#include "encode/coder.hpp"

namespace nvsim {

// NVENC_EXTERNAL_ME_HINT_COUNTS_PER_BLOCKTYPE of one direction.
struct HintCounts {
    uint32_t of_16x16 = 0, of_16x8 = 0, of_8x16 = 0, of_8x8 = 0, of_superblock = 0;

    // Of one macroblock or coding tree block.
    uint32_t per_block() const { return of_16x16 + 2 * of_16x8 + 2 * of_8x16 + 4 * of_8x8; }
};

struct HintLimits {
    bool enabled = false;  // enableExternalMEHints
    HintCounts most[2];    // of both directions
};

// One hint of any codec.
struct MotionHint {
    int x = 0, y = 0;  // AV1: quarter pixels, else whole ones
    int reference = 0;
    int direction = 0;
    bool last_of_part = false, last_of_block = false;
};

// What a picture brings. The hints are copied while the client's call runs.
struct HintSubmission {
    HintCounts counts[2];
    bool has_hints = false;             // meExternalHints is not null
    bool has_superblock_hints = false;  // likewise meExternalSbHints
    uint32_t superblock_hints = 0;      // meSbHintsCount
    uint32_t distance = 0;              // meHintRefPicDist of L0
    const void* memory = nullptr;       // the client's
    size_t bytes = 0;
    std::vector<MotionHint> hints;
};

// The blocks that hints are for, as NVIDIA's own example of hints has them. Of these, a picture has this many.
inline uint32_t hint_blocks(Codec codec, uint32_t width, uint32_t height) {
    const uint32_t size = codec == Codec::h264 ? 16 : codec == Codec::hevc ? 32 : 64;
    return ((width + size - 1) / size) * ((height + size - 1) / size);
}

// Throws Refusal if the picture's hints break a rule of nvEncodeAPI.h. `blocks` as above.
void check_hints(const HintSubmission& given, const HintLimits& limits, Codec codec, uint32_t blocks);

}  // namespace nvsim
