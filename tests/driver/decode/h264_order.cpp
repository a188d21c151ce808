#include "decode/h264_order.hpp"

#include <algorithm>

namespace nvsim::decode::h264 {

OrderCount::Value OrderCount::next(const Slice& slice, const Sps& sps) {
    if (slice.idr) {
        msb_ = lsb_ = frame_num_ = frame_offset_ = 0;
        reset_ = false;
    }
    Value value = sps.poc_type == 0 ? by_lsb(slice, sps) : sps.poc_type == 1 ? by_cycle(slice, sps) : Value();
    if (sps.poc_type == 2) {
        step_frame(slice, sps);
        value = by_frame(slice);
    }
    reset_ = slice.resets;
    if (!slice.resets) return value;
    // The picture counts as one with frame number 0, and its own order count becomes the new zero.
    const int zero = value.least(slice.field, slice.bottom);
    value.top -= zero;
    value.bottom -= zero;
    frame_num_ = frame_offset_ = msb_ = 0;
    lsb_ = slice.bottom ? 0 : value.top;
    return value;
}

OrderCount::Value OrderCount::by_lsb(const Slice& slice, const Sps& sps) {
    const int period = 1 << sps.poc_lsb_bits;
    int msb = msb_;
    if (slice.poc_lsb < lsb_ && lsb_ - slice.poc_lsb >= period / 2) msb += period;
    if (slice.poc_lsb > lsb_ && slice.poc_lsb - lsb_ > period / 2) msb -= period;
    Value value;
    value.top = msb + slice.poc_lsb;
    value.bottom = slice.field ? value.top : value.top + slice.delta_bottom;
    if (slice.reference != 0) {
        msb_ = msb;
        lsb_ = slice.poc_lsb;
    }
    return value;
}

void OrderCount::step_frame(const Slice& slice, const Sps& sps) {
    if (reset_) frame_num_ = frame_offset_ = 0;
    if (!slice.idr && frame_num_ > slice.frame_num) frame_offset_ += 1 << sps.frame_num_bits;
    frame_num_ = slice.frame_num;
}

OrderCount::Value OrderCount::by_frame(const Slice& slice) {
    const int count = 2 * (frame_offset_ + slice.frame_num) - (slice.reference == 0 && !slice.idr ? 1 : 0);
    return slice.idr ? Value() : Value{count, count};
}

OrderCount::Value OrderCount::by_cycle(const Slice& slice, const Sps& sps) {
    step_frame(slice, sps);
    const auto cycle = static_cast<int>(sps.offsets.size());
    int number = cycle != 0 ? frame_offset_ + slice.frame_num : 0;
    if (slice.reference == 0 && number > 0) --number;
    int expected = 0;
    if (number > 0) {
        int whole = 0;
        for (const int offset : sps.offsets) whole += offset;
        expected = (number - 1) / cycle * whole;
        for (int i = 0; i <= (number - 1) % cycle; ++i) expected += sps.offsets[static_cast<size_t>(i)];
    }
    if (slice.reference == 0) expected += sps.offset_non_ref;
    Value value;
    value.top = expected + slice.delta[0];
    value.bottom =
        slice.field ? expected + sps.offset_bottom + slice.delta[0] : value.top + sps.offset_bottom + slice.delta[1];
    return value;
}

}  // namespace nvsim::decode::h264
