// H.264's parameter sets and slice headers, as far as they tell which pictures are missing.
#pragma once

#include <cstdint>
#include <map>
#include <optional>

#include "decoder/nal_units.hpp"

namespace pdum::nvenc {

struct H264Sequence {
    bool has_planes_apart = false;
    bool is_grey = false;  // or each plane is coded as a grey picture
    int number_bits = 0;   // of the numbers of frames
    uint32_t order_kind = 0;
    int order_bits = 0;
    bool order_is_fixed = false;
    bool may_lack_frames = false;  // on purpose, as when layers in time are left out
    bool has_frames_only = false;
};

struct H264PictureParameters {
    uint32_t sequence = 0;
    bool has_bottom_order = false;
    uint32_t references[2] = {};
    bool has_weights = false;
    bool has_weights_of_both = false;
    bool has_redundant_slices = false;
};

// As the last ones of each number were.
struct H264Parameters {
    std::map<uint32_t, H264Sequence> sequences;
    std::map<uint32_t, H264PictureParameters> pictures;

    // Takes a unit that is a parameter set. One that cannot be read is forgotten.
    void take(const NalUnit& unit);
};

struct H264Slice {
    bool is_first = false;  // of its picture or field
    bool is_idr = false;
    bool is_reference = false;
    bool is_intra = false;
    uint32_t number = 0;  // of the frame, modulo `period`
    uint32_t period = 1;
    bool may_lack_frames = false;
    bool restarts_numbers = false;  // behind this picture
};

namespace h264 {

int type_of(const NalUnit& unit);
bool is_slice(int type);
constexpr int message = 6;

}  // namespace h264

// None if it cannot be read.
std::optional<H264Slice> read_h264_slice(const NalUnit& unit, const H264Parameters& parameters);

}  // namespace pdum::nvenc
