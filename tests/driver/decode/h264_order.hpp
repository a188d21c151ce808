// H.264's picture order count.
#pragma once

#include "decode/h264_headers.hpp"

namespace nvsim::decode::h264 {

class OrderCount {
   public:
    struct Value {
        int top = 0, bottom = 0;
        int least(bool field, bool is_bottom) const {
            return field ? (is_bottom ? bottom : top) : std::min(top, bottom);
        }
    };

    // Of each picture once, frame or field, in the order of decoding.
    Value next(const Slice& slice, const Sps& sps);

   private:
    Value by_lsb(const Slice& slice, const Sps& sps);
    Value by_cycle(const Slice& slice, const Sps& sps);
    Value by_frame(const Slice& slice);
    void step_frame(const Slice& slice, const Sps& sps);

    int msb_ = 0, lsb_ = 0;  // of the reference picture before
    int frame_num_ = 0, frame_offset_ = 0;
    bool reset_ = false;
};

}  // namespace nvsim::decode::h264
