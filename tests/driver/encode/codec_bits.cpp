#include "codec_bits.hpp"

namespace nvsim {

uint32_t BitReader::bits(int count) {
    uint32_t value = 0;
    for (int i = 0; i < count; ++i, ++position_) {
        const size_t byte = position_ / 8;
        const uint32_t bit = byte < bytes_.size() ? bytes_[byte] >> (7 - position_ % 8) & 1u : 0u;
        value = value << 1 | bit;
    }
    return value;
}

uint32_t BitReader::ue() {
    int zeros = 0;
    while (zeros < 32 && !exhausted() && !flag()) ++zeros;
    return zeros >= 32 ? 0xffffffffu : (1u << zeros) - 1 + bits(zeros);
}

void BitWriter::bits(uint32_t value, int count) {
    for (int i = count - 1; i >= 0; --i) {
        if (free_ == 0) {
            bytes_.push_back(0);
            free_ = 8;
        }
        --free_;
        bytes_.back() = static_cast<uint8_t>(bytes_.back() | (value >> i & 1u) << free_);
    }
}

void BitWriter::ue(uint32_t value) {
    int length = 0;
    while ((value + 1) >> (length + 1) != 0) ++length;
    bits(0, length);
    bits(value + 1, length + 1);
}

void BitWriter::trailing() {
    bits(1, 1);
    free_ = 0;
}

Bytes add_emulation_prevention(const Bytes& rbsp) {
    Bytes nal;
    nal.reserve(rbsp.size() + rbsp.size() / 64);
    int zeros = 0;
    for (const uint8_t byte : rbsp) {
        if (zeros >= 2 && byte <= 3) {
            nal.push_back(3);
            zeros = 0;
        }
        nal.push_back(byte);
        zeros = byte == 0 ? zeros + 1 : 0;
    }
    return nal;
}

Bytes remove_emulation_prevention(const Bytes& nal) {
    Bytes rbsp;
    rbsp.reserve(nal.size());
    int zeros = 0;
    for (const uint8_t byte : nal) {
        if (zeros >= 2 && byte == 3) {
            zeros = 0;
            continue;
        }
        rbsp.push_back(byte);
        zeros = byte == 0 ? zeros + 1 : 0;
    }
    return rbsp;
}

size_t stop_bit(const Bytes& rbsp) {
    for (size_t bit = rbsp.size() * 8; bit > 0; --bit)
        if ((rbsp[(bit - 1) / 8] >> (7 - (bit - 1) % 8) & 1u) != 0) return bit - 1;
    return 0;
}

}  // namespace nvsim
