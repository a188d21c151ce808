// What a session does about the references between its pictures.
#include <string>

#include "core/error.hpp"
#include "session/session.hpp"

namespace pdum::nvenc {

void Session::require_long_term(const PictureExtras& extras) const {
    const std::optional<uint32_t> empty = references_.first_empty(extras.use_long_term);
    if (!empty) return;
    fail(ErrorKind::invalid_config,
         "use_long_term has " + std::to_string(*empty) +
             ", but no picture since the last IDR was marked with mark_long_term=" + std::to_string(*empty) +
             ", or lost() gave it up.",
         "Use one that was marked, or leave it out; an IDR takes all marks away.");
}

// Frames that are held back may have their references chosen already.
bool Session::can_invalidate() const {
    return settings_.reorder_depth() == 0 && !settings_.shows_ahead() &&
           driver_->api().capability(settings_.codec, Capability::reference_invalidation) > 0;
}

bool Session::invalidate(const std::vector<int64_t>& pts) {
    try {
        for (const int64_t one : pts) driver_->api().invalidate(static_cast<uint64_t>(one));
        return true;
    } catch (const Error&) {
        return false;  // an IDR takes its place
    }
}

}  // namespace pdum::nvenc
