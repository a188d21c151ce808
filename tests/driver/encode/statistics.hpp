// What a session counts of a picture's blocks: how much each differs from flat, and what it took to code.
#pragma once

#include <cstdint>
#include <vector>

#include "encode/maker.hpp"

namespace nvsim {

enum class StatisticsLevel : uint32_t { none = 0, blocks = 1, rows = 2 };  // values of NV_ENC_OUTPUT_STATS_LEVEL

struct UnitStatistics {
    uint8_t qp = 0;
    uint32_t bits = 0;
    uint32_t satd = 0;
};

// The blocks of a picture, in rows from the top.
struct BlockGrid {
    int block = 16;  // pixels, in both directions
    int columns = 0;
    int rows = 0;

    size_t count() const { return static_cast<size_t>(columns) * static_cast<size_t>(rows); }
};

BlockGrid grid_of(int width, int height, int block);

// The sum of the differences of each block's luma from its mean. It stands for the transformed differences from a
// prediction, which no codec tells.
std::vector<uint32_t> activity_of(const SourcePicture& picture, const BlockGrid& grid);

// How many units a level has.
size_t unit_count(StatisticsLevel level, const BlockGrid& grid);

// The bits of the access unit are shared among the blocks by their activity.
std::vector<UnitStatistics> units_of(StatisticsLevel level, const BlockGrid& grid,
                                     const std::vector<uint32_t>& activity, const BlockMap* map, int average_qp,
                                     size_t bits);

// How many slices an access unit of H.264 or HEVC has; 1 in AV1.
uint32_t count_slices(Codec codec, const std::vector<uint8_t>& unit);

}  // namespace nvsim
