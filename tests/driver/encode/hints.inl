// Reads hints for the search for motion. Included by front.inl, inside its namespace. A flag of one signed bit that is
// set reads as -1.

HintCounts counts_of(const NVENC_EXTERNAL_ME_HINT_COUNTS_PER_BLOCKTYPE& counts) {
    return {counts.numCandsPerBlk16x16, counts.numCandsPerBlk16x8, counts.numCandsPerBlk8x16, counts.numCandsPerBlk8x8,
            NVSIM_GET(counts, numCandsPerSb, 0u)};
}

HintLimits hint_limits_of(const NV_ENC_INITIALIZE_PARAMS& params) {
    return {params.enableExternalMEHints != 0,
            {counts_of(params.maxMEHintCountsPerBlock[0]), counts_of(params.maxMEHintCountsPerBlock[1])}};
}

MotionHint read_hint(const NVENC_EXTERNAL_ME_HINT& hint) {
    return {hint.mvx, hint.mvy, hint.refidx & 31, hint.dir & 1, hint.lastofPart != 0, hint.lastOfMB != 0};
}

template <typename Hint>
MotionHint read_superblock_hint(const Hint& hint) {
    return {hint.mvx, hint.mvy, hint.refidx & 31, hint.direction & 1, hint.last_of_cu != 0, hint.last_of_sb != 0};
}

template <typename Params>
void read_superblock_hints(const Params& params, HintSubmission& found, bool reads) {
    set_optional(params, [&](auto& with) -> decltype(void(with.meExternalSbHints)) {
        found.has_superblock_hints = with.meExternalSbHints != nullptr;
        found.superblock_hints = with.meSbHintsCount;
        if (!found.has_superblock_hints || !reads) return;
        found.memory = with.meExternalSbHints;
        found.bytes = with.meSbHintsCount * sizeof *with.meExternalSbHints;
        for (uint32_t i = 0; i < with.meSbHintsCount; ++i)
            found.hints.push_back(read_superblock_hint(with.meExternalSbHints[i]));
    });
}

// Every hint that the client promised is read, if the encoder takes any.
HintSubmission hints_of(const NV_ENC_PIC_PARAMS& params, Codec codec, bool reads) {
    HintSubmission found;
    found.counts[0] = counts_of(params.meHintCountsPerBlock[0]);
    found.counts[1] = counts_of(params.meHintCountsPerBlock[1]);
    found.has_hints = params.meExternalHints != nullptr;
    found.distance = params.meHintRefPicDist[0];
    read_superblock_hints(params, found, reads);
    if (!found.has_hints || !reads) return found;
    const uint32_t per_block = found.counts[0].per_block() + found.counts[1].per_block();
    const uint32_t count = per_block * hint_blocks(codec, params.inputWidth, params.inputHeight);
    found.memory = params.meExternalHints;
    found.bytes = count * sizeof *params.meExternalHints;
    for (uint32_t i = 0; i < count; ++i) found.hints.push_back(read_hint(params.meExternalHints[i]));
    return found;
}
