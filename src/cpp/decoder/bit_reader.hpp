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

    bool flag() { return bit() != 0; }
    // Up to 32 of them.
    uint32_t bits(int count) {
        uint32_t value = 0;
        for (; count > 0; --count) value = value << 1 | bit();
        return value;
    }
    void skip(uint64_t count) {
        for (; count > 0 && !has_failed_; --count) bit();
    }
    // In Exp-Golomb code.
    uint32_t number() {
        constexpr int most_zeros = 31;
        int zeros = 0;
        while (zeros <= most_zeros && !has_failed_ && bit() == 0) ++zeros;
        has_failed_ = has_failed_ || zeros > most_zeros;
        return has_failed_ ? 0 : (uint32_t{1} << zeros) - 1 + bits(zeros);
    }
    int64_t signed_number() {
        const int64_t code = number();
        return code % 2 != 0 ? (code + 1) / 2 : -(code / 2);
    }

   private:
    uint32_t bit() {
        if (left_ == 0) next_byte();
        if (has_failed_) return 0;
        --left_;
        return uint32_t{byte_} >> left_ & 1U;
    }

    void next_byte() {
        constexpr uint8_t prevention = 3;
        if (zeros_ >= 2 && at_ < size_ && data_[at_] == prevention) {
            ++at_;
            zeros_ = 0;
        }
        if (at_ >= size_) {
            has_failed_ = true;
            return;
        }
        byte_ = data_[at_++];
        zeros_ = byte_ == 0 ? zeros_ + 1 : 0;
        left_ = 8;
    }

    const uint8_t* data_;
    size_t size_;
    size_t at_ = 0;
    int zeros_ = 0;  // bytes in a row
    uint8_t byte_ = 0;
    int left_ = 0;  // bits of the byte
    bool has_failed_ = false;
};

}  // namespace pdum::nvenc
