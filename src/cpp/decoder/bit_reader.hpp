// Reads the bits of a NAL unit, and passes over the bytes that keep start codes out of it.
#pragma once

#include <cstddef>
#include <cstdint>

namespace pdum::nvenc {

// The bytes have to stay where they are. Beyond the end it reads zeros, and remembers that.
class BitReader {
   public:
    BitReader(const uint8_t* data, size_t size) : data_(data), size_(size) {}

    // More bits were wanted than there are, or a number has more than 32 bits.
    bool has_failed() const noexcept { return has_failed_; }

    bool flag();
    // Up to 32 of them.
    uint32_t bits(int count);
    void skip(uint64_t count);
    // In Exp-Golomb code.
    uint32_t number();
    int64_t signed_number();
    void skip_numbers(int count);

   private:
    uint32_t bit();
    void next_byte();

    const uint8_t* data_;
    size_t size_;
    size_t at_ = 0;
    int zeros_ = 0;  // bytes in a row
    uint8_t byte_ = 0;
    int left_ = 0;  // bits of the byte
    bool has_failed_ = false;
};

}  // namespace pdum::nvenc
