#include "decode/hevc_headers.hpp"

#include <algorithm>

namespace nvsim::decode::hevc {
namespace {

constexpr int kMostSets = 64, kMostPictures = 16;

void skip_profile(BitReader& in, int layers) {
    in.skip(88 + 8);
    std::vector<std::pair<bool, bool>> there;
    for (int i = 0; i + 1 < layers; ++i) {
        const bool profile = in.flag();
        there.emplace_back(profile, in.flag());
    }
    if (layers > 1) in.skip(static_cast<size_t>(2 * (9 - layers)));
    for (const auto& [profile, level] : there) in.skip((profile ? 88u : 0u) + (level ? 8u : 0u));
}

void skip_lists(BitReader& in) {
    for (int size = 0; size < 4; ++size)
        for (int matrix = 0; matrix < 6; matrix += size == 3 ? 3 : 1) {
            if (!in.flag()) {
                in.ue();
                continue;
            }
            if (size > 1) in.se();
            for (int i = 0; i < std::min(64, 1 << (4 + 2 * size)); ++i) in.se();
        }
}

// The set is the one `distance` before, moved.
RefSet predicted(BitReader& in, const RefSet& base) {
    const int sign = in.flag() ? -1 : 1;
    const int moved = sign * (static_cast<int>(in.ue()) + 1);
    struct Choice {
        bool used, kept;
    };
    std::vector<Choice> choices;
    for (int i = 0; i <= base.count(); ++i) {
        const bool used = in.flag();
        choices.push_back({used, used || in.flag()});
    }
    // All differences of the base and of the base picture itself, in the order of `choices`.
    std::vector<std::pair<int, bool>> differences;
    size_t at = 0;
    const auto take = [&](int difference) {
        if (choices[at].kept && difference != 0) differences.emplace_back(difference, choices[at].used);
        ++at;
    };
    for (const int difference : base.before) take(difference + moved);
    for (const int difference : base.after) take(difference + moved);
    take(moved);
    std::sort(differences.begin(), differences.end());
    RefSet set;
    for (auto it = differences.rbegin(); it != differences.rend(); ++it)
        if (it->first < 0) {
            set.before.push_back(it->first);
            set.before_used.push_back(it->second);
        }
    for (const auto& [difference, used] : differences)
        if (difference > 0) {
            set.after.push_back(difference);
            set.after_used.push_back(used);
        }
    return set;
}

std::optional<RefSet> read_set(BitReader& in, int index, const std::vector<RefSet>& sets, bool in_slice) {
    if (index != 0 && in.flag()) {
        const int distance = in_slice ? static_cast<int>(in.ue()) + 1 : 1;
        if (distance > index) return std::nullopt;
        return predicted(in, sets[static_cast<size_t>(index - distance)]);
    }
    RefSet set;
    const uint32_t before = in.ue(), after = in.ue();
    if (before > kMostPictures || after > kMostPictures) return std::nullopt;
    for (uint32_t i = 0, value = 0; i < before; ++i) {
        value += in.ue() + 1;
        set.before.push_back(-static_cast<int>(value));
        set.before_used.push_back(in.flag());
    }
    for (uint32_t i = 0, value = 0; i < after; ++i) {
        value += in.ue() + 1;
        set.after.push_back(static_cast<int>(value));
        set.after_used.push_back(in.flag());
    }
    return set;
}

void read_vui(BitReader& in, Sps& sps) {
    static constexpr int known[][2] = {{1, 1},   {1, 1},    {12, 11}, {10, 11}, {16, 11}, {40, 33},
                                       {24, 11}, {20, 11},  {32, 11}, {80, 33}, {18, 11}, {15, 11},
                                       {64, 33}, {160, 99}, {4, 3},   {3, 2},   {2, 1}};
    h264::Vui& vui = sps.vui;
    vui.present = true;
    if (in.flag()) {
        const uint32_t idc = in.bits(8);
        if (idc == 255) {
            vui.sar_width = static_cast<int>(in.bits(16));
            vui.sar_height = static_cast<int>(in.bits(16));
        } else if (idc < std::size(known)) {
            vui.sar_width = known[idc][0];
            vui.sar_height = known[idc][1];
        }
    }
    if (in.flag()) in.skip(1);
    if (in.flag()) {
        vui.video_format = static_cast<int>(in.bits(3));
        vui.full_range = static_cast<int>(in.bit());
        if (in.flag()) {
            vui.primaries = static_cast<int>(in.bits(8));
            vui.transfer = static_cast<int>(in.bits(8));
            vui.matrix = static_cast<int>(in.bits(8));
        }
    }
    if (in.flag()) {
        in.ue();
        in.ue();
    }
    in.skip(1);
    sps.fields = in.flag();
    in.skip(1);
    if (in.flag())
        for (int i = 0; i < 4; ++i) in.ue();
    if (!in.flag()) return;
    vui.units_in_tick = in.bits(32);
    vui.time_scale = in.bits(32);
}

void read_layers(BitReader& in, Sps& sps) {
    const bool all = in.flag();
    for (int i = all ? 0 : sps.layers - 1; i < sps.layers; ++i) {
        sps.buffering = static_cast<int>(in.ue()) + 1;
        sps.reorder = static_cast<int>(in.ue());
        in.ue();
    }
}

void read_blocks(BitReader& in, Sps& sps) {
    sps.min_block = static_cast<int>(in.ue());
    sps.block_range = static_cast<int>(in.ue());
    sps.min_transform = static_cast<int>(in.ue());
    sps.transform_range = static_cast<int>(in.ue());
    sps.depth_inter = static_cast<int>(in.ue());
    sps.depth_intra = static_cast<int>(in.ue());
    sps.lists = in.flag();
    if (sps.lists && in.flag()) skip_lists(in);
    sps.asymmetric = in.flag();
    sps.adaptive_offset = in.flag();
    sps.pcm = in.flag();
    if (!sps.pcm) return;
    sps.pcm_luma = static_cast<int>(in.bits(4));
    sps.pcm_chroma = static_cast<int>(in.bits(4));
    sps.pcm_min = static_cast<int>(in.ue());
    sps.pcm_range = static_cast<int>(in.ue());
    sps.pcm_unfiltered = in.flag();
}

bool read_sets(BitReader& in, Sps& sps) {
    const uint32_t count = in.ue();
    if (count > kMostSets) return false;
    for (uint32_t i = 0; i < count; ++i) {
        auto set = read_set(in, static_cast<int>(i), sps.sets, false);
        if (!set || in.ran_out()) return false;
        sps.sets.push_back(std::move(*set));
    }
    sps.long_term = in.flag();
    if (!sps.long_term) return true;
    sps.long_term_count = static_cast<int>(in.ue());
    in.skip(static_cast<size_t>(sps.long_term_count) * static_cast<size_t>(sps.poc_bits + 1));
    return sps.long_term_count <= 32;
}

void read_size(BitReader& in, Sps& sps) {
    sps.chroma = static_cast<int>(in.ue());
    if (sps.chroma == 3) sps.separate_planes = in.flag();
    sps.width = static_cast<int>(in.ue());
    sps.height = static_cast<int>(in.ue());
    if (!in.flag()) return;
    const int wide = sps.chroma == 1 || sps.chroma == 2 ? 2 : 1, high = sps.chroma == 1 ? 2 : 1;
    sps.crop_left = wide * static_cast<int>(in.ue());
    sps.crop_right = wide * static_cast<int>(in.ue());
    sps.crop_top = high * static_cast<int>(in.ue());
    sps.crop_bottom = high * static_cast<int>(in.ue());
}

bool plausible(const Sps& sps) {
    return sps.chroma <= 3 && sps.width > 0 && sps.height > 0 && sps.width <= 16384 && sps.height <= 16384 &&
           sps.depth_luma <= 16 && sps.poc_bits <= 16 && sps.crop_left + sps.crop_right < sps.width &&
           sps.crop_top + sps.crop_bottom < sps.height && sps.buffering <= 16;
}

int bits_for(int count) {
    int bits = 0;
    while ((1 << bits) < count) ++bits;
    return bits;
}

void read_reference_set(BitReader& in, Slice& slice, const Sps& sps) {
    slice.poc_lsb = static_cast<int>(in.bits(sps.poc_bits));
    slice.set_at = in.position();
    const auto count = static_cast<int>(sps.sets.size());
    if (!in.flag())
        read_set(in, count, sps.sets, true);
    else
        in.skip(static_cast<size_t>(bits_for(count)));
    slice.set_end = in.position();
}

}  // namespace

std::optional<Sps> read_sps(const uint8_t* nal, size_t size) {
    const Bytes payload = unescaped(nal, size);
    BitReader in(payload);
    Sps sps;
    sps.nal.assign(nal, nal + size);
    in.skip(16);
    sps.vps = static_cast<int>(in.bits(4));
    sps.layers = static_cast<int>(in.bits(3)) + 1;
    in.skip(1);
    skip_profile(in, sps.layers);
    sps.id = static_cast<int>(in.ue());
    read_size(in, sps);
    sps.depth_luma = 8 + static_cast<int>(in.ue());
    sps.depth_chroma = 8 + static_cast<int>(in.ue());
    sps.poc_bits = static_cast<int>(in.ue()) + 4;
    read_layers(in, sps);
    if (in.ran_out() || !plausible(sps)) return std::nullopt;
    read_blocks(in, sps);
    if (!read_sets(in, sps)) return std::nullopt;
    sps.temporal_vectors = in.flag();
    sps.strong_smoothing = in.flag();
    if (in.ran_out()) return std::nullopt;
    if (in.flag()) read_vui(in, sps);
    return sps;
}

std::optional<Pps> read_pps(const uint8_t* nal, size_t size) {
    const Bytes payload = unescaped(nal, size);
    BitReader in(payload);
    Pps pps;
    pps.nal.assign(nal, nal + size);
    in.skip(16);
    pps.id = static_cast<int>(in.ue());
    pps.sps = static_cast<int>(in.ue());
    pps.dependent = in.flag();
    pps.output_flag = in.flag();
    pps.extra_bits = static_cast<int>(in.bits(3));
    pps.sign_hiding = in.flag();
    pps.cabac_init = in.flag();
    pps.references0 = static_cast<int>(in.ue()) + 1;
    pps.references1 = static_cast<int>(in.ue()) + 1;
    pps.init_qp = in.se();
    if (in.ran_out() || pps.id > 63) return std::nullopt;
    return pps;
}

std::optional<Slice> read_slice(const uint8_t* nal, size_t size, const Parameters& parameters) {
    constexpr size_t longest_header = 400;
    const Bytes payload = unescaped(nal, std::min(size, longest_header));
    BitReader in(payload);
    Slice slice;
    slice.type = nal[0] >> 1 & 63;
    slice.layer = (nal[1] & 7) - 1;
    in.skip(16);
    slice.first = in.flag();
    if (is_irap(slice.type)) slice.no_prior_output = in.flag();
    slice.pps = static_cast<int>(in.ue());
    const auto pps = parameters.pps.find(slice.pps);
    if (pps == parameters.pps.end()) return std::nullopt;
    const auto found = parameters.sps.find(pps->second.sps);
    if (found == parameters.sps.end()) return std::nullopt;
    const Sps& sps = found->second;
    if (!slice.first) {
        if (pps->second.dependent) slice.dependent = in.flag();
        const int block = 1 << (sps.min_block + 3 + sps.block_range);
        const auto blocks = [&](int length) { return (length + block - 1) / block; };
        in.skip(static_cast<size_t>(bits_for(blocks(sps.width) * blocks(sps.height))));
    }
    if (slice.dependent) return slice;
    in.skip(static_cast<size_t>(pps->second.extra_bits));
    slice.kind = static_cast<int>(in.ue());
    if (pps->second.output_flag) slice.output = in.flag();
    if (sps.separate_planes) in.skip(2);
    if (!is_idr(slice.type)) read_reference_set(in, slice, sps);
    if (in.ran_out()) return std::nullopt;
    return slice;
}

}  // namespace nvsim::decode::hevc
