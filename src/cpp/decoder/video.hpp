// A video being decoded, as its user sees it: packets go in, frames come out in the order in which they are shown. It
// knows no Python.
#pragma once

#include <cstddef>
#include <cstdint>
#include <deque>
#include <memory>
#include <optional>
#include <vector>

#include "abi/decode_api.hpp"
#include "core/turnstile.hpp"
#include "cuda/cuda.hpp"
#include "decoder/chip.hpp"
#include "decoder/frame_lease.hpp"
#include "decoder/references.hpp"

namespace pdum::nvenc {

struct VideoOptions {
    DecodeCodec codec = DecodeCodec::h264;
    std::vector<uint8_t>
        header;  // what the container keeps of the stream's headers, as the codec writes them in a stream
    int gpu = 0;
    CUcontext context = nullptr;  // null: the GPU's primary context
    uint32_t lent_surfaces = 6;   // frames that may be out without a copy
};

struct DecodedPicture {
    std::shared_ptr<FrameLease> lease;
    VideoFormat format;
    PixelFormat layout = PixelFormat::nv12;
    std::optional<int64_t> pts;  // of the packet that held it
    DecodeStatus status = DecodeStatus::unknown;
    bool lacks_references = false;  // a picture that it needs is missing, or lacks references itself
    bool is_progressive = true;
    bool top_field_first = false;
};

// Several threads may use it: each call waits for its turn.
class Video : private ParserEvents {
   public:
    explicit Video(const VideoOptions& options);
    ~Video() override;
    Video(const Video&) = delete;
    Video& operator=(const Video&) = delete;

    // The frames that are ready now; the chip works on others. If it throws, they come with the next call.
    std::vector<DecodedPicture> decode(const uint8_t* data, size_t size, std::optional<int64_t> pts);
    // The frames that are left, at most so many: call it until none comes, and whoever lets go of each meanwhile gets
    // all of them without a copy. The next packet has to begin anew, with a key frame.
    std::vector<DecodedPicture> flush(size_t most);
    // Drops what it still has, and goes on with another stream of the same codec. The chip's decoder stays if it fits.
    void begin_anew(std::vector<uint8_t> header);
    // Frames that are out stay valid. May be called twice.
    void close() noexcept;

    DecodeCodec codec() const noexcept { return options_.codec; }
    int gpu() const noexcept { return gpu_; }

   private:
    class Turn;

    struct PictureFacts {
        std::optional<int64_t> pts;  // of the packet
        Outlook outlook;
    };
    struct Waiting {
        ShownPicture picture;
        std::optional<int64_t> pts;
        bool lacks_references = false;
    };

    void before_sequence(const VideoFormat& format) override;
    uint32_t on_sequence(const VideoFormat& format) override;
    void on_picture(const CodedPicture& picture) override;
    void on_shown(const ShownPicture& picture) override;

    void parse(const uint8_t* data, size_t size);
    void forget_references();
    void decode(const CodedPicture& picture);
    bool fits_chip(const VideoFormat& format) const;
    DecoderSetup setup_for(const VideoFormat& format) const;
    // Chooses a surface of the chip for one of the parser's, which a picture is about to be decoded into.
    void bind(int parsers_surface);
    std::optional<int> unused_surface() const;
    bool is_bound_or_waiting(int surface) const;
    // Takes the frame that has waited longest from the chip.
    void bring_out();
    std::shared_ptr<FrameLease> lease_of(const ShownPicture& picture, DecodeStatus& status);
    std::shared_ptr<FrameLease> copy_of(const MappedFrame& frame);
    std::vector<DecodedPicture> take_ready();
    void require_own_process() const;

    const VideoOptions options_;
    const std::shared_ptr<const Context> context_;
    const int gpu_;
    const uint64_t made_in_;  // process_generation() of the maker

    Turnstile turn_;
    std::shared_ptr<const Stream> stream_;
    std::unique_ptr<VideoParser> parser_;  // null once closed
    std::shared_ptr<Chip> chip_;           // null before the first sequence header
    VideoFormat format_;                   // of the last one
    std::shared_ptr<SpareRows> spares_;
    // The chip's surface for each of the parser's; -1 before the first picture. The parser goes round in few surfaces
    // and counts a picture as done when it is due to be shown. The chip has more, since frames that wait or are out
    // keep theirs.
    std::vector<int> surfaces_;
    std::deque<Waiting> waiting_;  // the chip is given time to decode them; with the chip's surfaces
    uint32_t most_waiting_ = 0;
    uint32_t most_lent_ = 0;
    int last_bound_ = -1;
    std::vector<DecodedPicture> ready_;
    // Times do not go through the parser: it gives increasing ones to pictures in the order in which they are shown,
    // whichever packets they came with.
    std::optional<int64_t> packet_pts_;
    std::vector<PictureFacts> facts_;               // for each of the parser's surfaces
    std::unique_ptr<StreamReferences> references_;  // null for codecs that do not tell what is missing
    uint64_t healed_losses_ = 0;                    // behind what was shown last, pictures do not suffer from these
    std::vector<uint8_t> header_;
    bool needs_header_ = true;
    bool lacks_references_ =
        false;                // the pictures that VP9's and AV1's next ones may refer to have gone with their chip
    bool is_ending_ = false;  // the parser has shown everything, and some of it waits
};

}  // namespace pdum::nvenc
