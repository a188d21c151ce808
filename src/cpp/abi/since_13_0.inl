// What the interfaces from 13.0 on have in common and 12.1 lacks. Included inside the namespace of each.

inline NV_ENC_TUNING_INFO ultra_high_quality() { return NV_ENC_TUNING_INFO_ULTRA_HIGH_QUALITY; }
inline GUID h264_high10() { return NV_ENC_H264_PROFILE_HIGH_10_GUID; }
inline GUID h264_high422() { return NV_ENC_H264_PROFILE_HIGH_422_GUID; }
inline NV_ENC_BUFFER_FORMAT format_nv16() { return NV_ENC_BUFFER_FORMAT_NV16; }
inline NV_ENC_BUFFER_FORMAT format_p210() { return NV_ENC_BUFFER_FORMAT_P210; }
inline uint32_t split_in_four() { return NV_ENC_SPLIT_FOUR_FORCED_MODE; }

inline NV_ENC_BIT_DEPTH depth(int bits) { return bits == 10 ? NV_ENC_BIT_DEPTH_10 : NV_ENC_BIT_DEPTH_8; }

template <typename CodecConfig>
void set_bit_depths(CodecConfig& config, int input, int output) {
    config.inputBitDepth = depth(input);
    config.outputBitDepth = depth(output);
}

template <typename CodecConfig>
void set_temporal_filter(CodecConfig& config, uint32_t level) {
    config.tfLevel = static_cast<NV_ENC_TEMPORAL_FILTER_LEVEL>(level);
}

inline void set_lookahead_level(NV_ENC_RC_PARAMS& rate, uint32_t level) {
    rate.lookaheadLevel = static_cast<NV_ENC_LOOKAHEAD_LEVEL>(level);
}

inline void set_unidirectional_b(NV_ENC_INITIALIZE_PARAMS& parameters, bool on) {
    parameters.enableUniDirectionalB = on;
}

inline void leave_out(NV_ENC_TIME_CODE& code) { code.skipClockTimestampInsertion = 1; }

inline PictureType later_picture_type(NV_ENC_PIC_TYPE type) {
    return type == NV_ENC_PIC_TYPE_SWITCH ? PictureType::switch_frame : PictureType::unknown;
}
