#include "encode/codec_obu.hpp"

#include <stdexcept>

namespace nvsim {
namespace {

constexpr int kSequenceHeader = 1, kTemporalDelimiter = 2, kMetadata = 5, kPadding = 15;

uint8_t header_byte(int type) { return static_cast<uint8_t>(type << 3 | 2); }  // with a size field

void append_leb128(Bytes& out, uint64_t value) {
    do {
        const uint8_t low = value & 0x7f;
        value >>= 7;
        out.push_back(static_cast<uint8_t>(value != 0 ? low | 0x80 : low));
    } while (value != 0);
}

uint64_t read_leb128(const Bytes& bytes, size_t& at) {
    uint64_t value = 0;
    for (int shift = 0; shift < 56 && at < bytes.size(); shift += 7) {
        const uint8_t byte = bytes[at++];
        value |= static_cast<uint64_t>(byte & 0x7f) << shift;
        if ((byte & 0x80) == 0) return value;
    }
    throw std::runtime_error("an OBU's size does not end");
}

// Moves `at` behind the OBU that begins there.
int skip_obu(const Bytes& bytes, size_t& at) {
    const uint8_t header = bytes[at++];
    if ((header & 4) != 0) ++at;  // extension
    if ((header & 2) == 0) throw std::runtime_error("an OBU without a size");
    const uint64_t size = read_leb128(bytes, at);
    if (size > bytes.size() - at) throw std::runtime_error("an OBU beyond its temporal unit's end");
    at += size;
    return header >> 3 & 0xf;
}

void append_metadata(Bytes& out, const SeiMessage& message) {
    Bytes body;
    append_leb128(body, message.type);
    body.insert(body.end(), message.payload.begin(), message.payload.end());
    body.push_back(0x80);  // trailing bits
    out.push_back(header_byte(kMetadata));
    append_leb128(out, body.size());
    out.insert(out.end(), body.begin(), body.end());
}

}  // namespace

Bytes write_temporal_unit(const Bytes& coded, const Bytes& sequence_header, const std::vector<SeiMessage>& metadata) {
    Bytes out{header_byte(kTemporalDelimiter), 0};
    out.insert(out.end(), sequence_header.begin(), sequence_header.end());
    for (const SeiMessage& message : metadata) append_metadata(out, message);
    for (size_t at = 0; at < coded.size();) {
        const size_t begin = at;
        const int type = skip_obu(coded, at);
        if (type != kTemporalDelimiter && type != kSequenceHeader)
            out.insert(out.end(), coded.begin() + static_cast<std::ptrdiff_t>(begin),
                       coded.begin() + static_cast<std::ptrdiff_t>(at));
    }
    return out;
}

void pad_temporal_unit(Bytes& unit, size_t least) {
    constexpr size_t kAround = 6;  // header, size and trailing bits
    if (unit.size() + kAround >= least) return;
    const Bytes body(least - unit.size() - kAround, 0xff);
    unit.push_back(header_byte(kPadding));
    append_leb128(unit, body.size() + 1);
    unit.insert(unit.end(), body.begin(), body.end());
    unit.push_back(0x80);  // trailing bits
}

Bytes find_sequence_header(const Bytes& coded) {
    for (size_t at = 0; at < coded.size();) {
        const size_t begin = at;
        if (skip_obu(coded, at) == kSequenceHeader)
            return Bytes(coded.begin() + static_cast<std::ptrdiff_t>(begin),
                         coded.begin() + static_cast<std::ptrdiff_t>(at));
    }
    return {};
}

}  // namespace nvsim
