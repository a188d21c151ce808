#include "session/session.hpp"

#include <algorithm>
#include <atomic>
#include <chrono>
#include <mutex>
#include <thread>
#include <tuple>
#include <utility>

#include "core/nvtx.hpp"
#include "core/process.hpp"
#include "session/frame_checks.hpp"
#include "session/gpu_limits.hpp"

namespace pdum::nvenc {
namespace {

[[noreturn]] void closed() { fail(ErrorKind::encoder_closed, "This encoder is closed.", "Make a new one."); }

}  // namespace

// One call at a time, on a usable encoder, with its context current. A release that failed in an earlier call is raised
// here, before anything new begins.
class Session::Turn {
   public:
    explicit Turn(Session& session) : lock_(turn_of(session)), scope_(usable(session)) { session.failures_.raise(); }

   private:
    static Turnstile& turn_of(Session& session) {
        session.require_own_process();
        return session.turn_;
    }

    static const Context& usable(const Session& session) {
        if (session.context_ == nullptr) closed();
        return *session.context_;
    }

    std::lock_guard<Turnstile> lock_;
    ContextScope scope_;
};

Session::Session(const SessionOptions& options)
    : context_(Context::chosen(options.gpu, options.context)),
      gpu_(context_->gpu()),
      abi_(choose_abi(options.forced_abi)),
      settings_(options.settings),
      extra_output_delay_(options.extra_output_delay),
      copy_(options.copy),
      made_in_(process_generation()) {
    const ContextScope scope(*context_);
    // settings_ follows each change; the largest size stays what the driver is given at first.
    settings_.max_width = std::max(settings_.width, settings_.max_width);
    settings_.max_height = std::max(settings_.height, settings_.max_height);
    try {
        order_ = std::make_unique<StreamOrder>(context_);
        output_stream_ = std::make_unique<Stream>(context_);
        inputs_ = std::make_unique<Inputs>(context_, settings_);
        maps_ = std::make_unique<PictureMaps>(context_);
        if (settings_.reconstruction) reconstructions_ = std::make_unique<Reconstructions>(context_, order_->input());
        if (settings_.rgb_input) rgb_ = std::make_unique<RgbInput>(context_);
        open(settings_);
    } catch (...) {
        release_everything();
        throw;
    }
    delivery_.set_b_frames(settings_.b_frames);
    std::atomic_store(&open_input_, order_->input());
}

// Call it before taking the lock: a thread of the parent may have held the lock at the fork, and the child would wait
// forever.
void Session::require_own_process() const {
    if (made_in_ != process_generation()) {
        fail(ErrorKind::encoder_closed, "This encoder was made before a fork and cannot be used in the child.",
             "Make encoders in the process that uses them; start workers with multiprocessing's \"spawn\".");
    }
}

std::shared_ptr<const Stream> Session::input_stream() const {
    require_own_process();
    std::shared_ptr<const Stream> stream = std::atomic_load(&open_input_);
    if (stream == nullptr) closed();
    return stream;
}

void Session::submit(const FrameView& frame, int64_t seq, const PictureExtras& extras, bool awaits_release, Sink& sink,
                     Submission& submission) {
    const Turn turn(*this);
    require_driver();
    require_no_attempts();
    require_size(frame, settings_);
    if (shown_ends_) end_shown();
    submission.pts = position_.next_pts + static_cast<int64_t>(shown_.size());
    submission.in_place = reads_in_place(frame, awaits_release, submission.leaves);
    std::optional<size_t> input;
    CUcontext owner = context_->handle();
    if (submission.in_place) input = inputs_->find(frame);  // it was checked when it was registered
    if (!input && frame.memory == FrameMemory::device) {
        require_device(frame, *context_);
        if (submission.in_place) submission.in_place = is_readable_memory(frame);
        owner = owner_of(frame, submission.in_place, *context_);
        if (submission.in_place && is_foreign(owner)) {
            require_copy("it belongs to another CUDA context");
            submission.in_place = false;
        }
    }
    if (submission.in_place) input = take_in_place(frame, owner, input, submission);
    if (!input) {
        input = inputs_->own_surface();
        bring_in(frame, owner, *input);
    }
    if (settings_.shows_ahead()) {
        show(*input, seq, extras);
        submission.accepted = true;
        encode_shown(settings_.rate.lookahead);
    } else if (submission.registered) {
        encode_new_memory(frame, owner, *input, seq, extras, submission);
    } else {
        encode(*input, seq, extras);
    }
    submission.accepted = true;
    collect(may_stay_in_flight() + (submission.leaves ? 1 : 0), sink);
}

void Session::run_in_turn(const std::function<void()>& call) {
    const Turn turn(*this);
    require_driver();
    call();
}

bool Session::next_part(int64_t pts, size_t taken, bool waits, std::vector<uint8_t>& part, Sink& sink) {
    constexpr int attempts = 100;  // in all a hundredth of a second, so that Ctrl-C is not kept waiting
    constexpr std::chrono::microseconds pause{100};
    const Turn turn(*this);
    require_driver();
    const auto copy = [&](const LockedAccessUnit& unit) {
        const auto* data = static_cast<const uint8_t*>(unit.data);
        if (unit.size > taken) part.assign(data + taken, data + unit.size);
    };
    for (int i = 0; i < attempts && part.empty(); ++i) {
        if (!delivery_.is_in_flight(pts) || !driver_->outputs().has_promised()) {
            fail(ErrorKind::encoder_failed, "Another call has taken the rest of the picture whose slices are read.",
                 "Let no other call use the encoder before encode_slices() has given all of them.");
        }
        OutputQueue& outputs = driver_->outputs();
        const auto whole = waits ? std::optional(outputs.lock_next(failures_)) : outputs.lock_part(copy, failures_);
        if (whole) {
            copy(*whole);
            deliver(*whole, sink);
            return true;
        }
        if (part.empty()) std::this_thread::sleep_for(pause);
    }
    return false;
}

SurfaceLease Session::lend_surface(CUstream stream) {
    const Turn turn(*this);
    require_driver();
    return inputs_->lend(stream);
}

void Session::submit_surface(SurfaceLease& lease, CUstream written, int64_t seq, const PictureExtras& extras,
                             Sink& sink) {
    const Turn turn(*this);
    require_driver();
    require_no_attempts();
    if (shown_ends_) end_shown();
    if (!inputs_->fits(lease.input())) {
        fail(ErrorKind::invalid_frame, "The surface is of the size that the encoder had before.", "Take a new one.");
    }
    order_->wait_for(written, context_->handle());
    lease.set_followed_by(order_->input());
    if (settings_.shows_ahead()) {
        show(lease.input(), seq, extras);
        lease.set_submitted();
        encode_shown(settings_.rate.lookahead);
    } else {
        encode(lease.input(), seq, extras);
        lease.set_submitted();
    }
    collect(may_stay_in_flight(), sink);
}

void Session::forget(CUdeviceptr address) noexcept {
    if (made_in_ != process_generation()) return;
    const std::lock_guard<Turnstile> lock(turn_);
    if (context_ == nullptr) return;
    failures_.run([&] {
        const ContextScope scope(*context_);
        inputs_->forget(address, failures_);
    });
}

void Session::flush(Sink& sink) {
    const Turn turn(*this);
    require_no_attempts();
    if (driver_ != nullptr) end_shown();
    if (driver_ != nullptr && driver_->outputs().holds_back()) end_stream();
    collect(0, sink);
}

bool Session::lost(int64_t seq) {
    const Turn turn(*this);
    require_no_attempts();
    if (position_.must_be_idr) return false;
    if (settings_.two_views) {
        position_.must_be_idr = true;
        return false;
    }
    const ReferenceHistory::Loss loss = references_.loss_of(seq, settings_.reference_frames);
    if (loss.is_harmless) return true;
    if (loss.leaves_intact && can_invalidate() && invalidate(loss.spoilt)) {
        references_.spoil(loss.spoilt);
        return true;
    }
    position_.must_be_idr = true;
    return false;
}

void Session::reconfigure(const std::vector<Change>& changes) {
    const Turn turn(*this);
    require_driver();
    Settings settings = settings_;
    for (const Change& change : changes) change(settings);
    const bool resized = settings.width != settings_.width || settings.height != settings_.height;
    const ChangeKind kind = require_change(driver_->api(), *context_, settings_, settings);
    if (resized || kind == ChangeKind::reopening) require_no_attempts();
    if (kind == ChangeKind::reopening) {
        reopen(std::move(settings));
    } else {
        if (resized && delivery_.with_driver() + shown_.size() > 0) finish_frames();
        settings.film_grain = settings_.film_grain;  // frames that were finished may have brought some
        driver_->api().reconfigure(settings, resized);
        settings_ = std::move(settings);
    }
    if (!resized) return;
    position_.must_be_idr = true;
    inputs_->resize(settings_, failures_);
}

std::vector<uint8_t> Session::sequence_header() {
    const Turn turn(*this);
    require_driver();
    return driver_->api().sequence_header();
}

size_t Session::in_flight() const {
    require_own_process();
    const std::lock_guard<Turnstile> lock(turn_);
    return (delivery_.with_driver() + views() - 1) / views() + delivery_.kept() + shown_.size();
}

bool Session::is_in_flight(int64_t pts) const {
    if (made_in_ != process_generation()) return true;
    const std::lock_guard<Turnstile> lock(turn_);
    const int64_t first_shown = position_.next_pts;
    const bool is_shown = pts >= first_shown && pts < first_shown + static_cast<int64_t>(shown_.size());
    return is_shown || delivery_.is_in_flight(pts);
}

// The driver makes an IDR after each GOP and on demand, and no others.
bool Session::next_is_idr(const PictureExtras& extras, uint32_t view) const {
    return position_.next_pts <= view || position_.must_be_idr || extras.force_idr ||
           (settings_.gop != 0 && position_.since_idr >= settings_.gop && !extras.force_p);
}

size_t Session::may_stay_in_flight() const {
    const uint32_t whole = driver_->outputs().held_back() / views() * views();
    return std::max(extra_output_delay_ * views(), whole);
}

void Session::encode(size_t input, int64_t seq, const PictureExtras& extras, uint32_t view) {
    const ReadyPicture picture{input, seq, extras, map_of(extras), hints_of(extras), view};
    advance(picture, encode_ready(picture));
}

bool Session::encode_ready(const ReadyPicture& ready) {
    const NvtxRange range("pdum.submit");
    const PictureExtras& extras = ready.extras;
    PictureRequest request;
    request.output = driver_->outputs().empty();
    request.width = settings_.width;
    request.height = settings_.height;
    request.pitch = inputs_->pitch(ready.input);
    request.timestamp = static_cast<uint64_t>(position_.next_pts);
    request.force_idr = extras.force_idr || position_.must_be_idr;
    request.force_intra = extras.force_intra;
    request.structure = extras.structure.value_or(settings_.structure);
    const bool idr = next_is_idr(extras, ready.view);
    request.is_reference = extras.is_reference || idr;
    request.view = ready.view;
    request.is_idr = idr && ready.view == 0;
    request.since_idr = idr ? 0 : position_.since_idr;
    PictureExtras own_extras;
    request.extras = told_with(extras, idr, own_extras);
    if (!idr) require_long_term(extras);
    request.map = ready.map.get();
    request.hints = ready.hints.get();
    request.attempt = ready.attempt;
    Submitted picture{position_.next_pts, ready.seq, ready.input, std::nullopt, ready.map, ready.hints, ready.alpha};
    if (reconstructions_ != nullptr) picture.reconstruction = reconstructions_->take(settings_);
    delivery_.add(picture);
    Accepted accepted{};
    try {
        request.input = inputs_->map(ready.input);
        if (ready.alpha) request.alpha = inputs_->map(*ready.alpha);
        if (picture.reconstruction) request.reconstruction = reconstructions_->map(*picture.reconstruction);
        accepted = driver_->api().encode(request);
    } catch (...) {
        withdraw(request, picture);
        throw;
    }
    driver_->outputs().push(accepted);
    return idr;
}

void Session::advance(const ReadyPicture& picture, bool is_idr) {
    const bool is_reference = picture.extras.is_reference || is_idr;
    references_.add({position_.next_pts, picture.seq, is_reference}, is_idr, picture.extras.mark_long_term);
    take_grain(picture.extras);
    ++position_.next_pts;
    if (picture.view + 1 < views()) return;  // the right view belongs to the same picture
    position_.must_be_idr = false;
    position_.since_idr = is_idr ? 1 : position_.since_idr + 1;
}

void Session::withdraw(const PictureRequest& request, const Submitted& picture) noexcept {
    delivery_.withdraw();
    if (request.reconstruction != nullptr) reconstructions_->withdraw(*picture.reconstruction, failures_);
    if (request.input != nullptr) inputs_->unmap(picture.input, failures_);
    if (request.alpha != nullptr) inputs_->unmap(*picture.alpha, failures_);
}

void Session::collect(size_t may_stay_in_flight, Sink& sink) {
    const NvtxRange range("pdum.collect_output");
    delivery_.hand_over_kept(sink);
    if (driver_ != nullptr) take_out(may_stay_in_flight, sink);
}

// No chip is known to keep two access units locked, so one goes back before the next comes. If the driver refuses the
// first one of a call, nothing is lost yet. Later ones wait for the next call, which raises the failure.
void Session::take_out(size_t may_stay_in_flight, Sink& sink) {
    OutputQueue& outputs = driver_->outputs();
    bool is_first = true;
    while (outputs.has_promised() && delivery_.with_driver() > may_stay_in_flight) {
        LockedAccessUnit unit;
        const auto lock = [&] { unit = outputs.lock_next(failures_); };
        if (std::exchange(is_first, false)) {
            lock();
        } else if (!failures_.run(lock)) {
            return;
        }
        deliver(unit, sink);
    }
}

void Session::deliver(const LockedAccessUnit& unit, Sink& sink) {
    Finished finished = delivery_.finish(unit);
    try {
        if (finished.reconstruction)
            finished.unit.reconstruction = reconstructions_->finish(*finished.reconstruction, failures_);
        if (settings_.two_views) {
            joiner_.take(finished.unit, sink);
        } else {
            sink.take(finished.unit);
        }
    } catch (...) {
        give_back(finished);
        throw;
    }
    give_back(finished);
}

// A failure here costs no access unit: the next call raises it.
void Session::give_back(const Finished& finished) noexcept {
    driver_->outputs().unlock_all(failures_);
    inputs_->unmap(finished.input, failures_);
    if (finished.alpha) inputs_->unmap(*finished.alpha, failures_);
    inputs_->drop_stale(failures_);
}

void Session::end_stream() {
    driver_->end_stream();
    shown_ends_ = false;
    position_.must_be_idr = true;
}

}  // namespace pdum::nvenc
