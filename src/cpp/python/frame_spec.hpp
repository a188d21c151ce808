// What an encoder expects of a frame.
#pragma once

#include <cstdint>

#include "abi/pixel_format.hpp"

namespace pdum::nvenc {

struct FrameSpec {
    const FormatTraits* format = nullptr;
    uint32_t width = 0;
    uint32_t height = 0;
    bool rgb = false;  // arrays of RGB, to be converted into that format
};

}  // namespace pdum::nvenc
