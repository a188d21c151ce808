// Writes bits, Exp-Golomb numbers, NAL units and OBUs.
#pragma once

#include <cstddef>
#include <cstdint>
#include <vector>

namespace nvsim {

using Bytes = std::vector<uint8_t>;

class BitWriter {
   public:
    void bits(uint32_t value, int count) {
        while (count-- > 0) bit(value >> count & 1);
    }
    void bit(uint32_t value) {
        if (filled_ == 0) bytes_.push_back(0);
        bytes_.back() |= static_cast<uint8_t>((value & 1) << (7 - filled_));
        filled_ = (filled_ + 1) % 8;
    }
    void ue(uint32_t value) {
        int length = 0;
        for (uint64_t rest = uint64_t{value} + 1; rest > 1; rest >>= 1) ++length;
        bits(0, length);
        bits(static_cast<uint32_t>(uint64_t{value} + 1), length + 1);
    }
    void se(int32_t value) { ue(value > 0 ? 2 * static_cast<uint32_t>(value) - 1 : 2 * static_cast<uint32_t>(-value)); }
    // The stop bit of a raw byte sequence payload (or of an OBU), and zeros up to the next byte.
    Bytes finish() {
        bit(1);
        return bytes_;
    }
    Bytes align() { return bytes_; }
    size_t size() const { return 8 * bytes_.size() - static_cast<size_t>((8 - filled_) % 8); }  // bits

   private:
    Bytes bytes_;
    int filled_ = 0;
};

// Start code, header and payload with its emulation prevention bytes.
void append_nal(Bytes& out, const Bytes& header, const Bytes& payload);
// An OBU with its size.
void append_obu(Bytes& out, int type, const Bytes& payload);

}  // namespace nvsim
