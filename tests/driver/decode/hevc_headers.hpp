// HEVC's parameter sets and slice headers, as far as a parser has to read them.
#pragma once

#include <array>
#include <cstdint>
#include <map>
#include <optional>
#include <vector>

#include "decode/bit_reader.hpp"
#include "decode/h264_headers.hpp"

namespace nvsim::decode::hevc {

enum Nal {
    kRadlN = 6,
    kRaslN = 8,
    kRaslR = 9,
    kBlaFirst = 16,
    kBlaLast = 18,
    kIdrFirst = 19,
    kIdrLast = 20,
    kCra = 21,
    kIrapLast = 23,
    kVclLast = 31,
    kVps = 32,
    kSps = 33,
    kPps = 34,
    kDelimiter = 35,
    kEndOfSequence = 36,
    kEndOfStream = 37,
    kSei = 39,
};

struct RefSet {
    std::vector<int> before, after;  // differences of the order count, nearest first
    std::vector<bool> before_used, after_used;
    int count() const { return static_cast<int>(before.size() + after.size()); }
};

struct Sps {
    Bytes nal;
    int id = 0, vps = 0, layers = 1;
    int chroma = 1, width = 0, height = 0, depth_luma = 8, depth_chroma = 8;
    bool separate_planes = false;
    int crop_left = 0, crop_right = 0, crop_top = 0, crop_bottom = 0;  // luma samples
    int poc_bits = 4;
    int buffering = 1, reorder = 0;                                              // of the highest layer
    int min_block = 0, block_range = 0, min_transform = 0, transform_range = 0;  // as in the stream
    int depth_inter = 0, depth_intra = 0;
    bool lists = false, asymmetric = false, adaptive_offset = false, pcm = false;
    int pcm_luma = 0, pcm_chroma = 0, pcm_min = 0, pcm_range = 0;
    bool pcm_unfiltered = false, temporal_vectors = false, strong_smoothing = false;
    std::vector<RefSet> sets;
    bool long_term = false;
    int long_term_count = 0;
    h264::Vui vui;
    bool fields = false;
};

struct Pps {
    Bytes nal;
    int id = 0, sps = 0;
    bool dependent = false, output_flag = false, sign_hiding = false, cabac_init = false;
    int extra_bits = 0, references0 = 1, references1 = 1, init_qp = 0;
};

struct Slice {
    int type = 0;   // NAL unit type
    int layer = 0;  // temporal
    bool first = false, dependent = false, no_prior_output = false, output = true;
    int pps = 0, kind = 2;  // kind: 0 B, 1 P, 2 I
    int poc_lsb = 0;
    // Of the reference set of this slice: where its coding lies, in bits of the payload from the NAL's header on.
    size_t set_at = 0, set_end = 0;
};

struct Parameters {
    std::map<int, Bytes> vps;
    std::map<int, Sps> sps;
    std::map<int, Pps> pps;
};

inline bool is_irap(int type) { return type >= kBlaFirst && type <= kIrapLast; }
inline bool is_idr(int type) { return type == kIdrFirst || type == kIdrLast; }
inline bool is_rasl(int type) { return type == kRaslN || type == kRaslR; }

std::optional<Sps> read_sps(const uint8_t* nal, size_t size);
std::optional<Pps> read_pps(const uint8_t* nal, size_t size);
std::optional<Slice> read_slice(const uint8_t* nal, size_t size, const Parameters& parameters);

}  // namespace nvsim::decode::hevc
