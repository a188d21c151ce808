#include <array>
#include <cstring>

#include "encode/maker.hpp"

namespace nvsim {

namespace {

constexpr int slices = 16;
using Tables = std::array<std::array<uint32_t, 256>, slices>;

Tables make_tables() {
    Tables tables{};
    for (uint32_t i = 0; i < 256; ++i) {
        uint32_t value = i;
        for (int bit = 0; bit < 8; ++bit) value = value >> 1 ^ (value & 1 ? 0xedb88320u : 0);
        tables[0][i] = value;
    }
    for (int slice = 1; slice < slices; ++slice)
        for (uint32_t i = 0; i < 256; ++i)
            tables[slice][i] = tables[slice - 1][i] >> 8 ^ tables[0][tables[slice - 1][i] & 0xff];
    return tables;
}

}  // namespace

// The CRC of zlib, gzip and PNG, sixteen bytes a step: Python's zlib.crc32 gives the same.
uint32_t crc32(const uint8_t* data, size_t size, uint32_t seed) {
    static const Tables tables = make_tables();
    uint32_t crc = ~seed;
    for (; size >= slices; size -= slices, data += slices) {
        uint32_t words[4];
        std::memcpy(words, data, sizeof words);
        words[0] ^= crc;
        crc = 0;
        for (int word = 0; word < 4; ++word)
            for (int byte = 0; byte < 4; ++byte)
                crc ^= tables[slices - 1 - 4 * word - byte][words[word] >> 8 * byte & 0xff];
    }
    for (; size > 0; --size, ++data) crc = crc >> 8 ^ tables[0][(crc ^ *data) & 0xff];
    return ~crc;
}

}  // namespace nvsim
