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
             ", but no picture since the last IDR was marked with mark_long_term=" + std::to_string(*empty) + ".",
         "Use one that was marked, or leave it out; an IDR takes all marks away.");
}

}  // namespace pdum::nvenc
