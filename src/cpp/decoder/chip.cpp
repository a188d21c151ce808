#include "decoder/chip.hpp"

#include <utility>

#include "core/failures.hpp"

namespace pdum::nvenc {

Chip::Chip(std::shared_ptr<const Context> context, std::shared_ptr<const Stream> stream, const DecoderSetup& setup)
    : context_(std::move(context)),
      stream_(std::move(stream)),
      setup_(setup),
      read_(setup.decode_surfaces),
      decoder_(std::make_unique<VideoDecoder>(setup)) {}

// Kernels on the stream may still read its surfaces. A forked child leaves all of it to its parent.
Chip::~Chip() {
    if (!context_->is_usable()) {
        static_cast<void>(decoder_.release());
        return;
    }
    Failures unreported;
    unreported.run([this] { stream_->synchronize(); });
    unreported.run([this] {
        const ContextScope scope(*context_);
        decoder_.reset();
    });
}

// Surfaces are numbered from 0. The driver never gives more than were asked for.
Event& Chip::read_of(int surface) {
    std::unique_ptr<Event>& event = read_.at(static_cast<size_t>(surface));
    if (event == nullptr) event = std::make_unique<Event>(context_);
    return *event;
}

void Chip::decode(const CodedPicture& picture) {
    const std::unique_ptr<Event>& read = read_.at(static_cast<size_t>(picture.surface));
    if (read != nullptr && !read->is_done()) read->synchronize();
    decoder_->decode(picture);
}

MappedFrame Chip::map(const ShownPicture& picture) {
    Event& read = read_of(picture.surface);
    const std::lock_guard<std::mutex> lock(mapping_);
    const MappedFrame frame = decoder_->map(picture, stream_->handle());
    ++mapped_;
    read.record(stream_->handle());
    return frame;
}

void Chip::unmap(uint64_t address) {
    const std::lock_guard<std::mutex> lock(mapping_);
    decoder_->unmap(address);
    --mapped_;
}

}  // namespace pdum::nvenc
