// What the pictures of a stream refer to, and whether it is there.
#pragma once

#include <algorithm>
#include <cstddef>
#include <cstdint>

namespace pdum::nvenc {

// What missing pictures mean for one that is decoded.
struct Outlook {
    bool is_affected = false;  // it may refer to a missing picture, or to another that is affected
    uint64_t losses = 0;       // that were found up to this picture, and that it may suffer from
    bool heals = false;        // whatever is shown from this picture on does not suffer from these losses
};

class StreamReferences {
   public:
    StreamReferences() = default;
    virtual ~StreamReferences() = default;

    // Before the parser gets the packet.
    virtual void read_packet(const uint8_t* data, size_t size) = 0;
    // In decoding order, for each picture or field that the GPU decodes, with its slices.
    virtual Outlook take_picture(const uint8_t* slices, size_t size) = 0;
    // The picture that was taken last is not right, for another reason.
    virtual void spoil_last() = 0;
    // The next picture is the first of a stream.
    virtual void begin_anew() = 0;

   protected:
    StreamReferences(const StreamReferences&) = default;
    StreamReferences& operator=(const StreamReferences&) = default;
    StreamReferences(StreamReferences&&) = default;
    StreamReferences& operator=(StreamReferences&&) = default;
};

// Both fields of a picture.
inline Outlook both(const Outlook& first, const Outlook& second) {
    return {first.is_affected || second.is_affected, std::max(first.losses, second.losses),
            first.heals || second.heals};
}

}  // namespace pdum::nvenc
