#include "encode/parameter_sets.hpp"

#include "encode/parameter_sets_parts.hpp"

namespace nvsim {

void write_aspect(BitWriter& out, const CodingTools& tools) {
    const bool told = tools.aspect_width != tools.aspect_height;
    out.bit(told);
    if (!told) return;
    out.bits(255, 8);  // in two numbers
    out.bits(tools.aspect_width, 16);
    out.bits(tools.aspect_height, 16);
}

void write_signal_type(BitWriter& out, const ColourDescription& colour) {
    out.bit(colour.signal_type_present);
    if (!colour.signal_type_present) return;
    out.bits(colour.video_format, 3);
    out.bit(colour.full_range);
    out.bit(colour.description_present);
    if (!colour.description_present) return;
    out.bits(colour.primaries, 8);
    out.bits(colour.transfer, 8);
    out.bits(colour.matrix, 8);
}

namespace {

Bytes hevc_header(int type) { return {static_cast<uint8_t>(type << 1), 1}; }

}  // namespace

Bytes parameter_sets(const StreamSettings& stream) {
    Bytes out;
    switch (stream.codec) {
        case Codec::h264:
            append_nal(out, {0x67}, h264_sps(stream));
            append_nal(out, {0x68}, h264_pps(stream));
            break;
        case Codec::hevc:
            append_nal(out, hevc_header(32), hevc_vps(stream));
            append_nal(out, hevc_header(33), hevc_sps(stream));
            append_nal(out, hevc_header(34), hevc_pps(stream));
            break;
        case Codec::av1: append_obu(out, 1, av1_sequence(stream)); break;
    }
    return out;
}

void append_delimiter(Bytes& unit, Codec codec, PictureType type) {
    const int kind = type == PictureType::b ? 2 : type == PictureType::p ? 1 : 0;
    const Bytes payload = {static_cast<uint8_t>(kind << 5 | 0x10)};
    if (codec == Codec::h264) append_nal(unit, {0x09}, payload);
    if (codec == Codec::hevc) append_nal(unit, hevc_header(35), payload);
    if (codec == Codec::av1) append_obu(unit, 2, {});
}

void append_sei(Bytes& unit, Codec codec, const SeiMessage& message) {
    if (codec == Codec::av1) return append_obu(unit, static_cast<int>(message.type), message.payload);
    Bytes payload;
    for (size_t value : {static_cast<size_t>(message.type), message.payload.size()}) {
        payload.insert(payload.end(), value / 255, 255);
        payload.push_back(static_cast<uint8_t>(value % 255));
    }
    payload.insert(payload.end(), message.payload.begin(), message.payload.end());
    payload.push_back(0x80);
    append_nal(unit, codec == Codec::h264 ? Bytes{0x06} : hevc_header(39), payload);
}

void append_picture(Bytes& unit, Codec codec, PictureType type, const Bytes& payload) {
    const bool key = type == PictureType::idr;
    if (codec == Codec::h264) append_nal(unit, {static_cast<uint8_t>(key ? 0x65 : 0x41)}, payload);
    if (codec == Codec::hevc) append_nal(unit, hevc_header(key ? 19 : 1), payload);
    if (codec == Codec::av1) append_obu(unit, 6, payload);
}

}  // namespace nvsim
