#include "session/reconstructions.hpp"

#include <algorithm>
#include <utility>

#include "session/stream_order.hpp"

namespace pdum::nvenc {
namespace {

bool fits(const ReconstructionSurface& surface, const Settings& settings) {
    return surface.width == settings.width && surface.height == settings.height;
}

}  // namespace

// The engine turns separate planes of half the size into NV12 before it encodes them.
PixelFormat reconstruction_format(PixelFormat format) {
    return format == PixelFormat::yuv420 ? PixelFormat::nv12 : format;
}

ReconstructionSurface::ReconstructionSurface(const std::shared_ptr<const Context>& context, PixelFormat of, uint32_t w,
                                             uint32_t h)
    : format(of), width(w), height(h), rows(context, row_bytes_of(traits_of(of), w), surface_rows(traits_of(of), h)) {}

Reconstruction::Reconstruction(std::shared_ptr<const Context> context, std::shared_ptr<ReconstructionSurface> surface,
                               std::shared_ptr<const Stream> engine_input)
    : context_(std::move(context)), surface_(std::move(surface)), engine_input_(std::move(engine_input)) {
    surface_->is_lent.store(true, std::memory_order_release);
}

// If a reader's stream is gone, nobody knows when it is done: the surface then counts as lent forever.
Reconstruction::~Reconstruction() {
    if (!context_->is_usable()) return;
    if (follow_readers()) surface_->is_lent.store(false, std::memory_order_release);
}

bool Reconstruction::follow_readers() noexcept {
    if (readers_.empty()) return true;
    Failures unknown;
    return unknown.run([&] {
        const ContextScope scope(*context_);
        for (CUstream reader : readers_) {
            const std::unique_ptr<Event> read = record_end_of(reader, context_);
            if (read != nullptr) read->make_wait(engine_input_->handle());
        }
    });
}

void Reconstruction::add_reader(CUstream stream) {
    const std::lock_guard<std::mutex> lock(mutex_);
    if (std::find(readers_.begin(), readers_.end(), stream) == readers_.end()) readers_.push_back(stream);
}

size_t Reconstructions::take(const Settings& settings) {
    drop_others(settings);
    for (size_t number = 0; number < slots_.size(); ++number) {
        const Slot& slot = slots_[number];
        const bool is_idle = slot.surface != nullptr && slot.mapped == nullptr;
        if (is_idle && !slot.surface->is_lent.load(std::memory_order_acquire)) return number;
    }
    return add(settings);
}

size_t Reconstructions::add(const Settings& settings) {
    auto surface = std::make_shared<ReconstructionSurface>(context_, reconstruction_format(settings.format),
                                                           settings.width, settings.height);
    const auto empty = std::find_if(slots_.begin(), slots_.end(), [](const Slot& s) { return s.surface == nullptr; });
    const auto number = static_cast<size_t>(empty - slots_.begin());
    if (number == slots_.size()) slots_.emplace_back();
    const RegisteredHandle registered =
        api_->register_reconstruction(surface->rows.pointer(), surface->format, surface->width, surface->height,
                                      static_cast<uint32_t>(surface->rows.pitch()));
    slots_[number] = Slot{std::move(surface), registered, nullptr, false};
    return number;
}

// Those of another picture size are no longer needed. Their holders keep the memory.
void Reconstructions::drop_others(const Settings& settings) {
    for (Slot& slot : slots_) {
        if (slot.surface == nullptr || slot.mapped != nullptr || fits(*slot.surface, settings)) continue;
        const RegisteredHandle registered = std::exchange(slot, Slot{}).registered;
        api_->unregister_surface(registered);
    }
}

MappedHandle Reconstructions::map(size_t number) {
    Slot& slot = slots_[number];
    return slot.mapped = api_->map(slot.registered);
}

// A surface that the driver does not give back is not used again.
bool Reconstructions::unmap(size_t number, Failures& failures) noexcept {
    Slot& slot = slots_[number];
    if (slot.mapped == nullptr) return false;
    slot.is_given_up = !failures.run([&] { api_->unmap(slot.mapped); });
    if (!slot.is_given_up) slot.mapped = nullptr;
    return !slot.is_given_up;
}

std::shared_ptr<Reconstruction> Reconstructions::finish(size_t number, Failures& failures) {
    if (!unmap(number, failures)) return nullptr;
    return std::make_shared<Reconstruction>(context_, slots_[number].surface, engine_input_);
}

void Reconstructions::release(bool engine_is_done, Failures& failures) noexcept {
    for (size_t number = 0; number < slots_.size(); ++number) {
        Slot& slot = slots_[number];
        if (slot.surface == nullptr || (slot.is_given_up && failures.device_is_lost())) continue;
        const bool is_back = slot.mapped == nullptr || (engine_is_done && unmap(number, failures));
        if (is_back) failures.run([&] { api_->unregister_surface(slot.registered); });
    }
    slots_.clear();
}

}  // namespace pdum::nvenc
