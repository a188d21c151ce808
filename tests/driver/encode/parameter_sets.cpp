#include "encode/parameter_sets.hpp"

#include <algorithm>

namespace nvsim {

namespace {

int aligned(int length, int unit) { return (length + unit - 1) / unit; }

int h264_profile(const StreamSettings& stream) {
    if (stream.profile == "baseline") return 66;
    if (stream.profile == "main") return 77;
    if (stream.profile == "high444" || stream.format.chroma == 3 || stream.lossless) return 244;
    if (stream.profile == "high422" || stream.format.chroma == 2) return 122;
    if (stream.profile == "high10" || stream.format.bit_depth > 8) return 110;
    return 100;
}

// The same syntax in H.264 and HEVC up to the description of colours.
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

void write_h264_vui(BitWriter& out, const StreamSettings& stream) {
    out.bit(0);  // aspect ratio
    out.bit(0);  // overscan
    write_signal_type(out, stream.colour);
    out.bit(0);  // chroma location
    out.bit(1);  // timing: two ticks a frame
    out.bits(stream.fps_denominator, 32);
    out.bits(2 * stream.fps_numerator, 32);
    out.bit(1);  // fixed frame rate
    out.bit(0);  // NAL HRD
    out.bit(0);  // VCL HRD
    out.bit(0);  // picture structure
    out.bit(stream.bitstream_restriction);
    if (!stream.bitstream_restriction) return;
    out.bit(1);  // motion vectors over picture boundaries
    out.ue(0);   // bytes per picture: no limit
    out.ue(0);   // bits per macroblock: no limit
    out.ue(15);
    out.ue(15);
    out.ue(stream.b_frames > 0 ? 1 : 0);  // frames reordered
    out.ue(stream.b_frames > 0 ? 4 : 1);  // frames buffered
}

void write_h264_cropping(BitWriter& out, const PictureFormat& format) {
    const int right = aligned(format.width, 16) * 16 - format.width;
    const int bottom = aligned(format.height, 16) * 16 - format.height;
    out.bit(right || bottom);
    if (!right && !bottom) return;
    out.ue(0);
    out.ue(right / (format.chroma == 3 ? 1 : 2));
    out.ue(0);
    out.ue(bottom / (format.chroma == 1 ? 2 : 1));
}

Bytes h264_sps(const StreamSettings& stream) {
    BitWriter out;
    const int profile = h264_profile(stream);
    out.bits(profile, 8);
    out.bits(0, 8);  // constraints
    out.bits(stream.level > 0 ? stream.level : 40, 8);
    out.ue(0);
    if (profile >= 100) {
        out.ue(stream.format.chroma);
        if (stream.format.chroma == 3) out.bit(0);
        out.ue(stream.format.bit_depth - 8);
        out.ue(stream.format.bit_depth - 8);
        out.bit(stream.lossless);
        out.bit(0);  // scaling matrices
    }
    out.ue(4);  // frame_num has 8 bits
    out.ue(stream.b_frames > 0 ? 0 : 2);
    if (stream.b_frames > 0) out.ue(4);
    out.ue(4);  // reference frames
    out.bit(0);
    out.ue(aligned(stream.format.width, 16) - 1);
    out.ue(aligned(stream.format.height, 16) - 1);
    out.bit(1);  // frames only
    out.bit(1);  // direct 8x8
    write_h264_cropping(out, stream.format);
    out.bit(1);
    write_h264_vui(out, stream);
    return out.finish();
}

Bytes h264_pps(const StreamSettings& stream) {
    BitWriter out;
    const int profile = h264_profile(stream);
    out.ue(0);
    out.ue(0);
    out.bit(profile != 66);  // CABAC
    out.bit(0);
    out.ue(0);
    out.ue(0);
    out.ue(0);
    out.bit(0);
    out.bits(0, 2);
    out.se(0);
    out.se(0);
    out.se(0);
    out.bit(1);
    out.bit(0);
    out.bit(0);
    if (profile >= 100) {
        out.bit(1);  // 8x8 transform
        out.bit(0);
        out.se(0);
    }
    return out.finish();
}

void write_hevc_profile(BitWriter& out, const StreamSettings& stream) {
    const PictureFormat& format = stream.format;
    const int profile = format.chroma != 1 ? 4 : format.bit_depth > 8 ? 2 : 1;
    out.bits(0, 2);
    out.bit(stream.tier);
    out.bits(profile, 5);
    for (int i = 0; i < 32; ++i) out.bit(i == profile || (profile == 1 && i == 2));
    out.bit(1);  // progressive
    out.bit(0);
    out.bit(0);
    out.bit(1);  // frames only
    out.bits(0, 32);
    out.bits(0, 12);
    out.bits(stream.level > 0 ? stream.level : 120, 8);
}

Bytes hevc_vps(const StreamSettings& stream) {
    BitWriter out;
    out.bits(0, 4);
    out.bits(3, 2);
    out.bits(0, 6);
    out.bits(0, 3);
    out.bit(1);
    out.bits(0xffff, 16);
    write_hevc_profile(out, stream);
    out.bit(1);
    out.ue(4);
    out.ue(stream.b_frames > 0 ? 2 : 0);
    out.ue(0);
    out.bits(0, 6);
    out.ue(0);
    out.bit(0);  // timing
    out.bit(0);  // extension
    return out.finish();
}

void write_hevc_vui(BitWriter& out, const StreamSettings& stream) {
    out.bit(0);  // aspect ratio
    out.bit(0);  // overscan
    write_signal_type(out, stream.colour);
    out.bit(0);       // chroma location
    out.bits(0, 3);   // neutral chroma, fields, field information
    out.bit(0);       // default display window
    out.bit(1);       // timing
    out.bits(stream.fps_denominator, 32);
    out.bits(stream.fps_numerator, 32);
    out.bit(0);
    out.bit(0);  // HRD
    out.bit(0);  // bitstream restriction
}

Bytes hevc_sps(const StreamSettings& stream) {
    BitWriter out;
    const PictureFormat& format = stream.format;
    const int width = aligned(format.width, 16) * 16, height = aligned(format.height, 16) * 16;
    out.bits(0, 4);
    out.bits(0, 3);
    out.bit(1);
    write_hevc_profile(out, stream);
    out.ue(0);
    out.ue(format.chroma);
    if (format.chroma == 3) out.bit(0);
    out.ue(width);
    out.ue(height);
    const bool cropped = width != format.width || height != format.height;
    out.bit(cropped);
    if (cropped) {
        out.ue(0);
        out.ue((width - format.width) / (format.chroma == 3 ? 1 : 2));
        out.ue(0);
        out.ue((height - format.height) / (format.chroma == 1 ? 2 : 1));
    }
    out.ue(format.bit_depth - 8);
    out.ue(format.bit_depth - 8);
    out.ue(4);  // picture order count has 8 bits
    out.bit(1);
    out.ue(4);                           // pictures in the buffer, less one
    out.ue(stream.b_frames > 0 ? 2 : 0);  // pictures reordered
    out.ue(0);
    out.ue(1);  // coding blocks from 16
    out.ue(1);  // to 32
    out.ue(0);  // transforms from 4
    out.ue(3);  // to 32
    out.ue(0);
    out.ue(0);
    out.bit(0);  // scaling lists
    out.bit(0);  // asymmetric partitions
    out.bit(0);  // SAO
    out.bit(0);  // PCM
    out.ue(0);   // short-term reference sets
    out.bit(0);  // long-term references
    out.bit(0);  // temporal motion vectors
    out.bit(0);  // strong smoothing
    out.bit(1);
    write_hevc_vui(out, stream);
    out.bit(0);
    return out.finish();
}

Bytes hevc_pps() {
    BitWriter out;
    out.ue(0);
    out.ue(0);
    out.bits(0, 2);
    out.bits(0, 3);
    out.bits(0, 2);
    out.ue(0);
    out.ue(0);
    out.se(0);
    out.bits(0, 3);
    out.se(0);
    out.se(0);
    out.bits(0, 6);
    out.bit(0);  // loop filter over slices
    out.bit(0);  // deblocking control
    out.bit(0);  // scaling lists
    out.bit(0);  // list modification
    out.ue(0);
    out.bit(0);
    out.bit(0);
    return out.finish();
}

int bits_for(int value) {
    int bits = 1;
    while (value >> bits) ++bits;
    return bits;
}

void write_av1_colour(BitWriter& out, const StreamSettings& stream) {
    const ColourDescription& colour = stream.colour;
    out.bit(stream.format.bit_depth > 8);
    out.bit(0);  // monochrome
    out.bit(colour.description_present);
    if (colour.description_present) {
        out.bits(colour.primaries, 8);
        out.bits(colour.transfer, 8);
        out.bits(colour.matrix, 8);
    }
    out.bit(colour.full_range);
    out.bits(0, 2);  // chroma position
    out.bit(0);      // separate delta for V
}

Bytes av1_sequence(const StreamSettings& stream) {
    BitWriter out;
    const int width = stream.format.width - 1, height = stream.format.height - 1;
    out.bits(0, 3);  // main profile
    out.bit(0);      // no still picture
    out.bit(0);      // full header
    out.bit(0);      // timing
    out.bit(0);      // initial display delay
    out.bits(0, 5);  // one operating point
    out.bits(0, 12);
    out.bits(stream.level > 0 && stream.level < 24 ? stream.level : 8, 5);
    if (stream.level > 7 || stream.level == 0) out.bit(stream.tier);
    out.bits(bits_for(width) - 1, 4);
    out.bits(bits_for(height) - 1, 4);
    out.bits(width, bits_for(width));
    out.bits(height, bits_for(height));
    out.bit(0);      // frame ids
    out.bits(0, 3);  // superblocks of 128, filter intra, intra edge
    out.bits(0, 4);  // inter-intra, masks, warping, dual filter
    out.bit(0);      // order hints
    out.bit(1);      // screen content tools are chosen by each picture
    out.bit(1);      // so are integer motion vectors
    out.bits(0, 3);  // super-resolution, CDEF, restoration
    write_av1_colour(out, stream);
    out.bit(0);  // film grain
    return out.finish();
}

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
            append_nal(out, hevc_header(34), hevc_pps());
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
