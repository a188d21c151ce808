// Parameter sets as the last ones of each number were.
#pragma once

#include <cstdint>
#include <limits>
#include <map>
#include <utility>

#include "decoder/bit_reader.hpp"
#include "decoder/nal_units.hpp"

namespace pdum::nvenc {

// Keeps a unit's set. One that cannot be read is forgotten. `read` is a bool (BitReader&, uint32_t& number, Set&).
template <typename Set, typename Read>
void keep_set(std::map<uint32_t, Set>& sets, const NalUnit& unit, int header_bits, const Read& read) {
    BitReader in(unit.data, unit.size);
    in.skip(static_cast<uint64_t>(header_bits));
    uint32_t number = std::numeric_limits<uint32_t>::max();
    Set set;
    const bool is_good = read(in, number, set) && !in.has_failed();
    sets.erase(number);
    if (is_good) sets[number] = std::move(set);
}

}  // namespace pdum::nvenc
