#include "encode/motion.hpp"

#include <algorithm>
#include <cstdlib>
#include <cstring>
#include <map>
#include <utility>

namespace nvsim {

namespace {

constexpr int kBlock = 16, kTree = 32, kRange = 16;

struct H264Motion {
    int16_t vectors[4][2];
    uint8_t type;
    uint8_t partition;
    uint16_t reserved;
    uint32_t cost;
};
static_assert(sizeof(H264Motion) == 24);

struct HevcMotion {
    int16_t vectors[4][2];
    uint8_t type;
    uint8_t size;
    uint8_t partition;
    uint8_t is_last;
};
static_assert(sizeof(HevcMotion) == 20);

struct Block {
    int left, top, width, height;
};

class Search {
   public:
    Search(const LumaPlane& picture, const LumaPlane& reference) : picture_(picture), reference_(reference) {
        for (int y = -kRange; y <= kRange; ++y)
            for (int x = -kRange; x <= kRange; ++x) places_.push_back({x, y});
        const auto distance = [](const std::pair<int, int>& place) {
            return place.first * place.first + place.second * place.second;
        };
        std::stable_sort(places_.begin(), places_.end(),
                         [&](const auto& a, const auto& b) { return distance(a) < distance(b); });
    }

    // The part of the block that lies in the picture counts. What was best for the block before is tried first.
    FoundMotion find(const Block& block) {
        FoundMotion best{0, 0, difference(block, 0, 0, UINT32_MAX)};
        attempt(block, last_.first, last_.second, best);
        for (const auto& [x, y] : places_) {
            if (best.difference == 0) break;
            attempt(block, x, y, best);
        }
        last_ = {best.x, best.y};
        return best;
    }

    // How far the block is from its own mean: what it costs to code it without a reference.
    uint32_t difference_within(const Block& block) const {
        const auto [right, bottom] = ends_of(block);
        const int count = std::max((right - block.left) * (bottom - block.top), 1);
        int sum = 0;
        for (int row = block.top; row < bottom; ++row)
            for (int column = block.left; column < right; ++column) sum += sample(picture_, column, row);
        uint32_t differences = 0;
        for (int row = block.top; row < bottom; ++row)
            for (int column = block.left; column < right; ++column)
                differences += static_cast<uint32_t>(std::abs(sample(picture_, column, row) - sum / count));
        return differences;
    }

   private:
    void attempt(const Block& block, int x, int y, FoundMotion& best) const {
        const uint32_t found = difference(block, x, y, best.difference);
        if (found < best.difference) best = {x, y, found};
    }

    std::pair<int, int> ends_of(const Block& block) const {
        return {std::min(block.left + block.width, picture_.width),
                std::min(block.top + block.height, picture_.height)};
    }

    uint32_t difference(const Block& block, int x, int y, uint32_t enough) const {
        const auto [right, bottom] = ends_of(block);
        uint32_t sum = 0;
        for (int row = block.top; row < bottom && sum < enough; ++row)
            for (int column = block.left; column < right; ++column)
                sum += static_cast<uint32_t>(
                    std::abs(sample(picture_, column, row) - sample(reference_, column + x, row + y)));
        return sum;
    }

    // A picture goes on beyond its edge as its last samples.
    static int sample(const LumaPlane& plane, int x, int y) {
        const int column = std::clamp(x, 0, plane.width - 1), row = std::clamp(y, 0, plane.height - 1);
        return plane.samples[static_cast<size_t>(row) * static_cast<size_t>(plane.width) + static_cast<size_t>(column)];
    }

