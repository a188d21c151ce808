// HEVC's parameter sets and slice headers, as far as they tell what a picture refers to.
#pragma once

#include <cstdint>
#include <map>
#include <optional>
#include <vector>

#include "decoder/nal_units.hpp"

namespace pdum::nvenc {

// Of a picture: which others it and those after it may refer to. By their distance in the order of display.
struct HevcReference {
    int64_t distance = 0;
    bool is_used = false;  // by the picture itself
};
// The nearest before the picture comes first, and those after the picture follow, the nearest first again.
using HevcReferenceSet = std::vector<HevcReference>;

struct HevcLongTerm {
    int64_t place = 0;      // in the order of display
    bool is_whole = false;  // `place` has all bits and not only the lowest, which slices give of each picture
    bool is_used = false;
};

struct HevcSequence {
    uint32_t width = 0;
    uint32_t height = 0;
    int block_bits = 0;  // a block is a square with sides of 1 << block_bits
    bool has_planes_apart = false;
    int order_bits = 0;  // how many of the lowest bits of its order of display each slice gives
    std::vector<HevcReferenceSet> sets;
    bool has_long_term = false;
    std::vector<HevcLongTerm> long_term;

    int64_t period() const { return int64_t{1} << order_bits; }
};

struct HevcPictureParameters {
    uint32_t sequence = 0;
    bool has_dependent_slices = false;
    bool has_output_flag = false;
    int extra_bits = 0;
};

// As the last ones of each number were.
struct HevcParameters {
    std::map<uint32_t, HevcSequence> sequences;
    std::map<uint32_t, HevcPictureParameters> pictures;

    // Takes a unit that is a parameter set. One that cannot be read is forgotten.
    void take(const NalUnit& unit);
};

struct HevcSlice {
    int type = 0;  // of its unit
    int layer = 0;
    bool is_first = false;
    bool is_intra = false;
    int64_t period = 0;  // the order of display is given modulo this
    int64_t order = 0;
    HevcReferenceSet references;
    std::vector<HevcLongTerm> long_term;
};

namespace hevc {

int type_of(const NalUnit& unit);
// Pictures of further layers, as of alpha and stereo, are decoded by no GPU.
bool is_of_first_layer(const NalUnit& unit);
bool is_slice(int type);
// A key frame: the pictures after it in the order of display refer to none before it.
bool is_key(int type);
bool is_idr(int type);
// A key frame behind which nothing before it is there.
bool is_break(int type);
// Shown before the key frame that it comes after.
bool is_leading(int type);
// No other picture of its layer in time refers to it.
bool is_disposable(int type);
constexpr int end_of_sequence = 36;
constexpr int end_of_stream = 37;
constexpr int message = 39;

}  // namespace hevc

// None if it cannot be read, or continues another slice.
std::optional<HevcSlice> read_hevc_slice(const NalUnit& unit, const HevcParameters& parameters);

}  // namespace pdum::nvenc
