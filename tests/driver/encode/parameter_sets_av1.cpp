#include "encode/parameter_sets_parts.hpp"

namespace nvsim {

namespace {

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

}  // namespace

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

}  // namespace nvsim
