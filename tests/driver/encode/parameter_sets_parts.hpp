// The parameter sets of each codec, as raw byte sequence payloads, for parameter_sets.cpp to put together.
#pragma once

#include "common/bits.hpp"
#include "encode/coder.hpp"

namespace nvsim {

Bytes h264_sps(const StreamSettings& stream);
Bytes h264_pps(const StreamSettings& stream);
Bytes hevc_vps(const StreamSettings& stream);
Bytes hevc_sps(const StreamSettings& stream);
Bytes hevc_pps(const StreamSettings& stream);
Bytes av1_sequence(const StreamSettings& stream);

// Shared by the video usability information of H.264 and HEVC.
void write_aspect(BitWriter& out, const CodingTools& tools);
void write_signal_type(BitWriter& out, const ColourDescription& colour);

// How many units of a size cover a length.
inline int units_over(int length, int unit) { return (length + unit - 1) / unit; }

}  // namespace nvsim
