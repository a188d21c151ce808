#include "encode/codec_alpha.hpp"

#include <deque>
#include <stdexcept>

#include "encode/codec_backends.hpp"

namespace nvsim {
namespace {

constexpr uint32_t kAlphaChannelInformation = 165;
constexpr int kMultiview = 1, kAuxiliary = 3;  // among the flags of scalability
// Of the second layer, in its dimension: alpha, or the second view.
constexpr uint32_t kSecond = 1;
constexpr uint32_t kMultiviewMain = 6;  // general_profile_idc

void copy_bits(BitReader& from, size_t count, BitWriter& to) {
    for (size_t i = 0; i < count; ++i) to.bits(from.bits(1), 1);
}

// x265 writes all of its numbers for one temporal layer.
std::array<uint32_t, 3> copy_ordering(BitReader& from, BitWriter& out) {
    copy_bits(from, 1, out);
    std::array<uint32_t, 3> numbers{from.ue(), from.ue(), from.ue()};
    for (const uint32_t number : numbers) out.ue(number);
    return numbers;
}

void write_dimensions(BitWriter& out, bool two_views) {
    const int dimension = two_views ? kMultiview : kAuxiliary;
    out.bit(0);  // splitting_flag
    for (int kind = 0; kind < 16; ++kind) out.bit(kind == dimension ? 1 : 0);
    out.bits(0, 3);  // an identifier has one bit
    out.bit(0);      // vps_nuh_layer_id_present_flag: the layer's number is 1
    out.bits(kSecond, 1);
    out.bits(two_views ? 1 : 0, 4);  // view_id_len
    if (two_views) out.bits(1, 2);   // view_id_val: 0 of the base layer, 1 of the other
    out.bit(0);                      // direct_dependency_flag
    out.ue(0);                       // num_add_layer_sets
    out.bits(0, 3);                  // numbers of temporal layers, and references between layers
}

void write_multiview_profile(BitWriter& out, uint32_t level) {
    out.bit(1);  // vps_profile_present_flag
    out.bits(kMultiviewMain, 8);
    for (uint32_t profile = 0; profile < 32; ++profile) out.bit(profile == kMultiviewMain ? 1 : 0);
    out.bits(0b1001, 4);  // progressive pictures
    out.bits(0, 32);
    out.bits(0, 12);
    out.bits(level, 8);
}

void write_output_sets(BitWriter& out, bool two_views, uint32_t level) {
    out.ue(two_views ? 2 : 1);  // vps_num_profile_tier_level_minus1
    if (two_views) write_multiview_profile(out, level);
    out.ue(0);                                            // num_add_olss
    out.bits(0, 2);                                       // all layers are put out
    two_views ? out.bits(0b0010, 4) : out.bits(0b01, 2);  // the profiles of the base and of the second layer
}

void write_format(BitWriter& out, const StreamSettings& settings) {
    out.ue(0);  // vps_num_rep_formats_minus1
    out.bits(static_cast<uint32_t>((settings.format.width + 7) / 8 * 8), 16);
    out.bits(static_cast<uint32_t>((settings.format.height + 7) / 8 * 8), 16);
    out.bit(1);      // chroma and depth are there
    out.bits(1, 2);  // 4:2:0
    out.bits(0, 8);  // 8 bits
    out.bit(0);      // conformance_window_vps_flag
    out.bits(0, 2);  // references between layers, and the picture order count
    out.bit(1);      // poc_lsb_not_present_flag: IDR pictures of the second layer are written as those of the first
}

void write_extension(BitWriter& out, const StreamSettings& settings, const std::array<uint32_t, 3>& ordering,
                     uint32_t level) {
    out.bits(level, 8);  // of the second layer; its profile is that of the first
    write_dimensions(out, settings.tools.two_views);
    write_output_sets(out, settings.tools.two_views, level);
    write_format(out, settings);
    out.bit(0);  // sub_layer_flag_info_present_flag
    out.ue(ordering[0]);
    for (const uint32_t number : ordering) out.ue(number);
    out.ue(0);       // direct_dep_type_len_minus2
    out.bit(0);      // direct_dependency_all_layers_flag
    out.ue(0);       // vps_non_vui_extension_length
    out.bits(0, 2);  // vps_vui_present_flag, vps_extension2_flag
}

Bytes in_second_layer(Bytes nal) {
    nal[1] = static_cast<uint8_t>((nal[1] & 7) | 1 << 3);
    return nal;
}

class AlphaCoder final : public PictureCoder {
   public:
    explicit AlphaCoder(const StreamSettings& settings)
        : colour_(make_x265_coder(share_of(settings, settings.tools.alpha_ratio, true))),
          alpha_(make_x265_coder(share_of(settings, 1, false))) {}

