// What the driver counts while it encodes a picture.
#pragma once

#include <cstddef>
#include <cstdint>
#include <vector>

namespace pdum::nvenc {

// Of one block, or of one row of blocks.
struct UnitStatistics {
    uint32_t qp = 0;
    uint32_t bits = 0;
    uint32_t satd = 0;  // 0 before interface 13.0
};

struct PictureStatistics {
    uint32_t average_qp = 0;
    uint32_t satd = 0;
    uint32_t intra_blocks = 0;
    uint32_t inter_blocks = 0;
    int32_t motion_x = 0;  // the average
    int32_t motion_y = 0;
    uint32_t slices = 0;
    size_t rows = 0;     // of units; 0: the picture alone was counted
    size_t columns = 0;  // 0: each unit is a whole row
    std::vector<UnitStatistics> units;
};

}  // namespace pdum::nvenc
