#include "encode/parameter_sets_parts.hpp"

namespace nvsim {

namespace {

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

void write_hevc_vui(BitWriter& out, const StreamSettings& stream) {
    write_aspect(out, stream.tools);
    out.bit(0);  // overscan
    write_signal_type(out, stream.colour);
    out.bit(0);      // chroma location
    out.bits(0, 3);  // neutral chroma, fields, field information
    out.bit(0);      // default display window
    out.bit(1);      // timing
    out.bits(stream.fps_denominator, 32);
    out.bits(stream.fps_numerator, 32);
    out.bit(0);
    out.bit(0);  // HRD
    out.bit(0);  // bitstream restriction
}

}  // namespace

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

Bytes hevc_sps(const StreamSettings& stream) {
    BitWriter out;
    const PictureFormat& format = stream.format;
    const int width = units_over(format.width, 16) * 16, height = units_over(format.height, 16) * 16;
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
    out.ue(4);                            // pictures in the buffer, less one
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

Bytes hevc_pps(const StreamSettings& stream) {
    BitWriter out;
    out.ue(0);
    out.ue(0);
    out.bits(0, 2);
    out.bits(0, 3);
    out.bits(0, 2);
    out.ue(0);
    out.ue(0);
    out.se(0);
    out.bit(stream.tools.constrained_intra);
    out.bits(0, 2);
    out.se(stream.tools.cb_offset);
    out.se(stream.tools.cr_offset);
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

}  // namespace nvsim
