#include "decode/h264_headers.hpp"

#include <algorithm>

namespace nvsim::decode::h264 {

const int zigzag4[16] = {0, 1, 4, 8, 5, 2, 3, 6, 9, 12, 13, 10, 7, 11, 14, 15};
const int zigzag8[64] = {0,  1,  8,  16, 9,  2,  3,  10, 17, 24, 32, 25, 18, 11, 4,  5,  12, 19, 26, 33, 40, 48,
                         41, 34, 27, 20, 13, 6,  7,  14, 21, 28, 35, 42, 49, 56, 57, 50, 43, 36, 29, 22, 15, 23,
                         30, 37, 44, 51, 58, 59, 52, 45, 38, 31, 39, 46, 53, 60, 61, 54, 47, 55, 62, 63};

namespace {

constexpr std::array<uint8_t, 16> kIntra4 = {6, 13, 13, 20, 20, 20, 28, 28, 28, 28, 32, 32, 32, 37, 37, 42};
constexpr std::array<uint8_t, 16> kInter4 = {10, 14, 14, 20, 20, 20, 24, 24, 24, 24, 27, 27, 27, 30, 30, 34};
constexpr std::array<uint8_t, 64> kIntra8 = {6,  10, 10, 13, 11, 13, 16, 16, 16, 16, 18, 18, 18, 18, 18, 23,
                                             23, 23, 23, 23, 23, 25, 25, 25, 25, 25, 25, 25, 27, 27, 27, 27,
                                             27, 27, 27, 27, 29, 29, 29, 29, 29, 29, 29, 31, 31, 31, 31, 31,
                                             31, 33, 33, 33, 33, 33, 36, 36, 36, 36, 38, 38, 38, 40, 40, 42};
constexpr std::array<uint8_t, 64> kInter8 = {9,  13, 13, 15, 13, 15, 17, 17, 17, 17, 19, 19, 19, 19, 19, 21,
                                             21, 21, 21, 21, 21, 22, 22, 22, 22, 22, 22, 22, 24, 24, 24, 24,
                                             24, 24, 24, 24, 25, 25, 25, 25, 25, 25, 25, 27, 27, 27, 27, 27,
                                             27, 28, 28, 28, 28, 28, 30, 30, 30, 30, 32, 32, 32, 33, 33, 35};

ScalingLists flat() {
    ScalingLists lists;
    for (auto& list : lists.four) list.fill(16);
    for (auto& list : lists.eight) list.fill(16);
    return lists;
}

// False if the default is meant.
template <size_t N>
bool read_list(BitReader& in, std::array<uint8_t, N>& list) {
    int last = 8, next = 8;
    for (size_t i = 0; i < N; ++i) {
        if (next != 0) next = (last + in.se() + 256) % 256;
        if (i == 0 && next == 0) return false;
        last = next == 0 ? last : next;
        list[i] = static_cast<uint8_t>(last);
    }
    return true;
}

// A list that is left out is the one before of its kind; the first of a kind is that of `fall_back`.
ScalingLists read_lists(BitReader& in, int eights, const ScalingLists& fall_back) {
    ScalingLists lists;
    for (size_t i = 0; i < 6; ++i) {
        const std::array<uint8_t, 16>& standard = i < 3 ? kIntra4 : kInter4;
        if (!in.flag())
            lists.four[i] = i % 3 == 0 ? fall_back.four[i] : lists.four[i - 1];
        else if (!read_list(in, lists.four[i]))
            lists.four[i] = standard;
    }
    for (size_t i = 0; i < 6; ++i) {
        const std::array<uint8_t, 64>& standard = i % 2 == 0 ? kIntra8 : kInter8;
        if (static_cast<int>(i) >= eights || !in.flag())
            lists.eight[i] = i < 2 ? fall_back.eight[i] : lists.eight[i - 2];
        else if (!read_list(in, lists.eight[i]))
            lists.eight[i] = standard;
    }
    return lists;
}

ScalingLists standard_lists() {
    ScalingLists lists;
    for (size_t i = 0; i < 6; ++i) {
        lists.four[i] = i < 3 ? kIntra4 : kInter4;
        lists.eight[i] = i % 2 == 0 ? kIntra8 : kInter8;
    }
    return lists;
}

void skip_hrd(BitReader& in) {
    const uint32_t count = in.ue() + 1;
    in.skip(8);
    for (uint32_t i = 0; i < count && i < 32; ++i) {
        in.ue();
        in.ue();
        in.skip(1);
    }
    in.skip(20);
}

void read_sar(BitReader& in, Vui& vui) {
    static constexpr int known[][2] = {{1, 1},   {1, 1},    {12, 11}, {10, 11}, {16, 11}, {40, 33},
                                       {24, 11}, {20, 11},  {32, 11}, {80, 33}, {18, 11}, {15, 11},
                                       {64, 33}, {160, 99}, {4, 3},   {3, 2},   {2, 1}};
    const uint32_t idc = in.bits(8);
    if (idc == 255) {
        vui.sar_width = static_cast<int>(in.bits(16));
        vui.sar_height = static_cast<int>(in.bits(16));
    } else if (idc < std::size(known)) {
        vui.sar_width = known[idc][0];
        vui.sar_height = known[idc][1];
    }
}

void read_colours(BitReader& in, Vui& vui) {
    vui.video_format = static_cast<int>(in.bits(3));
    vui.full_range = static_cast<int>(in.bit());
    if (!in.flag()) return;
    vui.primaries = static_cast<int>(in.bits(8));
    vui.transfer = static_cast<int>(in.bits(8));
    vui.matrix = static_cast<int>(in.bits(8));
}

Vui read_vui(BitReader& in) {
    Vui vui;
    vui.present = true;
    if (in.flag()) read_sar(in, vui);
    if (in.flag()) in.skip(1);
    if (in.flag()) read_colours(in, vui);
    if (in.flag()) {
        in.ue();
        in.ue();
    }
    if (in.flag()) {
        vui.units_in_tick = in.bits(32);
        vui.time_scale = in.bits(32);
        in.skip(1);
    }
    const bool nal_hrd = in.flag();
    if (nal_hrd) skip_hrd(in);
    const bool vcl_hrd = in.flag();
    if (vcl_hrd) skip_hrd(in);
    if (nal_hrd || vcl_hrd) in.skip(1);
    in.skip(1);
    vui.restricted = in.flag() && in.left() > 0;
    if (!vui.restricted) return vui;
    in.skip(1);
    for (int i = 0; i < 4; ++i) in.ue();
    vui.reorder_frames = static_cast<int>(in.ue());
    vui.frame_buffering = static_cast<int>(in.ue());
    vui.restricted = !in.ran_out();
    return vui;
}

bool is_high(int profile) {
    static constexpr int high[] = {100, 110, 122, 244, 44, 83, 86, 118, 128, 138, 139, 134, 135};
    return std::find(std::begin(high), std::end(high), profile) != std::end(high);
}

void read_formats(BitReader& in, Sps& sps) {
    sps.chroma = static_cast<int>(in.ue());
    if (sps.chroma == 3) sps.separate_planes = in.flag();
    sps.depth_luma = 8 + static_cast<int>(in.ue());
    sps.depth_chroma = 8 + static_cast<int>(in.ue());
    sps.lossless_bypass = in.flag();
    sps.has_lists = in.flag();
    if (sps.has_lists) sps.lists = read_lists(in, sps.chroma == 3 ? 6 : 2, standard_lists());
}

void read_order(BitReader& in, Sps& sps) {
    sps.poc_type = static_cast<int>(in.ue());
    if (sps.poc_type == 0) sps.poc_lsb_bits = static_cast<int>(in.ue()) + 4;
    if (sps.poc_type != 1) return;
    sps.delta_always_zero = in.flag();
    sps.offset_non_ref = in.se();
    sps.offset_bottom = in.se();
    const uint32_t count = in.ue();
    for (uint32_t i = 0; i < count && i < 256; ++i) sps.offsets.push_back(in.se());
}

void read_crop(BitReader& in, Sps& sps) {
    const int wide = sps.chroma == 1 || sps.chroma == 2 ? 2 : 1;
    const int high = (sps.chroma == 1 ? 2 : 1) * (sps.frame_mbs_only ? 1 : 2);
    sps.crop_left = wide * static_cast<int>(in.ue());
    sps.crop_right = wide * static_cast<int>(in.ue());
    sps.crop_top = high * static_cast<int>(in.ue());
    sps.crop_bottom = high * static_cast<int>(in.ue());
}

bool plausible(const Sps& sps) {
    return sps.chroma <= 3 && sps.depth_luma <= 14 && sps.poc_type <= 2 && sps.width_mbs > 0 && sps.height_mbs > 0 &&
           sps.width_mbs <= 2048 && sps.height_mbs <= 2048 && sps.crop_left + sps.crop_right < sps.width_mbs * 16 &&
           sps.crop_top + sps.crop_bottom < sps.height_mbs * 16 && sps.frame_num_bits <= 16 && sps.poc_lsb_bits <= 16;
}

void skip_groups(BitReader& in, Pps& pps) {
    pps.group_map_type = static_cast<int>(in.ue());
    if (pps.group_map_type == 0)
        for (int i = 0; i < pps.slice_groups; ++i) in.ue();
    if (pps.group_map_type == 2)
        for (int i = 0; i < 2 * (pps.slice_groups - 1); ++i) in.ue();
    if (pps.group_map_type >= 3 && pps.group_map_type <= 5) {
        in.skip(1);
        in.ue();
    }
    if (pps.group_map_type != 6) return;
    const uint32_t count = in.ue() + 1;
    const int bits = pps.slice_groups > 4 ? 3 : pps.slice_groups > 2 ? 2 : 1;
    in.skip(static_cast<size_t>(count) * static_cast<size_t>(bits));
}

}  // namespace

int Sps::most_frames() const {
    static constexpr int levels[][2] = {{9, 396},     {10, 396},    {11, 900},   {12, 2376},  {13, 2376},
                                        {20, 2376},   {21, 4752},   {22, 8100},  {30, 8100},  {31, 18000},
                                        {32, 20480},  {40, 32768},  {41, 32768}, {42, 34816}, {50, 110400},
                                        {51, 184320}, {52, 184320}, {60, 696320}};
    int blocks = 696320;
    for (const auto& [number, most] : levels)
        if (level <= number) {
            blocks = most;
            break;
        }
    const int by_level = std::clamp(blocks / (width_mbs * height_mbs), 1, 16);
    const int frames = vui.restricted ? vui.frame_buffering : by_level;
    return std::clamp(std::max(frames, references), 1, 16);
}

int Sps::reorder_frames() const {
    if (vui.restricted) return std::min(vui.reorder_frames, 16);
    return poc_type == 2 ? 0 : most_frames();
}

std::optional<Sps> read_sps(const uint8_t* nal, size_t size) {
    const Bytes payload = unescaped(nal, size);
    BitReader in(payload);
    Sps sps;
    sps.nal.assign(nal, nal + size);
    sps.lists = flat();
    in.skip(8);
    sps.profile = static_cast<int>(in.bits(8));
    sps.constraints = static_cast<int>(in.bits(8));
    sps.level = static_cast<int>(in.bits(8));
    sps.id = static_cast<int>(in.ue());
    if (is_high(sps.profile)) read_formats(in, sps);
    sps.frame_num_bits = static_cast<int>(in.ue()) + 4;
    read_order(in, sps);
    sps.references = static_cast<int>(in.ue());
    in.skip(1);
    sps.width_mbs = static_cast<int>(in.ue()) + 1;
    sps.height_mbs = static_cast<int>(in.ue()) + 1;
    sps.frame_mbs_only = in.flag();
    if (!sps.frame_mbs_only) {
        sps.adaptive_fields = in.flag();
        sps.height_mbs *= 2;
    }
    sps.direct_8x8 = in.flag();
    if (in.flag()) read_crop(in, sps);
    if (in.ran_out() || !plausible(sps)) return std::nullopt;
    if (in.flag()) sps.vui = read_vui(in);
    return sps;
}

std::optional<Pps> read_pps(const uint8_t* nal, size_t size, const Parameters& parameters) {
    const Bytes payload = unescaped(nal, size);
    BitReader in(payload);
    Pps pps;
    pps.nal.assign(nal, nal + size);
    in.skip(8);
    pps.id = static_cast<int>(in.ue());
    pps.sps = static_cast<int>(in.ue());
    const auto sps = parameters.sps.find(pps.sps);
    if (sps == parameters.sps.end()) return std::nullopt;
    pps.cabac = in.flag();
    pps.order_present = in.flag();
    pps.slice_groups = static_cast<int>(in.ue()) + 1;
    if (pps.slice_groups > 1) skip_groups(in, pps);
    pps.references0 = static_cast<int>(in.ue()) + 1;
    pps.references1 = static_cast<int>(in.ue()) + 1;
    pps.weighted = in.flag();
    pps.weighted_bi = static_cast<int>(in.bits(2));
    pps.qp = in.se();
    pps.qs = in.se();
    pps.chroma_offset = pps.second_chroma_offset = in.se();
    pps.deblocking_control = in.flag();
    pps.constrained_intra = in.flag();
    pps.redundant_count = in.flag();
    pps.lists = sps->second.lists;
    if (in.more_payload()) {
        pps.transform_8x8 = in.flag();
        const int eights = pps.transform_8x8 ? (sps->second.chroma == 3 ? 6 : 2) : 0;
        if (in.flag()) pps.lists = read_lists(in, eights, sps->second.has_lists ? sps->second.lists : standard_lists());
        pps.second_chroma_offset = in.se();
    }
    if (in.ran_out() || pps.id > 255) return std::nullopt;
    return pps;
}

}  // namespace nvsim::decode::h264
