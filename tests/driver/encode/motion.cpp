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
    FoundMotion find(int left, int top, int size) {
        FoundMotion best{0, 0, difference(left, top, size, 0, 0, UINT32_MAX)};
        attempt(left, top, size, last_.first, last_.second, best);
        for (const auto& [x, y] : places_) {
            if (best.difference == 0) break;
            attempt(left, top, size, x, y, best);
        }
        last_ = {best.x, best.y};
        return best;
    }

   private:
    void attempt(int left, int top, int size, int x, int y, FoundMotion& best) const {
        const uint32_t found = difference(left, top, size, x, y, best.difference);
        if (found < best.difference) best = {x, y, found};
    }

    uint32_t difference(int left, int top, int size, int x, int y, uint32_t enough) const {
        const int right = std::min(left + size, picture_.width), bottom = std::min(top + size, picture_.height);
        uint32_t sum = 0;
        for (int row = top; row < bottom && sum < enough; ++row)
            for (int column = left; column < right; ++column)
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

template <typename Data>
Data inter_block(const FoundMotion& found) {
    Data data{};
    data.type = 1;
    data.vectors[0][0] = static_cast<int16_t>(4 * found.x);
    data.vectors[0][1] = static_cast<int16_t>(4 * found.y);
    return data;
}

std::vector<uint8_t> h264_motion(const LumaPlane& picture, Search& search) {
    std::vector<uint8_t> out;
    for (int y = 0; y < picture.height; y += kBlock)
        for (int x = 0; x < picture.width; x += kBlock) {
            const FoundMotion found = search.find(x, y, kBlock);
            auto data = inter_block<H264Motion>(found);
            data.cost = found.difference;
            append(out, data);
        }
    return out;
}

// The coding units of one tree block: it is divided where its quarters move differently, or reach beyond the picture.
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
        if (size == 8 || (is_inside && (size <= kBlock || is_one(x, y)))) return add(x, y, size);
        const int half = size / 2;
        for (const auto& [right, down] : {std::pair{0, 0}, {half, 0}, {0, half}, {half, half}})
            divide(x + right, y + down, half);
    }

    bool is_one(int x, int y) {
        const FoundMotion first = search_.find(x, y, kBlock);
        for (const auto& [right, down] : {std::pair{kBlock, 0}, {0, kBlock}, {kBlock, kBlock}}) {
            const FoundMotion other = search_.find(x + right, y + down, kBlock);
            if (other.x != first.x || other.y != first.y) return false;
        }
        return true;
    }

    void add(int x, int y, int size) {
        auto data = inter_block<HevcMotion>(search_.find(x, y, size));
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

std::vector<uint8_t> motion_data(Codec codec, const LumaPlane& picture, const LumaPlane& reference) {
    Search search(picture, reference);
    return codec == Codec::h264 ? h264_motion(picture, search) : hevc_motion(picture, search);
}

}  // namespace nvsim
