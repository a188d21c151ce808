// Pictures with two views: each view is a picture of the driver's own.
#include <array>

#include "session/frame_checks.hpp"
#include "session/session.hpp"

namespace pdum::nvenc {

void Session::submit_views(const Views& views, int64_t seq, const PictureExtras& extras, Sink& sink) {
    run_in_turn([&] {
        std::array<CUcontext, 2> owners{};
        for (size_t i = 0; i < views.size(); ++i) {
            require_size(views[i], settings_);
            owners[i] = context_->handle();
            if (views[i].memory != FrameMemory::device) continue;
            require_device(views[i], *context_);
            owners[i] = owner_of(views[i], false, *context_);
        }
        PictureExtras of_view = extras;
        for (uint32_t i = 0; i < views.size(); ++i) {
            if (i > 0) of_view.messages.clear();
            encode_view(views[i], owners[i], seq, of_view, i);
        }
        collect(may_stay_in_flight(), sink);
    });
}

// Without its right view, the driver would wait with the left one forever. So it gets another session with the next
// picture. The pictures that were in flight are kept.
void Session::encode_view(const FrameView& frame, CUcontext owner, int64_t seq, const PictureExtras& extras,
                          uint32_t view) {
    try {
        const size_t input = inputs_->own_surface();
        bring_in(frame, owner, input);
        encode(input, seq, extras, view);
    } catch (...) {
        if (view > 0) lose_left_view();
        throw;
    }
}

void Session::lose_left_view() noexcept {
    Failures ignored;  // the first failure is raised
    ignored.run([this] {
        end_stream();
        keep_what_is_left();
    });
    ignored.run([this] { close_driver(driver_->drain(failures_)); });
    joiner_.clear();
    delivery_.forget_submitted();
    delivery_.set_next_dts(delivery_.next_dts() / 2 * 2);  // the left view may have come out alone
    --position_.next_pts;
    position_.must_be_idr = true;
}

}  // namespace pdum::nvenc
