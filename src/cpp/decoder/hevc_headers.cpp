#include "decoder/hevc_headers.hpp"

#include <algorithm>
#include <utility>

#include "decoder/bit_reader.hpp"
#include "decoder/parameter_sets.hpp"

namespace pdum::nvenc {
namespace {

constexpr uint32_t most_sequences = 16;
constexpr uint32_t most_picture_parameters = 64;
constexpr uint32_t most_sets = 64;
constexpr uint32_t most_references = 16;
constexpr uint32_t most_long_term = 32;
constexpr uint32_t most_distance = 1U << 15;
constexpr uint32_t most_pixels = 1U << 16;
constexpr int unit_header = 16;  // bits

// How many bits tell apart so many things.
int bits_for(uint64_t count) {
    int bits = 0;
    while ((uint64_t{1} << bits) < count) ++bits;
    return bits;
}

void skip_profile(BitReader& in, uint32_t layers) {
    constexpr uint64_t profile_bits = 88;
    constexpr uint64_t level_bits = 8;
    in.skip(profile_bits + level_bits);
    uint64_t more = 0;
    for (uint32_t i = 0; i + 1 < layers; ++i) {
        more += in.flag() ? profile_bits : 0;
        more += in.flag() ? level_bits : 0;
    }
    if (layers > 1) in.skip(2 * (9 - uint64_t{layers}));
    in.skip(more);
}

void skip_scaling_lists(BitReader& in) {
    for (int size = 0; size < 4; ++size) {
        for (int matrix = 0; matrix < 6; matrix += size == 3 ? 3 : 1) {
            if (!in.flag()) {
                in.number();
                continue;
            }
            const int count = std::min(64, 1 << (4 + 2 * size));
            in.skip_numbers(size > 1 ? count + 1 : count);
        }
    }
}

// From the nearest on, in one direction.
bool read_distances(BitReader& in, uint32_t count, int sign, HevcReferenceSet& set) {
    int64_t distance = 0;
    for (uint32_t i = 0; i < count; ++i) {
        const uint32_t step = in.number();
        if (step >= most_distance) return false;
        distance += sign * (int64_t{step} + 1);
        set.push_back({distance, in.flag()});
    }
    return true;
}

std::optional<HevcReferenceSet> read_listed_set(BitReader& in) {
    const uint32_t before = in.number();
    const uint32_t after = in.number();
    if (before > most_references || after > most_references - before) return std::nullopt;
    HevcReferenceSet set;
    if (!read_distances(in, before, -1, set) || !read_distances(in, after, 1, set)) return std::nullopt;
    return set;
}

bool is_nearer_in_coding(const HevcReference& a, const HevcReference& b) {
    const bool a_is_after = a.distance > 0;
    const bool b_is_after = b.distance > 0;
    if (a_is_after != b_is_after) return b_is_after;
    return a_is_after ? a.distance < b.distance : a.distance > b.distance;
}

// An earlier set, seen from another picture.
std::optional<HevcReferenceSet> read_moved_set(BitReader& in, HevcReferenceSet base) {
    const int sign = in.flag() ? -1 : 1;
    const uint32_t distance = in.number();
    if (distance >= most_distance) return std::nullopt;
    base.push_back({0, false});  // the picture itself that had this set
    HevcReferenceSet set;
    for (const HevcReference& one : base) {
        const bool is_used = in.flag();
        const bool is_kept = is_used || in.flag();
        const int64_t moved = one.distance + sign * (int64_t{distance} + 1);
        if (is_kept && moved != 0) set.push_back({moved, is_used});
    }
    if (set.size() > most_references) return std::nullopt;
    std::sort(set.begin(), set.end(), is_nearer_in_coding);
    return set;
}

// `is_of_slice`: it is not among the sequence's, and may refer to any of them.
std::optional<HevcReferenceSet> read_set(BitReader& in, const std::vector<HevcReferenceSet>& sets, bool is_of_slice) {
    if (sets.empty() || !in.flag()) return read_listed_set(in);
    const uint32_t back = is_of_slice ? in.number() : 0;
    if (back >= sets.size()) return std::nullopt;
    return read_moved_set(in, sets[sets.size() - 1 - back]);
}

bool read_sets(BitReader& in, HevcSequence& sequence) {
    const uint32_t count = in.number();
    if (count > most_sets) return false;
    for (uint32_t i = 0; i < count; ++i) {
        auto set = read_set(in, sequence.sets, false);
        if (!set || in.has_failed()) return false;
        sequence.sets.push_back(std::move(*set));
    }
    return true;
}

bool read_long_term(BitReader& in, HevcSequence& sequence) {
    sequence.has_long_term = in.flag();
    if (!sequence.has_long_term) return true;
    const uint32_t count = in.number();
    if (count > most_long_term) return false;
    for (uint32_t i = 0; i < count; ++i) {
        const int64_t place = in.bits(sequence.order_bits);
        sequence.long_term.push_back({place, false, in.flag()});
    }
    return true;
}

bool read_size(BitReader& in, HevcSequence& sequence) {
    constexpr uint32_t chroma_444 = 3;
    if (in.number() == chroma_444) sequence.has_planes_apart = in.flag();
    sequence.width = in.number();
    sequence.height = in.number();
    const bool is_cropped = in.flag();
    if (is_cropped) in.skip_numbers(4);
    const auto is_a_size = [](uint32_t size) { return size > 0 && size <= most_pixels; };
    return is_a_size(sequence.width) && is_a_size(sequence.height);
}

void skip_buffering(BitReader& in, uint32_t layers) {
    const bool has_all = in.flag();
    for (uint32_t i = has_all ? 0 : layers - 1; i < layers; ++i) {
        in.skip_numbers(3);
    }
}

bool read_blocks(BitReader& in, HevcSequence& sequence) {
    constexpr uint32_t most_bits = 6;
    const uint32_t least = in.number();
    const uint32_t range = in.number();
    if (least > most_bits || range > most_bits) return false;
    sequence.block_bits = static_cast<int>(least + 3 + range);
    in.skip_numbers(4);  // transforms
    const bool has_lists = in.flag();
    if (has_lists && in.flag()) skip_scaling_lists(in);
    in.skip(2);
    const bool has_raw_samples = in.flag();
    if (!has_raw_samples) return true;
    in.skip(8);
    in.skip_numbers(2);
    in.skip(1);
    return true;
}

bool read_sequence(BitReader& in, uint32_t& id, HevcSequence& sequence) {
    constexpr uint32_t most_order_bits = 16;
    constexpr uint32_t most_layers = 7;
    in.skip(4);
    const uint32_t layers = in.bits(3) + 1;
    if (layers > most_layers) return false;
    in.skip(1);
    skip_profile(in, layers);
    id = in.number();
    if (id >= most_sequences || !read_size(in, sequence)) return false;
    in.skip_numbers(2);  // bit depths
    const uint32_t order_bits = in.number() + 4;
    if (order_bits > most_order_bits) return false;
    sequence.order_bits = static_cast<int>(order_bits);
    skip_buffering(in, layers);
    return read_blocks(in, sequence) && read_sets(in, sequence) && read_long_term(in, sequence);
}

bool read_picture_parameters(BitReader& in, uint32_t& id, HevcPictureParameters& parameters) {
    id = in.number();
    parameters.sequence = in.number();
    parameters.has_dependent_slices = in.flag();
    parameters.has_output_flag = in.flag();
    parameters.extra_bits = static_cast<int>(in.bits(3));
    return id < most_picture_parameters;
}

int address_bits(const HevcSequence& sequence) {
    const auto blocks = [&](uint64_t size) {
        return (size + (uint64_t{1} << sequence.block_bits) - 1) >> sequence.block_bits;
    };
    return bits_for(blocks(sequence.width) * blocks(sequence.height));
}

bool read_references(BitReader& in, HevcSlice& slice, const HevcSequence& sequence) {
    slice.order = in.bits(sequence.order_bits);
    const bool is_of_sequence = in.flag();
    if (!is_of_sequence) {
        auto set = read_set(in, sequence.sets, true);
        if (set) slice.references = std::move(*set);
        return set.has_value();
    }
    const uint32_t number = in.bits(bits_for(sequence.sets.size()));
    if (number >= sequence.sets.size()) return false;
    slice.references = sequence.sets[number];
    return true;
}

// `from_sequence`: those of the list that the sequence has.
bool read_long_term(BitReader& in, HevcSlice& slice, const HevcSequence& sequence, uint32_t count, bool from_sequence) {
    int64_t periods = 0;
    for (uint32_t i = 0; i < count; ++i) {
        HevcLongTerm one;
        if (from_sequence) {
            const uint32_t number = in.bits(bits_for(sequence.long_term.size()));
            if (number >= sequence.long_term.size()) return false;
            one = sequence.long_term[number];
        } else {
            one.place = in.bits(sequence.order_bits);
            one.is_used = in.flag();
        }
        one.is_whole = in.flag();
        if (one.is_whole) periods += in.number();
        if (one.is_whole) one.place -= periods * sequence.period();  // to be added to the picture's own period
        slice.long_term.push_back(one);
    }
    return true;
}

bool read_long_term(BitReader& in, HevcSlice& slice, const HevcSequence& sequence) {
    if (!sequence.has_long_term) return true;
    const uint32_t of_sequence = sequence.long_term.empty() ? 0 : in.number();
    const uint32_t own = in.number();
    if (of_sequence > most_long_term || own > most_long_term) return false;
    return read_long_term(in, slice, sequence, of_sequence, true) && read_long_term(in, slice, sequence, own, false);
}

// Up to what it refers to. False if it continues another slice.
bool read_beginning(BitReader& in, HevcSlice& slice, const HevcPictureParameters& picture,
                    const HevcSequence& sequence) {
    constexpr uint32_t intra = 2;
    if (!slice.is_first) {
        const bool is_dependent = picture.has_dependent_slices && in.flag();
        if (is_dependent) return false;
        in.skip(static_cast<uint64_t>(address_bits(sequence)));
    }
    in.skip(static_cast<uint64_t>(picture.extra_bits));
    slice.is_intra = in.number() == intra;
    if (picture.has_output_flag) in.skip(1);
    if (sequence.has_planes_apart) in.skip(2);
    return true;
}

}  // namespace

namespace hevc {

int type_of(const NalUnit& unit) { return unit.data[0] >> 1 & 63; }

bool is_of_first_layer(const NalUnit& unit) {
    return unit.size > 2 && (unit.data[0] & 1) == 0 && unit.data[1] >> 3 == 0;
}

bool is_slice(int type) { return type <= 9 || (type >= 16 && type <= 21); }
bool is_key(int type) { return type >= 16 && type <= 23; }
bool is_idr(int type) { return type == 19 || type == 20; }
bool is_break(int type) { return type >= 16 && type <= 20; }
bool is_leading(int type) { return type >= 6 && type <= 9; }
bool is_disposable(int type) { return type <= 14 && type % 2 == 0; }

}  // namespace hevc

void HevcParameters::take(const NalUnit& unit) {
    constexpr int sequence_set = 33;
    constexpr int picture_set = 34;
    const int type = hevc::type_of(unit);
    if (type == sequence_set) keep_set(sequences, unit, unit_header, read_sequence);
    if (type == picture_set) keep_set(pictures, unit, unit_header, read_picture_parameters);
}

std::optional<HevcSlice> read_hevc_slice(const NalUnit& unit, const HevcParameters& parameters) {
    BitReader in(unit.data, unit.size);
    in.skip(unit_header);
    HevcSlice slice;
    slice.type = hevc::type_of(unit);
    slice.layer = (unit.data[1] & 7) - 1;
    slice.is_first = in.flag();
    if (hevc::is_key(slice.type)) in.skip(1);
    const auto picture = parameters.pictures.find(in.number());
    if (picture == parameters.pictures.end()) return std::nullopt;
    const auto found = parameters.sequences.find(picture->second.sequence);
    if (found == parameters.sequences.end()) return std::nullopt;
    const HevcSequence& sequence = found->second;
    slice.period = sequence.period();
    if (!read_beginning(in, slice, picture->second, sequence)) return std::nullopt;
    if (!hevc::is_idr(slice.type) && !(read_references(in, slice, sequence) && read_long_term(in, slice, sequence)))
        return std::nullopt;
    return in.has_failed() ? std::nullopt : std::optional(std::move(slice));
}

}  // namespace pdum::nvenc
