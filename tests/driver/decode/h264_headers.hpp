// H.264's parameter sets and slice headers, as far as a parser has to read them.
#pragma once

#include <array>
#include <cstdint>
#include <map>
#include <optional>
#include <vector>

#include "decode/bit_reader.hpp"

namespace nvsim::decode::h264 {

struct ScalingLists {
    std::array<std::array<uint8_t, 16>, 6> four{};   // in the order of the stream's zigzag
    std::array<std::array<uint8_t, 64>, 6> eight{};  // intra Y, inter Y, intra Cb, inter Cb, …
};

struct Vui {
    bool present = false;
    int sar_width = 1, sar_height = 1;
    int video_format = 5, full_range = 0, primaries = 2, transfer = 2, matrix = 2;
    uint32_t units_in_tick = 0, time_scale = 0;
    bool restricted = false;  // the next two are there
    int reorder_frames = 0, frame_buffering = 0;
};

struct Sps {
    Bytes nal;
    int profile = 0, constraints = 0, level = 0, id = 0;
    int chroma = 1, depth_luma = 8, depth_chroma = 8;
    bool separate_planes = false, lossless_bypass = false, has_lists = false;
    ScalingLists lists;
    int frame_num_bits = 4;
    int poc_type = 0, poc_lsb_bits = 4;
    bool delta_always_zero = false;
    int offset_non_ref = 0, offset_bottom = 0;
    std::vector<int> offsets;
    int references = 0;
    int width_mbs = 0, height_mbs = 0;  // of a frame
    bool frame_mbs_only = true, adaptive_fields = false, direct_8x8 = false;
    int crop_left = 0, crop_right = 0, crop_top = 0, crop_bottom = 0;  // luma samples
    Vui vui;

    int most_frames() const;     // of the decoded picture buffer
    int reorder_frames() const;  // how many may be decoded before one that is shown earlier
};

struct Pps {
    Bytes nal;
    int id = 0, sps = 0;
    bool cabac = false, order_present = false;
    int slice_groups = 1, group_map_type = 0;
    int references0 = 1, references1 = 1;
    bool weighted = false;
    int weighted_bi = 0, qp = 0, qs = 0, chroma_offset = 0, second_chroma_offset = 0;
    bool deblocking_control = false, constrained_intra = false, redundant_count = false, transform_8x8 = false;
    ScalingLists lists;
};

struct Slice {
    int type = 0, reference = 0, first_mb = 0;  // type: 0 P, 1 B, 2 I
    bool idr = false, field = false, bottom = false;
    int pps = 0, frame_num = 0, idr_id = 0;
    int poc_lsb = 0, delta_bottom = 0, delta[2] = {0, 0};
    bool resets = false;  // memory management control operation 5
};

struct Parameters {
    std::map<int, Sps> sps;
    std::map<int, Pps> pps;
};

std::optional<Sps> read_sps(const uint8_t* nal, size_t size);
std::optional<Pps> read_pps(const uint8_t* nal, size_t size, const Parameters& parameters);
std::optional<Slice> read_slice(const uint8_t* nal, size_t size, const Parameters& parameters);

extern const int zigzag4[16];
extern const int zigzag8[64];

}  // namespace nvsim::decode::h264
