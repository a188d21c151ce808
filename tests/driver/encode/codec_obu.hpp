// Temporal units of AV1, put together from OBUs as the client's settings ask for them.
#pragma once

#include <vector>

#include "encode/codec_bits.hpp"
#include "encode/coder.hpp"

namespace nvsim {

// `coded`: one temporal unit in the low-overhead format. The result is its temporal delimiter, then `sequence_header`
// (empty: none), the metadata, and the frames; sequence headers in `coded` are left out.
Bytes write_temporal_unit(const Bytes& coded, const Bytes& sequence_header, const std::vector<SeiMessage>& metadata);

// Fills a temporal unit up to so many bytes with an OBU of padding.
void pad_temporal_unit(Bytes& unit, size_t least);

// The first sequence header OBU of a temporal unit; empty if there is none.
Bytes find_sequence_header(const Bytes& coded);

}  // namespace nvsim
