// Film grain that pictures bring. It stays until another picture brings some, whatever happens to the driver's session.
#include "session/session.hpp"

namespace pdum::nvenc {

// Not documented: whether a driver begins a new sequence with the grain of its last picture or of its configuration.
const PictureExtras* Session::told_with(const PictureExtras& extras, bool is_idr, PictureExtras& own) const {
    if (is_idr && grain_is_pictures_ && !extras.film_grain) {
        own = extras;
        own.film_grain = settings_.film_grain;
        return &own;
    }
    return extras.has_codec_fields() ? &extras : nullptr;
}

void Session::take_grain(const PictureExtras& extras) {
    if (!extras.film_grain) return;
    settings_.film_grain = extras.film_grain;
    grain_is_pictures_ = true;
}

}  // namespace pdum::nvenc
