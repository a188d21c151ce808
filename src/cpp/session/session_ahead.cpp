// Frames that a session holds back itself, because it shows each one to the driver before it is encoded: the lookahead
// of encoders that make attempts, which the driver's own cannot do.
#include <utility>

#include "session/session.hpp"

namespace pdum::nvenc {

// One that is held is mapped, so that it is not written again.
void Session::show(size_t input, int64_t seq, const PictureExtras& extras) {
    HeldPicture picture{input, seq, extras, map_of(extras), hints_of(extras)};
    picture.extras.map.reset();
    picture.extras.hints.reset();
    try {
        driver_->api().look_ahead(inputs_->map(input));
    } catch (...) {
        inputs_->unmap(input, failures_);
        throw;
    }
    shown_.push_back(std::move(picture));
}

void Session::encode_shown(size_t may_stay) {
    while (shown_.size() > may_stay) {
        const HeldPicture& picture = shown_.front();
        advance(picture.ready(), encode_ready(picture.ready()));
        inputs_->unmap(picture.input, failures_);
        shown_.pop_front();
        shown_ends_ = shown_.size() < settings_.rate.lookahead;
    }
}

// The driver takes no further pictures ahead once it has been given one with too few after it.
void Session::end_shown() {
    if (shown_.empty() && !shown_ends_) return;
    encode_shown(0);
    end_stream();
}

}  // namespace pdum::nvenc
