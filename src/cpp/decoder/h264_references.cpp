#include "decoder/h264_references.hpp"

namespace pdum::nvenc {
namespace {

constexpr size_t unit_header = 1;  // bytes

}  // namespace

void H264References::begin_anew() { *this = H264References(); }

void H264References::read_packet(const uint8_t* data, size_t size) {
    message_.reset();
    outlook_ = {};
    NalUnits units(data, size);
    while (const auto unit = units.next()) {
        const int type = h264::type_of(*unit);
        parameters_.take(*unit);
        if (h264::is_slice(type)) take_slice(*unit);
        if (type != h264::message) continue;
        const auto distance = recovery_distance({unit->data + unit_header, unit->size - unit_header}, false);
        if (distance) message_ = distance;
    }
    end_picture();
}

void H264References::take_slice(const NalUnit& unit) {
    const auto slice = read_h264_slice(unit, parameters_);
    if (!slice) {
        last_number_.reset();
        return;
    }
    if (slice->is_first) end_picture();
    const bool is_intra = slice->is_intra && (!picture_ || picture_->is_intra);
    if (!picture_) picture_ = slice;
    picture_->is_intra = is_intra;
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

void H264References::end_picture() {
    if (!picture_) return;
    const H264Slice slice = *picture_;
    picture_.reset();
    if (is_gap(slice)) {
        ++losses_;
        recovery_.reset();
        lacks_key_ = lacks_key_ || (last_number_ && slice.number < *last_number_);  // numbers begin anew
    }
    const bool begins = !last_number_ && slice.is_intra;
    const bool heals = recovers(slice) || begins;
    if (heals) {
        recovery_.reset();
        lacks_key_ = false;
    }
    if (slice.is_reference)
        last_number_ = slice.restarts_numbers ? 0 : slice.number;
    else if (slice.number != last_number_)
        last_number_ = (slice.number + slice.period - 1) % slice.period;
    outlook_ = both(outlook_, {!slice.is_intra && losses_ > 0, lacks_key_, losses_, heals});
}

Outlook H264References::take_picture(const uint8_t* /*slices*/, size_t /*size*/) { return outlook_; }

void H264References::spoil_last() {
    ++losses_;
    recovery_.reset();
}

}  // namespace pdum::nvenc
