// Turns coded pictures into pixels, one after the other, as a decoder of the chip does: the pixels of a picture are
// there when its call returns, whatever the order in which pictures are shown.
#pragma once

#include <cstdint>
#include <memory>
#include <string>
#include <vector>

#include "decode/api.hpp"
#include "decode/bit_reader.hpp"

namespace nvsim::decode {

// A decoded picture in its coded size. `keep` holds the memory.
struct Pixels {
    const uint8_t* plane[3] = {};
    int pitch[3] = {};
    int width = 0;
    int height = 0;
    int depth = 8;   // more than 8: samples of 16 bits with the value in the low bits
    int chroma = 1;  // as cudaVideoChromaFormat: 0 to 3
    std::shared_ptr<const void> keep;

    const void* identity() const { return plane[0]; }
};

struct Decoded {
    std::shared_ptr<const Pixels> picture;  // null: there is none, or the second field of the picture before
    bool failed = false;                    // nothing could be decoded
    std::vector<const void*> concealed;     // the identities of pictures found to be damaged and mended
};

class VideoCodec {
   public:
    virtual ~VideoCodec() = default;
    VideoCodec() = default;
    VideoCodec(const VideoCodec&) = delete;
    VideoCodec& operator=(const VideoCodec&) = delete;
    virtual Decoded decode(const Bytes& unit) = 0;
    // The next picture refers to none of those before it.
    virtual void forget() = 0;
};

// Null if there is no codec for it on this machine.
std::unique_ptr<VideoCodec> open_video_codec(cudaVideoCodec codec);
bool has_video_codec(cudaVideoCodec codec);

}  // namespace nvsim::decode
