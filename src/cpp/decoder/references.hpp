// What the pictures of a stream refer to, and whether it is there.
#pragma once

#include <cstddef>
#include <cstdint>

namespace pdum::nvenc {

class References {
   public:
    References() = default;
    virtual ~References() = default;

    // Before the parser gets the packet.
    virtual void read_packet(const uint8_t* data, size_t size) = 0;
    // In decoding order, for each picture that the GPU decodes, with its slices. Whether it refers to a missing
    // picture, or to one that does.
    virtual bool is_affected(const uint8_t* slices, size_t size) = 0;
    // The picture that was asked about last is not right, for another reason.
    virtual void spoil_last() = 0;
    // The next picture is the first of a stream.
    virtual void begin_anew() = 0;

   protected:
    References(const References&) = default;
    References& operator=(const References&) = default;
    References(References&&) = default;
    References& operator=(References&&) = default;
};

}  // namespace pdum::nvenc
