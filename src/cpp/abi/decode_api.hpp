// The parser and the decoder of libnvcuvid as owners of their handles. The CUDA context has to be current in every
// call, the destructors included.
#pragma once

#include <cstddef>
#include <cstdint>
#include <exception>
#include <optional>
#include <vector>

#include "abi/decode_types.hpp"
#include "cuda/cuda_types.hpp"
#include "cuda/driver.hpp"

namespace pdum::nvenc {

DecodeLimits decode_limits(DecodeCodec codec, VideoChroma chroma, int bit_depth);
// The format of decoded surfaces that keeps every bit of the video; none if the decoder does not give it.
std::optional<PixelFormat> output_format(const DecodeLimits& limits, const VideoFormat& format);

// What the parser finds, in the thread that calls VideoParser::parse and before it returns.
class ParserEvents {
   public:
    virtual ~ParserEvents() = default;

    // All pictures of the sequence before have been shown.
    virtual void before_sequence(const VideoFormat& format) = 0;
    // Comes again in mid-stream, also with nothing changed. Returns the number of surfaces to go round in. If it
    // throws, the parser has no use for the sequence.
    virtual uint32_t on_sequence(const VideoFormat& format) = 0;
    // In decoding order.
    virtual void on_picture(const CodedPicture& picture) = 0;
    // In display order.
    virtual void on_shown(const ShownPicture& picture) = 0;
};

class VideoParser {
   public:
    // `header`: the sequence header in the codec's own form, if the container keeps it apart; may be empty.
    VideoParser(DecodeCodec codec, const std::vector<uint8_t>& header, ParserEvents& events);
    ~VideoParser();
    VideoParser(const VideoParser&) = delete;
    VideoParser& operator=(const VideoParser&) = delete;

    // Throws what the first event threw that failed, else what the parser answers. All events come nevertheless.
    // A packet holds one picture, with both of its fields, so that its callbacks come within this call.
    void parse(const uint8_t* data, size_t size);
    // Everything that the parser holds back is shown within this call.
    void end_of_stream();

   private:
    struct Callbacks;

    void send(void* packet);
    // Runs the body of a callback. An exception cannot pass through the library: the first one is kept for send().
    template <typename Body>
    void guarded(Body body) noexcept;

    const DecodeExports& exports_;
    const DecodeCodec codec_;
    ParserEvents& events_;
    void* handle_ = nullptr;
    std::exception_ptr failure_;
};

class VideoDecoder {
   public:
    explicit VideoDecoder(const DecoderSetup& setup);
    ~VideoDecoder();
    VideoDecoder(const VideoDecoder&) = delete;
    VideoDecoder& operator=(const VideoDecoder&) = delete;

    // `surfaces`: the chip's for each of the parser's. May block while the chip's queue is full.
    void decode(const CodedPicture& picture, const std::vector<int>& surfaces);
    // Waits until the picture is decoded. `stream` then makes it an array; only work that is queued after it there may
    // read it.
    MappedFrame map(const ShownPicture& picture, CUstream stream);
    void unmap(uint64_t address);
    // After map(). Unknown if the chip does not tell for this codec.
    DecodeStatus status_of(int surface) noexcept;

   private:
    const DecodeExports& exports_;
    const DecodeCodec codec_;
    void* handle_ = nullptr;
};

}  // namespace pdum::nvenc
