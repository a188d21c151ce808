#include "encode/statistics.hpp"

#include <algorithm>
#include <cstdlib>
#include <cstring>
#include <numeric>

#include "encode/codec_nal.hpp"
#include "encode/surface.hpp"

namespace nvsim {

namespace {

constexpr int kLastQuantiser = 51, kLastAv1Quantiser = 255;

uint32_t sample(const uint8_t* row, int column, bool is_wide) {
    if (!is_wide) return row[column];
    uint16_t value;
    std::memcpy(&value, row + 2 * column, sizeof value);
    return value;
}

struct Luma {
    const uint8_t* pixels;
    size_t pitch;
    bool is_wide;
    int width, height;

    uint32_t activity(int left, int top, int size) const {
        const int right = std::min(left + size, width), bottom = std::min(top + size, height);
        uint64_t sum = 0;
        const auto each = [&](auto use) {
            for (int y = top; y < bottom; ++y)
                for (int x = left; x < right; ++x) use(sample(pixels + static_cast<size_t>(y) * pitch, x, is_wide));
        };
        each([&](uint32_t value) { sum += value; });
        const auto count = static_cast<uint64_t>(right - left) * static_cast<uint64_t>(bottom - top);
        const auto mean = static_cast<int64_t>((sum + count / 2) / count);
        uint64_t difference = 0;
        each([&](uint32_t value) { difference += static_cast<uint64_t>(std::abs(int64_t{value} - mean)); });
        return static_cast<uint32_t>(difference);
    }
};

int quantiser(int average, const BlockMap* map, size_t block, int most) {
    const bool is_offset = map != nullptr && !map->emphasis && block < map->values.size();
    return std::clamp(average + (is_offset ? map->values[block] : 0), 0, most);
}

UnitStatistics joined(const UnitStatistics* first, size_t count) {
    UnitStatistics row;
    uint32_t quantisers = 0;
    for (size_t i = 0; i < count; ++i) {
        quantisers += first[i].qp;
        row.bits += first[i].bits;
        row.satd += first[i].satd;
    }
    row.qp = static_cast<uint8_t>(quantisers / count);
    return row;
}

}  // namespace

BlockGrid grid_of(int width, int height, int block) {
    return {block, (width + block - 1) / block, (height + block - 1) / block};
}

std::vector<uint32_t> activity_of(const SourcePicture& picture, const BlockGrid& grid) {
    const Plane plane =
        packed_planes(picture.format, static_cast<size_t>(picture.width), static_cast<size_t>(picture.height)).plane[0];
    const Luma luma{picture.pixels, plane.pitch, bit_depth_of(picture.format) > 8 && !is_rgb(picture.format),
                    picture.width, picture.height};
    std::vector<uint32_t> found;
    found.reserve(grid.count());
    for (int row = 0; row < grid.rows; ++row)
        for (int column = 0; column < grid.columns; ++column)
            found.push_back(luma.activity(column * grid.block, row * grid.block, grid.block));
    return found;
}

size_t unit_count(StatisticsLevel level, const BlockGrid& grid) {
    if (level == StatisticsLevel::none) return 0;
    return level == StatisticsLevel::blocks ? grid.count() : static_cast<size_t>(grid.rows);
}

std::vector<UnitStatistics> units_of(StatisticsLevel level, const BlockGrid& grid,
                                     const std::vector<uint32_t>& activity, const BlockMap* map, int average_qp,
                                     size_t bits) {
    const auto of_block = [&](size_t block) { return block < activity.size() ? activity[block] : 0; };
    const int most = map != nullptr && map->block == 64 ? kLastAv1Quantiser : kLastQuantiser;
    const double whole = std::accumulate(activity.begin(), activity.end(), static_cast<double>(grid.count()));
    std::vector<UnitStatistics> blocks(grid.count());
    double before = 0;
    size_t given = 0;
    for (size_t i = 0; i < blocks.size(); ++i) {
        before += of_block(i) + 1.0;
        const auto up_to_here =
            i + 1 == blocks.size() ? bits : static_cast<size_t>(static_cast<double>(bits) * before / whole);
        blocks[i] = {static_cast<uint8_t>(quantiser(average_qp, map, i, std::max(most, average_qp))),
                     static_cast<uint32_t>(up_to_here - given), of_block(i)};
        given = up_to_here;
    }
    if (level == StatisticsLevel::blocks) return blocks;
    std::vector<UnitStatistics> rows;
    const auto columns = static_cast<size_t>(grid.columns);
    for (size_t first = 0; first < blocks.size(); first += columns) rows.push_back(joined(&blocks[first], columns));
    return rows;
}

uint32_t count_slices(Codec codec, const std::vector<uint8_t>& unit) {
    if (codec == Codec::av1) return 1;
    uint32_t count = 0;
    for (const Bytes& nal : split_annex_b(unit.data(), unit.size())) count += is_slice(codec, nal) ? 1 : 0;
    return std::max(count, 1u);
}

}  // namespace nvsim
