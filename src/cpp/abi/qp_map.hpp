// Which blocks of a picture get more bits: one signed byte for each block, in rows from the top.
#pragma once

#include <cstddef>
#include <cstdint>
#include <optional>
#include <variant>
#include <vector>

#include "abi/settings.hpp"
#include "cuda/cuda_types.hpp"

namespace pdum::nvenc {

using BlockValues = std::vector<int8_t>;

// How a picture is divided into the blocks that have one value each.
struct BlockGrid {
    uint32_t width = 0;  // of the picture
    uint32_t height = 0;
    uint32_t block = 0;  // pixels, in both directions
    uint32_t columns = 0;
    uint32_t rows = 0;

    size_t count() const { return size_t{columns} * rows; }
};

BlockGrid block_grid(Codec codec, uint32_t width, uint32_t height);

// A rectangle of pixels whose blocks have this value. It may reach beyond the picture.
struct MapRegion {
    int64_t x = 0;
    int64_t y = 0;
    int64_t width = 0;
    int64_t height = 0;
    int8_t value = 0;
};

// A map in the memory of a GPU.
struct DeviceMap {
    CUdeviceptr pointer = 0;
    size_t pitch = 0;                     // bytes from one row to the next
    std::optional<CUstream> produced_on;  // none: the values are there already
};

// A map as the caller's array has it.
struct MapArray {
    const char* name = "qp_map";  // for messages
    int64_t rows = 0;
    int64_t columns = 0;
    bool unsigned_bytes = false;
    std::variant<BlockValues, DeviceMap> values;
};

// A caller's values for a picture's blocks.
using PictureMap = std::variant<std::vector<MapRegion>, MapArray>;

// A region covers every block that it touches. Where regions overlap, the later one wins; other blocks have 0.
BlockValues values_of_regions(const std::vector<MapRegion>& regions, const BlockGrid& grid);

// Throws invalid_config for a value that the codec cannot take in that mode. `unsigned_bytes`: the values were such
// bytes before, and those above 127 look negative. `name` begins the message.
void require_range(const BlockValues& values, const BlockGrid& grid, Codec codec, MapMode mode, bool unsigned_bytes,
                   const char* name);

}  // namespace pdum::nvenc
