// Parameter sets and picture units for the backends that code nothing themselves.
#pragma once

#include <cstdint>
#include <vector>

#include "common/bits.hpp"
#include "encode/coder.hpp"

namespace nvsim {

// Real ones, readable by any parser: SPS and PPS, VPS, SPS and PPS, or the AV1 sequence header.
Bytes parameter_sets(const StreamSettings& stream);

void append_delimiter(Bytes& unit, Codec codec, PictureType type);
void append_sei(Bytes& unit, Codec codec, const SeiMessage& message);
// A slice NAL unit, or a frame OBU, whose contents are `payload`.
void append_picture(Bytes& unit, Codec codec, PictureType type, const Bytes& payload);

}  // namespace nvsim
