// Finds the pictures of H.264 that follow a missing one. Frames that others refer to are numbered, so that one which is
// missing leaves a gap. Which pictures refer to it is not looked at: each may, until a key frame or a picture from
// which on, as a message in the stream says, all are right.
#pragma once

#include <cstddef>
#include <cstdint>
#include <optional>

#include "decoder/h264_headers.hpp"
#include "decoder/references.hpp"

namespace pdum::nvenc {

class H264References final : public StreamReferences {
   public:
    void read_packet(const uint8_t* data, size_t size) override;
    Outlook take_picture(const uint8_t* slices, size_t size) override;
    void spoil_last() override;
    void begin_anew() override;

   private:
    struct Recovery {
        uint32_t begin = 0;    // number of a frame
        int64_t distance = 0;  // frames
    };

    void take_slice(const NalUnit& unit);
    void end_picture();
    bool is_gap(const H264Slice& slice) const;
    bool recovers(const H264Slice& slice);

    H264Parameters parameters_;
    std::optional<H264Slice> picture_;     // the one that is being read, as its first slice is
    std::optional<uint32_t> last_number_;  // of the last frame that others may refer to; none: it is not known
    uint64_t losses_ = 0;
    Outlook outlook_;                 // for what is in the packet
    std::optional<int64_t> message_;  // of the packet: see recovery_distance()
    std::optional<Recovery> recovery_;
};

}  // namespace pdum::nvenc
