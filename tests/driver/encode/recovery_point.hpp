// The message that tells from which picture on a decoder can start.
#pragma once

#include "common/bits.hpp"
#include "encode/coder.hpp"

namespace nvsim {

// `count`: pictures that a wave of intra blocks takes, this one included.
inline SeiMessage recovery_point(Codec codec, uint32_t count) {
    BitWriter out;
    const uint32_t pictures_until_whole = count > 0 ? count - 1 : 0;
    if (codec == Codec::h264) out.ue(pictures_until_whole);
    if (codec == Codec::hevc) out.se(static_cast<int32_t>(pictures_until_whole));
    out.bit(1);                                // exact_match_flag
    out.bit(0);                                // broken_link_flag
    if (codec == Codec::h264) out.bits(0, 2);  // changing_slice_group_idc
    return {6, out.finish()};
}

}  // namespace nvsim
