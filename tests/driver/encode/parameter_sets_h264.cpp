#include "encode/parameter_sets_parts.hpp"

namespace nvsim {

namespace {

int h264_profile(const StreamSettings& stream) {
    if (stream.profile == "baseline") return 66;
    if (stream.profile == "main") return 77;
    if (stream.profile == "high444" || stream.format.chroma == 3 || stream.lossless) return 244;
    if (stream.profile == "high422" || stream.format.chroma == 2) return 122;
    if (stream.profile == "high10" || stream.format.bit_depth > 8) return 110;
    return 100;
}

void write_h264_vui(BitWriter& out, const StreamSettings& stream) {
    write_aspect(out, stream.tools);
    out.bit(0);  // overscan
    write_signal_type(out, stream.colour);
    out.bit(0);  // chroma location
    out.bit(1);  // timing: two ticks a frame
    out.bits(stream.fps_denominator, 32);
    out.bits(2 * stream.fps_numerator, 32);
    out.bit(1);                  // fixed frame rate
    out.bit(0);                  // NAL HRD
    out.bit(0);                  // VCL HRD
    out.bit(stream.time_codes);  // picture structure
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
    const int right = units_over(format.width, 16) * 16 - format.width;
    const int bottom = units_over(format.height, 16) * 16 - format.height;
    out.bit(right || bottom);
    if (!right && !bottom) return;
    out.ue(0);
    out.ue(right / (format.chroma == 3 ? 1 : 2));
    out.ue(0);
    out.ue(bottom / (format.chroma == 1 ? 2 : 1));
}

}  // namespace

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
    out.ue(units_over(stream.format.width, 16) - 1);
    out.ue(units_over(stream.format.height, 16) - 1);
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
    out.bit(profile != 66 && !stream.tools.cavlc);  // CABAC
    out.bit(0);
    out.ue(0);
    out.ue(0);
    out.ue(0);
    out.bit(0);
    out.bits(0, 2);
    out.se(0);
    out.se(0);
    out.se(stream.tools.cb_offset);
    out.bit(1);
    out.bit(stream.tools.constrained_intra);
    out.bit(0);
    if (profile >= 100) {
        out.bit(stream.tools.transform_8x8);
        out.bit(0);
        out.se(stream.tools.cr_offset);
    }
    return out.finish();
}

}  // namespace nvsim
