// One decoder of the GPU, made for one format of pictures.
#pragma once

#include <atomic>
#include <cstdint>
#include <memory>
#include <mutex>
#include <vector>

#include "abi/decode_api.hpp"
#include "cuda/cuda.hpp"

namespace pdum::nvenc {

// The video that it decodes and the frames that it has lent share it: its memory lives as long as any of them.
class Chip {
   public:
    // The context must be current in each call but the destructor. All work is queued on `stream`.
    Chip(std::shared_ptr<const Context> context, std::shared_ptr<const Stream> stream, const DecoderSetup& setup);
    ~Chip();
    Chip(const Chip&) = delete;
    Chip& operator=(const Chip&) = delete;

    const DecoderSetup& setup() const noexcept { return setup_; }
    const std::shared_ptr<const Stream>& stream() const noexcept { return stream_; }
    const std::shared_ptr<const Context>& context() const noexcept { return context_; }
    // How many frames are mapped now.
    size_t mapped() const noexcept { return mapped_; }

    // Whether a picture may be decoded into the surface: no frame of it is mapped.
    bool is_free(int surface) const noexcept { return maps_[static_cast<size_t>(surface)] == 0; }
    // Whether the frame that it held before has been read from it, too, so that decode() does not wait.
    bool is_idle(int surface) const noexcept;
    // One thread at a time. `surfaces`: the chip's for each of the parser's. Those that are written must be free; waits
    // until they are idle.
    void decode(const CodedPicture& picture, const std::vector<int>& surfaces);
    // These three may be called by several threads.
    MappedFrame map(const ShownPicture& picture);
    // If it fails, the frame is given back later.
    void unmap(const MappedFrame& frame);
    // Nobody knows when the frame has been read, so it stays as it is until the decoder ends.
    void keep_to_the_end(const MappedFrame& frame);
    DecodeStatus status_of(int surface) noexcept { return decoder_->status_of(surface); }

   private:
    Event& read_of(int surface);
    void unmap_now(const MappedFrame& frame);
    // Leaves those that the driver still refuses.
    void unmap(std::vector<MappedFrame>& frames) noexcept;
    void wait_until_idle(int surface) const;

    const std::shared_ptr<const Context> context_;
    const std::shared_ptr<const Stream> stream_;
    const DecoderSetup setup_;
    std::vector<std::unique_ptr<Event>> read_;  // by surface: when its last frame had been read
    std::vector<std::atomic<int>> maps_;        // by surface: a frame that is shown twice may be mapped twice
    std::atomic<size_t> mapped_{0};
    std::mutex mapping_;                // the driver wants one at a time; also guards the two lists
    std::vector<MappedFrame> refused_;  // the driver has not taken them back
    std::vector<MappedFrame> kept_;
    std::unique_ptr<VideoDecoder> decoder_;
};

}  // namespace pdum::nvenc
