// What a GPU's decoder says of a video and of itself, without a type of NVIDIA's.
#pragma once

#include <cstddef>
#include <cstdint>
#include <optional>
#include <string_view>

#include "abi/pixel_format.hpp"

namespace pdum::nvenc {

enum class DecodeCodec { mpeg1, mpeg2, mpeg4, vc1, h264, mjpeg, hevc, vp8, vp9, av1 };

// "h264".
const char* name_of(DecodeCodec codec);
std::optional<DecodeCodec> find_decode_codec(std::string_view name);

enum class VideoChroma { monochrome, c420, c422, c444 };

struct PixelRectangle {
    int left = 0;
    int top = 0;
    int right = 0;  // the first column outside
    int bottom = 0;
};

// As ITU-T H.273 numbers them; 2 is unspecified.
struct VideoColour {
    int primaries = 2;
    int transfer = 2;
    int matrix = 2;
    bool full_range = false;
};

// What the parser has found in a sequence header.
struct VideoFormat {
    DecodeCodec codec = DecodeCodec::h264;
    VideoChroma chroma = VideoChroma::c420;
    int bit_depth = 8;  // of luma or chroma, whichever is larger
    uint32_t coded_width = 0;
    uint32_t coded_height = 0;
    PixelRectangle shown;
    uint32_t least_surfaces = 0;  // without which references would be overwritten
    uint32_t rate_numerator = 0;
    uint32_t rate_denominator = 0;
    int aspect_x = 0;
    int aspect_y = 0;
    VideoColour colour;
    bool progressive = false;

    uint32_t width() const { return static_cast<uint32_t>(shown.right - shown.left); }
    uint32_t height() const { return static_cast<uint32_t>(shown.bottom - shown.top); }
};

// What the GPU's decoder can do with one codec, chroma format and bit depth.
struct DecodeLimits {
    bool is_supported = false;
    uint32_t engines = 0;
    uint32_t output_formats = 0;  // a bit for each surface format, in NVIDIA's order
    uint32_t min_width = 0;
    uint32_t min_height = 0;
    uint32_t max_width = 0;
    uint32_t max_height = 0;
    uint32_t max_macroblocks = 0;
};

// How a decoder is made.
struct DecoderSetup {
    VideoFormat format;
    PixelFormat output = PixelFormat::nv12;
    uint32_t decode_surfaces = 0;
    uint32_t output_surfaces = 0;  // how many frames may be mapped at once
};

// A picture for the chip. Valid only inside the parser's call.
struct CodedPicture {
    const void* parameters = nullptr;  // NVIDIA's
    int surface = 0;                   // as the parser numbers them
    int second_surface = -1;           // written too; -1: none
    bool is_second_field = false;      // of the frame that its surface holds already
    bool is_intra = false;             // it refers to no other picture
    const uint8_t* coded = nullptr;    // its slices, as they are in the stream
    size_t coded_size = 0;
};

// A picture that is due to be shown.
struct ShownPicture {
    int surface = 0;
    bool is_progressive = false;
    bool top_field_first = false;
    int repeat_first_field = 0;
};

struct MappedFrame {
    int surface = 0;
    uint64_t address = 0;
    uint32_t pitch = 0;
};

enum class DecodeStatus { unknown, good, concealed, damaged };

}  // namespace pdum::nvenc
