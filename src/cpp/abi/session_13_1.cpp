// The encode interface 13.1: what it has beyond 13.0, and the common code compiled for it.
#include "nvenc_13_1.hpp"

#include "abi/common_includes.hpp"

namespace pdum::nvenc::abi_13_1 {

constexpr EncodeVersion this_version{13, 1};
constexpr const char* this_name = "13.1";

inline NV_ENC_BFRAME_REF_MODE hierarchical_b_references() { return NV_ENC_BFRAME_REF_MODE_HIERARCHICAL; }

// Counting type 4, of which the lowest bit has a field of its own.
inline void set_drop_frame_counting(NV_ENC_CLOCK_TIMESTAMP_SET& clock) { clock.countingTypeMSB = 4 >> 1; }

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

}  // namespace pdum::nvenc::abi_13_1

namespace pdum::nvenc {

const Abi& interface_13_1() {
    static constexpr Abi abi{abi_13_1::this_name, abi_13_1::this_version, abi_13_1::open_session};
    return abi;
}

}  // namespace pdum::nvenc
