// A search for motion between two pictures, as a client of a session without a stream asks for it.
#pragma once

#include <array>
#include <cstdint>
#include <vector>

#include "encode/coder.hpp"

namespace nvsim {

struct LumaPlane {
    std::vector<uint8_t> samples;
    int width = 0, height = 0;
};

struct FoundMotion {
    int x = 0, y = 0;  // whole pixels
    uint32_t difference = 0;
};

// NV_ENC_H264_MV_DATA or NV_ENC_HEVC_MV_DATA for every block, as bytes. Each block is looked for within 16 pixels, and
// the nearest of the best places counts. `allows_intra` is for H.264; HEVC always has intra blocks.
std::vector<uint8_t> motion_data(Codec codec, const LumaPlane& picture, const LumaPlane& reference, bool allows_intra);

}  // namespace nvsim
