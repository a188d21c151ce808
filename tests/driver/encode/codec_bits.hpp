// Bits of parameter sets: reading, and the emulation prevention of NAL units.
#pragma once

#include <cstddef>
#include <cstdint>
#include <vector>

#include "common/bits.hpp"

namespace nvsim {

// Reading beyond the end gives zeros; ask exhausted() where that matters.
class BitReader {
   public:
    explicit BitReader(const Bytes& bytes) : bytes_(bytes) {}

    uint32_t bits(int count);
    bool flag() { return bits(1) != 0; }
    uint32_t ue();  // Exp-Golomb
    size_t position() const { return position_; }
    bool exhausted() const { return position_ > bytes_.size() * 8; }

   private:
    const Bytes& bytes_;
    size_t position_ = 0;
};

// Between a NAL unit's payload as written and as parsed.
Bytes add_emulation_prevention(const Bytes& rbsp);
Bytes remove_emulation_prevention(const Bytes& nal);

// Index of the stop bit that ends an RBSP.
size_t stop_bit(const Bytes& rbsp);

}  // namespace nvsim
