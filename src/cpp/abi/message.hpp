// Messages of single pictures, and those that this module makes from the settings.
#pragma once

#include <cstdint>
#include <vector>

#include "abi/settings.hpp"

namespace pdum::nvenc {

// An SEI message of H.264 and HEVC, a metadata OBU of AV1. Type and payload are the codec's.
struct Message {
    uint32_t type = 0;
    std::vector<uint8_t> payload;
};

// HDR's static metadata as the codec's own messages.
std::vector<Message> hdr_messages(const Settings& settings);

}  // namespace pdum::nvenc
