// Reads a codec's stream: finds pictures in it, their order of display and what the decoder has to know about them.
#pragma once

#include <cstdint>
#include <memory>
#include <optional>
#include <vector>

#include "decode/api.hpp"
#include "decode/bit_reader.hpp"

namespace nvsim::decode {

using Timestamp = std::optional<long long>;

// What the sequence callback is told, and how many pictures wait for their turn.
struct Sequence {
    CUVIDEOFORMAT format{};
    Bytes header;                              // as in the stream
    unsigned most_width = 0, most_height = 0;  // of AV1's sequence header
    int reorder = 0;                           // pictures that may be decoded before one that is shown earlier
};

bool same_format(const Sequence& a, const Sequence& b);

struct Message {  // SEI
    unsigned char type;
    Bytes payload;
};

// One call of cuvidDecodePicture: a frame or a field.
struct Unit {
    CUVIDPICPARAMS params{};
    Bytes data;
    std::vector<unsigned> slices;
    long long order = 0;  // of display, among pictures since the last `drain`
    bool shown = true;
    bool more_fields = false;   // the other field of the frame may follow
    bool second_field = false;  // goes into the surface of the picture before
    bool progressive = true, top_first = true;
    int repeat = 0;
    Timestamp timestamp;
    std::vector<Message> messages;
};

// Who takes what a reader finds.
class ReaderSink {
   public:
    virtual ~ReaderSink() = default;
    virtual void sequence(const Sequence& sequence) = 0;
    virtual int picture(Unit& unit) = 0;                           // the index of its surface
    virtual void show(int index, const Timestamp& timestamp) = 0;  // a picture that was decoded before
    virtual void operating_point(const std::vector<unsigned>& points) = 0;
    virtual void drain() = 0;  // what waits is shown before anything that comes
};

class StreamReader {
   public:
    explicit StreamReader(ReaderSink& sink) : sink_(sink) {}
    virtual ~StreamReader() = default;
    StreamReader(const StreamReader&) = delete;
    StreamReader& operator=(const StreamReader&) = delete;

    virtual void feed(const uint8_t* data, size_t size, const Timestamp& timestamp) = 0;
    virtual void end_picture() = 0;                  // what was fed so far is a whole picture
    virtual void reset() = 0;                        // the next stream begins with its headers
    virtual bool holds(int) const { return false; }  // a surface that may be shown again

   protected:
    ReaderSink& sink_;
};

// Null for a codec that cannot be read.
std::unique_ptr<StreamReader> make_reader(cudaVideoCodec codec, ReaderSink& sink);

std::unique_ptr<StreamReader> make_h264_reader(ReaderSink& sink);
std::unique_ptr<StreamReader> make_hevc_reader(ReaderSink& sink);
std::unique_ptr<StreamReader> make_av1_reader(ReaderSink& sink);
std::unique_ptr<StreamReader> make_vp8_reader(ReaderSink& sink);
std::unique_ptr<StreamReader> make_vp9_reader(ReaderSink& sink);
std::unique_ptr<StreamReader> make_mpeg2_reader(ReaderSink& sink, cudaVideoCodec codec);  // MPEG-1, too
std::unique_ptr<StreamReader> make_mpeg4_reader(ReaderSink& sink);
std::unique_ptr<StreamReader> make_vc1_reader(ReaderSink& sink);
std::unique_ptr<StreamReader> make_jpeg_reader(ReaderSink& sink);

}  // namespace nvsim::decode
