#include "session/motion_search.hpp"

#include <atomic>
#include <mutex>
#include <utility>

#include "core/process.hpp"
#include "session/frame_checks.hpp"
#include "session/frame_copy.hpp"
#include "session/gpu_limits.hpp"
#include "session/open_encoder.hpp"

namespace pdum::nvenc {
namespace {

[[noreturn]] void closed() { fail(ErrorKind::encoder_closed, "This motion estimator is closed.", "Make a new one."); }

Settings as_settings(const MotionSettings& motion) {
    Settings settings;
    settings.codec = motion.codec;
    settings.format = motion.format;
    settings.width = motion.width;
    settings.height = motion.height;
    return settings;
}

}  // namespace

// An input that the driver reads, for the time of one search.
struct MotionSearch::Mapped {
    Mapped(Inputs& from, size_t number, Failures& failures)
        : inputs(from), input(number), reported(failures), handle(from.map(number)) {}
    ~Mapped() { inputs.unmap(input, reported); }
    Mapped(const Mapped&) = delete;
    Mapped& operator=(const Mapped&) = delete;

    Inputs& inputs;
    const size_t input;
    Failures& reported;
    const MappedHandle handle;
};

MotionSearch::MotionSearch(const MotionOptions& options)
    : context_(Context::chosen(options.gpu, options.context)),
      gpu_(context_->gpu()),
      abi_(choose_abi(options.forced_abi)),
      settings_(options.settings),
      made_in_(process_generation()) {
    const ContextScope scope(*context_);
    try {
        open();
    } catch (...) {
        release();
        throw;
    }
    std::atomic_store(&open_input_, order_->input());
}

void MotionSearch::open() {
    const Settings settings = as_settings(settings_);
    order_ = std::make_unique<StreamOrder>(context_);
    output_stream_ = std::make_unique<Stream>(context_);
    inputs_ = std::make_unique<Inputs>(context_, settings);
    api_ = open_encoder(abi_, *context_);
    require_motion_limits(*api_, *context_, settings);
    api_->initialize_motion(settings_);
    api_->order_by_streams(order_->input()->address(), output_stream_->address());
    inputs_->register_with(*api_);
    for (int i = 0; i < 2; ++i) inputs_->new_surface();
    output_ = api_->create_motion_output();
    state_ = Output::empty;
}

void MotionSearch::require_own_process() const {
    if (made_in_ != process_generation()) {
        fail(ErrorKind::encoder_closed, "This motion estimator was made before a fork and cannot be used in the child.",
             "Make it in the process that uses it; start workers with multiprocessing's \"spawn\".");
    }
}

std::shared_ptr<const Stream> MotionSearch::input_stream() const {
    require_own_process();
    std::shared_ptr<const Stream> stream = std::atomic_load(&open_input_);
    if (stream == nullptr) closed();
    return stream;
}

std::vector<MotionBlock> MotionSearch::search(const FrameView& frame, const FrameView& reference) {
    require_own_process();
    const std::lock_guard<Turnstile> lock(turn_);
    if (context_ == nullptr) closed();
    const ContextScope scope(*context_);
    failures_.raise();
    take_back_output();
    constexpr size_t current = 0;
    constexpr size_t earlier = 1;
    bring_in(frame, current);
    bring_in(reference, earlier);
    return search_between(current, earlier);
}

void MotionSearch::bring_in(const FrameView& frame, size_t input) {
    if (frame.memory == FrameMemory::device) require_device(frame, *context_);
    const CUcontext owner =
        frame.memory == FrameMemory::device ? owner_of(frame, false, *context_) : context_->handle();
    const bool on_stream = frame.order == ProducerOrder::on_stream;
    if (on_stream) order_->wait_for(frame.stream, owner);
    try {
        copy_frame(frame, settings_.format, settings_.height, inputs_->rows(input), *context_,
                   order_->input()->handle());
        order_->mark_read();
    } catch (...) {
        Failures ignored;                                         // the first failure is raised
        ignored.run([this] { order_->input()->synchronize(); });  // a part of the copy may be reading the frame
        throw;
    }
    on_stream ? order_->make_wait_until_read(frame.stream, owner) : order_->wait_until_read();
}

std::vector<MotionBlock> MotionSearch::search_between(size_t input, size_t reference) {
    const Mapped current(*inputs_, input, failures_);
    const Mapped earlier(*inputs_, reference, failures_);
    api_->estimate_motion(current.handle, earlier.handle, output_);
    state_ = Output::filled;
    std::vector<MotionBlock> found = api_->lock_motion(output_);
    state_ = Output::locked;
    failures_.run([this] { take_back_output(); });
    return found;
}

void MotionSearch::take_back_output() {
    if (state_ == Output::filled) {
        api_->lock_motion(output_);
        state_ = Output::locked;
    }
    if (state_ != Output::locked) return;
    api_->unlock(output_);
    state_ = Output::empty;
}

// What the driver does not unlock, it takes back with the session.
void MotionSearch::release_output() noexcept {
    if (state_ == Output::none) return;
    failures_.run([this] { take_back_output(); });
    if (state_ != Output::locked) failures_.run([this] { api_->destroy_motion_output(output_); });
    state_ = Output::none;
}

MotionSearch::~MotionSearch() {
    try {
        close();
    } catch (...) {
        // No caller is left to report it to, and everything has been released.
    }
}

void MotionSearch::close() {
    if (made_in_ != process_generation()) return release();
    const std::lock_guard<Turnstile> lock(turn_);
    if (context_ == nullptr) return;
    {
        std::optional<ContextScope> scope;
        failures_.run([&] { scope.emplace(*context_); });
        release();
    }
    context_.reset();
    failures_.raise();
}

// The driver's objects belong to the parent of a forked child.
void MotionSearch::release() noexcept {
    std::atomic_store(&open_input_, std::shared_ptr<const Stream>());
    if (api_ != nullptr && made_in_ == process_generation()) {
        inputs_->release(true, failures_);
        release_output();
        failures_.run([this] { api_->destroy(); });
    }
    inputs_.reset();
    api_.reset();
    order_.reset();
    output_stream_.reset();
}

}  // namespace pdum::nvenc
