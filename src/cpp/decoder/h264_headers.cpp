#include "decoder/h264_headers.hpp"

#include <algorithm>
#include <array>

#include "decoder/bit_reader.hpp"
#include "decoder/parameter_sets.hpp"

namespace pdum::nvenc {
namespace {

constexpr uint32_t most_sequences = 32;
constexpr uint32_t most_picture_parameters = 256;
constexpr uint32_t most_references = 32;
constexpr int unit_header = 8;  // bits
constexpr int idr = 5;

enum SliceKind : uint32_t { p_slice = 0, b_slice = 1, i_slice = 2, sp_slice = 3, si_slice = 4 };

bool has_chroma_format(uint32_t profile) {
    constexpr std::array<uint32_t, 11> profiles{100, 110, 122, 244, 44, 83, 86, 118, 128, 138, 139};
    return std::find(profiles.begin(), profiles.end(), profile) != profiles.end();
}

void skip_scaling_list(BitReader& in, int size) {
    int64_t scale = 8;
    for (int i = 0; i < size && scale != 0; ++i) scale = (scale + in.signed_number() + 256) % 256;
}

void read_chroma_format(BitReader& in, H264Sequence& sequence) {
    constexpr uint32_t chroma_444 = 3;
    const uint32_t chroma = in.number();
    if (chroma == chroma_444) sequence.has_planes_apart = in.flag();
    sequence.is_grey = chroma == 0 || sequence.has_planes_apart;
    in.skip_numbers(2);  // bit depths
    in.skip(1);
    const bool has_lists = in.flag();
    const int lists = chroma == chroma_444 ? 12 : 8;
    for (int i = 0; has_lists && i < lists; ++i) {
        if (in.flag()) skip_scaling_list(in, i < 6 ? 16 : 64);
    }
}

bool read_order(BitReader& in, H264Sequence& sequence) {
    constexpr uint32_t most_bits = 16;
    constexpr uint32_t most_in_a_cycle = 255;
    sequence.order_kind = in.number();
    if (sequence.order_kind == 0) {
        const uint32_t bits = in.number() + 4;
        sequence.order_bits = static_cast<int>(std::min(bits, most_bits));
        return bits <= most_bits;
    }
    if (sequence.order_kind != 1) return sequence.order_kind == 2;
    sequence.order_is_fixed = in.flag();
    in.skip_numbers(2);
    const uint32_t cycle = in.number();
    in.skip_numbers(static_cast<int>(std::min(cycle, most_in_a_cycle)));
    return cycle <= most_in_a_cycle;
}

bool read_sequence(BitReader& in, uint32_t& id, H264Sequence& sequence) {
    constexpr uint32_t most_bits = 16;
    const uint32_t profile = in.bits(8);
    in.skip(16);
    id = in.number();
    if (has_chroma_format(profile)) read_chroma_format(in, sequence);
    const uint32_t bits = in.number() + 4;
    if (bits > most_bits) return false;
    sequence.number_bits = static_cast<int>(bits);
    if (!read_order(in, sequence)) return false;
    in.number();
    sequence.may_lack_frames = in.flag();
    in.skip_numbers(2);  // width and height
    sequence.has_frames_only = in.flag();
    return id < most_sequences;
}

bool read_picture_parameters(BitReader& in, uint32_t& id, H264PictureParameters& parameters) {
    id = in.number();
    parameters.sequence = in.number();
    in.skip(1);
    parameters.has_bottom_order = in.flag();
    const uint32_t further_groups = in.number();  // of slices: no GPU decodes these
    for (uint32_t& count : parameters.references) count = in.number() + 1;
    parameters.has_weights = in.flag();
    parameters.has_weights_of_both = in.bits(2) == 1;
    in.skip_numbers(3);
    in.skip(2);
    parameters.has_redundant_slices = in.flag();
    return id < most_picture_parameters && further_groups == 0;
}

void skip_order(BitReader& in, const H264Sequence& sequence, const H264PictureParameters& picture, bool is_field) {
    const bool has_both = picture.has_bottom_order && !is_field;
    if (sequence.order_kind == 0) {
        in.skip(static_cast<uint64_t>(sequence.order_bits));
        if (has_both) in.signed_number();
    } else if (sequence.order_kind == 1 && !sequence.order_is_fixed) {
        in.signed_number();
        if (has_both) in.signed_number();
    }
}

bool skip_changes_of_list(BitReader& in) {
    constexpr uint32_t end = 3;
    if (!in.flag()) return true;
    for (uint32_t i = 0; i <= 2 * most_references; ++i) {
        const uint32_t change = in.number();
        if (change == end || in.has_failed()) return change == end;
        in.number();
    }
    return false;
}

void skip_weights(BitReader& in, const H264Sequence& sequence, const uint32_t (&counts)[2], bool has_both) {
    in.number();
    if (!sequence.is_grey) in.number();
    for (int list = 0; list < (has_both ? 2 : 1); ++list) {
        for (uint32_t i = 0; i < counts[list]; ++i) {
            if (in.flag()) in.skip_numbers(2);
            if (!sequence.is_grey && in.flag()) in.skip_numbers(4);
        }
    }
}

// What becomes of the references. Whether all of them go, and numbers begin anew.
bool read_marking(BitReader& in, bool is_idr) {
    constexpr uint32_t restart = 5;
    constexpr uint32_t two_numbers = 3;
    if (is_idr) in.skip(2);
    if (is_idr || !in.flag()) return false;
    bool restarts = false;
    for (uint32_t i = 0; i <= 4 * most_references; ++i) {
        const uint32_t operation = in.number();
        if (operation == 0 || in.has_failed()) break;
        restarts = restarts || operation == restart;
        if (operation != restart) in.number();
        if (operation == two_numbers) in.number();
    }
    return restarts;
}

// Between the order of display and what becomes of references.
bool skip_references(BitReader& in, const H264Sequence& sequence, const H264PictureParameters& picture, uint32_t kind) {
    const bool is_b = kind == b_slice;
    uint32_t counts[2] = {picture.references[0], picture.references[1]};
    if (is_b) in.skip(1);
    const bool has_own_counts = in.flag();
    for (int list = 0; has_own_counts && list < (is_b ? 2 : 1); ++list) counts[list] = in.number() + 1;
    if (counts[0] > most_references || counts[1] > most_references) return false;
    if (!skip_changes_of_list(in) || (is_b && !skip_changes_of_list(in))) return false;
    if (is_b ? picture.has_weights_of_both : picture.has_weights) skip_weights(in, sequence, counts, is_b);
    return true;
}

std::optional<H264Slice> read_slice(BitReader& in, H264Slice slice, const H264Parameters& parameters) {
    slice.is_first = in.number() == 0;
    const uint32_t kind = in.number() % 5;
    slice.is_intra = kind == i_slice || kind == si_slice;
    const auto picture = parameters.pictures.find(in.number());
    if (picture == parameters.pictures.end()) return std::nullopt;
    const auto found = parameters.sequences.find(picture->second.sequence);
    if (found == parameters.sequences.end()) return std::nullopt;
    const H264Sequence& sequence = found->second;
    slice.period = 1U << sequence.number_bits;
    slice.may_lack_frames = sequence.may_lack_frames;
    if (sequence.has_planes_apart) in.skip(2);
    slice.number = in.bits(sequence.number_bits);
    const bool is_field = !sequence.has_frames_only && in.flag();
    if (is_field) in.skip(1);
    if (slice.is_idr) in.number();
    skip_order(in, sequence, picture->second, is_field);
    if (picture->second.has_redundant_slices) in.number();
    if (!slice.is_intra && !skip_references(in, sequence, picture->second, kind)) return std::nullopt;
    if (slice.is_reference) slice.restarts_numbers = read_marking(in, slice.is_idr);
    return in.has_failed() ? std::nullopt : std::optional(slice);
}

}  // namespace

namespace h264 {

int type_of(const NalUnit& unit) { return unit.data[0] & 31; }
bool is_slice(int type) { return type == 1 || type == idr; }

}  // namespace h264

void H264Parameters::take(const NalUnit& unit) {
    constexpr int sequence_set = 7;
    constexpr int picture_set = 8;
    const int type = h264::type_of(unit);
    if (type == sequence_set) keep_set(sequences, unit, unit_header, read_sequence);
    if (type == picture_set) keep_set(pictures, unit, unit_header, read_picture_parameters);
}

std::optional<H264Slice> read_h264_slice(const NalUnit& unit, const H264Parameters& parameters) {
    BitReader in(unit.data, unit.size);
    in.skip(unit_header);
    H264Slice slice;
    slice.is_idr = h264::type_of(unit) == idr;
    slice.is_reference = (unit.data[0] >> 5 & 3) != 0;
    return read_slice(in, slice, parameters);
}

}  // namespace pdum::nvenc
