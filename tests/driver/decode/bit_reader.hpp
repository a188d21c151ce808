// Reads bits and Exp-Golomb numbers. Beyond the end it reads zeros and remembers that.
#pragma once

#include <cstddef>
#include <cstdint>
#include <vector>

namespace nvsim::decode {

using Bytes = std::vector<uint8_t>;

class BitReader {
   public:
    BitReader(const uint8_t* data, size_t size) : data_(data), bits_(size * 8) {}
    explicit BitReader(const Bytes& data) : BitReader(data.data(), data.size()) {}

    uint32_t bit() {
        if (position_ >= bits_) {
            ++position_;
            return 0;
        }
        const uint32_t value = data_[position_ / 8] >> (7 - position_ % 8) & 1;
        ++position_;
        return value;
    }
    bool flag() { return bit() != 0; }
    uint32_t bits(int count) {
        uint32_t value = 0;
        while (count-- > 0) value = value << 1 | bit();
        return value;
    }
    void skip(size_t count) { position_ += count; }
    uint32_t ue() {
        int zeros = 0;
        while (zeros < 32 && bit() == 0) ++zeros;
        if (zeros == 32) return 0;
        return (1u << zeros) - 1 + bits(zeros);
    }
    int32_t se() {
        const uint32_t code = ue();
        const auto half = static_cast<int32_t>((code + 1) / 2);
        return code % 2 == 0 ? -half : half;
    }

    size_t position() const { return position_; }
    bool ran_out() const { return position_ > bits_; }
    size_t left() const { return ran_out() ? 0 : bits_ - position_; }
    // Whether more than the stop bit and its zeros are left.
    bool more_payload() const {
        size_t last = bits_;
        while (last > position_ && (data_[(last - 1) / 8] >> (7 - (last - 1) % 8) & 1) == 0) --last;
        return last > position_ + 1;
    }

   private:
    const uint8_t* data_;
    size_t bits_;
    size_t position_ = 0;
};

// The payload of a NAL unit without its emulation prevention bytes. `data` begins with the unit's header.
inline Bytes unescaped(const uint8_t* data, size_t size) {
    Bytes out;
    out.reserve(size);
    int zeros = 0;
    for (size_t i = 0; i < size; ++i) {
        if (zeros >= 2 && data[i] == 3 && (i + 1 == size || data[i + 1] <= 3)) {
            zeros = 0;
            continue;
        }
        zeros = data[i] == 0 ? zeros + 1 : 0;
        out.push_back(data[i]);
    }
    return out;
}

}  // namespace nvsim::decode
