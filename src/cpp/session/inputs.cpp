#include "session/inputs.hpp"

#include <algorithm>
#include <utility>

namespace pdum::nvenc {
namespace {

// The engine reads registered memory at full speed if it is aligned so; CUDA's own allocations are aligned more.
constexpr uint64_t alignment = 16;
// Each registration holds resources of the driver. Callers that rotate more buffers than this register them anew.
constexpr size_t most_registered = 64;
// How many of them one registration asks for memory that is gone: each costs a call of the driver.
constexpr size_t checked_at_once = 2;
constexpr size_t most_refused = 64;

}  // namespace

Inputs::Inputs(std::shared_ptr<const Context> context, const Settings& settings)
    : context_(std::move(context)), format_(settings.format), width_(settings.width), height_(settings.height) {}

void Inputs::register_with(EncodeApi& api) {
    api_ = &api;
    for (Slot& slot : slots_) {
        if (slot.surface == nullptr) continue;
        slot.registered = api_->register_surface(slot.address, slot.width, slot.height, slot.pitch);
    }
}

size_t Inputs::own_surfaces() const {
    return static_cast<size_t>(std::count_if(
        slots_.begin(), slots_.end(), [this](const Slot& slot) { return slot.surface != nullptr && fits(slot); }));
}

size_t Inputs::own_surface() {
    for (size_t i = 0; i < slots_.size(); ++i) {
        const Slot& slot = slots_[i];
        if (slot.surface != nullptr && slot.mapped == nullptr && fits(slot) && slot.surface->is_available()) return i;
    }
    return new_surface();
}

size_t Inputs::new_surface() {
    const FormatTraits& format = traits_of(format_);
    Slot slot;
    const size_t row_bytes = row_bytes_of(format, width_);
    const bool packed = !has_padded_array(format) && row_bytes % alignment == 0;
    slot.surface = std::make_shared<OwnSurface>(context_, row_bytes, surface_rows(format, height_), packed);
    slot.address = slot.surface->rows().pointer();
    if (!kinds_) kinds_.emplace(context_->functions(), slot.address);
    slot.pitch = static_cast<uint32_t>(slot.surface->rows().pitch());
    slot.width = width_;
    slot.height = height_;
    const size_t place = empty_place();
    slot.registered = api_->register_surface(slot.address, width_, height_, slot.pitch);
    slots_[place] = std::move(slot);
    return place;
}

SurfaceLease Inputs::lend(CUstream stream) {
    const size_t input = own_surface();
    return {context_, slots_[input].surface, {input, width_, height_, stream}};
}

const char* Inputs::obstacle(const FrameView& frame) const {
    if (frame.memory != FrameMemory::device) return "it lies on the host";
    if (reinterpret_cast<uintptr_t>(frame.data) % alignment != 0) return "its address is no multiple of 16";
    if (frame.pitch % alignment != 0) return "its rows are not a multiple of 16 bytes apart";
    if (frame.chroma_offset != frame.pitch * height_) return "its planes do not follow one another";
    if (is_refused(frame)) return "the driver refused it before";
    return nullptr;
}

const char* Inputs::obstacle_of_memory(const FrameView& frame) const {
    switch (kinds_->of(address_of(frame))) {
        case MemoryKind::pool: return "NVENC cannot read memory of a stream-ordered pool (cudaMallocAsync)";
        case MemoryKind::managed: return "NVENC cannot read managed memory (cudaMallocManaged)";
        case MemoryKind::other:
            return "NVENC cannot read its memory, which is either virtual memory (cuMemMap, as in PyTorch's expandable "
                   "segments) or memory of the host";
        default: return "NVENC cannot read its memory";
    }
}

uint64_t Inputs::allocation_of(CUdeviceptr address) const {
    uint64_t number = 0;
    const CUresult result = context_->functions().cuPointerGetAttribute(&number, pointer_buffer_id, address);
    return result == cuda_success ? number : 0;
}

// Without a number this is unknown: other memory may have the address by now.
bool Inputs::is_the_same(const Slot& slot) const {
    return slot.allocation != 0 && slot.allocation == allocation_of(slot.address);
}

std::optional<size_t> Inputs::find(const FrameView& frame) {
    const auto address = address_of(frame);
    for (size_t i = 0; i < slots_.size(); ++i) {
        Slot& slot = slots_[i];
        const bool same = slot.is_callers() && slot.address == address;
        if (!same || slot.pitch != frame.pitch || slot.forgotten || !fits(slot)) continue;
        if (!is_the_same(slot)) continue;
        slot.last_used = ++registered_frames_;
        return i;
    }
    return std::nullopt;
}

size_t Inputs::add(const FrameView& frame) {
    const auto address = address_of(frame);
    make_room(address);
    Slot slot;
    slot.address = address;
    slot.allocation = allocation_of(address);
    slot.pitch = static_cast<uint32_t>(frame.pitch);
    slot.width = width_;
    slot.height = height_;
    slot.last_used = ++registered_frames_;
    const size_t place = empty_place();
    slot.registered = api_->register_surface(address, width_, height_, slot.pitch);
    slots_[place] = std::move(slot);
    return place;
}

// Drops registrations whose memory is gone: all at the new address, and a few others in turn. If there are too many,
// drops the one that has been unused for longest. Failures are ignored, because they do not concern the new frame.
void Inputs::make_room(CUdeviceptr address) {
    Failures ignored;
    const auto is_idle = [](const Slot& slot) { return slot.is_callers() && !slot.given_up && slot.uses == 0; };
    for (Slot& slot : slots_) {
        if (is_idle(slot) && slot.address == address && !is_the_same(slot)) drop(slot, ignored);
    }
    size_t checked = 0;
    for (size_t i = 0; i < slots_.size() && checked < checked_at_once; ++i) {
        Slot& slot = slots_[next_checked_++ % slots_.size()];
        if (!is_idle(slot)) continue;
        ++checked;
        if (!is_the_same(slot)) drop(slot, ignored);
    }
    size_t count = 0;
    Slot* oldest = nullptr;
    for (Slot& slot : slots_) {
        if (!is_idle(slot)) continue;
        ++count;
        if (oldest == nullptr || slot.last_used < oldest->last_used) oldest = &slot;
    }
    if (count >= most_registered) drop(*oldest, ignored);
}

void Inputs::refuse(const FrameView& frame, Failures& failures) noexcept {
    const auto address = address_of(frame);
    for (Slot& slot : slots_) {
        const bool same = slot.is_callers() && slot.address == address && slot.pitch == frame.pitch;
        if (same && slot.uses == 0) drop(slot, failures);
    }
    failures.run([&] {
        if (refused_.size() == most_refused) refused_.erase(refused_.begin());
        refused_.push_back({address, frame.pitch, allocation_of(address)});
    });
}

// New memory at the same address may be taken.
bool Inputs::is_refused(const FrameView& frame) const {
    const auto address = address_of(frame);
    return std::any_of(refused_.begin(), refused_.end(), [&](const Refused& refused) {
        return refused.address == address && refused.pitch == frame.pitch && refused.allocation != 0 &&
               refused.allocation == allocation_of(address);
    });
}

void Inputs::forget(CUdeviceptr address, Failures& failures) noexcept {
    for (Slot& slot : slots_) {
        if (!slot.is_callers() || slot.address != address) continue;
        slot.forgotten = true;
        if (slot.uses == 0) drop(slot, failures);
    }
}

void Inputs::map_ahead(size_t input) {
    Slot& slot = slots_[input];
    if (slot.mapped == nullptr) slot.mapped = api_->map(slot.registered);
}

MappedHandle Inputs::map(size_t input) {
    map_ahead(input);
    ++slots_[input].uses;
    return slots_[input].mapped;
}

void Inputs::unmap(size_t input, Failures& failures) noexcept {
    Slot& slot = slots_[input];
    if (slot.uses > 0) --slot.uses;
    if (slot.uses > 0 || slot.mapped == nullptr) return;
    if (!take_back(slot, failures)) return;
    if (slot.forgotten) any_stale_ = true;
}

// Whether the slot is not mapped any more. On a lost device it is given up as a whole: nothing of it can be used again,
// and asking twice would name a mapping that is gone.
bool Inputs::take_back(Slot& slot, Failures& failures) noexcept {
    if (slot.mapped == nullptr) return true;
    const bool unmapped = failures.run([&] { api_->unmap(slot.mapped); });
    if (unmapped) slot.mapped = nullptr;
    if (!unmapped && failures.device_is_lost()) slot.given_up = true;
    return unmapped;
}

void Inputs::resize(const Settings& settings, Failures& failures) noexcept {
    width_ = settings.width;
    height_ = settings.height;
    any_stale_ = true;
    drop_stale(failures);
}

void Inputs::drop_stale(Failures& failures) noexcept {
    if (!any_stale_) return;
    any_stale_ = false;
    for (Slot& slot : slots_) {
        if (slot.registered == nullptr || slot.given_up || (fits(slot) && !slot.forgotten)) continue;
        if (slot.mapped == nullptr && !slot.is_lent()) {
            drop(slot, failures);
        } else {
            any_stale_ = true;
        }
    }
}

void Inputs::drop(Slot& slot, Failures& failures) noexcept {
    if (!take_back(slot, failures)) return;
    failures.run([&] { api_->unregister_surface(slot.registered); });
    const Slot dropped = std::exchange(slot, Slot{});
    const auto has_its_address = [&](const Slot& other) {
        return other.is_callers() && other.address == dropped.address;
    };
    if (!dropped.is_callers() || std::any_of(slots_.begin(), slots_.end(), has_its_address)) return;
    failures.run([&] { unregistered_.push_back(dropped.address); });
}

size_t Inputs::empty_place() {
    const auto empty = std::find_if(slots_.begin(), slots_.end(), [](const Slot& s) { return s.is_empty(); });
    const auto place = static_cast<size_t>(empty - slots_.begin());
    if (place == slots_.size()) slots_.emplace_back();
    return place;
}

void Inputs::release(bool engine_is_done, Failures& failures) noexcept {
    for (Slot& slot : slots_) {
        if (slot.registered == nullptr || slot.given_up) continue;
        const bool unmapped = slot.mapped == nullptr || (engine_is_done && take_back(slot, failures));
        if (unmapped) failures.run([&] { api_->unregister_surface(slot.registered); });
    }
    for (Slot& slot : slots_) forget_session(slot, failures);
}

void Inputs::forget_session(Slot& slot, Failures& failures) noexcept {
    if (slot.is_callers()) {
        failures.run([&] { unregistered_.push_back(slot.address); });
        slot = Slot{};
    }
    slot.registered = nullptr;
    slot.mapped = nullptr;
    slot.uses = 0;
    slot.given_up = false;
}

}  // namespace pdum::nvenc