    const LumaPlane& picture_;
    const LumaPlane& reference_;
    std::vector<std::pair<int, int>> places_;
    std::pair<int, int> last_{0, 0};
};

template <typename Data>
void append(std::vector<uint8_t>& out, const Data& data) {
    const auto* bytes = reinterpret_cast<const uint8_t*>(&data);
    out.insert(out.end(), bytes, bytes + sizeof data);
}

// How a block is divided, by the codec's own number.
struct Division {
    uint8_t number;
    std::vector<Block> parts;
};

template <typename Data>
void put_vector(Data& data, size_t part, const FoundMotion& found) {
    data.vectors[part][0] = static_cast<int16_t>(4 * found.x);
    data.vectors[part][1] = static_cast<int16_t>(4 * found.y);
}

// The block as a whole, divided if its parts are found better each by itself, or intra if the reference has nothing
// that is as near to it as its own mean. Also what is left over.
template <typename Data>
std::pair<Data, uint32_t> best_of(Search& search, const Block& block, const Division& division, bool allows_intra) {
    const FoundMotion whole = search.find(block);
    Data data{};
    data.type = 1;
    put_vector(data, 0, whole);
    if (whole.difference == 0) return {data, 0};
    Data divided = data;
    divided.partition = division.number;
    uint32_t left_over = 0;
    for (size_t part = 0; part < division.parts.size(); ++part) {
        const FoundMotion found = search.find(division.parts[part]);
        put_vector(divided, part, found);
        left_over += found.difference;
    }
    if (left_over < whole.difference) data = divided;
    left_over = std::min(left_over, whole.difference);
    const uint32_t within = search.difference_within(block);
    return allows_intra && within < left_over ? std::pair{Data{}, within} : std::pair{data, left_over};
}

Division quarters(const Block& block) {
    constexpr uint8_t number = 1;  // 8x8
    const int width = block.width / 2, height = block.height / 2;
    return {number,
            {{block.left, block.top, width, height},
             {block.left + width, block.top, width, height},
             {block.left, block.top + height, width, height},
             {block.left + width, block.top + height, width, height}}};
}

Division halves(const Block& block) {
    constexpr uint8_t number = 1;  // 2NxN
    const int height = block.height / 2;
    return {number,
            {{block.left, block.top, block.width, height}, {block.left, block.top + height, block.width, height}}};
}

std::vector<uint8_t> h264_motion(const LumaPlane& picture, Search& search, bool allows_intra) {
    std::vector<uint8_t> out;
    for (int y = 0; y < picture.height; y += kBlock)
        for (int x = 0; x < picture.width; x += kBlock) {
            const Block block{x, y, kBlock, kBlock};
            auto [data, left_over] = best_of<H264Motion>(search, block, quarters(block), allows_intra);
            data.cost = left_over;
            append(out, data);
        }
    return out;
}

// The coding units of one tree block: it is divided where the reference does not have it as a whole, and where it
// reaches beyond the picture.
class TreeBlock {
   public:
    TreeBlock(const LumaPlane& picture, Search& search) : picture_(picture), search_(search) {}

    std::vector<HevcMotion> units(int x, int y) {
        units_.clear();
        divide(x, y, kTree);
        units_.back().is_last = 1;
        return units_;
    }

   private:
    void divide(int x, int y, int size) {
        if (x >= picture_.width || y >= picture_.height) return;
        const bool is_inside = x + size <= picture_.width && y + size <= picture_.height;
        if (size == 8 || (is_inside && search_.find({x, y, size, size}).difference == 0)) return add(x, y, size);
        const int half = size / 2;
        for (const auto& [right, down] : {std::pair{0, 0}, {half, 0}, {0, half}, {half, half}})
            divide(x + right, y + down, half);
    }

    void add(int x, int y, int size) {
        const Block block{x, y, size, size};
        auto data = best_of<HevcMotion>(search_, block, halves(block), true).first;
        data.size = size == 8 ? 0 : size == 16 ? 1 : 2;
        units_.push_back(data);
    }

    const LumaPlane& picture_;
    Search& search_;
    std::vector<HevcMotion> units_;
};

std::vector<uint8_t> hevc_motion(const LumaPlane& picture, Search& search) {
    std::vector<uint8_t> out;
    TreeBlock tree(picture, search);
    for (int y = 0; y < picture.height; y += kTree)
        for (int x = 0; x < picture.width; x += kTree)
            for (const HevcMotion& unit : tree.units(x, y)) append(out, unit);
    return out;
}

}  // namespace

std::vector<uint8_t> motion_data(Codec codec, const LumaPlane& picture, const LumaPlane& reference, bool allows_intra) {
    Search search(picture, reference);
    return codec == Codec::h264 ? h264_motion(picture, search, allows_intra) : hevc_motion(picture, search);
}

}  // namespace nvsim
