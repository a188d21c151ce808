// The motion that the driver finds between two pictures.
#pragma once

#include <array>
#include <cstdint>
#include <utility>
#include <vector>

#include "abi/pixel_format.hpp"
#include "abi/settings.hpp"

namespace pdum::nvenc {

struct MotionVector {
    int16_t x = 0;  // quarter pixels
    int16_t y = 0;
};

// A block of the picture, and where it lies in the reference: moved by its vectors, one for each of its parts.
struct MotionBlock {
    uint16_t x = 0;
    uint16_t y = 0;
    uint8_t size = 0;       // pixels, in both directions
    uint8_t is_intra = 0;   // 1: nothing in the reference resembles it
    uint8_t partition = 0;  // how it is divided, by the codec's own number
    uint8_t unused = 0;
    uint32_t cost = 0;  // H.264
    std::array<MotionVector, 4> vectors{};
};

struct MotionSettings {
    Codec codec = Codec::h264;  // or HEVC
    int preset = 3;
    PixelFormat format = PixelFormat::nv12;
    uint32_t width = 0;
    uint32_t height = 0;
};

// Places of HEVC's coding units, which come in the order of the codec: coding tree blocks in rows, and in each of them
// the units in the order of a Z. Sizes in, places out.
class CodingUnitPlaces {
   public:
    CodingUnitPlaces(uint32_t width, uint32_t height) : width_(width), height_(height) {}

    // The upper left corner of the next unit. `is_last`: no further unit is in its tree block.
    std::pair<uint32_t, uint32_t> next(uint32_t size, bool is_last);
    // Whether all units that fit into the picture have come.
    bool is_over() const { return tree_y_ >= height_; }

   private:
    void skip_outside();

    const uint32_t width_;
    const uint32_t height_;
    uint32_t tree_x_ = 0;
    uint32_t tree_y_ = 0;
    uint32_t index_ = 0;  // of the next 8x8 pixels in the tree block
};

}  // namespace pdum::nvenc
