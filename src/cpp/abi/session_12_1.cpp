// The encode interface 12.1: what it says otherwise or lacks, and the common text compiled for it.
#include "nvenc_12_1.hpp"

#include "abi/common_includes.hpp"

namespace pdum::nvenc::abi_12_1 {

constexpr EncodeVersion this_version{12, 1};
constexpr const char* this_name = "12.1";

[[noreturn]] inline NV_ENC_TUNING_INFO ultra_high_quality() {
    fail(ErrorKind::unsupported_feature, "tuning='uhq' came with version 12.2 of the encode interface; this is 12.1.",
         "Use tuning='hq', or update the NVIDIA driver to 570.0 or newer, where 13.0 is used.");
}

inline void set_8_bit(NV_ENC_CONFIG_H264&) {}  // H.264 has 8 bits alone

inline void set_8_bit(NV_ENC_CONFIG_HEVC& config) { config.pixelBitDepthMinus8 = 0; }

inline void set_8_bit(NV_ENC_CONFIG_AV1& config) {
    config.inputPixelBitDepthMinus8 = 0;
    config.pixelBitDepthMinus8 = 0;
}

inline PictureType later_picture_type(NV_ENC_PIC_TYPE) { return PictureType::unknown; }

#include "abi/config_impl.inl"
#include "abi/session_impl.inl"

}  // namespace pdum::nvenc::abi_12_1

namespace pdum::nvenc {

const Abi& interface_12_1() {
    static constexpr Abi abi{abi_12_1::this_name, abi_12_1::this_version, abi_12_1::open_session};
    return abi;
}

}  // namespace pdum::nvenc
