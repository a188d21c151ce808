#include "abi/qp_map.hpp"

#include <algorithm>
#include <string>
#include <utility>

#include "core/error.hpp"

namespace pdum::nvenc {
namespace {

// Of NVENC: macroblocks in H.264, coding tree blocks in HEVC, superblocks in AV1 (nvEncodeAPI.h, qpDeltaMap). Their
// sizes are those that OBS Studio uses (plugins/obs-nvenc/nvenc.c, add_roi); HEVC's presets say 32x32, too (maxCUSize,
// recorded from an RTX 3060).
uint32_t block_size(Codec codec) {
    switch (codec) {
        case Codec::h264: return 16;
        case Codec::hevc: return 32;
        case Codec::av1: return 64;
    }
    fail(ErrorKind::invalid_config, "An unknown codec.");
}

// The indices of the first block and of the one behind the last that the region touches within so many pixels.
std::pair<uint32_t, uint32_t> touched(int64_t start, int64_t size, uint32_t block, uint32_t pixels) {
    const int64_t end = start + size;  // both come from numbers of 32 bits
    const auto within = [pixels](int64_t place) {
        return static_cast<uint32_t>(std::clamp<int64_t>(place, 0, pixels));
    };
    if (within(start) == within(end)) return {0, 0};
    return {within(start) / block, (within(end) + block - 1) / block};
}

// AV1 counts quantisers to 255, the others to 51.
std::pair<int, int> range_of(Codec codec, MapMode mode) {
    if (mode == MapMode::emphasis) return {0, 5};
    return codec == Codec::av1 ? std::pair{-128, 127} : std::pair{-51, 51};
}

}  // namespace

BlockGrid block_grid(Codec codec, uint32_t width, uint32_t height) {
    const uint32_t block = block_size(codec);
    return {width, height, block, (width + block - 1) / block, (height + block - 1) / block};
}

BlockValues values_of_regions(const std::vector<MapRegion>& regions, const BlockGrid& grid) {
    BlockValues values(grid.count());
    for (const MapRegion& region : regions) {
        const auto [left, right] = touched(region.x, region.width, grid.block, grid.width);
        const auto [top, bottom] = touched(region.y, region.height, grid.block, grid.height);
        for (uint32_t row = top; row < bottom && left < right; ++row) {
            std::fill_n(values.begin() + static_cast<ptrdiff_t>(size_t{row} * grid.columns + left), right - left,
                        region.value);
        }
    }
    return values;
}

void require_range(const BlockValues& values, const BlockGrid& grid, Codec codec, MapMode mode, bool unsigned_bytes,
                   const char* name) {
    const auto [least, most] = range_of(codec, mode);
    const auto number = [=](int8_t value) { return unsigned_bytes ? static_cast<uint8_t>(value) : int{value}; };
    const auto wrong = std::find_if(values.begin(), values.end(), [&, least = least, most = most](int8_t value) {
        return number(value) < least || number(value) > most;
    });
    if (wrong == values.end()) return;
    const auto at = static_cast<size_t>(wrong - values.begin());
    fail(ErrorKind::invalid_config,
         std::string(name) + " has " + std::to_string(number(*wrong)) + " in row " + std::to_string(at / grid.columns) +
             ", column " + std::to_string(at % grid.columns) + "; the values for " + name_of(codec) + " go from " +
             std::to_string(least) + " to " + std::to_string(most) + ".",
         mode == MapMode::delta ? "Negative values make a block better." : "Higher levels make a block better.");
}

}  // namespace pdum::nvenc
