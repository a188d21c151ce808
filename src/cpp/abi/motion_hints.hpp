// Where a picture's blocks may come from, as a caller suggests it to the encoder's own search.
#pragma once

#include <cstddef>
#include <cstdint>
#include <memory>
#include <vector>

#include "abi/qp_map.hpp"

namespace pdum::nvenc {

// x and y of each hint in whole pixels: those of a block lie side by side, and blocks come in rows from the top.
using HintVectors = std::vector<int16_t>;

// Stands in both places of a hint that a block does not have.
constexpr int16_t no_hint = INT16_MIN;

// Hints as the driver reads them. It may do so until the access unit of their picture is out.
struct PackedHints {
    std::shared_ptr<const void> memory;
    uint32_t count = 0;      // of all blocks
    uint32_t per_block = 0;  // at most
};

using SharedHints = std::shared_ptr<const PackedHints>;

inline size_t numbers_of(const BlockGrid& grid, uint32_t per_block) { return grid.count() * per_block * 2; }

}  // namespace pdum::nvenc
