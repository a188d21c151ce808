#include "encode/codec_nal.hpp"

#include "encode/codec_alpha.hpp"
#include "encode/codec_layers.hpp"
#include "encode/codec_rate.hpp"

namespace nvsim {
namespace {

constexpr int kH264Sei = 6, kH264Sps = 7, kH264Pps = 8, kH264Aud = 9, kH264Filler = 12;
constexpr int kHevcVps = 32, kHevcSps = 33, kHevcPps = 34, kHevcAud = 35, kHevcFiller = 38, kHevcPrefixSei = 39;

Bytes nal_header(Codec codec, int type) {
    if (codec == Codec::h264) return {static_cast<uint8_t>(type)};
    return {static_cast<uint8_t>(type << 1), 1};
}

Bytes make_nal(Codec codec, int type, const Bytes& rbsp) {
    Bytes nal = nal_header(codec, type);
    const Bytes body = add_emulation_prevention(rbsp);
    nal.insert(nal.end(), body.begin(), body.end());
    return nal;
}

// What the access unit's slices may be: 0 I, 1 I and P, 2 I, P and B.
Bytes make_aud(Codec codec, PictureType type) {
    BitWriter bits;
    bits.bits(type == PictureType::b ? 2 : type == PictureType::p ? 1 : 0, 3);
    return make_nal(codec, codec == Codec::h264 ? kH264Aud : kHevcAud, bits.finish());
}

void append_coded_in_255s(Bytes& out, size_t value) {
    for (; value >= 255; value -= 255) out.push_back(255);
    out.push_back(static_cast<uint8_t>(value));
}

Bytes make_sei(Codec codec, const SeiMessage& message) {
    Bytes rbsp;
    append_coded_in_255s(rbsp, message.type);
    append_coded_in_255s(rbsp, message.payload.size());
    rbsp.insert(rbsp.end(), message.payload.begin(), message.payload.end());
    rbsp.push_back(0x80);
    return make_nal(codec, codec == Codec::h264 ? kH264Sei : kHevcPrefixSei, rbsp);
}

// From `from`, the index of the next 00 00 01, or `size`.
size_t find_start_code(const uint8_t* data, size_t size, size_t from) {
    for (size_t i = from; i + 3 <= size; ++i)
        if (data[i] == 0 && data[i + 1] == 0 && data[i + 2] == 1) return i;
    return size;
}

}  // namespace

NalUnits split_annex_b(const uint8_t* data, size_t size) {
    NalUnits units;
    size_t start = find_start_code(data, size, 0);
    while (start < size) {
        const size_t begin = start + 3;
        const size_t next = find_start_code(data, size, begin);
        size_t end = next;
        while (end > begin && data[end - 1] == 0) --end;
        if (end > begin) units.emplace_back(data + begin, data + end);
        start = next;
    }
    return units;
}

void append_annex_b(Bytes& out, const Bytes& nal) {
    out.insert(out.end(), {0, 0, 0, 1});
    out.insert(out.end(), nal.begin(), nal.end());
}

int nal_type(Codec codec, const Bytes& nal) {
    if (nal.empty()) return -1;
    return codec == Codec::h264 ? nal[0] & 0x1f : nal[0] >> 1 & 0x3f;
}

bool is_parameter_set(Codec codec, const Bytes& nal) {
    const int type = nal_type(codec, nal);
    return codec == Codec::h264 ? type == kH264Sps || type == kH264Pps : type >= kHevcVps && type <= kHevcPps;
}

bool is_slice(Codec codec, const Bytes& nal) {
    const int type = nal_type(codec, nal);
    return codec == Codec::h264 ? type >= 1 && type <= 5 : type >= 0 && type < kHevcVps;
}

AccessUnitWriter::AccessUnitWriter(const StreamSettings& settings, const NalUnits& parameter_sets)
    : codec_(settings.codec),
      aud_(settings.aud),
      repeat_(settings.repeat_headers),
      omit_(settings.omit_headers),
      layers_(settings.layers),
      least_bytes_(least_bytes(settings)) {
    if (layers_.message) about_layers_.push_back(scalability_information(layers_, settings));
    if (settings.tools.alpha) about_layers_.push_back(alpha_channel_information());
    for (const Bytes& nal : parameter_sets) {
        if (!is_parameter_set(codec_, nal)) continue;
        const int type = nal_type(codec_, nal);
        if (codec_ == Codec::h264 && type == kH264Sps)
            parameter_sets_.push_back(rewrite_h264_sps(nal, settings));
        else if (codec_ == Codec::hevc && type == kHevcVps)
            parameter_sets_.push_back(vps_with_layers(nal, settings));
        else if (codec_ == Codec::hevc && type == kHevcSps)
            parameter_sets_.push_back(with_hevc_layers(rewrite_hevc_sps(nal, settings), named_layers()));
        else
            parameter_sets_.push_back(nal);
    }
}

Bytes AccessUnitWriter::vps_with_layers(const Bytes& vps, const StreamSettings& settings) const {
    const Bytes rewritten = rewrite_hevc_vps(vps, settings);
    const bool has_two = settings.tools.alpha || settings.tools.two_views;
    return has_two ? with_second_layer(rewritten, settings) : with_hevc_layers(rewritten, named_layers());
}

Bytes AccessUnitWriter::headers() const {
    Bytes out;
    for (const Bytes& nal : parameter_sets_) append_annex_b(out, nal);
    return out;
}

// Without repetition a stream still begins with its parameter sets; a client's explicit wish beats every setting.
bool AccessUnitWriter::wants_headers(PictureType type, bool output_headers) const {
    if (output_headers) return true;
    if (omit_) return false;
    return first_ || (repeat_ && type == PictureType::idr);
}

// Where the hardware puts filler data is its own secret: each picture is assumed to get its share.
void AccessUnitWriter::fill(Bytes& unit) const {
    constexpr size_t kAround = 8;  // start code, header and trailing bits
    if (unit.size() + kAround >= least_bytes_) return;
    Bytes rbsp(least_bytes_ - unit.size() - kAround, 0xff);
    rbsp.push_back(0x80);
    append_annex_b(unit, make_nal(codec_, codec_ == Codec::h264 ? kH264Filler : kHevcFiller, rbsp));
}

void AccessUnitWriter::append_slice(Bytes& out, Bytes slice, int layer) const {
    if (layers_.prefixes) append_annex_b(out, layer_prefix(slice, layer));
    if (codec_ == Codec::hevc && layers_.named) name_hevc_layer(slice, layer);
    append_annex_b(out, slice);
}

Bytes AccessUnitWriter::write(const NalUnits& pictures, PictureType type, bool output_headers,
                              const std::vector<SeiMessage>& sei, int layer) {
    Bytes out;
    if (aud_) append_annex_b(out, make_aud(codec_, type));
    if (wants_headers(type, output_headers))
        for (const Bytes& nal : parameter_sets_) append_annex_b(out, nal);
    if (type == PictureType::idr)
        for (const SeiMessage& message : about_layers_) append_annex_b(out, make_sei(codec_, message));
    for (const SeiMessage& message : sei) append_annex_b(out, make_sei(codec_, message));
    for (const Bytes& nal : pictures)
        if (is_slice(codec_, nal)) append_slice(out, nal, layer);
    first_ = false;
    return out;
}

}  // namespace nvsim
