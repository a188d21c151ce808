#include "decoder/chip.hpp"

#include <algorithm>
#include <utility>

#include "core/failures.hpp"

namespace pdum::nvenc {

Chip::Chip(std::shared_ptr<const Context> context, std::shared_ptr<const Stream> stream, const DecoderSetup& setup)
    : context_(std::move(context)),
      stream_(std::move(stream)),
      setup_(setup),
      read_(setup.decode_surfaces),
      maps_(setup.decode_surfaces),
      decoder_(std::make_unique<VideoDecoder>(setup)) {
    refused_.reserve(setup.output_surfaces);
    kept_.reserve(setup.output_surfaces);
}

// Kernels on the stream may still read its surfaces. A forked child leaves all of it to its parent.
Chip::~Chip() {
    if (!context_->is_usable()) {
        static_cast<void>(decoder_.release());
        return;
    }
    Failures unreported;
    const bool is_current = unreported.run([&] {
        const ContextScope scope(*context_);
        unreported.run([this] { stream_->synchronize(); });
        unmap(refused_);
        unmap(kept_);
        decoder_.reset();
    });
    if (!is_current) static_cast<void>(decoder_.release());  // its context is gone, and it with that
}

// Surfaces are numbered from 0. The driver never gives more than were asked for.
Event& Chip::read_of(int surface) {
    std::unique_ptr<Event>& event = read_.at(static_cast<size_t>(surface));
    if (event == nullptr) event = std::make_unique<Event>(context_);
    return *event;
}

bool Chip::is_idle(int surface) const noexcept {
    const std::unique_ptr<Event>& read = read_[static_cast<size_t>(surface)];
    return is_free(surface) && (read == nullptr || read->is_done());
}

void Chip::wait_until_idle(int surface) const {
    if (!is_idle(surface)) read_[static_cast<size_t>(surface)]->synchronize();
}

void Chip::decode(const CodedPicture& picture, const std::vector<int>& surfaces) {
    wait_until_idle(surfaces.at(static_cast<size_t>(picture.surface)));
    if (picture.second_surface >= 0) wait_until_idle(surfaces.at(static_cast<size_t>(picture.second_surface)));
    decoder_->decode(picture, surfaces);
}

MappedFrame Chip::map(const ShownPicture& picture) {
    Event& read = read_of(picture.surface);
    const std::lock_guard<std::mutex> lock(mapping_);
    unmap(refused_);
    const MappedFrame frame = decoder_->map(picture, stream_->handle());
    ++maps_[static_cast<size_t>(frame.surface)];
    ++mapped_;
    try {
        read.record(stream_->handle());
    } catch (...) {
        refused_.push_back(frame);
        throw;
    }
    return frame;
}

void Chip::unmap(const MappedFrame& frame) {
    const std::lock_guard<std::mutex> lock(mapping_);
    try {
        unmap_now(frame);
    } catch (...) {
        refused_.push_back(frame);
        throw;
    }
}

void Chip::unmap_now(const MappedFrame& frame) {
    decoder_->unmap(frame.address);
    --maps_[static_cast<size_t>(frame.surface)];
    --mapped_;
}

void Chip::unmap(std::vector<MappedFrame>& frames) noexcept {
    Failures unreported;
    const auto is_taken = [&](const MappedFrame& frame) { return unreported.run([&] { unmap_now(frame); }); };
    frames.erase(std::remove_if(frames.begin(), frames.end(), is_taken), frames.end());
}

void Chip::keep_to_the_end(const MappedFrame& frame) {
    const std::lock_guard<std::mutex> lock(mapping_);
    kept_.push_back(frame);
}

}  // namespace pdum::nvenc
