// How a Session gets its session of the driver's, changes it for another one, and ends.
#include <atomic>
#include <mutex>
#include <optional>
#include <utility>

#include "core/process.hpp"
#include "session/session.hpp"

namespace pdum::nvenc {
namespace {

// The error of a session that could not be opened again.
Error not_reopened(ErrorDetails refusal, bool goes_on) {
    if (!refusal.advice.empty()) refusal.advice += ' ';
    refusal.advice += goes_on ? "The encoder goes on with its settings from before, and its next frame is an IDR."
                              : "The encoder keeps its settings from before, and opens a session for its next frame.";
    return Error(std::move(refusal));
}

// Keeps access units until a sink can take them.
class Keeper final : public Sink {
   public:
    explicit Keeper(Delivery& delivery) : delivery_(delivery) {}
    void take(const AccessUnit& unit) override { delivery_.keep(unit); }

   private:
    Delivery& delivery_;
};

}  // namespace

void Session::open(const Settings& settings) {
    driver_ =
        std::make_unique<DriverSession>(abi_, *context_, settings, EngineStreams{*order_->input(), *output_stream_});
    try {
        driver_->prepare(*inputs_, extra_output_delay_ * views());
    } catch (...) {
        close_driver(true);
        throw;
    }
    settings_ = driver_->settings();
    if (reconstructions_ != nullptr) reconstructions_->register_with(driver_->api());
}

void Session::close_driver(bool engine_is_done) noexcept {
    driver_->unlock_outputs(failures_);
    if (reconstructions_ != nullptr) reconstructions_->release(engine_is_done, failures_);
    driver_->release(*inputs_, engine_is_done, failures_);
    driver_.reset();
}

void Session::require_driver() {
    if (driver_ != nullptr) return;
    try {
        open(settings_);
    } catch (const Error& refusal) {
        throw not_reopened(refusal.details(), false);
    }
}

// The old session ends before the new one is opened, because GPUs limit how many there are. If the new one cannot be
// had, the old settings are tried at once, before anybody else takes the session's place.
void Session::reopen(Settings settings) {
    finish_frames();
    settings.film_grain = settings_.film_grain;  // frames that were finished may have brought some
    position_.must_be_idr = true;
    close_driver(true);
    try {
        open(settings);
    } catch (const Error& refusal) {
        Failures ignored;  // the first failure is raised
        const bool goes_on = ignored.run([this] { open(settings_); });
        throw not_reopened(refusal.details(), goes_on);
    }
}

void Session::finish_frames() {
    end_shown();
    if (driver_->outputs().is_unended()) end_stream();
    keep_what_is_left();
    if (delivery_.with_driver() == 0) return;
    failures_.raise();
    fail(ErrorKind::encoder_failed, "The driver did not give out all frames in flight.", "Call flush() and try again.");
}

void Session::keep_what_is_left() {
    Keeper keeper(delivery_);
    take_out(0, keeper);
}

Session::~Session() { close_quietly(); }

void Session::close_quietly() noexcept {
    try {
        close();
    } catch (...) {
        // No caller is left to report it to, and everything has been released.
    }
}

void Session::close() {
    if (made_in_ != process_generation()) return abandon();
    const std::lock_guard<Turnstile> lock(turn_);
    if (context_ == nullptr) return;
    {
        std::optional<ContextScope> scope;
        failures_.run([&] { scope.emplace(*context_); });  // some things are released even without it
        release_everything();
    }
    context_.reset();
    failures_.raise();
}

void Session::release_everything() noexcept {
    std::atomic_store(&open_input_, std::shared_ptr<const Stream>());
    if (driver_ != nullptr) {
        const bool may_end = abandon_attempts();
        close_driver(may_end && driver_->drain(failures_));
    }
    abandon();
}

// Forgets everything without a call of the encode interface. That is all that a forked child may do: the driver's
// objects are its parent's there, and calling it can hang on a lock that a thread of the parent held.
void Session::abandon() noexcept {
    delivery_.clear();
    shown_.clear();
    attempts_.reset();
    inputs_.reset();
    reconstructions_.reset();
    rgb_.reset();
    maps_.reset();
    driver_.reset();
    order_.reset();
    output_stream_.reset();
}

}  // namespace pdum::nvenc
