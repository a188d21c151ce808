// The encode interface 13.0: what only it has, and the common text compiled for it.
#include "nvenc_13_0.hpp"

#include "abi/common_includes.hpp"

namespace pdum::nvenc::abi_13_0 {

constexpr EncodeVersion this_version{13, 0};
constexpr const char* this_name = "13.0";

inline NV_ENC_TUNING_INFO ultra_high_quality() { return NV_ENC_TUNING_INFO_ULTRA_HIGH_QUALITY; }

inline void set_8_bit(NV_ENC_CONFIG_H264& config) {
    config.inputBitDepth = NV_ENC_BIT_DEPTH_8;
    config.outputBitDepth = NV_ENC_BIT_DEPTH_8;
}

inline void set_8_bit(NV_ENC_CONFIG_HEVC& config) {
    config.inputBitDepth = NV_ENC_BIT_DEPTH_8;
    config.outputBitDepth = NV_ENC_BIT_DEPTH_8;
}

inline void set_8_bit(NV_ENC_CONFIG_AV1& config) {
    config.inputBitDepth = NV_ENC_BIT_DEPTH_8;
    config.outputBitDepth = NV_ENC_BIT_DEPTH_8;
}

inline PictureType later_picture_type(NV_ENC_PIC_TYPE type) {
    return type == NV_ENC_PIC_TYPE_SWITCH ? PictureType::switch_frame : PictureType::unknown;
}

#include "abi/config_impl.inl"
#include "abi/session_impl.inl"

}  // namespace pdum::nvenc::abi_13_0

namespace pdum::nvenc {

const Abi& interface_13_0() {
    static constexpr Abi abi{abi_13_0::this_name, abi_13_0::this_version, abi_13_0::open_session};
    return abi;
}

}  // namespace pdum::nvenc
