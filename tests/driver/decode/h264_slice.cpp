#include <algorithm>

#include "decode/h264_headers.hpp"

namespace nvsim::decode::h264 {
namespace {

constexpr int kP = 0, kB = 1, kSP = 3;

void skip_modifications(BitReader& in) {
    if (!in.flag()) return;
    for (int i = 0; i < 66; ++i) {
        if (in.ue() == 3) return;
        in.ue();
    }
}

void skip_weights(BitReader& in, int references, bool chroma) {
    for (int i = 0; i < references; ++i) {
        if (in.flag()) {
            in.se();
            in.se();
        }
        if (chroma && in.flag())
            for (int k = 0; k < 4; ++k) in.se();
    }
}

void read_marking(BitReader& in, Slice& slice) {
    if (slice.idr) {
        in.skip(2);
        return;
    }
    if (!in.flag()) return;
    for (int i = 0; i < 66; ++i) {
        const uint32_t operation = in.ue();
        if (operation == 0) return;
        if (operation == 5) slice.resets = true;
        if (operation == 1 || operation == 2 || operation == 3 || operation == 4 || operation == 6) in.ue();
        if (operation == 3) in.ue();
    }
}

void read_order(BitReader& in, Slice& slice, const Sps& sps, const Pps& pps) {
    if (sps.poc_type == 0) {
        slice.poc_lsb = static_cast<int>(in.bits(sps.poc_lsb_bits));
        if (pps.order_present && !slice.field) slice.delta_bottom = in.se();
    }
    if (sps.poc_type != 1 || sps.delta_always_zero) return;
    slice.delta[0] = in.se();
    if (pps.order_present && !slice.field) slice.delta[1] = in.se();
}

void read_to_marking(BitReader& in, Slice& slice, const Sps& sps, const Pps& pps) {
    const bool predicted = slice.type == kP || slice.type == kSP || slice.type == kB;
    int references0 = pps.references0, references1 = pps.references1;
    if (slice.type == kB) in.skip(1);
    if (predicted && in.flag()) {
        references0 = static_cast<int>(std::min(in.ue() + 1, 32u));
        if (slice.type == kB) references1 = static_cast<int>(std::min(in.ue() + 1, 32u));
    }
    if (predicted) skip_modifications(in);
    if (slice.type == kB) skip_modifications(in);
    const bool weighted = slice.type == kB ? pps.weighted_bi == 1 : pps.weighted && predicted;
    if (weighted) {
        const bool chroma = sps.chroma != 0 && !sps.separate_planes;
        in.ue();
        if (chroma) in.ue();
        skip_weights(in, references0, chroma);
        if (slice.type == kB) skip_weights(in, references1, chroma);
    }
    if (slice.reference != 0) read_marking(in, slice);
}

}  // namespace

std::optional<Slice> read_slice(const uint8_t* nal, size_t size, const Parameters& parameters) {
    constexpr size_t longest_header = 400;
    const Bytes payload = unescaped(nal, std::min(size, longest_header));
    BitReader in(payload);
    Slice slice;
    in.skip(1);
    slice.reference = static_cast<int>(in.bits(2));
    slice.idr = in.bits(5) == 5;
    slice.first_mb = static_cast<int>(in.ue());
    slice.type = static_cast<int>(in.ue()) % 5;
    slice.pps = static_cast<int>(in.ue());
    const auto pps = parameters.pps.find(slice.pps);
    if (pps == parameters.pps.end()) return std::nullopt;
    const auto found = parameters.sps.find(pps->second.sps);
    if (found == parameters.sps.end()) return std::nullopt;
    const Sps& sps = found->second;
    if (sps.separate_planes) in.skip(2);
    slice.frame_num = static_cast<int>(in.bits(sps.frame_num_bits));
    if (!sps.frame_mbs_only) {
        slice.field = in.flag();
        if (slice.field) slice.bottom = in.flag();
    }
    if (slice.idr) slice.idr_id = static_cast<int>(in.ue());
    read_order(in, slice, sps, pps->second);
    if (pps->second.redundant_count) in.ue();
    if (in.ran_out()) return std::nullopt;
    read_to_marking(in, slice, sps, pps->second);
    return slice;
}

}  // namespace nvsim::decode::h264
