#include "encode/codec_bits.hpp"

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
