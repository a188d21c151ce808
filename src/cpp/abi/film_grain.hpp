// The grain that decoders of AV1 add to pictures, as the caller gives it.
#pragma once

#include <array>
#include <cstdint>
#include <utility>
#include <vector>

namespace pdum::nvenc {

struct FilmGrain {
    using Points = std::vector<std::pair<uint8_t, uint8_t>>;  // a sample's value, and the strength there

    // How much a plane's own samples and those of luma count, and an offset.
    struct Mix {
        uint8_t own = 0;
        uint8_t luma = 0;
        uint16_t offset = 0;
    };

    bool apply = true;
    bool chroma_from_luma = false;
    bool overlap = false;
    bool restricted_range = false;
    uint32_t scaling_shift = 8;
    uint32_t lag = 0;
    uint32_t coefficient_shift = 6;
    uint32_t pattern_shift = 0;
    std::array<Points, 3> points;                      // of luma, Cb and Cr
    std::array<std::vector<int32_t>, 3> coefficients;  // likewise
    std::array<Mix, 2> mixes;                          // of Cb and Cr
};

}  // namespace pdum::nvenc
