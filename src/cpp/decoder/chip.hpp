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

    // One thread at a time. Waits until the frame that its surface held before has been read from it.
    void decode(const CodedPicture& picture);
    // These two may be called by several threads.
    MappedFrame map(const ShownPicture& picture);
    void unmap(uint64_t address);
    DecodeStatus status_of(int surface) noexcept { return decoder_->status_of(surface); }

   private:
    Event& read_of(int surface);

    const std::shared_ptr<const Context> context_;
    const std::shared_ptr<const Stream> stream_;
    const DecoderSetup setup_;
    std::vector<std::unique_ptr<Event>> read_;  // by surface: when its last frame had been read
    std::atomic<size_t> mapped_{0};
    std::mutex mapping_;  // the driver wants one at a time
    std::unique_ptr<VideoDecoder> decoder_;
};

}  // namespace pdum::nvenc
