// Hints for the search for motion, as the driver's structs have them. Included inside the namespace of each version.
// Their flags are signed numbers of one bit: -1 is set. So is -1 the invalid reference, 31 in five bits.

constexpr int flag_set = -1;
constexpr int invalid_reference = -1;

// For H.264 and HEVC, in whole pixels.
inline void put_vector(NVENC_EXTERNAL_ME_HINT& hint, const int16_t* vector) {
    hint.mvx = vector[0];
    hint.mvy = vector[1];
}

inline void put_last_of_block(NVENC_EXTERNAL_ME_HINT& hint) { hint.lastofPart = hint.lastOfMB = flag_set; }

// For AV1, whose structs count in quarters of a pixel, and say of which unit of a superblock a hint is: here, all of
// it.
inline void put_vector(NVENC_EXTERNAL_ME_SB_HINT& hint, const int16_t* vector) {
    hint.mvx = static_cast<int16_t>(4 * vector[0]);
    hint.mvy = static_cast<int16_t>(4 * vector[1]);
}

inline void put_last_of_block(NVENC_EXTERNAL_ME_SB_HINT& hint) { hint.last_of_cu = hint.last_of_sb = flag_set; }

template <typename Hint>
Hint hint_of(const int16_t* vector, bool is_last) {
    constexpr int whole_superblock = -1;  // 3 in two bits: 64 pixels
    Hint hint{};
    if constexpr (std::is_same_v<Hint, NVENC_EXTERNAL_ME_SB_HINT>) hint.cu_size = whole_superblock;
    if (vector[0] == no_hint) {
        hint.refidx = invalid_reference;
    } else {
        put_vector(hint, vector);
    }
    if (is_last) put_last_of_block(hint);
    return hint;
}

// `least`: entries to make room for. Those beyond the given ones are invalid.
template <typename Hint>
SharedHints packed(const HintVectors& vectors, uint32_t per_block, size_t least) {
    const size_t count = vectors.size() / 2;
    static constexpr int16_t none[2] = {no_hint, no_hint};
    const auto hints = std::make_shared<std::vector<Hint>>(std::max(count, least), hint_of<Hint>(none, true));
    for (size_t i = 0; i < count; ++i) {
        (*hints)[i] = hint_of<Hint>(&vectors[2 * i], i % per_block == per_block - 1);
    }
    return std::make_shared<PackedHints>(PackedHints{{hints, hints->data()}, static_cast<uint32_t>(count), per_block});
}

// HEVC's hints are for coding tree blocks, and their count is called that of 16x16 pixels. A driver that took the name
// by the word would read one hint for each 16x16 pixels: there is memory for that.
inline SharedHints hints_of(Codec codec, const HintVectors& vectors, uint32_t per_block) {
    constexpr size_t squares_of_16_in_32 = 4;
    switch (codec) {
        case Codec::h264: return packed<NVENC_EXTERNAL_ME_HINT>(vectors, per_block, 0);
        case Codec::hevc:
            return packed<NVENC_EXTERNAL_ME_HINT>(vectors, per_block, squares_of_16_in_32 * vectors.size() / 2);
        case Codec::av1: return packed<NVENC_EXTERNAL_ME_SB_HINT>(vectors, per_block, 0);
    }
    fail(ErrorKind::invalid_config, "An unknown codec.");
}

inline void set_hint_count(NVENC_EXTERNAL_ME_HINT_COUNTS_PER_BLOCKTYPE& counts, Codec codec, uint32_t per_block) {
    if (codec == Codec::av1) {
        counts.numCandsPerSb = per_block & 255;
    } else {
        counts.numCandsPerBlk16x16 = per_block & 15;
    }
}

inline void set_hints(NV_ENC_INITIALIZE_PARAMS& parameters, const Settings& settings) {
    if (settings.motion_hints == 0) return;
    parameters.enableExternalMEHints = 1;
    set_hint_count(parameters.maxMEHintCountsPerBlock[0], settings.codec, settings.motion_hints);
}

// The driver only reads them. H.264 also wants to know how far away the reference is if the driver chooses the types.
inline void put_hints(NV_ENC_PIC_PARAMS& picture, Codec codec, const PackedHints* hints, bool driver_chooses_types) {
    if (hints == nullptr) return;
    set_hint_count(picture.meHintCountsPerBlock[0], codec, hints->per_block);
    picture.meHintRefPicDist[0] = codec == Codec::h264 && driver_chooses_types;
    void* memory = const_cast<void*>(hints->memory.get());
    if (codec == Codec::av1) {
        picture.meExternalSbHints = static_cast<NVENC_EXTERNAL_ME_SB_HINT*>(memory);
        picture.meSbHintsCount = hints->count;
    } else {
        picture.meExternalHints = static_cast<NVENC_EXTERNAL_ME_HINT*>(memory);
    }
}