    std::vector<uint8_t> headers() override { return colour_->headers(); }

    void encode(Picture picture, std::vector<AccessUnit>& out) override {
        if (picture.alpha.empty()) throw std::runtime_error("a picture without alpha came");
        Picture alpha;
        alpha.serial = picture.serial;
        alpha.type = picture.type;
        alpha.place = picture.place;
        alpha.pixels = std::move(picture.alpha);
        colour_->encode(std::move(picture), colours_);
        alpha_->encode(std::move(alpha), alphas_);
        put_together(out);
    }

    void flush(std::vector<AccessUnit>& out) override {
        colour_->flush(colours_);
        alpha_->flush(alphas_);
        put_together(out);
    }

    bool reconfigure(const StreamSettings& settings) override {
        const bool taken = colour_->reconfigure(share_of(settings, settings.tools.alpha_ratio, true));
        return alpha_->reconfigure(share_of(settings, 1, false)) && taken;
    }

   private:
    // The bitrate is split into so many parts for colour and one for alpha.
    static StreamSettings share_of(StreamSettings settings, uint32_t parts, bool is_colour) {
        const uint64_t all = settings.tools.alpha_ratio + 1;
        for (uint32_t* rate : {&settings.average_bitrate, &settings.max_bitrate, &settings.vbv_size})
            *rate = static_cast<uint32_t>(uint64_t{*rate} * parts / all);
        settings.tools.alpha = is_colour;
        return settings;
    }

    void put_together(std::vector<AccessUnit>& out) {
        const size_t ready = std::min(colours_.size(), alphas_.size());
        for (size_t i = 0; i < ready; ++i) {
            AccessUnit unit = std::move(colours_[i]);
            const size_t without = unit.data.size();
            const Bytes slices = slices_in_second_layer(alphas_[i].data);
            unit.data.insert(unit.data.end(), slices.begin(), slices.end());
            unit.alpha_bytes = unit.data.size() - without;
            out.push_back(std::move(unit));
        }
        const auto taken = static_cast<std::ptrdiff_t>(ready);
        colours_.erase(colours_.begin(), colours_.begin() + taken);
        alphas_.erase(alphas_.begin(), alphas_.begin() + taken);
    }

    std::unique_ptr<PictureCoder> colour_, alpha_;
    std::vector<AccessUnit> colours_, alphas_;
};

}  // namespace

Bytes slices_in_second_layer(const Bytes& data) {
    Bytes out;
    for (const Bytes& nal : split_annex_b(data.data(), data.size()))
        if (is_slice(Codec::hevc, nal)) append_annex_b(out, in_second_layer(nal));
    return out;
}

Bytes with_second_layer(const Bytes& vps, const StreamSettings& settings) {
    const Bytes rbsp = remove_emulation_prevention(Bytes(vps.begin() + 2, vps.end()));
    BitReader from(rbsp);
    BitWriter out;
    copy_bits(from, 6, out);
    from.bits(6);
    out.bits(1, 6);  // vps_max_layers_minus1
    copy_bits(from, 20 + 88, out);
    const uint32_t level = from.bits(8);
    out.bits(level, 8);
    const std::array<uint32_t, 3> ordering = copy_ordering(from, out);
    out.bits(1, 6);  // vps_max_layer_id
    out.ue(1);       // vps_num_layer_sets_minus1
    out.bits(3, 2);  // both layers are in the second set
    out.bit(0);      // vps_timing_info_present_flag
    out.bit(1);      // vps_extension_flag
    while (out.size() % 8 != 0) out.bit(1);
    write_extension(out, settings, ordering, level);
    Bytes nal(vps.begin(), vps.begin() + 2);
    const Bytes body = add_emulation_prevention(out.finish());
    nal.insert(nal.end(), body.begin(), body.end());
    return nal;
}

SeiMessage alpha_channel_information() {
    BitWriter out;
    out.bits(0, 7);    // it is new, alpha is not multiplied into the colours, and it has 8 bits
    out.bits(0, 9);    // alpha_transparent_value
    out.bits(255, 9);  // alpha_opaque_value
    out.bits(0, 2);    // alpha_channel_incr_flag, alpha_channel_clip_flag
    return {kAlphaChannelInformation, out.finish()};
}

std::unique_ptr<PictureCoder> make_alpha_coder(const StreamSettings& settings) {
    return std::make_unique<AlphaCoder>(settings);
}

}  // namespace nvsim
