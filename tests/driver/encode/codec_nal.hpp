// Access units of H.264 and HEVC, put together from NAL units as the client's settings ask for them. The codecs are
// told to write pictures only: what else is in an access unit, and where, is decided here, once for both.
#pragma once

#include <vector>

#include "encode/codec_bits.hpp"
#include "encode/coder.hpp"

namespace nvsim {

// NAL units without start codes.
using NalUnits = std::vector<Bytes>;

// Cuts an Annex B stream; start codes of 3 and 4 bytes, and zeros after a unit, are dropped.
NalUnits split_annex_b(const uint8_t* data, size_t size);
// Start codes are always 4 bytes.
void append_annex_b(Bytes& out, const Bytes& nal);

int nal_type(Codec codec, const Bytes& nal);
bool is_parameter_set(Codec codec, const Bytes& nal);
bool is_slice(Codec codec, const Bytes& nal);

class AccessUnitWriter {
   public:
    // `parameter_sets`: as the codec made them; anything else among them, such as its banner, is left out.
    AccessUnitWriter(const StreamSettings& settings, const NalUnits& parameter_sets);

    Bytes headers() const;
    // `pictures`: NAL units as the codec made them, of which only the slices are taken.
    Bytes write(const NalUnits& pictures, PictureType type, bool output_headers, const std::vector<SeiMessage>& sei,
                int layer);
    // Filler data behind the pictures, if the settings ask for it.
    void fill(Bytes& unit) const;

   private:
    bool wants_headers(PictureType type, bool output_headers) const;
    Bytes vps_with_layers(const Bytes& vps, const StreamSettings& settings) const;
    int named_layers() const { return layers_.named ? layers_.count : 1; }
    void append_slice(Bytes& out, Bytes slice, int layer) const;

    Codec codec_;
    bool aud_;
    bool repeat_;
    bool omit_;
    bool first_ = true;
    TemporalLayers layers_;
    std::vector<SeiMessage> about_layers_;
    size_t least_bytes_ = 0;  // of an access unit; less is filled up
    NalUnits parameter_sets_;
};

// The parameter sets that the codec wrote, with the video usability information that the client asked for and no other,
// and with its level.
Bytes rewrite_h264_sps(const Bytes& sps, const StreamSettings& settings);
Bytes rewrite_hevc_sps(const Bytes& sps, const StreamSettings& settings);
Bytes rewrite_hevc_vps(const Bytes& vps, const StreamSettings& settings);

// Where an H.264 slice header keeps its numbers.
struct H264Numbering {
    int frame_num_bits = 4;
    bool has_fields = false;  // whether a flag says that a slice is of a field
    int poc_bits = 0;         // 0: picture order is not written (pic_order_cnt_type 2)
};

H264Numbering h264_numbering(const Bytes& sps);

// Gives a slice the number and the picture order count that it has when `left_out` reference pictures since the last
// IDR are not in the stream.
Bytes renumber_h264_slice(const Bytes& slice, const H264Numbering& numbering, uint32_t left_out, uint32_t poc);

}  // namespace nvsim
