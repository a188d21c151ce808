// Parts of CUVIDEOFORMAT that several codecs fill alike, and SEI messages.
#pragma once

#include <cstdint>
#include <vector>

#include "decode/api.hpp"
#include "decode/reader.hpp"

namespace nvsim::decode {

CUVIDEOFORMAT_frame_rate rate_of(uint64_t numerator, uint64_t denominator);  // 0/1 for an unknown one
CUVIDEOFORMAT_display_aspect_ratio aspect_of(const CUVIDEOFORMAT_display_area& area, int sar_width, int sar_height);
CUVIDEOFORMAT_video_signal_description signal_of(int format, int full_range, int primaries, int transfer, int matrix);

// Appends the messages of a NAL unit without its emulation prevention bytes, whose header has `skip` bytes.
void read_messages(const Bytes& payload, size_t skip, std::vector<Message>& messages);

}  // namespace nvsim::decode
