#include "decoder/hevc_references.hpp"

#include <algorithm>
#include <utility>

namespace pdum::nvenc {
namespace {

constexpr size_t unit_header = 2;  // bytes

// Of which only the lowest bits may be known: then it is the last one before the picture.
int64_t place_of(const HevcLongTerm& reference, int64_t order, int64_t period) {
    const int64_t place = order - (order & (period - 1)) + reference.place;
    return reference.is_whole || place < order ? place : place - period;
}

}  // namespace

void HevcReferences::begin_anew() { *this = HevcReferences(); }

void HevcReferences::read_packet(const uint8_t* data, size_t size) {
    begins_sequence_ = begins_sequence_ || std::exchange(ends_sequence_, false);
    recovery_.reset();
    bool has_picture = false;
    NalUnits units(data, size);
    while (const auto unit = units.next()) {
        const int type = hevc::type_of(*unit);
        if (type == hevc::end_of_sequence || type == hevc::end_of_stream)
            (has_picture ? ends_sequence_ : begins_sequence_) = true;
        if (!hevc::is_of_first_layer(*unit)) continue;
        has_picture = has_picture || hevc::is_slice(type);
        parameters_.take(*unit);
        if (type != hevc::message) continue;
        const auto distance = recovery_distance({unit->data + unit_header, unit->size - unit_header}, true);
        if (distance) recovery_ = distance;
    }
}

std::optional<HevcReferences::Coded> HevcReferences::read(const uint8_t* slices, size_t size) const {
    std::optional<Coded> picture;
    NalUnits units(slices, size);
    while (const auto unit = units.next()) {
        if (!hevc::is_of_first_layer(*unit) || !hevc::is_slice(hevc::type_of(*unit))) continue;
        auto slice = read_hevc_slice(*unit, parameters_);
        if (slice && picture) picture->is_intra = picture->is_intra && slice->is_intra;
        if (slice && !picture) picture = Coded{*slice, slice->is_intra};
        // What follows is of no interest, unless this may be a picture without references.
        if (picture && !picture->is_intra) break;
        if (picture && hevc::is_key(picture->slice.type)) break;
    }
    return picture;
}

const HevcReferences::Kept* HevcReferences::find(int64_t order) const {
    const auto found = std::find_if(kept_.begin(), kept_.end(), [&](const Kept& one) { return one.order == order; });
    return found != kept_.end() ? &*found : nullptr;
}

const HevcReferences::Kept* HevcReferences::find(const HevcLongTerm& wanted, int64_t order, int64_t period) const {
    if (wanted.is_whole) return find(place_of(wanted, order, period));
    const auto is_it = [&](const Kept& one) { return (one.order & (period - 1)) == wanted.place; };
    const auto found = std::find_if(kept_.begin(), kept_.end(), is_it);
    return found != kept_.end() ? &*found : nullptr;
}

int64_t HevcReferences::order_of(const HevcSlice& slice, bool begins) {
    const int64_t low = last_order_ & (slice.period - 1);
    int64_t order = begins ? slice.order : last_order_ - low + slice.order;
    if (!begins && slice.order < low && low - slice.order >= slice.period / 2) order += slice.period;
    if (!begins && slice.order > low && slice.order - low > slice.period / 2) order -= slice.period;
    if (slice.layer == 0 && !hevc::is_leading(slice.type) && !hevc::is_disposable(slice.type)) last_order_ = order;
    return order;
}

bool HevcReferences::keep(const Kept* found, int64_t order, std::vector<Kept>& kept) {
    // It counts as missing once. Then it is a picture that is not right.
    kept.push_back(found != nullptr ? *found : Kept{order, true});
    return found != nullptr && !found->is_affected;
}

bool HevcReferences::find_references(const Coded& picture, int64_t order) {
    const HevcSlice& slice = picture.slice;
    std::vector<Kept> kept;
    bool all_are_right = true;
    bool all_are_there = true;
    const auto take = [&](const Kept* found, int64_t place, bool is_used) {
        if (found == nullptr && !is_used) return;
        const bool is_right = keep(found, place, kept);
        all_are_right = all_are_right && (is_right || !is_used);
        all_are_there = all_are_there && found != nullptr;
    };
    for (const HevcReference& one : slice.references)
        take(find(order + one.distance), order + one.distance, one.is_used);
    for (const HevcLongTerm& one : slice.long_term)
        take(find(one, order, slice.period), place_of(one, order, slice.period), one.is_used);
    kept_ = std::move(kept);
    if (picture.is_intra) return false;
    if (!all_are_there) recovers_at_.reset();
    const bool is_healed = recovers_at_ && order >= *recovers_at_;
    return !all_are_right && !is_healed;
}

Outlook HevcReferences::take_picture(const uint8_t* slices, size_t size) {
    const auto picture = read(slices, size);
    if (!picture) {
        is_unsure_ = true;
        kept_.clear();
        return {};
    }
    const int type = picture->slice.type;
    const bool begins = hevc::is_break(type) || (hevc::is_key(type) && begins_sequence_);
    if (hevc::is_key(type)) is_unsure_ = false;
    if (begins) {
        kept_.clear();
        recovers_at_.reset();
    }
    begins_sequence_ = begins_sequence_ && !hevc::is_key(type);
    const int64_t order = order_of(picture->slice, begins);
    // Within a sequence no two pictures have the same place: the key frame between them is missing.
    if (find(order) != nullptr) spoil_all();
    const bool is_affected = find_references(*picture, order) && !begins && !is_unsure_;
    if (recovery_ && !recovers_at_) recovers_at_ = order + *recovery_;
    kept_.push_back({order, is_affected});
    return {is_affected, false, 1, false};
}

void HevcReferences::spoil_all() {
    for (Kept& one : kept_) one.is_affected = true;
    recovers_at_.reset();
}

void HevcReferences::spoil_last() {
    if (!kept_.empty()) kept_.back().is_affected = true;
    recovers_at_.reset();
}

}  // namespace pdum::nvenc
