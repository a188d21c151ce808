#include "decoder/nal_units.hpp"

#include <cstring>

#include "decoder/bit_reader.hpp"

namespace pdum::nvenc {
namespace {

constexpr ptrdiff_t start_code = 3;  // 0 0 1

// Of a message: its kind, or its size in bytes.
uint32_t long_number(BitReader& in) {
    constexpr uint32_t more = 0xff;
    uint32_t sum = 0;
    for (uint32_t byte = more; byte == more && !in.has_failed();) {
        byte = in.bits(8);
        sum += byte;
    }
    return sum;
}

}  // namespace

NalUnits::NalUnits(const uint8_t* data, size_t size) : end_(data + size), at_(find_start(data)) {}

const uint8_t* NalUnits::find_start(const uint8_t* from) const {
    if (end_ - from < start_code) return nullptr;
    for (const uint8_t* at = from + 2; at < end_; ++at) {
        at = static_cast<const uint8_t*>(std::memchr(at, 1, static_cast<size_t>(end_ - at)));
        if (at == nullptr) return nullptr;
        if (at[-1] == 0 && at[-2] == 0) return at + 1;
    }
    return nullptr;
}

std::optional<NalUnit> NalUnits::next() {
    while (at_ != nullptr) {
        const uint8_t* begin = at_;
        at_ = find_start(begin);
        const uint8_t* end = at_ != nullptr ? at_ - start_code : end_;
        while (end > begin && end[-1] == 0) --end;
        if (end > begin) return NalUnit{begin, static_cast<size_t>(end - begin)};
    }
    return std::nullopt;
}

std::optional<int64_t> recovery_distance(const NalUnit& unit, bool is_hevc) {
    constexpr uint32_t recovery_point = 6;
    BitReader in(unit.data, unit.size);
    while (!in.has_failed()) {
        const uint32_t kind = long_number(in);
        const uint32_t size = long_number(in);
        if (kind != recovery_point) {
            in.skip(uint64_t{size} * 8);
            continue;
        }
        const int64_t distance = is_hevc ? in.signed_number() : int64_t{in.number()};
        return in.has_failed() ? std::nullopt : std::optional(distance);
    }
    return std::nullopt;
}

}  // namespace pdum::nvenc
