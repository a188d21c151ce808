#include "abi/motion.hpp"

#include <utility>

namespace pdum::nvenc {
namespace {

// As HEVC's presets have it (qp_map.cpp).
constexpr uint32_t tree_size = 32;
constexpr uint32_t least_size = 8;

// Every other bit of the number, from the lowest on.
uint32_t every_other_bit(uint32_t number) {
    uint32_t found = 0;
    for (uint32_t bit = 0; bit < 4; ++bit) found |= (number >> (2 * bit) & 1) << bit;
    return found;
}

std::pair<uint32_t, uint32_t> place_of(uint32_t index) {
    return {least_size * every_other_bit(index), least_size * every_other_bit(index >> 1)};
}

}  // namespace

void CodingUnitPlaces::skip_outside() {
    constexpr uint32_t units = (tree_size / least_size) * (tree_size / least_size);
    for (; index_ < units; ++index_) {
        const auto [x, y] = place_of(index_);
        if (tree_x_ + x < width_ && tree_y_ + y < height_) return;
    }
}

std::pair<uint32_t, uint32_t> CodingUnitPlaces::next(uint32_t size, bool is_last) {
    skip_outside();
    const auto [x, y] = place_of(index_);
    const std::pair<uint32_t, uint32_t> found{tree_x_ + x, tree_y_ + y};
    index_ += size * size / (least_size * least_size);
    if (!is_last) return found;
    index_ = 0;
    tree_x_ += tree_size;
    if (tree_x_ >= width_) {
        tree_x_ = 0;
        tree_y_ += tree_size;
    }
    return found;
}

}  // namespace pdum::nvenc
