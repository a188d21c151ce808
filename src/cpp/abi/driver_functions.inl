// The driver's functions and the words of its answers, once for every version of the interface. Included inside its
// namespace.

static_assert(static_cast<uint32_t>(Capability::max_b_frames) == NV_ENC_CAPS_NUM_MAX_BFRAMES);
static_assert(static_cast<uint32_t>(Capability::encoder_engines) == NV_ENC_CAPS_NUM_ENCODER_ENGINES);
static_assert(static_cast<uint32_t>(Capability::row_statistics) == NV_ENC_CAPS_OUTPUT_ROW_STATS);
static_assert(NV_ENC_CAPS_EXPOSED_COUNT <= capability_names.size());

inline PictureType picture_type(NV_ENC_PIC_TYPE type) {
    switch (type) {
        case NV_ENC_PIC_TYPE_P: return PictureType::p;
        case NV_ENC_PIC_TYPE_B: return PictureType::b;
        case NV_ENC_PIC_TYPE_I: return PictureType::i;
        case NV_ENC_PIC_TYPE_IDR: return PictureType::idr;
        case NV_ENC_PIC_TYPE_BI: return PictureType::b;
        case NV_ENC_PIC_TYPE_SKIPPED: return PictureType::skipped;
        case NV_ENC_PIC_TYPE_INTRA_REFRESH: return PictureType::intra_refresh;
        case NV_ENC_PIC_TYPE_NONREF_P: return PictureType::non_reference_p;
        default: return later_picture_type(type);
    }
}

inline bool same_guid(const GUID& a, const GUID& b) { return std::memcmp(&a, &b, sizeof a) == 0; }

inline const NV_ENCODE_API_FUNCTION_LIST& functions() {
    static const NV_ENCODE_API_FUNCTION_LIST list = [] {
        NV_ENCODE_API_FUNCTION_LIST empty{};
        empty.version = NV_ENCODE_API_FUNCTION_LIST_VER;
        const int status = encode_exports().create_instance(&empty);
        if (status != NV_ENC_SUCCESS) {
            throw encode_error(status, "NvEncodeAPICreateInstance", "get the encoder's functions", {});
        }
        return empty;
    }();
    return list;
}
