#include "decoder/bit_reader.hpp"

namespace pdum::nvenc {

void BitReader::next_byte() {
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

uint32_t BitReader::bit() {
    if (left_ == 0) next_byte();
    if (has_failed_) return 0;
    --left_;
    return uint32_t{byte_} >> left_ & 1U;
}

bool BitReader::flag() { return bit() != 0; }

uint32_t BitReader::bits(int count) {
    uint32_t value = 0;
    for (; count > 0; --count) value = value << 1 | bit();
    return value;
}

void BitReader::skip(uint64_t count) {
    for (; count > 0 && !has_failed_; --count) bit();
}

uint32_t BitReader::number() {
    constexpr int most_zeros = 31;
    int zeros = 0;
    while (zeros <= most_zeros && !has_failed_ && bit() == 0) ++zeros;
    has_failed_ = has_failed_ || zeros > most_zeros;
    return has_failed_ ? 0 : (uint32_t{1} << zeros) - 1 + bits(zeros);
}

int64_t BitReader::signed_number() {
    const int64_t code = number();
    return code % 2 != 0 ? (code + 1) / 2 : -(code / 2);
}

void BitReader::skip_numbers(int count) {
    for (; count > 0; --count) number();
}

}  // namespace pdum::nvenc
