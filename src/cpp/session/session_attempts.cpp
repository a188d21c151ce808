// Pictures that are coded several times, of which the caller keeps one.
#include <optional>
#include <string>
#include <utility>

#include "session/frame_checks.hpp"
#include "session/session.hpp"

namespace pdum::nvenc {
namespace {

// Of attempts that a failed call has left behind.
class Nowhere final : public Sink {
   public:
    void take(const AccessUnit&) override {}
};

}  // namespace

void Session::require_no_attempts() const {
    if (!attempts_) return;
    fail(ErrorKind::encoder_failed, "The attempts at another picture are not finished.",
         "Keep one of them before the next call: keep() on what begin_attempts() gave, or leave its with block.");
}

Session::Attempts& Session::attempts() {
    if (!attempts_) {
        fail(ErrorKind::encoder_failed, "No picture is open for attempts: one of them was kept already.",
             "Begin with the next frame.");
    }
    return *attempts_;
}

size_t Session::copy_in(const FrameView& frame) {
    require_size(frame, settings_);
    CUcontext owner = context_->handle();
    if (frame.memory == FrameMemory::device) {
        require_device(frame, *context_);
        owner = owner_of(frame, false, *context_);
    }
    const size_t input = inputs_->own_surface();
    bring_in(frame, owner, input);
    return input;
}

bool Session::begin_attempts(const FrameView* frame, int64_t seq, const PictureExtras& extras) {
    bool is_open = false;
    run_in_turn([&] { is_open = begin_in_turn(frame, seq, extras); });
    return is_open;
}

bool Session::begin_in_turn(const FrameView* frame, int64_t seq, const PictureExtras& extras) {
    require_no_attempts();
    keep_what_is_left();
    if (!settings_.shows_ahead()) {
        if (frame == nullptr) return false;
        const size_t input = copy_in(*frame);
        const HeldPicture picture{input, seq, extras, map_of(extras), hints_of(extras)};
        inputs_->map(input);
        open_attempts(picture);
        return true;
    }
    if (frame != nullptr) {
        if (shown_ends_) {
            fail(ErrorKind::encoder_failed, "The frames at the end of a stream are not all encoded.",
                 "Call begin_attempts() without a frame until it gives None, or flush().");
        }
        show(copy_in(*frame), seq, extras);
        if (shown_.size() <= settings_.rate.lookahead) return false;
    }
    if (shown_.empty()) return false;
    open_attempts(shown_.front());
    shown_.pop_front();
    return true;
}

// Its input is mapped until one attempt is kept, so that all of them are of the same one.
void Session::open_attempts(const HeldPicture& picture) {
    attempts_.emplace(Attempts{picture, 0, false, delivery_.next_dts()});
    attempts_->picture.extras.map.reset();
}

void Session::attempt(const PictureExtras& extras, Sink& sink) {
    run_in_turn([&] {
        Attempts& open = attempts();
        if (open.made >= settings_.attempts) {
            fail(ErrorKind::invalid_config,
                 "All " + std::to_string(settings_.attempts) + " attempts at this picture have been made.",
                 "Keep one of them, or make the encoder with a larger number of attempts.");
        }
        drop_promised();
        ReadyPicture picture = open.picture.ready();
        if (extras.map) picture.map = map_of(extras);
        picture.attempt = open.made;
        delivery_.set_next_dts(open.dts);
        open.is_idr = encode_ready(picture);
        ++open.made;
        take_out(0, sink);
    });
}

void Session::take_earlier(Sink& sink) {
    run_in_turn([&] { delivery_.hand_over_kept(sink); });
}

void Session::keep_attempt(uint32_t number) {
    run_in_turn([&] {
        Attempts& open = attempts();
        if (number >= open.made) {
            fail(ErrorKind::invalid_config,
                 "Attempt " + std::to_string(number) + " was not made; there are " + std::to_string(open.made) + ".",
                 "Keep one that was made.");
        }
        drop_promised();
        driver_->api().keep_attempt(number);
        advance(open.picture.ready(), open.is_idr);
        finish_attempts();
    });
}

// A frame that was shown to the driver has to be encoded.
void Session::drop_attempts() {
    run_in_turn([&] {
        Attempts& open = attempts();
        if (open.made > 0) {
            drop_promised();
            driver_->api().keep_attempt(open.made - 1);
        }
        if (open.made > 0 || settings_.shows_ahead()) {
            const ReadyPicture picture = open.picture.ready();
            const bool is_idr = open.made > 0 ? open.is_idr : encode_ready(picture);
            advance(picture, is_idr);
        }
        finish_attempts();
        keep_what_is_left();
    });
}

void Session::finish_attempts() {
    inputs_->unmap(attempts_->picture.input, failures_);
    attempts_.reset();
    if (!settings_.shows_ahead()) return;
    shown_ends_ = shown_.size() < settings_.rate.lookahead;
    if (shown_.empty()) end_stream();
}

void Session::drop_promised() {
    Nowhere nowhere;
    take_out(0, nowhere);
}

// The driver ends no stream while it does not know from which attempt to go on, and gives no frame back that it was
// shown and that was not encoded before the stream's end.
bool Session::abandon_attempts() noexcept {
    const bool holds_shown = settings_.shows_ahead() && (attempts_ || !shown_.empty());
    const bool is_kept = keep_last_attempt();
    return is_kept && (!holds_shown || failures_.run([this] { driver_->end_stream(); }));
}

bool Session::keep_last_attempt() noexcept {
    if (!attempts_) return true;
    constexpr int tries = 2;
    const uint32_t made = std::exchange(attempts_, std::nullopt)->made;
    bool is_kept = made == 0;
    if (is_kept || !failures_.run([this] { drop_promised(); })) return is_kept;
    for (int i = 0; i < tries && !is_kept; ++i) {
        is_kept = failures_.run([&] { driver_->api().keep_attempt(made - 1); });
    }
    return is_kept;
}

}  // namespace pdum::nvenc
