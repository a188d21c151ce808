// The encode interface 12.1: what differs or is missing, and the common code compiled for it.
#include "nvenc_12_1.hpp"

#include "abi/common_includes.hpp"

namespace pdum::nvenc::abi_12_1 {

constexpr EncodeVersion this_version{12, 1};
constexpr const char* this_name = "12.1";

[[noreturn]] inline void not_in_12_1(const std::string& what) {
    fail(ErrorKind::unsupported_feature, what + " needs a later version of the encode interface; this is 12.1.",
         "Update the NVIDIA driver to 570.0 or newer, where 13.0 is used.");
}

[[noreturn]] inline NV_ENC_TUNING_INFO ultra_high_quality() { not_in_12_1("tuning='uhq'"); }
[[noreturn]] inline GUID h264_high10() { not_in_12_1("10-bit H.264"); }
[[noreturn]] inline GUID h264_high422() { not_in_12_1("4:2:2 H.264"); }
[[noreturn]] inline NV_ENC_BUFFER_FORMAT format_nv16() { not_in_12_1("format='nv16'"); }
[[noreturn]] inline NV_ENC_BUFFER_FORMAT format_p210() { not_in_12_1("format='p210'"); }
[[noreturn]] inline NV_ENC_BFRAME_REF_MODE hierarchical_b_references() {
    fail(ErrorKind::unsupported_feature,
         "b_ref_mode='hierarchical' needs version 13.1 of the encode interface; this is 12.1.",
         "Update the NVIDIA driver to one that speaks 13.1.");
}
[[noreturn]] inline uint32_t split_in_four() { not_in_12_1("split_encode=4"); }

inline void set_bit_depths(NV_ENC_CONFIG_H264&, int, int output) {
    if (output != 8) not_in_12_1("10-bit H.264");
}

inline void set_bit_depths(NV_ENC_CONFIG_HEVC& config, int input, int output) {
    if (input == 8 && output == 10) not_in_12_1("10-bit HEVC from 8-bit frames");
    config.pixelBitDepthMinus8 = static_cast<uint32_t>(output - 8) & 7;
}

inline void set_bit_depths(NV_ENC_CONFIG_AV1& config, int input, int output) {
    config.inputPixelBitDepthMinus8 = static_cast<uint32_t>(input - 8) & 7;
    config.pixelBitDepthMinus8 = static_cast<uint32_t>(output - 8) & 7;
}

template <typename CodecConfig>
void set_temporal_filter(CodecConfig&, uint32_t level) {
    if (level != 0) not_in_12_1("temporal_filter");
}

template <typename CodecConfig>
void set_hdr_output(CodecConfig&, const Settings&) {}

// HDR's static metadata goes by messages alone: this version has no fields for it.
class HdrFields {
   public:
    static bool has(Codec) { return false; }
    void set(const Settings&) {}
    void point_from(NV_ENC_CODEC_PIC_PARAMS&, Codec) {}
};

inline void set_deblocking_off(NV_ENC_CONFIG_HEVC&, bool off) {
    if (off) not_in_12_1("deblocking=False in HEVC");
}

template <typename CodecConfig>
void set_layers(CodecConfig&, const Layers&) {
    not_in_12_1("layers in HEVC and AV1");
}

[[noreturn]] inline void set_views(NV_ENC_CONFIG_HEVC&) { not_in_12_1("stereo=True"); }
inline void put_view(NV_ENC_PIC_PARAMS_HEVC&, const PictureRequest&) {}

inline void set_lookahead_level(NV_ENC_RC_PARAMS&, uint32_t) { not_in_12_1("lookahead_level"); }

inline void set_unidirectional_b(NV_ENC_INITIALIZE_PARAMS&, bool on) {
    if (on) not_in_12_1("unidirectional_b");
}

// If the stream has time codes, this version writes one for every picture: 00:00:00:00 if the picture has none.
// Before 13.1 the field has one bit: counting type 4, drop-frame, does not fit.
inline void set_drop_frame_counting(NV_ENC_CLOCK_TIMESTAMP_SET&) {}

inline void leave_out(NV_ENC_TIME_CODE&) {}

inline PictureType later_picture_type(NV_ENC_PIC_TYPE) { return PictureType::unknown; }

inline uint32_t satd_of(const NV_ENC_OUTPUT_STATS_BLOCK&) { return 0; }

#include "abi/long_term.inl"

inline void set_long_term(NV_ENC_CONFIG_AV1&, uint32_t) { not_in_12_1("long_term_references in AV1"); }
inline void put_long_term(NV_ENC_PIC_PARAMS_AV1&, const PictureExtras&, bool) {}

#include "abi/motion_hints.inl"

#include "abi/coding_tools.inl"
#include "abi/config_impl.inl"
#include "abi/driver_functions.inl"
#include "abi/film_grain.inl"
#include "abi/motion.inl"
#include "abi/picture_impl.inl"
#include "abi/statistics.inl"

#include "abi/session_impl.inl"

#include "abi/open_session.inl"
#include "abi/session_attempts.inl"
#include "abi/session_motion.inl"

}  // namespace pdum::nvenc::abi_12_1

namespace pdum::nvenc {

const Abi& interface_12_1() {
    static constexpr Abi abi{abi_12_1::this_name, abi_12_1::this_version, abi_12_1::open_session};
    return abi;
}

}  // namespace pdum::nvenc
