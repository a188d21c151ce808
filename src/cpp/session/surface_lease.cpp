#include "session/surface_lease.hpp"

#include <utility>

#include "core/failures.hpp"
#include "session/stream_order.hpp"

namespace pdum::nvenc {

bool OwnSurface::is_available() noexcept {
    if (is_lent() || (last_write_ != nullptr && !last_write_->is_done())) return false;
    last_write_.reset();
    return true;
}

SurfaceLease::SurfaceLease(std::shared_ptr<const Context> context, std::shared_ptr<OwnSurface> surface,
                           const Terms& terms)
    : context_(std::move(context)), surface_(std::move(surface)), terms_(terms) {
    surface_->lent_.store(true, std::memory_order_release);
}

// If the stream is lost or the driver refuses the event, it is unknown when the writer is done: the surface then counts
// as lent forever.
SurfaceLease::~SurfaceLease() {
    if (surface_ == nullptr || !context_->is_usable()) return;
    Failures unreported;
    const bool known = submitted_ || (!stream_is_lost_ && unreported.run([this] {
                           const CUstream stream = followed_by_ != nullptr ? followed_by_->handle() : terms_.stream;
                           std::unique_ptr<Event> written = record_end_of(stream, context_);
                           if (written != nullptr && !written->is_done()) surface_->last_write_ = std::move(written);
                       }));
    if (known) surface_->lent_.store(false, std::memory_order_release);
}

}  // namespace pdum::nvenc
