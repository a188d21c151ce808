// The rules of nvEncodeAPI.h and of NVENC's programming guide (External ME hints). What a card answers to a breach is
// recorded nowhere.
#include "encode/hints.hpp"

#include "common/text.hpp"
#include "encode/breach.hpp"

namespace nvsim {

namespace {

constexpr int invalid_reference = 31;

void require(bool holds, const std::string& message) {
    if (!holds) forbid(Status::success, Status::invalid_param, message);
}

void check_counts(const HintCounts& counts, const HintCounts& most, Codec codec) {
    const bool fits = counts.of_16x16 <= most.of_16x16 && counts.of_16x8 <= most.of_16x8 &&
                      counts.of_8x16 <= most.of_8x16 && counts.of_8x8 <= most.of_8x8 &&
                      counts.of_superblock <= most.of_superblock;
    require(fits, "meHintCountsPerBlock exceeds maxMEHintCountsPerBlock");
    if (codec != Codec::hevc) return;
    require(counts.of_16x8 == 0 && counts.of_8x16 == 0, "hints for 16x8 or 8x16 pixels are for H.264 alone");
    require(counts.of_16x16 <= 1 && counts.of_8x8 <= 1, "HEVC takes one hint for each valid candidate");
}

void check_reach(const MotionHint& hint, Codec codec) {
    if (hint.reference == invalid_reference) return;
    require(hint.reference == 0, text("a hint has refidx ", hint.reference, "; it is 0, or 31 for none"));
    if (codec != Codec::av1) return;  // the fields hold no more than is allowed
    require(hint.x >= -1023 * 4 && hint.x <= 1023 * 4, text("a hint of AV1 has mvx ", hint.x));
    require(hint.y >= -511 * 4 && hint.y <= 511 * 4, text("a hint of AV1 has mvy ", hint.y));
}

// The hints of a block end with the one that says so.
void check_ends(const std::vector<MotionHint>& hints, uint32_t blocks) {
    uint32_t ends = 0;
    for (const MotionHint& hint : hints) {
        ends += hint.last_of_block;
        require(!hint.last_of_block || hint.last_of_part, "the last hint of a block is not the last of its part");
    }
    require(ends == blocks, text(ends, " hints say that they are the last of their block; there are ", blocks));
    require(hints.empty() || hints.back().last_of_block, "the last hint is not the last of its block");
}

void check_order(const HintSubmission& given, uint32_t blocks) {
    const uint32_t per_block = given.counts[0].per_block() + given.counts[1].per_block();
    for (size_t i = 0; i < given.hints.size(); ++i) {
        const bool is_last = per_block != 0 && i % per_block == per_block - 1;
        require(given.hints[i].last_of_block == is_last, text("lastOfMB of hint ", i, " does not fit the counts"));
    }
    check_ends(given.hints, blocks);
}

}  // namespace

void check_hints(const HintSubmission& given, const HintLimits& limits, Codec codec, uint32_t blocks) {
    const bool any = given.has_hints || given.has_superblock_hints;
    if (!limits.enabled) return require(!any, "hints are given, but enableExternalMEHints is 0");
    require(any, "enableExternalMEHints is 1, but the picture has no hints");
    for (int direction = 0; direction < 2; ++direction)
        check_counts(given.counts[direction], limits.most[direction], codec);
    require(given.has_hints == (codec != Codec::av1),
            "meExternalSbHints is for AV1, and meExternalHints for the other codecs");
    if (codec == Codec::av1) {
        const uint32_t most = blocks * (limits.most[0].of_superblock + limits.most[1].of_superblock);
        require(given.superblock_hints <= most, text("meSbHintsCount is ", given.superblock_hints, " of ", most));
        check_ends(given.hints, blocks);
    } else {
        check_order(given, blocks);
    }
    for (const MotionHint& hint : given.hints) check_reach(hint, codec);
}

}  // namespace nvsim
