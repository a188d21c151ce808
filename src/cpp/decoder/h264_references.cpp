#include "decoder/h264_references.hpp"

namespace pdum::nvenc {
namespace {

constexpr size_t unit_header = 1;  // bytes

}  // namespace

void H264References::begin_anew() { *this = H264References(); }

void H264References::read_packet(const uint8_t* data, size_t size) {
    message_.reset();
    NalUnits units(data, size);
    while (const auto unit = units.next()) {
        parameters_.take(*unit);
        if (h264::type_of(*unit) != h264::message) continue;
        const auto distance = recovery_distance({unit->data + unit_header, unit->size - unit_header}, false);
        if (distance) message_ = distance;
    }
}

std::optional<H264Slice> H264References::read(const uint8_t* slices, size_t size) const {
    std::optional<H264Slice> picture;
    NalUnits units(slices, size);
    while (const auto unit = units.next()) {
        if (!h264::is_slice(h264::type_of(*unit))) continue;
        const auto slice = read_h264_slice(*unit, parameters_);
        if (slice && picture) picture->is_intra = picture->is_intra && slice->is_intra;
        if (slice && !picture) picture = slice;
        // What follows is of no interest, unless this may be a picture without references.
        if (picture && (picture->is_idr || !picture->is_intra)) break;
    }
    return picture;
}

bool H264References::is_gap(const H264Slice& slice) const {
    if (slice.is_idr) return false;
    if (!last_number_) return true;  // what was before it is not known
    if (slice.may_lack_frames) return false;
    return slice.number != *last_number_ && slice.number != (*last_number_ + 1) % slice.period;
}

bool H264References::recovers(const H264Slice& slice) {
    if (slice.is_idr) return true;
    if (message_ && !recovery_) recovery_ = Recovery{slice.number, *message_};
    return recovery_ && (slice.number - recovery_->begin) % slice.period >= recovery_->distance;
}

Outlook H264References::take_picture(const uint8_t* slices, size_t size) {
    const auto slice = read(slices, size);
    if (!slice) {
        last_number_.reset();
        return {};
    }
    if (is_gap(*slice)) {
        ++losses_;
        recovery_.reset();
    }
    const bool begins = !last_number_ && slice->is_intra;
    const bool heals = recovers(*slice) || begins;
    if (heals) recovery_.reset();
    if (slice->is_reference)
        last_number_ = slice->restarts_numbers ? 0 : slice->number;
    else if (slice->number != last_number_)
        last_number_ = (slice->number + slice->period - 1) % slice->period;
    return {!slice->is_intra && losses_ > 0, losses_, heals};
}

void H264References::spoil_last() {
    ++losses_;
    recovery_.reset();
}

}  // namespace pdum::nvenc
