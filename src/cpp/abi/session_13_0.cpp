// The encode interface 13.0: what only it has, and the common code compiled for it.
#include "nvenc_13_0.hpp"

#include "abi/common_includes.hpp"

namespace pdum::nvenc::abi_13_0 {

constexpr EncodeVersion this_version{13, 0};
constexpr const char* this_name = "13.0";

[[noreturn]] inline void not_in_13_0(const std::string& what) {
    fail(ErrorKind::unsupported_feature, what + " needs version 13.1 of the encode interface; this is 13.0.",
         "Update the NVIDIA driver to one that speaks 13.1.");
}

[[noreturn]] inline NV_ENC_BFRAME_REF_MODE hierarchical_b_references() { not_in_13_0("b_ref_mode='hierarchical'"); }

// Before 13.1 the field has one bit: counting type 4, drop-frame, does not fit.
inline void set_drop_frame_counting(NV_ENC_CLOCK_TIMESTAMP_SET&) {}

#include "abi/long_term.inl"
#include "abi/since_13_0.inl"

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

}  // namespace pdum::nvenc::abi_13_0

namespace pdum::nvenc {

const Abi& interface_13_0() {
    static constexpr Abi abi{abi_13_0::this_name, abi_13_0::this_version, abi_13_0::open_session};
    return abi;
}

}  // namespace pdum::nvenc
